package peers

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// Settings say who the peers are. The zero value is those that Discover finds.
type Settings struct {
	APIs   []string // addresses of their APIs, this broker's own among them or not; none: those that Discover finds
	Off    bool     // there are none
	Access Access   // loaded
	// AskTimeout is how long a connect that would be refused waits for what peers have; 0: they are not asked.
	AskTimeout time.Duration
}

// Found is a broker that somebody else knows to be alive.
type Found struct {
	Name string
	API  string // "" where it tells none
	Self bool
}

// Watcher looks at other brokers: who is alive, and whose table differs. Set the fields before Run; Own is needed.
type Watcher struct {
	Own *Publisher // of this broker
	// Discover lists the brokers that are alive where the settings name none; nil: there are none then. Where it fails what it said
	// before stands.
	Discover func(context.Context) ([]Found, error)
	// Report is told what happened, one after the other; nil is silent. It must not wait.
	Report func(Event)
	Pace   Pace

	reporting sync.Mutex
	detail    sync.Mutex // held while it is looked in what a peer differs

	mu       sync.Mutex // guards what follows, and the state of each peer
	settings Settings
	peers    map[string]*peer // by API
	changed  chan struct{}    // closed when the settings change
	passed   []Passed         // of a Watcher before this one, not yet looked at
	asking   asking
}

// Pace is how often peers are looked at. What is 0 has a default; tests have others.
type Pace struct {
	Wait     time.Duration // that a peer takes to say that nothing has changed; 5 s
	Timeout  time.Duration // of one answer besides; 3 s
	Retry    time.Duration // after an answer that did not come; 1 s, and more each time, up to Wait
	Gone     time.Duration // for how long one must not have answered before it is taken for gone; 5 s
	Shut     time.Duration // before one that does not let this broker in is asked again; 30 s
	Discover time.Duration // between two looks at who there is; 5 s
	Settle   time.Duration // for how long tables must have differed before it is looked in what; 2 s
	Differs  time.Duration // and before that is worth an event; 30 s
	Detail   time.Duration // between two looks in what they differ; 10 s
	Compare  time.Duration // and where they do not: figures may be old at one of them; 60 s
}

func (p Pace) withDefaults() Pace {
	for _, one := range []struct {
		field *time.Duration
		usual time.Duration
	}{
		{&p.Wait, 5 * time.Second}, {&p.Timeout, 3 * time.Second}, {&p.Retry, time.Second}, {&p.Gone, 5 * time.Second}, {&p.Shut, 30 * time.Second}, {&p.Discover, 5 * time.Second},
		{&p.Settle, 2 * time.Second}, {&p.Differs, 30 * time.Second}, {&p.Detail, 10 * time.Second}, {&p.Compare, time.Minute},
	} {
		if *one.field == 0 {
			*one.field = one.usual
		}
	}
	return p
}

// EventKind is what an Event tells of.
type EventKind uint8

// The kinds of Event.
const (
	Came    EventKind = iota // a peer is alive
	Went                     // it does not answer any more, or is none any more
	Differs                  // its table has differed for a while
	Agrees                   // and does so no more
	Leaves                   // it is about to end: it takes no connects any more, or soon will not
)

// Event is something that happened to a peer.
type Event struct {
	Kind EventKind
	Peer State
}

// State is how a peer is.
type State struct {
	API        string
	At         netip.Addr // from which it answered last; the zero Addr if it never has
	Name       string     // of the instance; "" before its first answer
	ID         string
	Version    string
	Generation int
	Started    time.Time

	Leaving bool // it is about to end; it answers for as long as it has sessions

	Known bool      // it has answered, or has not for so long that it is taken for gone
	Alive bool      // it answers
	Since time.Time // when that began
	Cause string    // why it does not answer; "" if it does

	Self      bool // it is this broker itself
	Duplicate bool // it is one that answers under another address, too

	ClockOffset time.Duration // how much its clock is ahead, less what its last answer took on its way
	RoundTrip   time.Duration // of the latest question that it was to answer at once

	TableVersion uint64
	Services     int
	Instances    int
	Same         bool      // its table is as this one's
	DiffersSince time.Time // zero where it is
	Differences  []Difference
	More         int      // differences beyond those
	Settings     []string // in which it differs, as far as brokers ought to agree

	Asked, Answered, Offered uint64 // questions on behalf of connects: put, answered, and answered with something
}

// Configure puts settings in force. It may be called at any time.
func (w *Watcher) Configure(s Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.settings.Access
	w.settings = s
	if s.Access.same(&before) {
		w.wake()
		return
	}
	w.useAccess(s.Access)
}

