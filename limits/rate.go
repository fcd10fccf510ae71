package limits

import (
	"sync"
	"sync/atomic"
	"time"
)

// shortestSleep bounds how often a line is looked after: what falls due within it goes together.
const shortestSleep = time.Millisecond

// Rate lets so many through each second, a second's worth of them at once, at least
// one. Who comes when that is used up waits in the line of its flow, and turns go round
// among the lines: a flow with a thousand waiting is served as often as one with one. It
// costs one timer, however many wait. The zero value lets everybody through.
type Rate struct {
	// Room bounds how many wait together with those of other Rates; nil: no bound of that kind.
	Room *Count

	limited   atomic.Bool // perSecond is not 0, for those who need know no more
	mu        sync.Mutex
	perSecond float64
	wait      time.Duration
	tokens    float64
	at        time.Time // when tokens was right
	flows     map[string]*flow
	next      *flow // whose turn it is; they form a ring
	arrivals  list[*Turn]
	timer     *time.Timer
	armed     time.Time // when the timer fires; zero: it does not
	counts    RateCounts
}

// RateCounts is what a Rate did.
type RateCounts struct {
	Passed  uint64 // without having waited
	Waited  uint64 // that were let through after a wait
	Refused uint64 // at once, or after a wait in vain
	Left    uint64 // that did not wait to the end
	Waiting int    // now
}

// flow is the line of those who come from one place.
type flow struct {
	name           string
	turns          list[*Turn]
	before, behind *flow
}

// TurnState is what became of one who waits.
type TurnState uint8

// The states of a Turn.
const (
	Waiting TurnState = iota
	Go                // it is through
	Expired           // its turn did not come in time
)

// Turn is the place of one who waits. It costs no goroutine and no timer.
type Turn struct {
	rate     *Rate
	flow     *flow
	wake     func()
	deadline time.Time
	state    TurnState
	arrival  link[*Turn] // in Rate.arrivals
	place    link[*Turn] // in flow.turns
}

// Configure sets how many a second, 0 for no limit, and how long somebody may wait. With
// no limit all who wait go.
func (r *Rate) Configure(perSecond float64, wait time.Duration) {
	r.mu.Lock()
	if r.perSecond == perSecond && r.wait == wait {
		r.mu.Unlock()
		return
	}
	now := time.Now()
	r.refill(now)
	if r.perSecond == 0 {
		r.tokens = burst(perSecond)
	} else if more := burst(perSecond) - burst(r.perSecond); more > 0 {
		r.tokens += more
	}
	if wait < r.wait { // else who comes now could be due before somebody ahead, whom alone a timer looks after
		for at := r.arrivals.first; at != nil; at = at.next {
			if latest := now.Add(wait); at.of.deadline.After(latest) {
				at.of.deadline = latest
			}
		}
	}
	r.perSecond, r.wait = perSecond, wait
	r.limited.Store(perSecond != 0)
	r.tokens = min(r.tokens, burst(perSecond))
	r.settle(now)
}

// burst is how many may come at once.
func burst(perSecond float64) float64 { return max(1, perSecond) }

// Free reports that there is no limit: Enter lets everybody through, whatever flow it is of.
func (r *Rate) Free() bool { return !r.limited.Load() }

// PerSecond returns the limit, 0 for none.
func (r *Rate) PerSecond() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.perSecond
}

// Counts tells what the Rate did.
func (r *Rate) Counts() RateCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	c.Waiting = r.arrivals.n
	return c
}

// Enter lets one of a flow through, which no Turn and no error says, or gives it a Turn to
// wait for. The error is ErrRate: its turn would not come in time, by what is known now.
// wake is called once the Turn's state is no longer Waiting, unless it was left before; it
// must not block, nor call the Rate, and may come a little after Leave. It may be nil, and set by Notify.
func (r *Rate) Enter(name string, wake func()) (*Turn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perSecond == 0 {
		return nil, nil
	}
	now := time.Now()
	r.refill(now)
	if r.arrivals.n == 0 && r.tokens >= 1 {
		r.tokens--
		r.counts.Passed++
		return nil, nil
	}
	if r.full(name) || r.Room != nil && !r.Room.Take() {
		r.counts.Refused++
		return nil, ErrRate
	}
	t := &Turn{rate: r, wake: wake, deadline: now.Add(r.wait)}
	t.arrival.of, t.place.of = t, t
	t.flow = r.line(name)
	t.flow.turns.push(&t.place)
	r.arrivals.push(&t.arrival)
	r.arm(now)
	return t, nil
}

// Full tells whether one of a flow would be refused if it came now.
func (r *Rate) Full(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perSecond == 0 {
		return false
	}
	r.refill(time.Now())
	if r.arrivals.n == 0 && r.tokens >= 1 || !r.full(name) {
		return false
	}
	return true
}

