package failover

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Why a connect is not held. Enter wraps them with the name of the service.
var (
	// ErrNotHeld says that holding is off, or that the service was not available within HoldSettings.Memory.
	ErrNotHeld = errors.New("not held")
	// ErrHoldFull says that too many connects wait already, in all or for this service.
	ErrHoldFull = errors.New("too many connects are held")
	// ErrHoldDryRun says that the connect would have been held, had HoldSettings.DryRun not been set.
	ErrHoldDryRun = errors.New("held in a dry run only")
	// ErrHoldStopped says that the Holder's Run has ended.
	ErrHoldStopped = errors.New("the broker stops")
	// ErrHoldExpired says that a held connect's time is up. Only Await returns it.
	ErrHoldExpired = errors.New("held for as long as allowed")
)

// HoldSettings bound what is held. Zero means the default.
type HoldSettings struct {
	// Timeout is how long a connect waits whose request sets no Limit; 0 is 30 s, less than 0 turns holding off save
	// for requests with a Limit of their own. A change applies to those already waiting without a Limit.
	Timeout time.Duration
	// Memory is for how long after it was last available a service is worth waiting for; 0 is 300 s, less than 0
	// leaves only what operators hold.
	Memory time.Duration
	// Max is how many connects may be held at once; 0 is 10,000, less than 0 none. Each costs about 200 bytes here and
	// its open connection. Lowering it turns nobody out.
	Max int
	// ServiceShare is the part of Max that one service may take, so that the next one to fail finds room; 0 is 0.5.
	ServiceShare float64
	// Rate is how many of those held are let go each second, in all; 0 is 500, less than 0 is without limit. Higher
	// empties the lines sooner, lower spares an instance that has just come up. A connect that joins a line which is
	// already being let go does not count: it brings no more load than it would have without a line.
	Rate float64
	// DryRun holds nobody and counts who would have been. What operators hold is held all the same.
	DryRun bool
}

// HoldShare is a number of places that some take together.
type HoldShare struct {
	Name string // whose they are, for people too
	Max  int    // how many there are
	See  string // what says so, such as the name of a parameter
}

// HoldRequest is a connect that cannot be served now.
type HoldRequest struct {
	Service string       // name as the client gave it, or its SID
	Queue   string       // who waits in one line: all that are served, or not, together; folded by the caller
	Shares  [2]HoldShare // in which it counts, whatever service it is for; those without a name are none
	Client  string       // for people, as are Ref and Cause
	Ref     string
	Cause   string

	// Limit is how long to wait; 0 is HoldSettings.Timeout, less than 0 not at all.
	Limit time.Duration
	// Since is when it began to wait, if that was in another Holder: it waits at that place and Limit counts from then. It was
	// let wait there, so that neither memory nor room are asked for again. Zero: it begins to wait now.
	Since time.Time
	// Wanted says that an operator holds the service: whether it was available lately is not asked, and a try in vain is
	// no sign that dials fail.
	Wanted bool
	// Ready reports whether a try is worth while as things stand. It is asked of the head of a line only, by Run, when the
	// table has changed and before each release, and may call the Holder. It may still be under way when Leave returns.
	// nil is always ready.
	Ready func() bool
	// Retry is above 0 where the table will not tell when a try is worth while, since dials fail: the head of the line,
	// whoever that is then, is let go this long after the try that failed, and a tenth of it if the table changes
	// meanwhile and Ready says yes.
	Retry time.Duration
	// Wake is called once State is no longer Waiting; a second time only after Again returned Waiting. It runs on the
	// goroutine of Run, with no lock of the Holder held: it must not block, nor call the Place. State, Again and Leave
	// wait for its end, so that it is never called after Leave has returned; it may be called before Enter has.
	Wake func()
}

// HoldState is where a held connect stands.
type HoldState uint8

// The states of a Place.
const (
	Waiting HoldState = iota // in its line
	Go                       // let go: try again, then call Again or Leave
	Expired                  // its time is up: refuse, then Leave
	Stopped                  // the broker stops: refuse, then Leave
)

// String returns the state's name in lower case.
func (s HoldState) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Go:
		return "go"
	case Expired:
		return "expired"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

