package loadbalance

import "math"

// scoreByLoad scores by the load per capacity that each instance would have with this connect. Where it stands for
// those of other brokers as well, half of theirs are counted with it: on average they are half way to their next one.
// That keeps the brokers, who all see the same small instance come to be the least loaded, from filling it up at once.
func (d *decision) scoreByLoad() {
	with := 1.0
	if d.policy == Adaptive {
		with = (1 + d.brokers) / 2
	}
	for i := range d.positions {
		p := &d.positions[i]
		p.score = (p.load + p.step*with) / p.capacity
	}
}

// scoreByTurn scores by when each instance's turn would end: a turn is as much shorter as the capacity is greater, so
// that the instances take turns evenly and by capacity. Whoever was away has its turn next, but makes up for none that
// it missed. Whoever is new begins somewhere in its turn: that those of several brokers, or of several sizes, all begin
// at once would last.
func (d *decision) scoreByTurn() {
	unit := d.share()
	for i := range d.positions {
		p := &d.positions[i]
		if m := p.seat.member; !m.turns {
			m.turns, m.pass = true, d.group.turn-(1-d.uniform(i))*unit/p.capacity
		}
		p.score = max(p.seat.member.pass+unit/p.capacity-d.group.turn, 0)
	}
}

// takeTurn gives the turn to the candidate that p is.
func (d *decision) takeTurn(p *position) {
	g := d.group
	g.turn += p.score
	p.seat.member.pass = g.turn
	if g.turn > 1e6 { // before fractions of a turn are lost
		for _, m := range g.members {
			m.pass -= g.turn
		}
		g.turn = 0
	}
}

// scoreByLot draws scores such that the chance to have the least one is in proportion to capacity: of exponential
// random numbers with such rates. An instance with several handlers draws once for each, at a fraction of its rate.
func (d *decision) scoreByLot() {
	d.share()
	for i := range d.positions {
		p := &d.positions[i]
		p.score = -math.Log(d.uniform(i)) * float64(p.seat.member.copies) / p.capacity
	}
}

// share makes capacities those in sessions, whatever the measure is, for where loads do not matter. It returns their
// mean.
func (d *decision) share() float64 {
	sum := 0.0
	for i := range d.positions {
		p := &d.positions[i]
		p.capacity = p.sessions * p.weight * p.ramp
		sum += p.capacity
	}
	return sum / float64(len(d.positions))
}

// scoreAsListener scores as an Oracle listener does, features.md 1.3: lowest goodness, to which each connect handed out
// adds delta until the next report, whether its session lasts or not. Where no goodness is given: the least loaded
// machine, then the least loaded instance, then the least loaded handler, in parts of their maxima. Hand-outs do not
// change the load of a machine.
func (d *decision) scoreAsListener() {
	var goodness mean
	for i := range d.positions {
		p := &d.positions[i]
		goodness.add(p.reported, p.given.has(byGoodness))
	}
	byNode := !d.settings.PreferNodeLoadOff
	for i := range d.positions {
		p := &d.positions[i]
		part := p.weight * p.ramp
		handed := float64(p.count.handed()) + 1
		if d.group.basis.measure == byGoodness {
			if !p.given.has(byGoodness) {
				p.aged = goodness.or(0)
			}
			p.own = float64(p.count.handed()) * p.step
			p.score = (p.aged + handed*p.step) / part
			continue
		}
		r := p.registration
		p.score = 0
		if byNode {
			p.score = float64(r.NodeLoad) / float64(max(r.NodeMax, 1)) / part
		}
		p.aged, p.own = float64(r.Load), float64(p.seat.whole.handed())
		p.second = (p.aged + p.own + 1) / p.capacity
	}
}

// What an instance may always have beyond its share, in connects or as a part of its capacity, whichever is more: a tag
// is not torn apart while there is little to do.
const (
	tagSlack     = 8
	tagSlackPart = 0.1
)

// tagBound is how much of its fair share an instance may have and still be given connects by their tag.
const tagBound = 1.25

// scoreByTag scores by a hash of tag and instance: each tag has its own lasting order of the instances, in which they
// come early in proportion to capacity, and one that goes or comes moves only the tags that prefer it. Instances that
// have more than their share, with what is bounded, come after all others.
func (d *decision) scoreByTag() {
	tag := hashOf(d.ask.Query.ColocationTag)
	best := d.bestClass()
	var loads, capacities float64
	for i := range d.positions {
		if p := &d.positions[i]; p.class == best {
			loads += p.load / float64(p.seat.member.copies)
			capacities += p.capacity / float64(p.seat.member.copies)
		}
	}
	for i := range d.positions {
		p := &d.positions[i]
		u := (float64(mixed(tag^p.seat.tally.hash)>>11) + 1) / (1 << 53)
		lasting := p.capacity / p.ramp // slow start moves no tag
		p.score = -math.Log(u) / lasting
		slack := max(tagSlack*p.step, tagSlackPart*p.capacity)
		p.over = p.load+p.step > tagBound*(loads+p.step)*p.capacity/capacities+slack
	}
}

func (d *decision) bestClass() class {
	best := d.positions[0].class
	for i := range d.positions {
		best = min(best, d.positions[i].class)
	}
	return best
}
