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
	ErrIdle     = errors.New("session idle for longer than the idle timeout")
	ErrExpired  = errors.New("session older than the session timeout")
	ErrHalfOpen = errors.New("one half of the session has ended, and the other side takes no more bytes")
	ErrFrozen   = errors.New("session frozen")
)

// Accepted is what the instance's ACCEPT settled for the life of the session;
// whoever thaws the session needs it to frame packets of its own.
type Accepted struct {
	Version uint16 `json:"version"` // Oracle Net version, 300 to 319
	SDU     uint32 `json:"sdu"`     // session data unit, bytes
}

// Limiter paces one direction.
type Limiter interface {
	// Free reports that bytes may pass as they come: nobody sets a limit at the moment.
	Free() bool
	// WaitN blocks until n bytes may pass, at most [ChunkSize].
	WaitN(ctx context.Context, n int) error
}

// ChunkSize is the most bytes that a limiter is asked for at a time.
const ChunkSize = 32 << 10

// DefaultHalfOpenTimeout bounds how long one half may stay silent after the
// other has ended.
const DefaultHalfOpenTimeout = time.Minute

// Link is one session's pair of connections. Fill it in, then call Loops.Carry or Run, once;
// they are not the caller's any more from then on.
type Link struct {
	Client, Server net.Conn

	// Pending holds, for each direction, bytes that were read during the
	// connect dialogue (or by the process that froze the session) and have to
	// go out first.
	Pending [2][]byte

	// Ended says which halves had ended already when the session was frozen.
	Ended [2]bool

	Accepted Accepted

	// Began is when the session did, as far as its limits go; zero: with Run.
	Began time.Time

	// IdleTimeout ends a session that moves no byte either way for so long;
	// SessionTimeout ends it so long after Began. 0 means never.
	IdleTimeout, SessionTimeout time.Duration

	// HalfOpenTimeout ends a session whose one half has ended while the other
	// stays silent for so long; 0 means DefaultHalfOpenTimeout.
	HalfOpenTimeout time.Duration

	// Limit paces a direction; nil lets it run free.
	Limit [2]Limiter

	// Running is called once bytes move and the session can be frozen; may be nil.
	Running func()

	inspect atomic.Pointer[func(Direction, []byte)]
	flows   [2]flow
	began   atomic.Int64 // nanoseconds from birth to Began
	shown   bool         // what is pending was shown to an inspector before the session was frozen
	freeze  atomic.Bool  // set with mu locked

	carried *carried // by a loop; nil: by goroutines of its own
	room    carried  // for that, in the same piece of memory

	mu        sync.Mutex
	running   bool                    // between begin and settle
	stopped   chan struct{}           // closed when the run is over; nil while nobody waits for that
	waits     context.Context         // of waits for a Limiter; nil before the first
	stopWaits context.CancelCauseFunc // ends them
	err       error                   // the first cause of an unclean end
	outcome   error                   // of Run
	clock     *time.Timer             // strikes when a limit may be over; nil before one is set
	nudged    int                     // how often whoever writes has been asked for progress
}

// flow is the state of one direction. What is atomic may be read at any time;
// pending belongs to whoever moves the direction.
type flow struct {
	bytes   atomic.Uint64
	last    atomic.Int64 // nanoseconds from birth to the last byte moved; 0: none was
	end     atomic.Int64 // nanoseconds from birth to the end of the half; 0 while it is open
	writing atomic.Bool  // it is in a write, which may take as long as the other side likes
	paced   atomic.Bool  // it waits for its Limiter
	silent  atomic.Bool  // the half has been open by itself for too long: its next wake-up is its end
	pending []byte
}

// Stats tells what a session has moved so far.
type Stats struct {
	ToServer     uint64    `json:"to_server"` // bytes
	ToClient     uint64    `json:"to_client"`
	LastToServer time.Time `json:"last_to_server"` // zero until a byte went that way
	LastToClient time.Time `json:"last_to_client"`
}

// Stats may be called at any time, also after Run.
func (l *Link) Stats() Stats {
	return Stats{
		ToServer: l.flows[ToServer].bytes.Load(), ToClient: l.flows[ToClient].bytes.Load(),
		LastToServer: timeOfDay(l.flows[ToServer].last.Load()), LastToClient: timeOfDay(l.flows[ToClient].last.Load()),
	}
}

func (f *flow) ended() bool { return f.end.Load() != 0 }

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