// Holder holds connects until what they ask for is back, first in first out within each line, and lets them go
// gradually. Set the fields before first use; the zero value is ready. Run must be running for anybody to be let go or
// to be told that its time is up. All methods may be called from any goroutine.
type Holder struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Report is told when connects for a service begin to wait and when none does any more, in that order. It must not
	// block, nor call the Holder. nil is silent.
	Report func(HoldEvent)

	occupied atomic.Int32 // places taken, for those who only ask whether there are any
	failing  atomic.Int32 // services whose dials fail
	told     sync.Mutex   // held while Report is called, so that events stay in order

	mu       sync.Mutex
	started  time.Time // where instants count from
	nudged   chan struct{}
	awoken   sync.Cond // a call of Wake has ended
	stopped  bool
	settings HoldSettings
	counters HoldCounters
	events   []HoldEvent // not yet reported
	memory   serviceMemory

	arrivals  uint64
	changes   uint64 // of the table, as noticed by Run
	lines     map[string]*line
	shares    map[string]int             // places taken, by HoldShare.Name
	deadlines ranked[*Place, byDeadline] // all that wait
	due       ranked[*line, byDue]       // lines to judge again at some time
	unjudged  fifo[*line]                // lines to judge now
	turns     fifo[*heldService]         // those with a line whose head may go, in turn
	bucket    bucket
	behind    bool    // the table has changed since all lines were judged
	scanAfter instant // when they may be again
}

// Configure replaces the settings, at any time.
func (h *Holder) Configure(s HoldSettings) {
	h.lock()
	defer h.unlock()
	h.settings = s
	h.changes++ // what else is configured with it may let somebody have what it waits for
	h.behind = true
	h.retime()
	h.nudge()
}

// Waiting reports whether a connect for this queue has to Enter, behind those already there, before it may try:
// somebody waits who may be served, or the first of them is trying right now and nobody knows yet whether that succeeds. If Enter then
// refuses for another reason than that the broker stops, the connect may go on as if there were no line.
func (h *Holder) Waiting(queue string) bool {
	if h.occupied.Load() == 0 {
		return false
	}
	h.lock()
	defer h.unlock()
	l := h.lines[queue]
	return l != nil && !h.stopped && (l.waiting.len() > 0 || !l.flowing)
}

// Seen says that services can be connected to from now on. Names are those registered, with their domain if they have
// one. Saying it again changes nothing.
func (h *Holder) Seen(names ...string) {
	h.lock()
	defer h.unlock()
	for _, name := range names {
		h.seen(name)
	}
}

// Departed says that services which were available no longer are as of now, on any instance: the memory of them begins
// to run.
func (h *Holder) Departed(names ...string) {
	h.lock()
	defer h.unlock()
	now := h.now()
	for _, name := range names {
		h.departed(name, now)
	}
	h.forget(now)
	h.nudge()
}

// DepartedAt is Departed for services that departed a while ago, and cannot be connected to now.
func (h *Holder) DepartedAt(at time.Time, names ...string) {
	h.lock()
	defer h.unlock()
	when := min(h.instantOf(at), h.now())
	for _, name := range names {
		h.departed(name, when)
	}
	h.forget(h.now())
	h.nudge()
}

// Lately says that a service answered just now, although nobody said that it can be connected to, or although dials fail:
// it is worth waiting for. The name may be one that a client gave.
func (h *Holder) Lately(name string) {
	h.lock()
	defer h.unlock()
	folded := foldName(name)
	s := h.memory.find(folded)
	if s == nil || !s.known() { // whatever domain clients add, it is one service
		folded = shortServiceName(folded)
		h.departed(folded, h.now())
		s = h.memory.names[folded]
	} else if !s.seen {
		h.departed(s.name, h.now())
	}
	h.reached(s)
	h.forget(h.now())
	h.nudge()
}

// Reached says that a connect to a service succeeded without having been held. It is cheap while no dials fail.
func (h *Holder) Reached(name string) {
	if h.failing.Load() == 0 {
		return
	}
	h.lock()
	defer h.unlock()
	if s := h.memory.find(foldName(name)); s != nil {
		h.reached(s)
	}
}
