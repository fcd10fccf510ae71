package loadbalance

import (
	"slices"

	"servicebroker/journal"
	"servicebroker/servicetable"
)

// maxVerdicts is how many candidates are explained.
const maxVerdicts = 16

// evidence is what one candidate was judged by.
type evidence struct {
	label    string
	class    class
	known    bool
	over     bool
	age      float64 // of the report, in nanoseconds
	reported float64
	aged     float64
	own      float64
	ramp     float64
	capacity float64
	score    float64
}

// judged is what all candidates of a decision were judged by.
type judged struct {
	measure measure
	brokers int
	tiers   *Tiers
}

// judge keeps what the candidates were judged by.
func (r *Reservation) judge(d *decision) {
	r.judged = judged{measure: d.group.basis.measure, brokers: int(d.brokers), tiers: d.ask.Tiers}
	n := min(len(d.ranks), maxVerdicts)
	r.evidence = slices.Grow(r.evidence, n)
	for i := range d.ranks[:n] {
		p := &d.positions[d.ranks[i].at]
		e := evidence{
			label: p.seat.label, class: p.class, known: p.known, over: p.over,
			reported: p.reported, aged: p.aged, own: p.own, ramp: p.ramp, capacity: p.capacity, score: p.score,
		}
		if p.reportedAt != 0 {
			e.age = p.reportedAt.since(d.now)
		}
		r.evidence = append(r.evidence, e)
	}
}

// Policy tells by what was decided, for people: the word of the policy and, where it could not be applied, why and
// what was done instead.
func (r *Reservation) Policy() string {
	switch {
	case r.tagged:
		return "colocation tag"
	case r.fallback == inTurn:
		return r.policy.String() + ": no report is young enough, so round robin by capacity"
	case r.fallback == leastOwnSessions:
		return r.policy.String() + ": no report is young enough, so least sessions of our own by capacity"
	}
	return r.policy.String()
}

// Verdicts returns the figures by which the candidates were judged, in the order to try them, at most 16; nothing
// once the reservation is settled or released, as with Route.
func (r *Reservation) Verdicts() []journal.Candidate {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	if r.state != pending {
		return nil
	}
	return r.verdicts()
}

func (r *Reservation) verdicts() []journal.Candidate {
	if len(r.evidence) == 0 {
		return nil
	}
	all := make([]journal.Candidate, len(r.evidence))
	for i := range r.evidence {
		e := &r.evidence[i]
		all[i] = journal.Candidate{Key: e.label, Score: e.score, Inputs: r.inputs(e, &r.route[i]), PassedOver: r.passedOver(e)}
	}
	return all
}

func (r *Reservation) inputs(e *evidence, c *servicetable.Candidate) journal.Inputs {
	in := journal.Inputs{
		Status: c.Status.String(), Tier: r.judged.tiers.of(c.Registration), Zone: c.Registration.Zone,
		Reported: e.reported, ReportAgeMS: int64(e.age / 1e6), Own: e.own,
		Capacity: e.capacity, Brokers: r.judged.brokers, Weight: c.Service.Weight.Percent(), SlowStart: e.ramp,
		Measure: r.judged.measure.String(),
	}
	if r.policy == Adaptive {
		in.TauMS = int64(r.tau / 1e6)
	}
	if e.aged != e.reported {
		in.Aged = e.aged
	}
	return in
}

// passedOver tells why a candidate comes later than its score says, or by what it was judged for want of a report.
func (r *Reservation) passedOver(e *evidence) string {
	switch why := e.class.behind(r.evidence[0].class); {
	case why != "":
		return why
	case e.over:
		return "it has more than its share for a colocation tag"
	}
	return ""
}
