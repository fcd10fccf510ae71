package loadbalance

import (
	"time"

	"servicebroker/servicetable"
)

// group is what decisions about one service share. Its positions are those of the candidates of the decision before:
// the next one is nearly always about the same, so that only what moved is worked out anew.
type group struct {
	key      groupKey
	usedAt   instant
	tidiedAt instant
	members  map[*tally]*member
	seats    map[seatKey]*seat

	positions []position
	basis     basis
	seenAt    instant // when seats were last told that they are in use
	rounds    uint64  // counts the times that members were gone through
	several   bool    // some instance is there with more than one handler
	mixed     bool    // not all candidates are of one class
	tau       float64 // mean length of a session in nanoseconds
	seenTau   float64 // the same by the sessions that this broker relays alone, which needs no guess about others
	turn      float64 // how far round robin has come: the end of the turn taken last
}

// groupKey tells services apart. Connects that ask for one instance have a group of their own, since their candidates
// would push aside those of all others.
type groupKey struct {
	service string // as the first candidate registered it
	narrow  bool   // for one instance, or for one kind of handler
}

func groupKeyOf(a *Ask, c []servicetable.Candidate) groupKey {
	return groupKey{c[0].Service.Name, a.Query.Instance != "" || a.Query.Server != ""}
}

// basis is what positions were worked out by, besides the candidates.
type basis struct {
	epoch   uint64 // of the balancer: settings and recoveries
	tiers   *Tiers
	measure measure
}

// member is one instance in a group.
type member struct {
	tally  *tally
	seats  int
	pass   float64 // round robin: the end of the turn that it had last
	turns  bool    // it has been part of a round robin
	round  uint64  // the last one of the group that it was part of
	copies int     // how many candidates are its
}

// seat is one handler in a group.
type seat struct {
	key seatKey
	place
	member *member
	seenAt instant
	label  string // "instance@host/handler"
}

type seatKey struct {
	tally            *tally
	service, handler string
}

// position is one candidate among those of a decision: upper part what stays as long as the candidate does, lower
// part what the decision finds.
type position struct {
	registration *servicetable.Registration
	service      *servicetable.Service
	handler      *servicetable.Handler
	status       servicetable.Status
	forwards     bool
	seat         *seat
	class        class
	given        measures // what is reported at all
	reportedAt   instant
	outdated     float64 // age in nanoseconds from which on the report is not used
	newSince     instant
	weight       float64 // 1 is all of its capacity
	sessions     float64 // registered maximum of sessions, or of the handler; where it is not known, the mean of the others
	unsized      bool    // it is not known

	door *count // of the handler

	// By the measure of the group:
	count    *count
	reported float64
	step     float64 // what a connect adds
	maximum  float64

	// Found by the decision:
	known    bool    // there is a report to go by
	aged     float64 // what is thought to be left of reported
	own      float64 // own connects on top of that
	lasting  float64 // own connects that are thought to last, whether a report contains them or not
	load     float64 // what is thought to be there
	ramp     float64 // slow start: the part of its capacity that the instance may use
	capacity float64 // that is used: the maximum, times weight, times ramp
	score    float64
	second   float64 // decides between equal scores, in the policy Goodness
	over     bool    // it has more than its share of what a colocation tag binds
}

// holds reports whether p is worked out for c.
func (p *position) holds(c *servicetable.Candidate) bool {
	return p.registration == c.Registration && p.handler == c.Handler && p.service == c.Service && p.status == c.Status
}

// measure is a figure that instances report, by which candidates are compared.
type measure uint8

const (
	byNothing  measure = iota
	byNode             // load of the machine
	byHandler          // connections of the handler
	byGoodness         // the service's own figure
	bySessions         // sessions of the instance
)

// String returns the word for m in explanations.
func (m measure) String() string {
	switch m {
	case byNode:
		return "node"
	case byHandler:
		return "handler"
	case byGoodness:
		return "goodness"
	case bySessions:
		return "sessions"
	}
	return ""
}

// measures is a set of them.
type measures uint8

func (s measures) has(m measure) bool { return s&(1<<m) != 0 }

func (s *measures) add(m measure, carried bool) {
	if carried {
		*s |= 1 << m
	}
}

// best returns the most telling of the measures in s.
func (s measures) best() measure {
	for m := bySessions; m > byNothing; m-- {
		if s.has(m) {
			return m
		}
	}
	return byNothing
}

