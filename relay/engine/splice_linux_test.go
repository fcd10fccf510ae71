package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"servicebroker/tcp"
)

const bulkSize = 24 << 20

// bulk is as much of random bytes, the same each time.
func bulk() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), bulkSize) }

// sum reads all of r, a little or much at a time.
func sum(t *testing.T, r io.Reader) [sha256.Size]byte {
	t.Helper()
	h := sha256.New()
	sizes := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 1<<20)
	for {
		n, err := r.Read(b[:1+sizes.IntN(len(b))])
		h.Write(b[:n])
		if err == io.EOF {
			return [sha256.Size]byte(h.Sum(nil))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func pourInto(c *net.TCPConn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{c}, bulk(), make([]byte, 256<<10))
	_ = c.CloseWrite()
}

// Much at a time passes through a pipe: unchanged, also where it stands still in the middle and is frozen there, and where
// somebody begins to look, and no more.
func TestBulkPassesInTheKernel(t *testing.T) {
	loops := &Loops{}
	s := start(t, by(loops), nil)
	go pourInto(s.client)
	stalled := &s.Link.flows[ToServer].writing
	for !stalled.Load() {
		runtime.Gosched()
	}
	frozen, err := s.Freeze(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if len(frozen.Pending[ToServer]) == 0 {
		t.Error("frozen in the middle of a write without anything pending")
	}
	thaw(t, s, frozen)
	head := make([]byte, bulkSize/3)
	if _, err := io.ReadFull(s.server, head); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Uint64
	s.Inspect(func(_ Direction, b []byte) { seen.Add(uint64(len(b))) })
	middle := make([]byte, bulkSize/3)
	if _, err := io.ReadFull(s.server, middle); err != nil {
		t.Fatal(err)
	}
	s.Inspect(nil)
	if got := sum(t, io.MultiReader(bytes.NewReader(head), bytes.NewReader(middle), s.server)); got != sum(t, bulk()) {
		t.Error("what arrives is not what was sent")
	}
	if seen.Load() == 0 || seen.Load() > bulkSize-uint64(len(head)) {
		t.Errorf("%d bytes were seen", seen.Load())
	}
	if n := s.Stats().ToServer; n != bulkSize {
		t.Errorf("%d bytes are accounted for", n)
	}
	s.hangUp(t)
	used := 0
	all := *loops.loops.Load()
	loops.Close()
	for _, l := range all {
		used += len(l.pipes)
	}
	if used == 0 {
		t.Error("it was copied")
	}
}

// Bulk both ways at once, and an end that is passed on after the last byte.
func TestBulkBothWays(t *testing.T) {
	s := start(t, byLoops(t), nil)
	go pourInto(s.client)
	go pourInto(s.server)
	there := make(chan [sha256.Size]byte)
	go func() { there <- sum(t, s.server) }()
	back, want := sum(t, s.client), sum(t, bulk())
	if back != want || <-there != want {
		t.Error("what arrives is not what was sent")
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// A session that is reset while something stands in its pipe takes it along.
func TestAResetInTheMiddleOfBulk(t *testing.T) {
	loops := &Loops{}
	s := start(t, by(loops), nil)
	go pourInto(s.client)
	for stalled := &s.Link.flows[ToServer].writing; !stalled.Load(); {
		runtime.Gosched()
	}
	_ = s.server.SetLinger(0)
	_ = s.server.Close()
	if err := <-s.ended; !isReset(err) {
		t.Errorf("ended with %v", err)
	}
	all := *loops.loops.Load()
	loops.Close()
	for _, l := range all {
		for _, p := range l.pipes {
			if p.held != 0 {
				t.Errorf("a pipe that holds %d bytes is kept", p.held)
			}
		}
	}
}

// What cannot be had or done is copied.
func TestWithoutPipes(t *testing.T) {
	if (&loop{copies: true}).pipe() != nil {
		t.Error("a pipe where the system splices nothing")
	}
	l := &loop{}
	p := l.pipe()
	if p == nil {
		t.Fatal("there is none to be had")
	}
	defer p.close()
	if _, errno := p.fill(p.out); errno != syscall.EINVAL { // a pipe into itself
		t.Errorf("%v", errno)
	}
	near, far := tcpPair(t)
	fd, err := descriptor(far)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close(fd)
	if _, errno := p.fill(fd); errno != syscall.EAGAIN {
		t.Errorf("from a socket that has nothing: %v", errno)
	}
	if _, err := near.Write([]byte("all of it")); err != nil {
		t.Fatal(err)
	}
	var n int
	for errno := syscall.EAGAIN; errors.Is(errno, syscall.EAGAIN); {
		n, errno = p.fill(fd)
	}
	if got := p.empty(); n != 9 || string(got) != "all of it" || p.held != 0 {
		t.Errorf("%d bytes, %q, %d left", n, got, p.held)
	}
	l.release(p)
	if l.pipe() != p {
		t.Error("a pipe that is empty was not kept")
	}
}
