package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Frozen is a session between two processes: descriptors of both sockets, and
// what has to be remembered about it.
type Frozen struct {
	Client, Server *os.File
	State
}

// State is all of a frozen session but its sockets.
type State struct {
	Pending  [2][]byte    `json:"pending"`  // bytes read but not yet written, by Direction
	Ended    [2]bool      `json:"ended"`    // halves that had ended
	EndedAt  [2]time.Time `json:"ended_at"` // when they did
	Accepted Accepted     `json:"accepted"`
	Stats    Stats        `json:"stats"`
	Began    time.Time    `json:"began"`
}

// ErrNotMovable is returned by Freeze for a session whose connections have no
// descriptor to pass on: one under TLS, whose keys live in this process.
var ErrNotMovable = errors.New("session cannot be moved: a connection has no descriptor of its own")

// ErrNotRunning is returned by Freeze for a session that has not begun, is over, or is being
// frozen already.
var ErrNotRunning = errors.New("session is not running, or is being frozen already")

// filer is a connection that has a descriptor of its own.
type filer interface {
	File() (*os.File, error)
}

// Freeze stops a running session between two reads and returns it in a form
// that Thaw continues from, also in another process. Nothing is lost: bytes
// read but not written are in Pending, all others are still in the kernel. It takes no
// longer than whoever moves the bytes needs to notice, so ctx is only looked at before. After an
// error the session is as it was, unless the error wraps its end.
func (l *Link) Freeze(ctx context.Context) (*Frozen, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	client, server, err := l.part()
	if err != nil {
		return nil, err
	}
	f := &Frozen{Client: client, Server: server, State: State{Accepted: l.Accepted, Stats: l.Stats(), Began: l.Began}}
	for d := range l.flows {
		f.Pending[d] = l.flows[d].pending
		f.Ended[d], f.EndedAt[d] = l.flows[d].ended(), timeOfDay(l.flows[d].end.Load())
	}
	return f, nil
}

// part stops the run and returns descriptors of both sockets, the only ones left.
func (l *Link) part() (client, server *os.File, err error) {
	if l.byLoop() {
		if err := l.stop(); err != nil {
			return nil, nil, err
		}
		client, server = l.carried.files()
		return client, server, nil
	}
	client, server, err = l.files()    // before anything is stopped: there may be no room for descriptors
	if errors.Is(err, net.ErrClosed) { // whoever ran it is done with it
		return nil, nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := l.stop(); err != nil {
		_, _ = client.Close(), server.Close()
		return nil, nil, err
	}
	_, _ = l.Client.Close(), l.Server.Close()
	return client, server, nil
}

// End shuts both connections of a frozen session down, also for another process that has their descriptors.
func (f *Frozen) End() {
	for _, file := range []*os.File{f.Client, f.Server} {
		if raw, err := file.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
		}
	}
}

// byLoop tells whether a loop carries the session.
func (l *Link) byLoop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carried != nil
}

// stop ends the run for a Freeze, and waits for that.
func (l *Link) stop() error {
	l.mu.Lock()
	if !l.running || l.freeze.Load() || l.err != nil {
		l.mu.Unlock()
		return ErrNotRunning
	}
	l.freeze.Store(true)
	l.stopped = make(chan struct{})
	l.interrupt()
	if l.stopWaits != nil {
		l.stopWaits(ErrFrozen)
	}
	l.mu.Unlock()
	<-l.stopped
	if l.outcome != ErrFrozen {
		return fmt.Errorf("%w: it ended meanwhile: %w", ErrNotRunning, l.outcome)
	}
	return nil
}

// files returns descriptors of both sockets.
func (l *Link) files() (client, server *os.File, err error) {
	c, movable := l.Client.(filer)
	s, movable2 := l.Server.(filer)
	if !movable || !movable2 {
		return nil, nil, ErrNotMovable
	}
	if client, err = c.File(); err != nil {
		return nil, nil, fmt.Errorf("client's descriptor: %w", err)
	}
	if server, err = s.File(); err != nil {
		_ = client.Close()
		return nil, nil, fmt.Errorf("instance's descriptor: %w", err)
	}
	return client, server, nil
}

// Thaw makes a Link that continues a frozen session with its counters, and takes over
// its descriptors. Limits, limiters and inspector are the caller's to set before Run.
func Thaw(f *Frozen) (*Link, error) {
	client, err := fileConn(f.Client)
	if err != nil {
		_ = f.Server.Close()
		return nil, fmt.Errorf("client's connection: %w", err)
	}
	server, err := fileConn(f.Server)
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("instance's connection: %w", err)
	}
	l := &Link{Client: client, Server: server, Pending: f.Pending, Ended: f.Ended, Accepted: f.Accepted, Began: f.Began, shown: true}
	l.flows[ToServer].restore(f.Stats.ToServer, f.Stats.LastToServer)
	l.flows[ToClient].restore(f.Stats.ToClient, f.Stats.LastToClient)
	for d := range l.flows {
		if f.Ended[d] && !f.EndedAt[d].IsZero() {
			l.flows[d].end.Store(steady(f.EndedAt[d]))
		}
	}
	return l, nil
}

func (f *flow) restore(bytes uint64, last time.Time) {
	f.bytes.Store(bytes)
	if !last.IsZero() {
		f.last.Store(steady(last))
	}
}

// fileConn takes over the descriptor behind f.
func fileConn(f *os.File) (net.Conn, error) {
	defer f.Close()
	return net.FileConn(f)
}
