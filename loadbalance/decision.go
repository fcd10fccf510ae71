package loadbalance

import (
	"math/bits"
	"time"

	"servicebroker/servicetable"
)

// decision is one in the making: the candidates at their positions, and what they are judged by. All in it is
// reckoned from what is handed in, time and chance included.
type decision struct {
	ask      Ask
	settings *Settings
	group    *group
	chance

	policy    Policy
	fallback  fallback
	tagged    bool
	brokers   float64
	tau       float64 // mean length of a session in nanoseconds
	positions []position
	ranks     []rank
	scratch
	knowing int // positions whose load is known
}

// scratch is memory that one decision leaves to the next.
type scratch struct {
	spare   []rank
	buckets []uint8
	taken   []bool
}

// chance is what a decision cannot know by itself.
type chance struct {
	clock  time.Time // what the clock shows
	now    instant   // that is
	random uint64    // where ties are drawn from; 0: they are not drawn, earlier candidates come first
}

// noted returns the instant of a time that a registration has. One that comes from a file or another process has no monotonic reading:
// how long ago that is says the clock as it is now, and where it lies ahead, one of the clocks was wrong, and it counts as now.
func (c *chance) noted(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return c.now + instant(min(t.Sub(c.clock), 0))
}

// fallback is what is done where a policy cannot be applied.
type fallback uint8

const (
	noFallback       fallback = iota
	inTurn                    // nobody has reported lately: round robin
	leastOwnSessions          // nobody has reported lately, but our sessions are seen from begin to end
)

// decide judges the candidates and ranks them.
func (d *decision) decide() {
	d.tagged = d.ask.Query.ColocationTag != ""
	d.weigh()
	switch policy := d.policy; {
	case d.tagged:
		d.scoreByTag()
	case d.fallback == inTurn || policy == RoundRobin:
		d.scoreByTurn()
	case policy == Random:
		d.scoreByLot()
	case policy == Goodness:
		d.scoreAsListener()
	default:
		d.scoreByLoad()
	}
	d.rank()
}

// weigh finds for each candidate what load it is thought to have, and what capacity.
func (d *decision) weigh() {
	blind := !d.tagged && (d.policy == RoundRobin || d.policy == Random || d.policy == Goodness) // loads do not matter
	for i := range d.positions {
		p := &d.positions[i]
		p.known, p.over, p.aged, p.own = false, false, p.reported, 0
		if !blind {
			d.estimate(p)
		}
		p.ramp = d.ramp(p)
		p.capacity = p.maximum * p.weight * p.ramp
		if p.known {
			d.knowing++
		}
	}
	if blind {
		return
	}
	if d.policy == Adaptive && !d.ask.Redirect && d.knowing > 0 {
		d.relax()
	}
	switch {
	case d.knowing == len(d.positions):
	case d.knowing > 0:
		d.guess()
	case d.ask.Redirect:
		d.fallback = inTurn
	default:
		d.fallback = leastOwnSessions
		d.guess()
	}
}

// estimate finds the load of p by its report and what this broker did since.
//
// A client that was redirected is not seen again. It counts for as much as the chance that its session still lasts,
// and so does what was reported: both fade with the mean length of a session, and what is left of a report leaves
// room for the sessions that other brokers must have begun since. A relayed session is seen to end, so that own
// sessions count as they are; see relax for the others. In both, what this broker did stands for what each of the others did.
func (d *decision) estimate(p *position) {
	c, k := p.count, d.brokers*p.step
	age := p.reportedAt.since(d.now)
	p.known = p.given.has(d.group.basis.measure) && p.reportedAt != 0 && age <= p.outdated
	fresh, lasting := 0.0, 0.0
	if c.faded.all > 0 {
		left := c.faded.left(d.now, d.tau)
		fresh, lasting = c.faded.fresh*left, c.faded.all*left
	}
	p.lasting = (float64(c.pending+c.open) + lasting) * k
	p.aged = p.reported
	if d.policy != Adaptive {
		p.own = float64(c.change()) * p.step
	} else {
		p.own = (float64(c.pending+c.relayed) + fresh) * k
		if d.ask.Redirect {
			p.aged *= left(age, d.tau)
		}
	}
	p.load = max(p.aged+p.own, 0)
}

// relax lets those sessions fade that others relay. What was reported beyond our own sessions (and those that other
// brokers have for each of ours) says less and less of where they are, and is replaced by an even share of all of
// them: e^(-age/tau) of the difference is left. So the load is the report and own changes as long as the report is
// young, and comes down to own sessions once it is old. To let the report stand as it is instead does as well where the number of
// brokers is set, and far worse where it is not: the instance that reported last would look different from all others.
func (d *decision) relax() {
	var foreign, capacities float64
	for i := range d.positions {
		if p := &d.positions[i]; p.known {
			foreign += p.reported - float64(p.count.had)*d.brokers*p.step
			capacities += p.capacity
		}
	}
	level := max(foreign, 0) / capacities
	for i := range d.positions {
		if p := &d.positions[i]; p.known {
			had := float64(p.count.had) * d.brokers * p.step
			share := level * p.capacity
			p.aged = had + share + (p.reported-had-share)*left(p.reportedAt.since(d.now), d.tau)
			p.load = max(p.aged+p.own, 0)
		}
	}
}

