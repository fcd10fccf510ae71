package handover

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

// withRoomFor calls do while at most n more descriptors can be had.
func withRoomFor(t *testing.T, n int, do func()) {
	t.Helper()
	free, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(free)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(free + n), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}

// three are files that are closed with the test.
func three(t *testing.T) []*os.File {
	t.Helper()
	var all []*os.File
	for range 3 {
		file, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		all = append(all, file)
	}
	return all
}

// Whoever has no descriptors left for an offer declines it, and the channel goes on.
func TestOffersAreDeclinedWhereDescriptorsAreShort(t *testing.T) {
	files := three(t)
	a, b := ends(t)
	received := make(chan *Record)
	go func() {
		defer close(received)
		for {
			r, err := b.Receive(context.Background())
			if err != nil {
				return
			}
			_ = r.Take()
			received <- r
		}
	}()
	for room := range len(files) {
		before := descriptors(t)
		withRoomFor(t, room, func() {
			err := a.Offer(t.Context(), "session", thing{"one"}, files...)
			var declined *DeclinedError
			if !errors.As(err, &declined) || declined.Reason != "no descriptors left" {
				t.Errorf("room for %d: %v", room, err)
			}
		})
		if after := descriptors(t); after != before {
			t.Errorf("room for %d: %d files are open instead of %d", room, after, before)
		}
	}
	offered := make(chan error, 1)
	go func() { offered <- a.Offer(context.Background(), "session", thing{"two"}, files...) }()
	if r := <-received; r == nil || string(r.Body) != `{"name":"two"}` || len(r.Files) != len(files) {
		t.Errorf("%+v", r)
	} else {
		r.closeFiles()
	}
	if err := <-offered; err != nil {
		t.Error(err)
	}
	a.Close()
	for range received {
		t.Error("what was declined is received")
	}
}

// A record that is not offered cannot be declined: whoever receives learns that it has come, and can say why that is not enough.
func TestRecordsForWhichDescriptorsAreShort(t *testing.T) {
	files := three(t)
	a, b := ends(t)
	withRoomFor(t, 1, func() {
		if err := a.Send(t.Context(), "socket", thing{"one"}, files...); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Receive(t.Context()); !errors.Is(err, ErrNoDescriptors) || errors.Is(err, ErrOver) {
			t.Errorf("%v", err)
		}
	})
	if err := a.Send(t.Context(), "socket", thing{"two"}, files...); err != nil {
		t.Fatal(err)
	}
	r, err := b.Receive(t.Context())
	if err != nil || len(r.Files) != len(files) {
		t.Fatalf("%+v %v", r, err)
	}
	r.closeFiles()
}

// Other files than a frame speaks of are damage, also where the system cuts them because they are more than can come at once.
func TestOtherFilesThanPromisedAreDamage(t *testing.T) {
	file := three(t)[0]
	for promised, sent := range map[int]int{0: 1, 1: 2, 2: 1, MaxFiles: MaxFiles + 1, MaxFiles + 1: MaxFiles + 1, 0xffff: 0} {
		c, theirs, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := net.FileConn(theirs)
		theirs.Close()
		if err != nil {
			t.Fatal(err)
		}
		frame := []byte("SBH1\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00kind{}")
		binary.BigEndian.PutUint16(frame[6:], uint16(promised))
		numbers := make([]int, sent)
		for at := range numbers {
			numbers[at] = int(file.Fd())
		}
		var rights []byte
		if sent > 0 {
			rights = syscall.UnixRights(numbers...)
		}
		before := descriptors(t)
		if _, _, err := raw.(*net.UnixConn).WriteMsgUnix(frame, rights, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(t.Context()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d files instead of %d: %v", sent, promised, err)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d files instead of %d: %d are open instead of %d", sent, promised, after, before)
		}
		raw.Close()
		c.Close()
	}
}
