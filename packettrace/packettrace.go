// Package packettrace writes down the packets of some clients, on and off at run time:
// which, for how long and into how large a file is bounded, and passwords, keys and SECURITY
// sections are not in it. Where nobody is traced it costs one load of a pointer.
package packettrace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/logfile"
)

// Bounds of traces.
const (
	MaxActive   = 16              // at a time
	MaxFor      = 24 * time.Hour  // of one
	DefaultFor  = 5 * time.Minute // of one that says nothing of it
	maxPast     = 32              // that are over and still listed
	maxFollowed = 1000            // sessions that one trace follows at a time
	checkTime   = 2 * time.Second // for the folder to prove that it can be written
	DefaultSize = 10 << 20        // bytes of one file
	pending     = 2 << 20         // bytes of one trace that wait for the disk
)

// Order is what somebody wants to be traced: clients, or a session.
type Order struct {
	Clients netip.Prefix  // not valid: Session
	Session uint64        // id of an open session
	For     time.Duration // 0 is DefaultFor
	Data    bool          // what is in packets, too, once the login is over
	By      string        // who wants it
}

// Everybody is the network of all clients, of either family.
var Everybody = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

// wants tells whether clients at an address are meant.
func (o *Order) wants(client netip.Addr) bool {
	return o.Clients == Everybody || o.Clients.IsValid() && o.Clients.Contains(client)
}

// Files says where traces go.
type Files struct {
	Directory string
	Prefix    string // of the names of files
	Size      int64  // bytes of one; 0 is DefaultSize
	Count     int    // files of a trace: with more than one the oldest goes when the last is full, else the trace is over
}

// Session is a session as a trace shows it.
type Session struct {
	ID      uint64
	Client  netip.AddrPort
	Server  string // address and port of the instance's side
	Version uint16 // of Oracle Net
	Started time.Time
}

// Status tells of one trace.
type Status struct {
	ID      uint64
	Order   Order
	File    string
	Began   time.Time
	Until   time.Time
	Ended   string // why it is over; "" while it is not
	Packets uint64
	Bytes   int64  // written
	Lost    uint64 // packets for which the disk had no time
}

// Errors of Start and Stop.
var (
	ErrTooMany  = fmt.Errorf("%d traces are active, and no more can be: end one", MaxActive)
	ErrUnknown  = errors.New("there is no such trace")
	ErrBadOrder = errors.New("what is to be traced is not clear")
	ErrOver     = errors.New("the broker is ending: no trace begins any more")
)

// Why traces end.
const (
	reasonOperator  = "an operator ended it"
	reasonStopped   = "the broker ended"
	reasonTimeIsUp  = "its time was over"
	reasonFileFull  = "its file is full"
	reasonDiskFails = "its file cannot be written"
)

// Traces are all traces of one broker. Call Run once; all other methods may be called at
// any time, but traces that begin before it run without end until then.
type Traces struct {
	// Files says where new traces go.
	Files func() Files
	// Changed is told when another set of clients is traced, so that open sessions are
	// asked for anew with [Traces.Session]; nil: nobody is.
	Changed func()

	active  atomic.Pointer[[]*trace] // nil: none
	left    atomic.Pointer[string]   // nil: nobody goes on
	mu      sync.Mutex
	last    uint64
	over    bool
	past    []Status
	writers sync.WaitGroup
	wake    chan struct{} // made by whoever needs it first
}

// Run lets traces be made until ctx ends, and ends them when their time is over.
func (t *Traces) Run(ctx context.Context) {
	wake := t.waker()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(t.sweep(time.Now()))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
	}
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	why := reasonStopped
	if left := t.left.Load(); left != nil {
		why = *left
	}
	t.endAll(func(*trace) string { return why })
	t.writers.Wait()
}

// sweep ends those that are over, and returns how long none will be by its time.
func (t *Traces) sweep(now time.Time) time.Duration {
	next := MaxFor
	t.endAll(func(one *trace) string {
		switch why := one.over.Load(); {
		case why != nil:
			return *why
		case !one.Until.After(now):
			return reasonTimeIsUp
		}
		next = min(next, one.Until.Sub(now))
		return ""
	})
	return next
}

// Active tells whether there is any.
func (t *Traces) Active() bool { return t.active.Load() != nil }

// all are the active ones, which nobody changes.
func (t *Traces) all() []*trace {
	if all := t.active.Load(); all != nil {
		return *all
	}
	return nil
}

// endAll ends those for which why gives a reason, and returns how many.
func (t *Traces) endAll(why func(*trace) string) int {
	t.mu.Lock()
	var left []*trace
	ended := 0
	for _, one := range t.all() {
		reason := why(one)
		if reason == "" {
			left = append(left, one)
			continue
		}
		ended++
		status := one.status()
		status.Ended = reason
		one.file.Line(fmt.Sprintf("# over at %s: %s; %d packets", time.Now().Local().Format(timeForm), reason, status.Packets))
		one.stop()
		t.past = append(t.past, status)
		t.past = t.past[max(len(t.past)-maxPast, 0):]
	}
	if ended > 0 {
		t.publish(left)
	}
	t.mu.Unlock()
	if ended > 0 && t.Changed != nil {
		t.Changed()
	}
	return ended
}

