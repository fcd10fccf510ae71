package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Frozen is a session between two processes: descriptors of both sockets,
// bytes read but not yet written, and what has to be remembered about it.
type Frozen struct {
	Client, Server *os.File
	Pending        [2][]byte // by Direction
	Ended          [2]bool   // halves that had ended
	Accepted       Accepted
	Stats          Stats
}

// ErrNotMovable is returned by Freeze for a session whose connections have no
// descriptor to pass on: one under TLS, whose keys live in this process.
var ErrNotMovable = errors.New("session cannot be moved: a connection has no descriptor of its own")

// Freeze stops a running session between two reads and returns it in a form
// that Thaw continues from, also in another process. Nothing is lost: bytes
// read but not written are in Pending, all others are still in the kernel.
// After an error the session is as it was, unless the error wraps one of the
// session's own end.
func (l *Link) Freeze(ctx context.Context) (*Frozen, error) {
	client, ok := l.Client.(filer)
	server, ok2 := l.Server.(filer)
	if !ok || !ok2 {
		return nil, ErrNotMovable
	}
	if !l.running.Load() || !l.freeze.CompareAndSwap(false, true) {
		return nil, errors.New("session is not running, or is being frozen already")
	}
	now := time.Now()
	for _, c := range []net.Conn{l.Client, l.Server} {
		_ = c.SetDeadline(now)
	}
	select {
	case <-l.stopped:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := l.err.Load(); err != nil {
		return nil, fmt.Errorf("session ended while it was being frozen: %w", *err)
	}
	return l.freezeFiles(client, server)
}

type filer interface {
	File() (*os.File, error)
}

func (l *Link) freezeFiles(client, server filer) (*Frozen, error) {
	defer l.Client.Close()
	defer l.Server.Close()
	clientFile, err := client.File()
	if err != nil {
		return nil, fmt.Errorf("client's descriptor: %w", err)
	}
	serverFile, err := server.File()
	if err != nil {
		_ = clientFile.Close()
		return nil, fmt.Errorf("instance's descriptor: %w", err)
	}
	f := &Frozen{Client: clientFile, Server: serverFile, Accepted: l.Accepted, Stats: l.Stats()}
	for d := range l.flows {
		f.Pending[d] = l.flows[d].pending
		f.Ended[d] = l.flows[d].ended()
	}
	return f, nil
}

// Thaw makes a Link that continues a frozen session with its counters. Limits,
// limiters and inspector are the caller's to set before Run.
func Thaw(f *Frozen) (*Link, error) {
	client, err := fileConn(f.Client)
	if err != nil {
		return nil, fmt.Errorf("client's connection: %w", err)
	}
	server, err := fileConn(f.Server)
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("instance's connection: %w", err)
	}
	l := &Link{Client: client, Server: server, Pending: f.Pending, Ended: f.Ended, Accepted: f.Accepted}
	l.flows[ToServer].restore(f.Stats.ToServer, f.Stats.LastToServer)
	l.flows[ToClient].restore(f.Stats.ToClient, f.Stats.LastToClient)
	return l, nil
}

func (f *flow) restore(bytes uint64, last time.Time) {
	f.bytes.Store(bytes)
	if !last.IsZero() {
		f.last.Store(last.UnixNano())
	}
}

// fileConn takes over the descriptor behind f.
func fileConn(f *os.File) (net.Conn, error) {
	defer f.Close()
	return net.FileConn(f)
}
