package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends makes both ends of a channel.
func ends(t *testing.T) (a, b *Channel) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err = Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("open files cannot be counted: %v", err)
	}
	return len(all)
}

type thing struct {
	Name string `json:"name"`
}

func TestOffersAreTakenWithTheirFiles(t *testing.T) {
	a, b := ends(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	taken := make(chan *Record, 1)
	go func() {
		r, err := b.Receive(context.Background())
		if err == nil {
			err = r.Take()
		}
		if err != nil {
			t.Error(err)
		}
		taken <- r
	}()
	if err := a.Offer(t.Context(), "session", thing{"one"}, out); err != nil {
		t.Fatal(err)
	}
	out.Close()
	r := <-taken
	if r.Kind != "session" || string(r.Body) != `{"name":"one"}` || len(r.Files) != 1 {
		t.Fatalf("%s %s, %d files", r.Kind, r.Body, len(r.Files))
	}
	if flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, r.Files[0].Fd(), syscall.F_GETFD, 0); flags&syscall.FD_CLOEXEC == 0 {
		t.Error("a program that is started would inherit the file")
	}
	if _, err := r.Files[0].WriteString("through"); err != nil {
		t.Fatal(err)
	}
	r.Files[0].Close()
	if got, err := io.ReadAll(in); string(got) != "through" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestOffersAreDeclinedWithAReason(t *testing.T) {
	a, b := ends(t)
	before := descriptors(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			r, err := b.Receive(context.Background())
			if err != nil {
				return
			}
			if err := r.Decline("not known here"); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 100 {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var declined *DeclinedError
		if err := a.Offer(t.Context(), "odd", i, in, out); !errors.As(err, &declined) || declined.Reason != "not known here" {
			t.Fatalf("%v", err)
		}
		in.Close()
		out.Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d files are open instead of %d", after, before)
	}
	a.Close()
	all.Wait()
}

func TestNobodyReceivesAndNothingLeaks(t *testing.T) {
	before := descriptors(t)
	for range 100 {
		a, file, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		b, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		for range queued + 2 {
			if err := a.Send(t.Context(), "session", thing{"x"}, in, out); err != nil {
				t.Fatal(err)
			}
		}
		in.Close()
		out.Close()
		b.Close()
		a.Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d files are open instead of %d", after, before)
	}
}

// takesThen takes the next record, and tells what became of it.
func takesThen(t *testing.T, c *Channel) (became <-chan error) {
	t.Helper()
	settled := make(chan error, 2)
	r, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.TakeThen(func(err error) { settled <- err })
	return settled
}

func TestWhatIsTakenIsTheSendersUntilItLetsGo(t *testing.T) {
	a, b := ends(t)
	offered := make(chan error, 1)
	go func() { offered <- a.Offer(context.Background(), "session", thing{"one"}) }()
	became := takesThen(t, b)
	if err := errors.Join(<-offered, <-became); err != nil {
		t.Error(err)
	}
	if err := a.Send(t.Context(), "note", thing{}); err != nil {
		t.Fatal(err)
	}
	if err := <-takesThen(t, b); err != nil {
		t.Errorf("what was not offered: %v", err)
	}

	// It does not wait any more when it could be taken, so that it keeps it.
	ctx, cancel := context.WithCancel(t.Context())
	go func() { offered <- a.Offer(ctx, "session", thing{"two"}) }()
	r, err := b.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-offered; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	kept := make(chan error, 2)
	r.TakeThen(func(err error) { kept <- err })
	if err := <-kept; !errors.Is(err, errKept) {
		t.Errorf("%v", err)
	}
	a.Close()
	<-b.Over()
	if len(became)+len(kept) > 0 {
		t.Error("told twice")
	}
}

func TestWhoeverEndsBeforeItLetsGoHasNotLetGo(t *testing.T) {
	a, b := ends(t)
	if _, err := a.write(t.Context(), &frame{what: whatOffer, kind: "session"}, make(chan error, 1)); err != nil { // whose answer nobody reads
		t.Fatal(err)
	}
	became := takesThen(t, b)
	a.Close()
	if err := <-became; !errors.Is(err, ErrOver) {
		t.Errorf("%v", err)
	}
	c, d := ends(t)
	if _, err := c.write(t.Context(), &frame{what: whatOffer, kind: "session"}, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-d.Over()
	if err := <-takesThen(t, d); !errors.Is(err, ErrOver) {
		t.Errorf("%v", err)
	}
}

func TestManyOffersAtOnceEachGetTheirOwnAnswer(t *testing.T) {
	a, b := ends(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			r, err := b.Receive(context.Background())
			if err != nil {
				return
			}
			if strings.HasSuffix(string(r.Body), "0") {
				_ = r.Decline(string(r.Body))
			} else {
				_ = r.Take()
			}
		}
	})
	var offers sync.WaitGroup
	for i := range 200 {
		offers.Go(func() {
			err := a.Offer(t.Context(), "n", i)
			var declined *DeclinedError
			switch {
			case i%10 != 0 && err != nil:
				t.Errorf("%d: %v", i, err)
			case i%10 == 0 && (!errors.As(err, &declined) || declined.Reason != fmt.Sprint(i)):
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	offers.Wait()
	a.Close()
	all.Wait()
}

func TestTheEndOfTheOtherEndIsTold(t *testing.T) {
	a, b := ends(t)
	failed := make(chan error, 1)
	go func() { failed <- a.Offer(context.Background(), "session", thing{}) }()
	if _, err := b.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := <-failed; !errors.Is(err, ErrOver) {
		t.Errorf("an offer without answer: %v", err)
	}
	<-a.Over()
	if _, err := a.Receive(t.Context()); !errors.Is(err, ErrOver) {
		t.Errorf("receive: %v", err)
	}
	if err := a.Offer(t.Context(), "session", thing{}); !errors.Is(err, ErrOver) {
		t.Errorf("another offer: %v", err)
	}
}

func TestWhatCameBeforeTheEndIsReceived(t *testing.T) {
	a, b := ends(t)
	for i := range 3 {
		if err := a.Send(t.Context(), "n", i); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	<-b.Over()
	for i := range 3 {
		if r, err := b.Receive(t.Context()); err != nil || string(r.Body) != fmt.Sprint(i) {
			t.Fatalf("%d: %v %v", i, r, err)
		}
	}
}

func TestAContextEndsASendThatNobodyReads(t *testing.T) {
	a, _ := ends(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	big := strings.Repeat("x", 8<<20)
	go func() {
		var err error
		for err == nil {
			err = a.Send(ctx, "big", big)
		}
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBigRecordsComeWhole(t *testing.T) {
	a, b := ends(t)
	text := strings.Repeat("0123456789", 500_000)
	go func() { _ = a.Send(context.Background(), "big", text) }()
	r, err := b.Receive(t.Context())
	if err != nil || len(r.Body) != len(text)+2 || string(r.Body[1:len(text)+1]) != text {
		t.Fatalf("%v", err)
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	a, _ := ends(t)
	for _, err := range []error{
		a.Send(t.Context(), strings.Repeat("k", 65), 1), a.Send(t.Context(), "k", strings.Repeat("x", MaxBody)),
		a.Send(t.Context(), "k", 1, make([]*os.File, MaxFiles+1)...), a.Send(t.Context(), "k", func() {}),
	} {
		if err == nil || errors.Is(err, ErrOver) {
			t.Errorf("%v", err)
		}
	}
	if err := a.Send(t.Context(), "k", 1); err != nil {
		t.Errorf("the channel is not as it was: %v", err)
	}
}

func TestGreeting(t *testing.T) {
	of := func(program string, oldest, newest int) Hello {
		return Hello{Program: program, Version: "v", Oldest: oldest, Newest: newest}
	}
	for _, test := range []struct {
		a, b   Hello
		format int // 0: none
	}{
		{of("x", 1, 1), of("x", 1, 1), 1}, {of("x", 1, 2), of("x", 1, 1), 1}, {of("x", 1, 3), of("x", 2, 5), 3},
		{of("x", 1, 1), of("x", 2, 2), 0}, {of("x", 3, 4), of("x", 1, 2), 0}, {of("x", 1, 1), of("y", 1, 1), 0},
	} {
		a, b := ends(t)
		other := make(chan error, 1)
		go func() {
			_, format, err := b.Greet(context.Background(), test.b)
			if format != test.format {
				err = fmt.Errorf("format %d: %w", format, err)
			}
			if test.format == 0 && err != nil {
				err = nil
			}
			other <- err
		}()
		theirs, format, err := a.Greet(t.Context(), test.a)
		if format != test.format || (err == nil) != (test.format > 0) || theirs.Oldest != test.b.Oldest {
			t.Errorf("%+v meets %+v: %+v, format %d, %v", test.a, test.b, theirs, format, err)
		}
		if err := <-other; err != nil {
			t.Error(err)
		}
	}
}

func TestADifferentBeginningIsNoGreeting(t *testing.T) {
	a, b := ends(t)
	if err := b.Send(t.Context(), "odd", 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Greet(t.Context(), Hello{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

// What the other end said before it went is told, although nothing can be said to it any more.
func TestADifferentBeginningIsToldOfWhoIsGone(t *testing.T) {
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := file.WriteString(strings.Repeat("nonsense", 10)); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Greet(t.Context(), Hello{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestInherited(t *testing.T) {
	t.Setenv(Variable, "")
	os.Unsetenv(Variable)
	if _, is, err := Inherited(); is || err != nil {
		t.Errorf("%v %v", is, err)
	}
	for _, text := range []string{"x", "1", "-4", "99999"} {
		t.Setenv(Variable, text)
		if _, is, err := Inherited(); is || err == nil {
			t.Errorf("%s: %v %v", text, is, err)
		}
	}
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	number, err := syscall.Dup(int(file.Fd()))
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(Variable, fmt.Sprint(number))
	b, is, err := Inherited()
	if !is || err != nil {
		t.Fatalf("%v %v", is, err)
	}
	defer b.Close()
	if _, set := os.LookupEnv(Variable); set {
		t.Error("the variable is still there for programs that are started")
	}
	if err := a.Send(t.Context(), "k", 1); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Receive(t.Context()); err != nil || r.Kind != "k" {
		t.Errorf("%v %v", r, err)
	}
}

func TestGarbageEndsTheChannel(t *testing.T) {
	for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SBH1\x09\x00\x00\x00" + strings.Repeat("\x00", 16), "SBH1\x01\xff\x00\x00" + strings.Repeat("\x00", 16),
		"SBH1\x01\x00\x00\x05" + strings.Repeat("\x00", 16), "SBH1\x01\x00\x00\x00" + strings.Repeat("\x00", 8) + "\xff\xff\xff\xff" + strings.Repeat("\x00", 4)} {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(os.NewFile(uintptr(pair[0]), ""))
		if err != nil {
			t.Fatal(err)
		}
		theirs := os.NewFile(uintptr(pair[1]), "")
		raw, err := net.FileConn(theirs)
		theirs.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := c.Receive(ctx); !errors.Is(err, ErrOver) || !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", garbage[:8], err)
		}
		cancel()
		raw.Close()
		c.Close()
	}
}
