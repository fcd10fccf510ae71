// Package engine moves the bytes of a relayed session between its client and
// its instance.
//
// The contract, which a faster engine must keep: bytes arrive unchanged and in
// order; the end of one half is passed on as the end of that half while the
// other goes on; a reset is passed on as a reset; each direction is accounted
// for by itself; a session can be throttled, watched, asked whether it is
// quiet, and frozen between two reads so that another process can thaw it with
// nothing lost.
package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Direction says which way bytes travel.
type Direction uint8

// The two directions of a session.
const (
	ToServer Direction = iota
	ToClient
)

// String names the direction as logs show it.
func (d Direction) String() string {
	if d == ToServer {
		return "to server"
	}
	return "to client"
}

// Errors that Run returns when a session did not end by both halves ending.
var (
	ErrIdle    = errors.New("session idle for longer than the idle timeout")
	ErrExpired = errors.New("session older than the session timeout")
	ErrFrozen  = errors.New("session frozen")
)

// Accepted is what the instance's ACCEPT settled for the life of the session;
// whoever thaws the session needs it to frame packets of its own.
type Accepted struct {
	Version uint16 // Oracle Net version, 300 to 319
	SDU     uint32 // session data unit, bytes
}

// Limiter paces one direction. WaitN blocks until n bytes may pass; a
// golang.org/x/time/rate Limiter with a burst of at least [ChunkSize] is one.
type Limiter interface {
	WaitN(ctx context.Context, n int) error
}

// ChunkSize is the most bytes moved by one read, and so the most that an
// inspector sees or a limiter is asked for at a time.
const ChunkSize = 32 << 10

// DefaultHalfOpenTimeout bounds how long one half may stay silent after the
// other has ended.
const DefaultHalfOpenTimeout = time.Minute

// Link is one session's pair of connections. Fill it in, then call Run once.
// Run owns both connections from then on.
type Link struct {
	Client, Server net.Conn

	// Pending holds, for each direction, bytes that were read during the
	// connect dialogue (or by the process that froze the session) and have to
	// go out first.
	Pending [2][]byte

	// Ended says which halves had ended already when the session was frozen.
	Ended [2]bool

	Accepted Accepted

	// IdleTimeout ends a session that moves no byte either way for so long;
	// SessionTimeout ends it so long after Run began. 0 means never.
	IdleTimeout, SessionTimeout time.Duration

	// HalfOpenTimeout ends a session whose one half has ended while the other
	// stays silent for so long; 0 means DefaultHalfOpenTimeout.
	HalfOpenTimeout time.Duration

	// Limit paces a direction; nil lets it run free.
	Limit [2]Limiter

	inspect atomic.Pointer[func(Direction, []byte)]
	flows   [2]flow
	started atomic.Int64 // unix nanoseconds at which Run began
	freeze  atomic.Bool
	running atomic.Bool
	stopped chan struct{}
	over    context.CancelCauseFunc // ends waits for a Limiter; nil without one
	err     atomic.Pointer[error]
}

// flow is the state of one direction. The counters are read by Stats at any
// time; pending and ended belong to the direction's goroutine until it is done.
type flow struct {
	bytes   atomic.Uint64
	last    atomic.Int64 // unix nanoseconds of the last byte moved
	end     atomic.Int64 // unix nanoseconds at which the half ended; 0 while it is open
	pending []byte
}

// Stats tells what a session has moved so far.
type Stats struct {
	ToServer, ToClient         uint64    // bytes
	LastToServer, LastToClient time.Time // zero until a byte went that way
}

// Stats may be called at any time, also after Run.
func (l *Link) Stats() Stats {
	return Stats{
		ToServer: l.flows[ToServer].bytes.Load(), ToClient: l.flows[ToClient].bytes.Load(),
		LastToServer: l.flows[ToServer].lastTime(), LastToClient: l.flows[ToClient].lastTime(),
	}
}

func (f *flow) ended() bool { return f.end.Load() != 0 }

func (f *flow) lastTime() time.Time { return unixTime(f.last.Load()) }

