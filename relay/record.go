package relay

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/servicetable"
)

// mostCandidates bounds what is kept of one connect.
const mostCandidates = 16

// openRecord begins the explanation of a connect.
func (s *Server) openRecord(d *dialogue) {
	switch b := d.arrival.Before; {
	case b != nil && b.Ref != "":
		d.newRecord(b.Ref)
		d.recordAttempts(b.Attempts...)
	case s.Journal != nil:
		d.newRecord(s.Journal.NewRef())
	default:
		d.newRecord("")
	}
}

func (d *dialogue) newRecord(ref string) {
	d.record = &journal.Explanation{Ref: ref, Time: d.began, Client: d.client.String()}
}

// recordQuestion notes what is asked, and by whom.
func (d *dialogue) recordQuestion() {
	r, q := d.record, d.query
	r.Query = journal.Query{Service: q.Service, SID: q.SID, Instance: q.Instance, Server: q.Server, ColocationTag: q.ColocationTag}
	r.Route = descriptor.Escape(d.way.String())
	r.Program, r.Machine, r.User = clientID(d.asked)
	r.ConnectionID = descriptor.ConnectData(d.asked).Text("CONNECTION_ID")
}

// recordMatch notes which table decided, and whom it left out.
func (d *dialogue) recordMatch(snapshot *servicetable.Snapshot, passed []servicetable.Rejected) {
	d.record.Version, d.record.Rule, d.record.Policy = snapshot.Version(), "", ""
	d.record.Candidates, d.record.Omitted, d.record.Logged = d.record.Candidates[:0], 0, nil
	for _, p := range passed {
		d.keep(journal.Candidate{
			Key: p.Registration.HandlerKey(p.Handler), Inputs: inputsOf(p.Registration, p.Service, p.Status), PassedOver: p.Why,
		})
	}
}

// recordRules notes which candidates the rules refuse, and by which rule, and which
// rules only wanted to be told of.
func (d *dialogue) recordRules(candidates []servicetable.Candidate, logged []*Rule) {
	for _, rule := range logged {
		if len(d.record.Logged) < mostCandidates && !slices.Contains(d.record.Logged, rule.Text) {
			d.record.Logged = append(d.record.Logged, rule.Text)
		}
	}
	for _, c := range candidates {
		switch rule := d.granted.by(c); {
		case rule == nil:
			d.passOver(c, "no rule is about this client and it")
		case rule.Action != Accept:
			d.record.Rule = rule.Text
			d.passOver(c, "refused by rule "+rule.Text)
		}
	}
}

// passOver notes a candidate that is not to be tried.
func (d *dialogue) passOver(c servicetable.Candidate, why string) {
	d.keep(journal.Candidate{
		Key: c.Registration.HandlerKey(c.Handler), Inputs: inputsOf(c.Registration, c.Service, c.Status), PassedOver: why,
	})
}

// inputsOf are the figures of one that was not weighed.
func inputsOf(r *servicetable.Registration, s *servicetable.Service, status servicetable.Status) journal.Inputs {
	return journal.Inputs{
		Status: status.String(), Tier: r.Tier, Zone: r.Zone, Weight: s.Weight.Percent(),
		Measure: "sessions", Reported: float64(r.Load), Capacity: float64(r.Max),
	}
}

func (d *dialogue) keep(c journal.Candidate) {
	if len(d.record.Candidates) >= mostCandidates {
		d.record.Omitted++
		return
	}
	d.record.Candidates = append(d.record.Candidates, c)
}

// recordOrder puts those that are to be tried before those passed over.
func (d *dialogue) recordOrder(r Reservation) {
	d.record.Policy = r.Policy()
	d.order(r.Verdicts(), len(r.Route()))
}

func (d *dialogue) order(verdicts []journal.Candidate, all int) {
	over := d.record.Candidates
	d.record.Candidates = append(make([]journal.Candidate, 0, len(verdicts)+len(over)), verdicts...)
	d.record.Omitted += all - len(verdicts)
	for _, c := range over {
		d.keep(c)
	}
}

// dialLog collects the attempts of one dial, which may overlap.
type dialLog struct {
	mu       sync.Mutex
	active   int
	attempts []journal.Attempt
}

// begin notes that an attempt begins. The returned function notes its end.
func (l *dialLog) begin(c servicetable.Candidate) func(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	began, hedged := time.Now(), l.active > 0
	l.active++
	return func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.active--
		l.attempts = append(l.attempts, attemptRecord(c, err, time.Since(began), hedged))
	}
}

func attemptRecord(c servicetable.Candidate, err error, took time.Duration, hedged bool) journal.Attempt {
	a := journal.Attempt{Key: c.Registration.HandlerKey(c.Handler), Took: took, Hedged: hedged}
	if err != nil {
		a.Error = brief(err.Error())
	}
	return a
}

