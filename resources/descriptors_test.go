package resources

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if n, err := Descriptors(); err != nil || n <= 0 || uint64(n) > limit.Max {
		t.Errorf("%d descriptors of at most %d, %v", n, limit.Max, err)
	}
	before, err := OpenDescriptors()
	if err != nil || before < 3 {
		t.Fatalf("%d are open, %v", before, err)
	}
	free, err := LowestFree()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := Number(l); got < free {
		t.Errorf("descriptor %d, though all below %d were taken", got, free)
	}
	if now, err := OpenDescriptors(); err != nil || now <= before {
		t.Errorf("%d are open, %d before, %v", now, before, err)
	}
}

func TestWhatHasNoDescriptor(t *testing.T) {
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, c := range []any{one, l, nil} {
		if n := Number(c); n != -1 {
			t.Errorf("%T has descriptor %d", c, n)
		}
	}
}

func TestShortages(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {errors.New("other"), ""}, {syscall.ECONNREFUSED, ""}, {os.ErrDeadlineExceeded, ""},
		{&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}, "descriptors"},
		{fmt.Errorf("dial: %w", syscall.EADDRNOTAVAIL), "ports"},
		{syscall.ENFILE, "descriptors of the whole system"}, {syscall.ENOBUFS, "buffers"}, {syscall.ENOMEM, "memory"},
	} {
		if got := Shortage(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