func (f *flow) endTime() time.Time { return unixTime(f.end.Load()) }

func unixTime(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

// Inspect lets see look at all bytes of both directions before they are written, from now
// on and until it is called with another or nil. see must neither keep nor change them, and
// is called from one goroutine a direction. It may be called at any time; while nobody
// looks it costs one load of a pointer for each read.
func (l *Link) Inspect(see func(Direction, []byte)) {
	if see == nil {
		l.inspect.Store(nil)
		return
	}
	l.inspect.Store(&see)
}

// look shows bytes to the inspector, if there is one.
func (l *Link) look(d Direction, b []byte) {
	if see := l.inspect.Load(); see != nil && len(b) > 0 {
		(*see)(d, b)
	}
}

// Quiet reports whether no byte has moved either way for at least d: the
// moment to freeze or drain a session with the least harm.
func (l *Link) Quiet(d time.Duration) bool {
	return time.Since(l.lastActivity()) >= d
}

func (l *Link) lastActivity() time.Time {
	last := unixTime(l.started.Load())
	for i := range l.flows {
		if t := l.flows[i].lastTime(); t.After(last) {
			last = t
		}
	}
	return last
}

// Close ends the session at once from any goroutine; both sides see a reset.
// Run then returns cause.
func (l *Link) Close(cause error) {
	l.fail(cause)
	l.abort()
}

// fail records the first cause of an unclean end.
func (l *Link) fail(cause error) {
	l.err.CompareAndSwap(nil, &cause)
}

// abort resets both connections, which wakes both goroutines.
func (l *Link) abort() {
	if l.running.Load() && l.over != nil {
		l.over(net.ErrClosed)
	}
	for _, c := range []net.Conn{l.Client, l.Server} {
		if t, ok := c.(interface{ SetLinger(int) error }); ok {
			_ = t.SetLinger(0)
		}
		_ = c.Close()
	}
}

// Run carries the session until both halves have ended, a time-out strikes,
// either side breaks, ctx ends or Freeze is called. It returns nil when both
// halves ended, ErrFrozen after Freeze (the connections are then still open
// and belong to the caller of Freeze), and the cause otherwise. Both
// connections are closed when it returns anything but ErrFrozen.
func (l *Link) Run(ctx context.Context) error {
	l.started.Store(time.Now().UnixNano())
	l.stopped = make(chan struct{})
	if l.Limit[ToServer] != nil || l.Limit[ToClient] != nil { // whoever waits there must notice the end of the session
		ctx, l.over = context.WithCancelCause(ctx)
		defer l.over(nil)
	}
	l.running.Store(true)
	defer close(l.stopped)

	stop := context.AfterFunc(ctx, func() { l.Close(context.Cause(ctx)) })
	defer stop()

	for d := range l.flows {
		l.flows[d].pending = l.Pending[d]
		if l.Ended[d] {
			l.flows[d].end.Store(l.started.Load())
		}
	}
	var back sync.WaitGroup
	back.Go(func() { l.carry(ctx, ToClient) })
	l.carry(ctx, ToServer)
	back.Wait()

	if err := l.err.Load(); err != nil {
		return *err
	}
	if l.freeze.Load() && !(l.flows[ToServer].ended() && l.flows[ToClient].ended()) {
		return ErrFrozen
	}
	_ = l.Client.Close()
	_ = l.Server.Close()
	return nil
}

// ends returns where a direction reads from and writes to.
func (l *Link) ends(d Direction) (source, destination net.Conn) {
	if d == ToServer {
		return l.Client, l.Server
	}
	return l.Server, l.Client
}

// carry moves one direction until its half ends. Any other end is recorded
// and takes the other direction along.
func (l *Link) carry(ctx context.Context, d Direction) {
	f := &l.flows[d]
	if f.ended() {
		return
	}
	err := l.pump(ctx, d)
	switch {
	case errors.Is(err, ErrFrozen):
	case errors.Is(err, io.EOF):
		f.end.Store(time.Now().UnixNano())
		_, destination := l.ends(d)
		closeWrite(destination)
		// The other half now has a limit of its own; wake it so that it sees it.
		other, _ := l.ends(1 - d)
		_ = other.SetReadDeadline(time.Now())
	default:
		l.fail(err)
		l.abort()
	}
}

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
		return
	}
	// A transport that cannot half-close (an in-memory pipe) ends whole.
	_ = c.Close()
}

