package failover

import (
	"context"
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
	// Max is how many connects may be held at once; 0 is 10,000, less than 0 none. Each costs about 300 bytes here and
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

// HoldRequest is a connect that cannot be served now.
type HoldRequest struct {
	Service string // name as the client gave it, or its SID
	Queue   string // who waits in one line: all that are served, or not, together; folded by the caller
	Client  string // for people, as are Ref and Cause
	Ref     string
	Cause   string

	// Limit is how long to wait; 0 is HoldSettings.Timeout, less than 0 not at all.
	Limit time.Duration
	// Wanted says that an operator holds the service: whether it was available lately is not asked.
	Wanted bool
	// Ready reports whether a try is worth while as things stand. It is asked of the head of a line only, by Run, when the table has
	// changed and before each release, and may call the Holder. nil is always ready.
	Ready func() bool
	// Retry is above 0 where the table will not tell when a try is worth while, since dials fail: the head of the line is then let go
	// this long after the try that failed, and a tenth of it if the table changes meanwhile and Ready says yes.
	Retry time.Duration
	// Wake is called once State is no longer Waiting; a second time only after Again returned Waiting. It runs on the goroutine
	// of Run: it must not block, nor call the Place. It is never called after Leave has returned. It may be called before Enter has.
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

	mu       sync.Mutex
	settings HoldSettings
	failing  atomic.Int32
}

// Place is one held connect. It costs no goroutine.
type Place struct{}

// Configure replaces the settings, at any time.
func (h *Holder) Configure(s HoldSettings) {}

// Enter takes a place at the end of the request's line. Whoever gets one must call Leave.
func (h *Holder) Enter(r HoldRequest) (*Place, error) { return nil, ErrNotHeld }

// Waiting reports whether a connect for this queue has to Enter, behind those already there, before it may try: somebody waits, or the
// first of them is trying right now and nobody knows yet whether that succeeds.
func (h *Holder) Waiting(queue string) bool { return false }

// Seen says that services can be connected to from now on. Names are those registered, with their domain if they have one.
func (h *Holder) Seen(names ...string) {}

// Departed says that services which were available no longer are as of now: the memory of them begins to run.
func (h *Holder) Departed(names ...string) {}

// Reached says that a connect to a service succeeded without having been held. It is cheap while no dials fail.
func (h *Holder) Reached(name string) {}

// Run lets connects go and expire until ctx ends; then everyone still waiting is told Stopped, and Run returns. changed returns a channel that is
// closed at the next change of the table; nil means that it never changes. Run once only.
func (h *Holder) Run(ctx context.Context, changed func() <-chan struct{}) {}

// State returns where the connect stands. While a call of Wake is under way it waits for its end.
func (p *Place) State() HoldState { return Stopped }

// Await blocks until the place is let go (nil), its time is up (ErrHoldExpired), the broker stops (ErrHoldStopped), or
// ctx ends (its cause). In each case Leave or, after nil, Again has still to be called.
func (p *Place) Await(ctx context.Context) error { return ErrHoldStopped }

// Again says that a connect which was let go tried in vain, and why: it waits on at its old position, until its old deadline. retry is as in
// HoldRequest. The state returned is Waiting, or Expired or Stopped if it may not wait on; then Wake is not called.
func (p *Place) Again(cause string, retry time.Duration) HoldState { return Stopped }

// Leave gives the place up, in whatever state; to be called once, further calls do nothing. connected says that the connect was served, which lets
// those behind follow faster.
func (p *Place) Leave(connected bool) {}

// HeldEntry is one held connect, for people.
type HeldEntry struct {
	Service, Queue, Client, Ref, Cause string
	Since, Until                       time.Time
	Position                           int // 1 is next in its line; 0 is trying right now
}

// Held lists who is held, by queue, then position.
func (h *Holder) Held() []HeldEntry { return nil }

// HoldCounters count since the Holder's first use, save HeldNow.
type HoldCounters struct {
	Held      uint64 // connects that got a place
	Released  uint64 // times that one was let go
	Connected uint64 // those served in the end
	Failed    uint64 // those refused for good after they had been let go
	Expired   uint64 // those whose time was up
	Left      uint64 // clients that went away while they waited
	Stopped   uint64 // those told that the broker stops
	Full      uint64 // connects not held for want of room
	WouldHold uint64 // connects that a dry run did not hold
	HeldNow   int    // places taken
}

// Counters returns the counters as of now.
func (h *Holder) Counters() HoldCounters { return HoldCounters{} }

// HoldEvent says that connects for a service began to wait, or that none does any more.
type HoldEvent struct {
	Time    time.Time
	Began   bool   // else ended
	Service string // as first asked for
	Cause   string // of the first of them

	// The rest is set at the end.
	Took                                      time.Duration // since the beginning
	Connected, Failed, Expired, Left, Stopped int
}
