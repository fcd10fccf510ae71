package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"servicebroker/console"
	"servicebroker/failover"
	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/registration"
	"servicebroker/servicetable"
)

// Everything that changes the table for good goes through here, one change at a time: what
// databases say is judged before anyone sees it, and what changed is told to those who
// remember.

// registered enters what a database says.
func (b *Broker) registered(r servicetable.Registration) {
	r.Services = slices.Clone(r.Services) // the registrar keeps its own
	b.settings().registrants.Refresh(context.Background(), []*servicetable.Registration{&r})
	b.changing.Lock()
	defer b.changing.Unlock()
	b.judge(&r)
	before := b.known.get(r.ID)
	for _, other := range b.known.of(r.Key()) { // its own ghost makes room for it
		if other.ID != r.ID && other.Stale {
			before = other
			b.known.remove(other.ID)
		}
	}
	b.table.Apply(r)
	b.changed(before, &r, "FAILURE")
}

// lost is told that the connection of a registration ended. An instance that was seen alive
// stays for a while.
func (b *Broker) lost(id servicetable.ID) {
	if silent := b.unlinked(id); silent != nil { // meanwhile others may change the table: a predecessor that is told may be slow to listen
		b.gone(silent, false, "its registration ended, and nothing had answered for a while before")
	}
}

// unlinked does to the table what a lost connection means for it, and returns the registration if its instance is gone and had
// not answered for a while before.
func (b *Broker) unlinked(id servicetable.ID) (silent *servicetable.Registration) {
	b.changing.Lock()
	defer b.changing.Unlock()
	before := b.known.get(id)
	if before == nil {
		return nil
	}
	ghost := !b.stopping.Load() && len(b.besides(before)) == 0 // only then it matters whether it lives on without a link
	if !ghost || !b.prober.Lost(before) {
		if ghost && b.wasReached(before) {
			silent = before
		}
		b.drop(before, "FAILURE", "")
		return silent
	}
	var after servicetable.Registration
	if _, there := b.table.Amend(id, func(r *servicetable.Registration) { r.Stale = true; after = *r }); there {
		b.changed(before, &after, "FAILURE")
	}
	return nil
}

// wasReached tells whether the instance answered once, while probes go on that would have told if it still did.
func (b *Broker) wasReached(r *servicetable.Registration) bool {
	for i := range r.Handlers {
		if _, known := b.prober.LastAlive(servicetable.Candidate{Registration: r, Handler: &r.Handlers[i]}); known {
			return b.config.ProbeInterval > 0
		}
	}
	return false
}

// besides are the registrations that the instance of r has besides it, by other connections or the configuration.
func (b *Broker) besides(r *servicetable.Registration) []*servicetable.Registration {
	return slices.DeleteFunc(b.known.of(r.Key()), func(other *servicetable.Registration) bool { return other.ID == r.ID || other.Stale })
}

// twins are those by other connections, over which that instance itself says what it offers.
func (b *Broker) twins(r *servicetable.Registration) []*servicetable.Registration {
	return slices.DeleteFunc(b.besides(r), func(other *servicetable.Registration) bool { return other.Static })
}

// notByTwins returns those of the names that the instance of r does not offer over another connection.
func (b *Broker) notByTwins(r *servicetable.Registration, names []string) []string {
	for _, twin := range b.twins(r) {
		also := offers(twin)
		names = slices.DeleteFunc(names, func(name string) bool { return also[name] })
	}
	return names
}

// withdrawn takes an instance out by its own word, dead one that does not answer.
func (b *Broker) withdrawn(id servicetable.ID) { b.takeOut(id, "USER", "") }

func (b *Broker) dead(id servicetable.ID, cause string) { b.takeOut(id, "FAILURE", cause) }

func (b *Broker) takeOut(id servicetable.ID, reason, cause string) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if before := b.known.get(id); before != nil {
		b.drop(before, reason, cause)
	}
}

func (b *Broker) drop(r *servicetable.Registration, reason, cause string) {
	b.table.Drop(r.ID)
	if twins := b.twins(r); len(twins) > 0 {
		b.remember(r, nil)
		b.tellLess(r, twins, reason)
		return
	}
	b.note(r, journal.Event{Kind: journal.Died, Status: "down", Reason: reason, Cause: cause})
	b.changed(r, nil, reason)
}

// rejudge applies what operators and rules want now to all that is registered.
func (b *Broker) rejudge() { b.rejudgeThose(func(servicetable.ID) bool { return true }) }