// idle tells whether a new Rate would do the same as this one from now on.
func (r *Rate) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refill(time.Now())
	return r.arrivals.n == 0 && (r.perSecond == 0 || r.tokens >= burst(r.perSecond))
}

// refuse counts one that was refused by the word of Full.
func (r *Rate) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Refused++
}

// full estimates when the turn of a newcomer would come: after at most as many of each
// flow as are in its own line with it.
func (r *Rate) full(name string) bool {
	flows, own := len(r.flows), 1
	if f := r.flows[name]; f != nil {
		own += f.turns.n
	} else {
		flows++
	}
	ahead := float64(min(r.arrivals.n+1, own*flows)) - r.tokens
	return ahead > r.perSecond*r.wait.Seconds()
}

func (r *Rate) refill(now time.Time) {
	if elapsed := now.Sub(r.at).Seconds(); !r.at.IsZero() && elapsed > 0 {
		r.tokens = min(burst(r.perSecond), r.tokens+elapsed*r.perSecond)
	}
	r.at = now
}

// line finds the line of a flow, or opens it behind all others.
func (r *Rate) line(name string) *flow {
	if f := r.flows[name]; f != nil {
		return f
	}
	f := &flow{name: name}
	if r.flows == nil {
		r.flows = map[string]*flow{}
	}
	r.flows[name] = f
	if r.next == nil {
		f.before, f.behind, r.next = f, f, f
		return f
	}
	f.before, f.behind = r.next.before, r.next
	f.before.behind, r.next.before = f, f
	return f
}

// take takes a Turn out of its lines, in which it has to be.
func (r *Rate) take(t *Turn, state TurnState) {
	t.state = state
	r.arrivals.remove(&t.arrival)
	f := t.flow
	f.turns.remove(&t.place)
	t.flow = nil
	if r.Room != nil {
		r.Room.Release()
	}
	if f.turns.n > 0 {
		return
	}
	delete(r.flows, f.name)
	if f.behind == f {
		r.next = nil
		return
	}
	f.before.behind, f.behind.before = f.behind, f.before
	if r.next == f {
		r.next = f.behind
	}
}

// settle lets go whose turn has come and whose time is up, and tells them. It is called
// with mu locked and unlocks it.
func (r *Rate) settle(now time.Time) {
	var woken []func()
	for r.arrivals.n > 0 && (r.perSecond == 0 || r.tokens >= 1) {
		t, f := r.next.turns.first.of, r.next
		r.next = f.behind
		r.take(t, Go)
		r.tokens--
		r.counts.Waited++
		if t.wake != nil {
			woken = append(woken, t.wake)
		}
	}
	for r.arrivals.n > 0 && !r.arrivals.first.of.deadline.After(now) {
		t := r.arrivals.first.of
		r.take(t, Expired)
		r.counts.Refused++
		if t.wake != nil {
			woken = append(woken, t.wake)
		}
	}
	r.arm(now)
	r.mu.Unlock()
	for _, wake := range woken {
		wake()
	}
}

// arm sets the timer to when something falls due next.
func (r *Rate) arm(now time.Time) {
	if r.arrivals.n == 0 {
		return // it may fire once more in vain
	}
	due := now.Add(max(shortestSleep, time.Duration((1-r.tokens)/r.perSecond*float64(time.Second))))
	if first := r.arrivals.first.of.deadline; first.Before(due) {
		due = first
	}
	if !r.armed.IsZero() && !r.armed.After(due) {
		return
	}
	r.armed = due
	if r.timer == nil {
		r.timer = time.AfterFunc(due.Sub(now), r.fire)
		return
	}
	r.timer.Reset(due.Sub(now))
}

func (r *Rate) fire() {
	r.mu.Lock()
	r.armed = time.Time{}
	now := time.Now()
	r.refill(now)
	r.settle(now)
}

// Notify sets what is called once the state is no longer Waiting. Where it is not
// already, nothing is called.
func (t *Turn) Notify(wake func()) {
	t.rate.mu.Lock()
	defer t.rate.mu.Unlock()
	t.wake = wake
}

// Wait is a Turn that somebody has to wait for, and why he is refused if it does not come.
type Wait struct {
	Turn *Turn
	Over error
}

// State returns what became of it.
func (t *Turn) State() TurnState {
	t.rate.mu.Lock()
	defer t.rate.mu.Unlock()
	return t.state
}

// Leave gives a Turn up that still waits; for others it does nothing.
func (t *Turn) Leave() {
	t.rate.mu.Lock()
	defer t.rate.mu.Unlock()
	if t.flow == nil {
		return
	}
	t.rate.take(t, Expired)
	t.rate.counts.Left++
}