func (t *Traces) publish(all []*trace) {
	if len(all) == 0 {
		t.active.Store(nil)
		return
	}
	t.active.Store(&all)
}

// Start begins a trace. Its errors end in what to do.
func (t *Traces) Start(o Order) (Status, error) {
	if o.Clients.IsValid() == (o.Session != 0) {
		return Status{}, fmt.Errorf("%w: name a client's address or network, or a session", ErrBadOrder)
	}
	if o.For == 0 {
		o.For = DefaultFor
	}
	if o.For < 0 || o.For > MaxFor {
		return Status{}, fmt.Errorf("%w: %v is not between 0 and %v: name a shorter time", ErrBadOrder, o.For, MaxFor)
	}
	files := t.Files()
	if err := logfile.Check(files.Directory, checkTime); err != nil {
		return Status{}, err
	}
	one, err := t.enter(o, files)
	if err != nil {
		return Status{}, err
	}
	t.poke()
	if t.Changed != nil {
		t.Changed()
	}
	return one.status(), nil
}

// enter makes a trace one of the active ones.
func (t *Traces) enter(o Order, files Files) (*trace, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return nil, ErrOver
	case len(t.all()) >= MaxActive:
		return nil, ErrTooMany
	}
	t.last++
	now := time.Now()
	return t.begin(Status{
		ID: t.last, Order: o, Began: now, Until: now.Add(o.For),
		File: filepath.Join(files.Directory, fmt.Sprintf("%s_%s_%d.trc", files.Prefix, now.Format("20060102_150405"), t.last)),
	}, files), nil
}

// begin makes what is described an active trace; t.mu is held.
func (t *Traces) begin(s Status, files Files) *trace {
	one := &trace{owner: t, sessions: map[uint64]*session{}, endless: files.Count > 1, Status: s}
	if files.Size <= 0 {
		files.Size = DefaultSize
	}
	one.room.Store(files.Size - s.Bytes)
	one.file = logfile.File{
		Path: one.File, MaxPending: pending, Mode: 0o600,
		Lost: func(n uint64, _ time.Time) string {
			return fmt.Sprintf("# %d packets lost: the disk did not take them in time", n)
		},
		Failed: func(err error) {
			if err != nil {
				one.end(reasonDiskFails + ": " + err.Error())
			}
		},
	}
	if one.endless {
		one.file.Configure(logfile.Settings{MaxSize: files.Size, Keep: files.Count - 1})
	}
	ctx, stop := context.WithCancel(context.Background())
	one.stop = stop
	t.writers.Go(func() { one.file.Run(ctx) })
	one.write(one.title())
	t.publish(append(slices.Clone(t.all()), one))
	return one
}

// poke lets Run look again.
func (t *Traces) poke() {
	select {
	case t.waker() <- struct{}{}:
	default:
	}
}

func (t *Traces) waker() chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake == nil {
		t.wake = make(chan struct{}, 1)
	}
	return t.wake
}

// Stop ends a trace.
func (t *Traces) Stop(id uint64) (Status, error) {
	if t.endAll(func(one *trace) string {
		if one.ID == id {
			return reasonOperator
		}
		return ""
	}) == 0 {
		return Status{}, fmt.Errorf("%w as %d that is active", ErrUnknown, id)
	}
	for _, s := range t.List() {
		if s.ID == id {
			return s, nil
		}
	}
	return Status{}, ErrUnknown
}

// List tells of all traces that are active and the last of those that are over, oldest first.
func (t *Traces) List() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.Clone(t.past)
	for _, one := range t.all() {
		list = append(list, one.status())
	}
	slices.SortFunc(list, func(a, b Status) int { return int(a.ID) - int(b.ID) })
	return list
}

// Dialogue returns what is to be told of the packets of a connection that client brought
// about, tns.Conn.Seen; nil if nobody traces it. us and peer name its two ends.
func (t *Traces) Dialogue(client netip.AddrPort, us, peer string) func(sent bool, b []byte) {
	var all []*dialogue
	for _, one := range t.all() {
		if one.Order.wants(client.Addr()) {
			all = append(all, &dialogue{write: one.write, us: us, peer: peer})
		}
	}
	if all == nil {
		return nil
	}
	return func(sent bool, b []byte) {
		for _, d := range all {
			d.seen(sent, b)
		}
	}
}

// Session returns what is to be told of the bytes of a session; nil if nobody traces it. Asked
// again for the same session it goes on where it was.
func (t *Traces) Session(s Session) func(toClient bool, b []byte) {
	var all []*session
	for _, one := range t.all() {
		if one.Order.Session == s.ID || one.Order.wants(s.Client.Addr()) {
			if followed := one.follow(s); followed != nil {
				all = append(all, followed)
			}
		}
	}
	if all == nil {
		return nil
	}
	return func(toClient bool, b []byte) {
		for _, one := range all {
			one.bytes(toClient, b)
		}
	}
}

// Over is told that a session has ended.
func (t *Traces) Over(session uint64) {
	for _, one := range t.all() {
		one.mu.Lock()
		delete(one.sessions, session)
		one.mu.Unlock()
	}
}