// InspectAs lets whoever looks at another link look at this one, which continues it.
func (l *Link) InspectAs(other *Link) { l.inspect.Store(other.inspect.Load()) }

// look shows bytes to the inspector, if there is one.
func (l *Link) look(d Direction, b []byte) {
	if see := l.inspect.Load(); see != nil && len(b) > 0 {
		(*see)(d, b)
	}
}

// Quiet reports whether no byte has moved either way for at least d: the
// moment to freeze or drain a session with the least harm.
func (l *Link) Quiet(d time.Duration) bool {
	return time.Duration(steadyNow()-l.lastActivity()) >= d
}

// lastActivity is when the last byte moved, or else the session began.
func (l *Link) lastActivity() int64 {
	last := l.began.Load()
	for i := range l.flows {
		if f := &l.flows[i]; f.last.Load() != 0 {
			last = max(last, f.last.Load())
		}
	}
	return last
}

// Close ends the session at once from any goroutine, also before it has begun; both sides see
// a reset. Run then returns cause. A session that is frozen already is not ended.
func (l *Link) Close(cause error) {
	l.mu.Lock()
	if l.outcome != nil { // it is over, or somebody else's
		l.mu.Unlock()
		return
	}
	if l.err == nil {
		l.err = cause
	}
	if l.stopWaits != nil {
		l.stopWaits(net.ErrClosed)
	}
	byLoop, running := l.carried, l.running
	l.mu.Unlock()
	switch {
	case byLoop == nil:
		l.abort()
	case running: // else its loop sees to it first of all
		byLoop.interrupt()
	}
}

// doomed tells whether the session has been given a cause to end.
func (l *Link) doomed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// abort resets both connections, which wakes both goroutines.
func (l *Link) abort() {
	for _, c := range []net.Conn{l.Client, l.Server} {
		if t, ok := c.(interface{ SetLinger(int) error }); ok {
			_ = t.SetLinger(0)
		}
		_ = c.Close()
	}
}

// Owner is who has a session carried.
type Owner interface {
	// Over is told what Run would return.
	Over(error)
}

// Carry carries the session as Run does, and tells its owner of its end; but it holds
// no goroutine while the session is idle, where p can have it so. The session ends by itself, by Close,
// by Freeze, or by one of its limits.
func (p *Loops) Carry(l *Link, owner Owner) {
	if p.take(l, owner) != nil { // TLS; or the system has no room
		p.wg.Go(func() { owner.Over(l.Run(context.Background())) })
	}
}

// Run carries the session until both halves have ended, a time-out strikes,
// either side breaks, ctx ends or Freeze is called. It returns nil when both
// halves ended, ErrFrozen after Freeze (the connections are then still open
// and belong to the caller of Freeze), and the cause otherwise. Both
// connections are closed when it returns anything but ErrFrozen.
func (l *Link) Run(ctx context.Context) error {
	_, _ = l.Client.SetDeadline(time.Time{}), l.Server.SetDeadline(time.Time{})
	l.begin()
	stop := context.AfterFunc(ctx, func() { l.Close(context.Cause(ctx)) })
	defer stop()

	var back sync.WaitGroup
	back.Go(func() { l.carry(ToClient) })
	l.carry(ToServer)
	back.Wait()
	return l.settle()
}

// begin prepares a run.
func (l *Link) begin() {
	if l.Began.IsZero() {
		l.Began = time.Now()
	}
	l.began.Store(steady(l.Began))
	for d := range l.flows {
		l.flows[d].pending, l.Pending[d] = l.Pending[d], nil
		if l.Ended[d] && !l.flows[d].ended() {
			l.flows[d].end.Store(steadyNow())
		}
	}
	l.mu.Lock()
	l.running = true
	l.wind()
	l.mu.Unlock()
	if l.Running != nil {
		l.Running()
		l.Running = nil // which would be kept for as long as the session
	}
}

// settle finds out what came of the run, once both directions are done.
func (l *Link) settle() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
	if l.stopped != nil {
		defer close(l.stopped)
	}
	if l.clock != nil {
		l.clock.Stop()
	}
	if l.stopWaits != nil {
		l.stopWaits(nil)
	}
	switch {
	case l.err != nil:
		l.outcome = l.err
		l.shut(true)
		return l.err
	case l.freeze.Load() && !(l.flows[ToServer].ended() && l.flows[ToClient].ended()):
		l.outcome = ErrFrozen
		return ErrFrozen
	}
	l.outcome = errEnded
	l.shut(false)
	return nil
}