func (b *Broker) rejudgeThose(which func(servicetable.ID) bool) {
	b.settings().registrants.Refresh(context.Background(), b.table.Snapshot().Registrations())
	b.changing.Lock()
	defer b.changing.Unlock()
	type change struct{ before, after *servicetable.Registration }
	var changes []change
	b.table.Revise(func(r *servicetable.Registration) bool {
		if !which(r.ID) {
			return false
		}
		before := *r
		before.Services = append([]servicetable.Service(nil), r.Services...)
		b.judge(r)
		if sameJudgement(&before, r) {
			return false
		}
		after := *r
		changes = append(changes, change{b.known.get(r.ID), &after})
		return true
	})
	for _, c := range changes {
		b.changed(c.before, c.after, "USER")
	}
}

func sameJudgement(a, b *servicetable.Registration) bool {
	same := a.Database == b.Database && a.Tier == b.Tier && a.Zone == b.Zone && sameMarks(a.Marks, b.Marks)
	for i := range a.Services {
		same = same && a.Services[i].Weight == b.Services[i].Weight && sameMarks(a.Services[i].Marks, b.Services[i].Marks)
	}
	return same
}

func sameMarks(a, b []servicetable.Mark) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind || a[i].Cause != b[i].Cause || !a[i].Until.Equal(b[i].Until) {
			return false
		}
	}
	return true
}

// changed tells those who remember. before is nil for a new registration, after for
// one that is over; b.changing is held.
func (b *Broker) changed(before, after *servicetable.Registration, reason string) {
	b.remember(before, after)
	b.tell(before, after, reason)
}

// remember notes a change for all that depends on what there was; b.changing is held.
func (b *Broker) remember(before, after *servicetable.Registration) {
	if after != nil {
		b.known.put(after)
	} else {
		b.known.remove(before.ID)
	}
	came, left := difference(before, after)
	b.holder.Seen(came...)
	b.holder.Departed(b.known.unoffered(left)...) // what others offer can still be connected to
	if len(left) > 0 && len(b.notByTwins(before, left)) > 0 {
		b.departed.note(before, b.settings().config.HoldMemory)
	}
	b.moves.Note(served(before), served(after))
	b.balancer.Note(before, after)
}

// served is a registration as those see it who only care whether the instance serves
// clients: one whose link is lost still does.
func served(r *servicetable.Registration) *servicetable.Registration {
	if r == nil || !r.Stale {
		return r
	}
	c := *r
	c.Stale = false
	return &c
}

// available tells whether the instance takes connects for the service.
func available(r *servicetable.Registration, s *servicetable.Service) bool {
	status := r.Status(s)
	return (status == servicetable.Ready || status == servicetable.Unknown || status == servicetable.Stale) && len(keepingAway(r, s)) == 0
}

// keepingAway are the marks because of which the service gets no connects there.
func keepingAway(r *servicetable.Registration, s *servicetable.Service) []servicetable.Mark {
	var all []servicetable.Mark
	for _, list := range [][]servicetable.Mark{r.Marks, s.Marks} {
		for _, m := range list {
			if m.Kind != servicetable.Ejected {
				all = append(all, m)
			}
		}
	}
	return all
}

// difference names what clients can ask for, now and not before, and the other way
// round: services, and the instance by its SID.
func difference(before, after *servicetable.Registration) (came, left []string) {
	was, is := offers(before), offers(after)
	for name := range is {
		if !was[name] {
			came = append(came, name)
		}
	}
	for name := range was {
		if !is[name] {
			left = append(left, name)
		}
	}
	return came, left
}

func offers(r *servicetable.Registration) map[string]bool {
	if r == nil {
		return nil
	}
	all := map[string]bool{}
	for i := range r.Services {
		if available(r, &r.Services[i]) {
			all[strings.ToLower(r.Services[i].Name)] = true
		}
	}
	if len(all) > 0 {
		all["(sid="+strings.ToLower(r.Instance)+")"] = true
	}
	return all
}

// tell writes down what people want to know of a change.
func (b *Broker) tell(before, after *servicetable.Registration, reason string) {
	switch { // drop has told the end
	case before == nil:
		b.note(after, journal.Event{Kind: journal.Registered, Status: "up", Detail: console.Plural(len(after.Services), "service")})
	case after != nil && before.Stale && !after.Stale:
		b.note(after, journal.Event{Kind: journal.Registered, Status: "up", Detail: "it is back"})
	}
	now := map[string]*servicetable.Service{}
	if after != nil {
		for i := range after.Services {
			now[strings.ToLower(after.Services[i].Name)] = &after.Services[i]
		}
	}
	if before != nil {
		for i := range before.Services {
			old := &before.Services[i]
			name := strings.ToLower(old.Name)
			b.tellService(offer{before, old}, offer{after, now[name]}, reason)
			delete(now, name)
		}
	}
	for _, s := range now {
		b.tellService(offer{}, offer{after, s}, reason)
	}
}