var errShortWrite = errors.New("connection took fewer bytes than it was given")

// A direction starts with a buffer that suits the small packets of most
// sessions and takes a large one once a read has filled it.
const smallChunk = 8 << 10

// pump reads and writes until the source ends (io.EOF), a time-out strikes,
// a connection breaks, or the session is frozen (ErrFrozen).
func (l *Link) pump(ctx context.Context, d Direction) error {
	source, destination := l.ends(d)
	l.look(d, l.flows[d].pending)
	if err := l.write(destination, d, l.flows[d].pending); err != nil {
		return err
	}
	buffer := make([]byte, smallChunk)
	for {
		if l.freeze.Load() {
			return ErrFrozen
		}
		alone := l.flows[1-d].ended()
		deadline, _ := l.readLimit(d)
		_ = source.SetReadDeadline(deadline)
		if l.freeze.Load() || alone != l.flows[1-d].ended() {
			continue // our deadline may just have overwritten the one meant to wake us
		}
		n, err := source.Read(buffer)
		if n > 0 {
			if werr := l.pass(ctx, d, buffer[:n]); werr != nil {
				return werr
			}
			if n == smallChunk {
				buffer = make([]byte, ChunkSize)
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = l.expired(d)
		}
		if err != nil {
			return err
		}
	}
}

// pass hands bytes just read to the inspector and the limiter, then writes them.
func (l *Link) pass(ctx context.Context, d Direction, b []byte) error {
	f := &l.flows[d]
	f.last.Store(time.Now().UnixNano())
	f.bytes.Add(uint64(len(b)))
	l.look(d, b)
	if l.Limit[d] != nil {
		if err := l.Limit[d].WaitN(ctx, len(b)); err != nil {
			return err
		}
	}
	_, destination := l.ends(d)
	return l.write(destination, d, b)
}

// write sends b whole. When the session is frozen in the middle of it, the rest
// is kept for the successor.
func (l *Link) write(destination net.Conn, d Direction, b []byte) error {
	f := &l.flows[d]
	f.pending = nil
	if len(b) == 0 {
		return nil
	}
	n, err := destination.Write(b)
	if err == nil && n < len(b) {
		err = errShortWrite
	}
	if err != nil && l.freeze.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		f.pending = append([]byte(nil), b[n:]...)
		return ErrFrozen
	}
	return err
}

// readLimit tells until when a read may wait, and what its expiry means.
func (l *Link) readLimit(d Direction) (deadline time.Time, why error) {
	earlier := func(t time.Time, cause error) {
		if deadline.IsZero() || t.Before(deadline) {
			deadline, why = t, cause
		}
	}
	if l.IdleTimeout > 0 {
		earlier(l.lastActivity().Add(l.IdleTimeout), ErrIdle)
	}
	if l.SessionTimeout > 0 {
		earlier(unixTime(l.started.Load()).Add(l.SessionTimeout), ErrExpired)
	}
	if other := &l.flows[1-d]; other.ended() {
		timeout := l.HalfOpenTimeout
		if timeout == 0 {
			timeout = DefaultHalfOpenTimeout
		}
		since := l.lastActivity()
		if end := other.endTime(); end.After(since) {
			since = end
		}
		earlier(since.Add(timeout), io.EOF)
	}
	return deadline, why
}

// expired decides what a read's expiry means: nil to read on (it was a wake-up
// call, or the other direction has been active since), frozen, or over.
func (l *Link) expired(d Direction) error {
	if l.freeze.Load() {
		return ErrFrozen
	}
	if deadline, why := l.readLimit(d); why != nil && !deadline.After(time.Now()) {
		return why
	}
	return nil
}