// wake has those who wait for other settings look again. The lock is held.
func (w *Watcher) wake() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// useAccess has peers asked by what is loaded, now if they did not answer. The lock is held.
func (w *Watcher) useAccess(a Access) {
	w.settings.Access = a
	for _, p := range w.peers {
		p.reach(a)
	}
	w.wake()
}

// renew reads the files of credentials again where they have changed. Those that cannot be used change nothing.
func (w *Watcher) renew() {
	w.mu.Lock()
	now := w.settings.Access
	w.mu.Unlock()
	if now.look() == now.files {
		return
	}
	fresh := Access{Credentials: now.Credentials, CA: now.CA}
	err := fresh.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.settings.Access.Credentials == fresh.Credentials && w.settings.Access.CA == fresh.CA {
		w.useAccess(fresh)
	}
}

// Run looks at peers until ctx ends. It may be called once.
func (w *Watcher) Run(ctx context.Context) {
	pace := w.Pace.withDefaults()
	var all sync.WaitGroup
	defer w.asking.close()
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	look := time.NewTicker(pace.Discover)
	defer look.Stop()
	for {
		w.renew()
		changed := w.change()
		w.adopt(ctx, &all, w.wanted(ctx))
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-look.C:
		}
	}
}

// change returns what is closed when the settings change.
func (w *Watcher) change() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// wanted lists the addresses to look at; nil: as before.
func (w *Watcher) wanted(ctx context.Context) []string {
	w.mu.Lock()
	settings := w.settings
	w.mu.Unlock()
	switch {
	case settings.Off || len(settings.APIs) == 0 && w.Discover == nil:
		return []string{}
	case len(settings.APIs) > 0:
		return slices.Clone(settings.APIs)
	}
	bounded, cancel := context.WithTimeout(ctx, w.Pace.withDefaults().Timeout)
	defer cancel()
	found, err := w.Discover(bounded)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.passed == nil {
		return nil
	}
	wanted := []string{}
	for _, f := range found {
		if !f.Self && CheckAPI(f.API) == nil {
			wanted = append(wanted, f.API)
		}
	}
	for api, p := range w.peers { // whoever answers is alive, whatever others say of it
		if (p.state.Alive || err != nil) && !slices.Contains(wanted, api) {
			wanted = append(wanted, api)
		}
	}
	for _, one := range w.passed {
		if !slices.Contains(wanted, one.API) {
			wanted = append(wanted, one.API)
		}
	}
	return wanted
}

// mostPeers bounds how many are looked at.
const mostPeers = 100

// adopt begins to look at those that are wanted, and ends to look at others.
func (w *Watcher) adopt(ctx context.Context, all *sync.WaitGroup, wanted []string) {
	if wanted == nil {
		return
	}
	defer w.miss()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.peers == nil {
		w.peers = map[string]*peer{}
	}
	for api, p := range w.peers {
		if !slices.Contains(wanted, api) {
			p.removed = true
			p.cancel()
			delete(w.peers, api)
		}
	}
	for _, api := range wanted {
		if w.peers[api] != nil || len(w.peers) >= mostPeers {
			continue
		}
		p := &peer{watcher: w, pace: w.Pace.withDefaults(), state: State{API: api, Since: time.Now()}}
		p.reach(w.settings.Access)
		w.resumed(p)
		w.peers[api] = p
		watching, cancel := context.WithCancel(ctx)
		p.cancel = cancel
		all.Go(func() {
			defer p.forget()
			p.watch(watching)
		})
	}
}

// Peers lists those that are looked at, by name.
func (w *Watcher) Peers() []State {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []State
	for _, p := range w.peers {
		all = append(all, p.shown())
	}
	slices.SortFunc(all, func(a, b State) int { return compareText(a.Name, b.Name, a.API, b.API) })
	return all
}

// Alive counts the peers that are alive, each once.
func (w *Watcher) Alive() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.passed)
	for _, p := range w.peers {
		if p.state.Alive && p.counts() {
			n++
		}
	}
	return n
}

// duplicate tells whether another peer with a lesser address is the same broker. The lock is held.
func (w *Watcher) duplicate(p *peer) bool {
	for api, other := range w.peers {
		if other != p && other.state.ID == p.state.ID && p.state.ID != "" && other.state.Alive && api < p.state.API {
			return true
		}
	}
	return false
}

func (w *Watcher) report(e Event) {
	if w.Report == nil {
		return
	}
	w.reporting.Lock()
	defer w.reporting.Unlock()
	w.Report(e)
}

// snapshot is this broker's own table.
func (w *Watcher) snapshot() *servicetable.Snapshot { return w.Own.Snapshot() }