// tellLess writes down for which services an instance takes no connects any more when one of its registrations is over. The others
// have been told of as they came.
func (b *Broker) tellLess(over *servicetable.Registration, others []*servicetable.Registration, reason string) {
	for i := range over.Services {
		old := offer{over, &over.Services[i]}
		if now := offerOf(others, old.service.Name); old.available() && !now.available() {
			b.tellService(old, now, reason)
		}
	}
}

// offerOf finds a service among registrations, one that takes connects if there is any.
func offerOf(all []*servicetable.Registration, name string) (found offer) {
	for _, r := range all {
		for i := range r.Services {
			if s := &r.Services[i]; !found.available() && strings.EqualFold(s.Name, name) {
				found = offer{r, s}
			}
		}
	}
	return found
}

// offer is a service at an instance; without a service it is none.
type offer struct {
	registration *servicetable.Registration
	service      *servicetable.Service
}

func (o offer) available() bool { return o.service != nil && available(o.registration, o.service) }

func (o offer) kept() []servicetable.Mark {
	if o.service == nil {
		return nil
	}
	return keepingAway(o.registration, o.service)
}

// tellService writes down what a change means for one service.
func (b *Broker) tellService(old, now offer, reason string) {
	r, name, status, cause := old.registration, "", "", ""
	if old.service != nil {
		name = old.service.Name
	}
	if now.service != nil {
		r, name, status = now.registration, now.service.Name, now.registration.Status(now.service).String()
		if marks := now.kept(); len(marks) > 0 {
			reason, cause = "USER", marks[0].Kind.String()+": "+marks[0].Cause
			if marks[0].Kind == servicetable.Quarantined && len(old.kept()) == 0 {
				b.noteService(r, journal.Event{Kind: journal.Quarantined, Service: name, Status: "down", Reason: "USER", Cause: marks[0].Cause})
			}
		} else if status != "READY" {
			cause = status
		}
	}
	switch {
	case now.available() && !old.available():
		b.noteService(r, journal.Event{Kind: journal.ServiceUp, Service: name, Status: "up", Cause: cause})
	case old.available() && !now.available():
		b.noteService(r, journal.Event{Kind: journal.ServiceDown, Service: name, Status: "down", Reason: reason, Cause: cause})
	case old.service != nil && now.service != nil && old.registration.Status(old.service).String() != status:
		b.noteService(r, journal.Event{Kind: journal.Status, Service: name, Cause: old.registration.Status(old.service).String() + " → " + status})
	}
}

// note writes down an event about the instance of r, which may be nil where none is known.
func (b *Broker) note(r *servicetable.Registration, e journal.Event) {
	if r != nil {
		e.Instance, e.Host, e.Database = r.Instance, r.Host, r.Database
		if e.EventType == "" {
			e.EventType = "INSTANCE"
		}
	}
	b.journal.Add(e)
}

// noteService writes down an event about a service of the instance of r.
func (b *Broker) noteService(r *servicetable.Registration, e journal.Event) {
	e.EventType = "SERVICEMEMBER"
	_, e.DBDomain, _ = strings.Cut(e.Service, ".")
	if e.Status == "up" {
		if entry, err := b.table.Snapshot().Service(e.Service); err == nil {
			e.Card = len(entry.Instances)
		}
	}
	b.note(r, e)
}

// moved writes down that a service changed its instance.
func (b *Broker) moved(m failover.Move) {
	instance, host, _ := strings.Cut(m.To, "@")
	b.journal.Add(journal.Event{
		Kind: journal.Moved, EventType: "SERVICEMEMBER", Status: "up", Reason: "USER", Service: m.Service, Instance: instance, Host: host, Database: m.Database,
		Cause:  "it left " + m.From,
		Detail: fmt.Sprintf("%s → %s, %v apart", m.From, m.To, m.CameAt.Sub(m.LeftAt).Abs().Round(time.Millisecond)),
	})
	b.log.Info("service moved", "service", m.Service, "from", m.From, "to", m.To)
}

// registrationRepeats tells whether a registrant was refused for the same a moment ago. Anyone may
// try, as often as he likes, and must not push what matters out of history and log.
func (b *Broker) registrationRepeats(e registration.Event) bool {
	cause, _, _ := strings.Cut(e.Cause, " (")
	_, again := b.limiting.repeats.Note("registration refused, "+cause+", for "+limits.SourceOf(e.Peer.Addr()).String(), func() any { return "" })
	return again
}

// registrationEvent writes down what the table does not tell.
func (b *Broker) registrationEvent(e registration.Event) {
	b.logRegistration(e)
	b.metrics.registrationHappened(&e)
	b.rejected.registering(&e)
	event := journal.Event{Cause: e.Cause, Detail: e.Peer.String()}
	switch e.Kind {
	case registration.Refused:
		if e.Repeated {
			return
		}
		event.Kind = journal.Rejected
	case registration.Undecodable:
		event.Kind = journal.Undecodable
	default:
		return
	}
	b.note(e.Registration, event)
}