// recordAttempts adds what was tried.
func (d *dialogue) recordAttempts(attempts ...journal.Attempt) {
	room := max(mostCandidates-len(d.record.Attempts), 0)
	d.record.Attempts = append(d.record.Attempts, attempts[:min(len(attempts), room)]...)
}

// recordDial notes what came of the attempts.
func (d *dialogue) recordDial(l *dialLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.recordAttempts(l.attempts...)
}

// notHeld notes why a connect that could have waited was not let.
func (d *dialogue) notHeld(err error) {
	if d.record.Text = err.Error(); !strings.Contains(d.record.Text, "not held") {
		d.record.Text = "not held: " + d.record.Text
	}
}

// finish completes the explanation and keeps it.
func (s *Server) finish(d *dialogue, outcome journal.Outcome, text string) {
	r := d.record
	r.Outcome, r.Took, r.Held = outcome, time.Since(d.began), d.waited
	if r.Text != "" && text != "" {
		text += "; " + r.Text
	}
	if text != "" {
		r.Text = text
	}
	if d.asked != nil && !d.repeat {
		r.Query.Descriptor = brief(descriptor.Escape(d.asked.Masked()))
	}
	if s.Journal != nil && !d.repeat {
		s.Journal.Keep(r)
	}
	if s.Report != nil {
		s.Report(&ConnectReport{
			Explanation: r, Asked: d.asked, Service: d.served, Client: d.client, Arrived: d.arrived, Secure: d.secure,
			Decided: d.decided, Dialled: d.dialled, Repeated: d.repeat, Withheld: d.guess, Way: d.wayBy(), Sealed: d.hello != nil,
		})
	}
}

// ConnectReport is one connect whose answer is settled. Whoever is told of it may read it,
// and keep nothing of it.
type ConnectReport struct {
	Explanation *journal.Explanation // complete
	Asked       *descriptor.Node     // the client's descriptor as it was sent, secrets and all; nil if it could not be read
	Service     string               // that serves the client, as its instance registered it, or (SID=…) for a client that named none; "" where nobody does
	Client      netip.AddrPort
	Arrived     string        // the listening address it came in on
	Secure      bool          // over TLS
	Decided     time.Duration // from the table to the order of candidates, the last time; 0 where it did not come so far
	Dialled     time.Duration // all attempts together
	Way         string        // what says where it goes that is not left to the table: SOURCE_ROUTE, NEXT_HOP or "alias NAME"; Service is then what the client asks for
	Sealed      bool          // it is passed on with TLS in it, by what its handshake asks for
	Withheld    bool          // it was answered as if nobody had what it asks for, see Server.Guesses
	Repeated    bool          // one of many refusals alike in a short time: the Ref is that of an earlier one, which the journal has
}

// finishAt is finish for a connect that has found its instance.
func (s *Server) finishAt(ctx context.Context, d *dialogue, outcome journal.Outcome, c servicetable.Candidate) {
	d.record.Chosen = c.Registration.HandlerKey(c.Handler)
	if rule := d.granted.by(c); rule != nil {
		d.record.Rule = rule.Text
	}
	if detour := s.detour(ctx, c); detour != "" {
		d.record.Route = detour
	}
	d.served = servedAs(d.query, c)
	d.record.Text = "" // what was in the way before is no matter any more
	s.finish(d, outcome, "")
}

// servedAs names what a client got, as lists of sessions do.
func servedAs(q servicetable.Query, c servicetable.Candidate) string {
	if q.Service == "" {
		return "(SID=" + q.SID + ")"
	}
	if c.Service.Name == "" { // a route leads on by the name that was asked for
		return q.Service
	}
	return c.Service.Name
}

// wayBy is what says where the connect goes, if that is not left to the table.
func (d *dialogue) wayBy() string {
	if d.way == nil {
		return ""
	}
	return d.way.by
}

// seen tells those who hold connects that one for the service was served.
func (s *Server) seen(d *dialogue) {
	if s.Hold != nil {
		s.Hold.Seen(d.heldAs())
	}
}

// slowConnect is what makes a connect worth a line of its own.
const slowConnect = time.Second

// logSlow says where the time went.
func (s *Server) logSlow(d *dialogue) {
	if s.Log == nil || d.record.Took < slowConnect {
		return
	}
	s.Log.Info("slow connect", "ref", d.record.Ref, "client", d.client.String(), "service", brief(asksFor(d.query)), "instance", d.record.Chosen,
		"connect_ms", milliseconds(d.record.Took), "held_ms", milliseconds(d.record.Held), "attempts", len(d.record.Attempts))
}