// givenBy returns what c carries figures of. A zero of a load that has a maximum is a figure as well.
func givenBy(c *servicetable.Candidate) measures {
	r, s, h := c.Registration, c.Service, c.Handler
	var given measures
	given.add(byNode, r.NodeLoad > 0 || r.NodeMax > 0)
	given.add(byHandler, h.Load > 0 || h.Max > 0)
	given.add(byGoodness, s.Goodness > 0 || s.Delta > 0)
	given.add(bySessions, r.Load > 0 || r.Max > 0)
	return given
}

// measureBy works out the part of p that depends on the measure.
func (p *position) measureBy(m measure) {
	r, s, h := p.registration, p.service, p.handler
	p.count, p.reported, p.step, p.maximum = p.seat.whole, 0, 1, p.sessions
	switch m {
	case bySessions:
		p.reported = float64(r.Load)
	case byGoodness:
		p.count, p.reported, p.step = p.seat.service, float64(s.Goodness), delta(s)
	case byHandler:
		p.count, p.reported, p.maximum = p.seat.handler, float64(h.Load), float64(h.Max)
	case byNode:
		// Nobody says what a connect does to a machine: one hundredth of its maximum is assumed.
		p.reported, p.step, p.maximum = float64(r.NodeLoad), max(float64(r.NodeMax)/100, 1), float64(r.NodeMax)
	}
}

// seatOf returns the seat of c, whose instance is t.
func (g *group) seatOf(t *tally, c *servicetable.Candidate) *seat {
	key := seatKey{t, c.Service.Name, c.Handler.Name}
	s := g.seats[key]
	if s != nil {
		return s
	}
	m := g.members[t]
	if m == nil {
		m = &member{tally: t}
		g.members[t] = m
		t.members++
	}
	s = &seat{key: key, place: t.place(c), member: m, label: c.Registration.HandlerKey(c.Handler)}
	m.seats++
	s.service.users++
	s.handler.users++
	g.seats[key] = s
	return s
}

// dismissIdle forgets the seats that nobody was considered for lately. Positions may refer to them, and are forgotten
// as well: the next decision works them out anew.
func (g *group) dismissIdle(now instant, all tallies) {
	for _, s := range g.seats {
		if s.seenAt.since(now) >= idleLimit {
			g.dismiss(s, all)
			clear(g.positions)
		}
	}
}

// dismiss forgets a seat, and its instance if that was its only one.
func (g *group) dismiss(s *seat, all tallies) {
	delete(g.seats, s.key)
	s.service.users--
	s.handler.users--
	m := s.member
	if m.seats--; m.seats == 0 {
		delete(g.members, m.tally)
		m.tally.members--
	}
	all.prune(m.tally)
}

// survey works out what depends on all candidates together.
func (g *group) survey() {
	var sessions, maxima mean
	for i := range g.positions {
		p := &g.positions[i]
		sessions.add(p.sessions, !p.unsized)
	}
	for i := range g.positions {
		p := &g.positions[i]
		if p.unsized {
			p.sessions = sessions.or(1)
		}
		p.measureBy(g.basis.measure)
		maxima.add(p.maximum, p.maximum > 0)
	}
	g.rounds++
	g.several, g.mixed = false, false
	for i := range g.positions {
		p := &g.positions[i]
		if p.maximum == 0 {
			p.maximum = maxima.or(1)
		}
		if m := p.seat.member; m.round != g.rounds {
			m.round, m.copies = g.rounds, 0
		}
		p.seat.member.copies++
		g.several = g.several || p.seat.member.copies > 1
		g.mixed = g.mixed || p.class != g.positions[0].class
	}
	g.findTau()
}

// seenInterval is how exactly it is known when seats were last in use.
const seenInterval = float64(time.Second)

// see tells all seats that they are in use.
func (g *group) see(now instant) {
	g.seenAt = now
	for i := range g.positions {
		s := g.positions[i].seat
		s.seenAt, s.tally.seenAt = now, now
	}
}

// findTau works out the mean length of a session, by what all members together show.
func (g *group) findTau() {
	var all, seen flow
	for i := range g.positions {
		if p := &g.positions[i]; p.given.has(g.basis.measure) {
			all.add(&p.count.flow)
			seen.add(&p.count.seen)
		}
	}
	g.tau = tau(all.sessions, all.connects, unknownTau)
	g.seenTau = tau(seen.sessions, seen.connects, g.tau)
}