// shut closes both connections, by a reset or as their halves have been.
func (l *Link) shut(reset bool) {
	switch {
	case l.carried != nil:
		l.carried.shut(reset)
	case reset:
		l.abort()
	default:
		_, _ = l.Client.Close(), l.Server.Close()
	}
}

var errEnded = errors.New("session is over")

// ends returns where a direction reads from and writes to.
func (l *Link) ends(d Direction) (source, destination net.Conn) {
	if d == ToServer {
		return l.Client, l.Server
	}
	return l.Server, l.Client
}

// carry moves one direction until its half ends. Any other end is recorded
// and takes the other direction along.
func (l *Link) carry(d Direction) {
	f := &l.flows[d]
	if f.ended() {
		return
	}
	err := l.pump(d)
	switch {
	case errors.Is(err, ErrFrozen):
	case errors.Is(err, io.EOF):
		f.end.Store(steadyNow())
		_, destination := l.ends(d)
		closeWrite(destination)
		l.mu.Lock()
		l.wind() // the other half now has a limit of its own
		l.mu.Unlock()
	default:
		l.Close(err)
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

// pump reads and writes until the source ends (io.EOF), a connection breaks, or the
// session is frozen (ErrFrozen).
func (l *Link) pump(d Direction) error {
	f := &l.flows[d]
	source, _ := l.ends(d)
	if !l.shown {
		l.look(d, f.pending)
	}
	if err := l.write(d, f.pending); err != nil {
		return err
	}
	buffer := make([]byte, smallChunk)
	for {
		if l.freeze.Load() {
			return ErrFrozen
		}
		n, err := source.Read(buffer)
		if n > 0 {
			if werr := l.pass(d, buffer[:n]); werr != nil {
				return werr
			}
			if n == len(buffer) && n < ChunkSize {
				buffer = make([]byte, ChunkSize)
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			switch {
			case l.freeze.Load():
				err = ErrFrozen
			case f.silent.Load():
				err = io.EOF
			}
		}
		if err != nil {
			return err
		}
	}
}

// pass hands bytes just read to the inspector and the limiter, then writes them.
func (l *Link) pass(d Direction, b []byte) error {
	f := &l.flows[d]
	f.last.Store(steadyNow())
	f.bytes.Add(uint64(len(b)))
	l.look(d, b)
	if l.limited(d) {
		err := l.pace(d, len(b))
		if err != nil && l.freeze.Load() {
			return f.keep(b)
		}
		if err != nil {
			return err
		}
	}
	return l.write(d, b)
}

// limited tells whether bytes of a direction have to wait for its Limiter.
func (l *Link) limited(d Direction) bool { return l.Limit[d] != nil && !l.Limit[d].Free() }

// pace waits until n bytes may pass a direction's Limiter, or the session ends or is frozen.
func (l *Link) pace(d Direction, n int) error {
	l.mu.Lock()
	if l.waits == nil {
		l.waits, l.stopWaits = context.WithCancelCause(context.Background())
		if l.err != nil || l.freeze.Load() { // whoever did that found nobody to tell
			l.stopWaits(net.ErrClosed)
		}
	}
	ctx := l.waits
	l.mu.Unlock()
	l.flows[d].paced.Store(true)
	defer l.flows[d].paced.Store(false)
	return l.Limit[d].WaitN(ctx, n)
}

// write sends b whole. When the session is frozen in the middle of it, the rest
// is kept for the successor.
func (l *Link) write(d Direction, b []byte) error {
	f := &l.flows[d]
	f.pending = nil
	if len(b) == 0 {
		return nil
	}
	_, destination := l.ends(d)
	f.writing.Store(true)
	defer f.writing.Store(false)
	for {
		n, err := destination.Write(b)
		b = b[n:]
		switch {
		case err == nil && len(b) > 0:
			return errShortWrite
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case l.freeze.Load():
			return f.keep(b)
		case n > 0: // it was only asked whether there is progress
			f.last.Store(steadyNow())
		}
		_ = destination.SetWriteDeadline(time.Time{})
		if l.freeze.Load() { // our deadline may just have overwritten the one of Freeze
			return f.keep(b)
		}
	}
}

// keep keeps what was not written for whoever continues the session.
func (f *flow) keep(b []byte) error {
	f.pending = append([]byte(nil), b...)
	return ErrFrozen
}