// guess finds the load of those who have not reported lately: our own sessions there, and of sessions that are not
// ours as many per capacity as the others have on average.
func (d *decision) guess() {
	var foreign mean
	for i := range d.positions {
		p := &d.positions[i]
		foreign.add(max(p.load-p.lasting, 0)/p.capacity, p.known)
	}
	level := foreign.or(0)
	for i := range d.positions {
		if p := &d.positions[i]; !p.known {
			p.aged, p.own = level*p.capacity, p.lasting
			p.load = p.aged + p.own
		}
	}
}

// leastRamp is where slow start begins: with none of its capacity a new instance would get no connect at all.
const leastRamp = 0.05

// ramp is the part of its capacity that an instance may use: it grows evenly from when the instance appeared, or
// began to take connects for the service again.
func (d *decision) ramp(p *position) float64 {
	if p.newSince == 0 {
		return 1
	}
	whole := float64(d.settings.slowStart())
	if age := p.newSince.since(d.now); age < whole {
		return max(age/whole, leastRamp)
	}
	return 1
}

// draw returns a random number for the i-th candidate, the same again within one decision.
func (d *decision) draw(i int) uint64 {
	if d.random == 0 {
		return 0
	}
	return mixed(d.random + uint64(i)*0x9e3779b97f4a7c15)
}

// uniform returns a random number above 0 and up to 1 for the i-th candidate; 1 where nothing is drawn.
func (d *decision) uniform(i int) float64 { return 1 - float64(d.draw(i)>>11)/(1<<53) }

// handlerLoad is the load of the handler by its own report and our connects to it, for handlers of one instance.
func (p *position) handlerLoad() float64 {
	return (float64(p.handler.Load) + float64(p.door.change())) / float64(max(p.handler.Max, 1))
}

// mean is the average of the values that count.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64, counts bool) {
	if counts {
		m.sum, m.n = m.sum+v, m.n+1
	}
}

// or returns the mean, or what there is without any value.
func (m *mean) or(none float64) float64 {
	if m.n == 0 {
		return none
	}
	return m.sum / float64(m.n)
}

// locate puts the candidates at the positions of the group, and works out those that are not there yet.
func (b *Balancer) locate(d *decision, c []servicetable.Candidate) {
	g := d.group
	if cap(g.positions) < len(c) {
		g.positions = make([]position, len(c), 1<<bits.Len(uint(len(c)-1)))
	}
	moved := len(g.positions) != len(c)
	clear(g.positions[min(len(c), len(g.positions)):])
	g.positions = g.positions[:len(c)]
	want := basis{epoch: b.epoch, tiers: d.ask.Tiers, measure: g.basis.measure}
	all, given := want != g.basis, measures(0)
	for i := range c {
		p := &g.positions[i]
		if all || !p.holds(&c[i]) {
			b.occupy(d, p, &c[i])
			moved = true
		}
		given |= p.given
	}
	if want.measure = d.measureFor(given); moved || want != g.basis {
		g.basis = want
		g.survey()
	}
	if moved || g.seenAt.since(d.now) >= seenInterval {
		g.see(d.now)
	}
	d.positions, d.tau = g.positions, g.seenTau
	if d.ask.Redirect {
		d.tau = g.tau
	}
}

// measureFor picks the measure by which candidates are compared of which given are known.
func (d *decision) measureFor(given measures) measure {
	if d.policy == Goodness && given.has(byGoodness) {
		return byGoodness
	}
	return given.best()
}

// occupy works out p for c.
func (b *Balancer) occupy(d *decision, p *position, c *servicetable.Candidate) {
	r := c.Registration
	t := b.tallies.of(r)
	if t.interval == 0 {
		t.interval = float64(d.settings.reportInterval())
	}
	t.report(r, &d.chance, reportTerms{brokers: d.brokers, connectTime: float64(d.settings.connectTime())})
	t.appear(r, &d.chance, b.began, float64(d.settings.slowStart()))
	*p = position{
		registration: r, service: c.Service, handler: c.Handler, status: c.Status, forwards: c.Forwards,
		seat:       d.group.seatOf(t, c),
		class:      classOf(c, d.ask.Tiers.of(r), d.settings.Zone),
		given:      givenBy(c),
		reportedAt: t.reportedAt, outdated: outdatedAfter * t.interval,
		weight: 1, sessions: float64(r.Max),
	}
	p.door = p.seat.handler
	p.newSince = max(t.newSince, p.seat.service.recoveredAt)
	if percent := c.Service.Weight.Percent(); percent > 0 {
		p.weight = float64(percent) / 100
	}
	if p.sessions == 0 {
		p.sessions = float64(c.Handler.Max)
	}
	p.unsized = p.sessions == 0
}
