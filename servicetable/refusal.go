package servicetable

import (
	"errors"
	"fmt"
	"strings"
)

// Why nothing matches a query. The error returned names the offender and wraps one of these.
var (
	ErrUnknownService      = errors.New("unknown service")
	ErrUnknownSID          = errors.New("unknown SID")
	ErrUnknownInstance     = errors.New("unknown instance")
	ErrBlocked             = errors.New("all instances are blocking new connections")
	ErrRestricted          = errors.New("all instances are in restricted mode")
	ErrRestrictedOrBlocked = errors.New("all instances are restricted or blocking new connections")
	ErrNoHandlerOfKind     = errors.New("no handler of the requested server type")
	ErrNoHandler           = errors.New("no handler")

	// ErrHeld is the ErrBlocked of a query that would be served but for marks of kind Holding.
	ErrHeld = fmt.Errorf("%w: connects are held", ErrBlocked)
)

// refusal explains why none of members, which are there, serves q.
func (s *Snapshot) refusal(q Query, members []member) error {
	c := s.census(q, members)
	asked := "service " + quoted(q.Service)
	if q.Service == "" {
		asked = "SID " + quoted(q.SID)
	}
	if c.why != "" {
		asked += ", " + c.why
	}
	if c.held != "" && s.servedIfReleased(q, members) {
		return fmt.Errorf("%w: service %s, %s; release that hold", ErrHeld, quoted(q.asksFor()), c.held)
	}
	const wait = "wait until one is open, or connect as administrator with UR=A"
	switch {
	case c.named == 0:
		return fmt.Errorf("%w %s: it does not offer %s; leave INSTANCE_NAME out or name one that does", ErrUnknownInstance, quoted(q.Instance), asked)
	case c.open == 0 && c.restricted > 0 && c.blocked+c.marked > 0:
		return fmt.Errorf("%w: %s; %s", ErrRestrictedOrBlocked, asked, wait)
	case c.open == 0 && c.restricted > 0:
		return fmt.Errorf("%w: %s; end the restricted mode, or connect as administrator with UR=A", ErrRestricted, asked)
	case c.open == 0 && c.blocked > 0:
		return fmt.Errorf("%w: %s; %s", ErrBlocked, asked, wait)
	case c.open == 0:
		return fmt.Errorf("%w: %s; take that mark off, or start another instance", ErrBlocked, asked)
	case c.handlers > 0:
		return fmt.Errorf("%w: %s has none for SERVER=%s; ask for another SERVER or start such a handler", ErrNoHandlerOfKind, asked, quoted(q.Server))
	}
	return fmt.Errorf("%w: %s is registered, but no handler with a usable address serves it; check LOCAL_LISTENER on the database", ErrNoHandler, asked)
}

// asksFor returns the service or SID that q names.
func (q *Query) asksFor() string {
	if q.Service == "" {
		return q.SID
	}
	return q.Service
}

// servedIfReleased reports whether q, which nothing matches, would match something if no mark held connects.
func (s *Snapshot) servedIfReleased(q Query, members []member) bool {
	g := gathering{slots: s.slots, members: members, instance: q.Instance, ignoreStatus: q.IgnoreStatus, unusable: stateUnfit}
	g.gather(kindsFor(q.Server))
	return len(g.found) > 0
}

// census counts the instances of a query by what keeps them from serving it.
type census struct {
	named                       int // instances of the name asked for; each is one of the following four
	blocked, restricted, marked int
	open                        int
	handlers                    int    // handlers of open instances that take connects, of any kind
	why                         string // the first mark that keeps connects away, for people
	held                        string // the first of kind Holding
}

func (s *Snapshot) census(q Query, members []member) census {
	var c census
	for i := range members {
		m := &members[i]
		slot := s.slots[m.slot]
		if q.Instance != "" && !sameName(q.Instance, slot.registration.Instance) {
			continue
		}
		c.named++
		status := Ready
		if m.service >= 0 && !q.IgnoreStatus {
			status = slot.services[m.service].status()
		}
		switch status {
		case Blocked:
			c.blocked++
			continue
		case Restricted:
			c.restricted++
			continue
		}
		usable, marked := s.usable(m, &c)
		if usable == 0 && marked {
			c.marked++
		} else {
			c.open++
		}
		c.handlers += usable
	}
	return c
}

// usable counts the handlers of m that take connects, tells whether a mark keeps connects from others, and notes in c which.
func (s *Snapshot) usable(m *member, c *census) (n int, marked bool) {
	slot := s.slots[m.slot]
	for _, at := range m.handlers {
		if m.service < 0 {
			break
		}
		state := slot.states[at] | slot.services[m.service].marks()
		if state&stateUnusable == 0 {
			n++
		}
		if state&(stateMarked|stateHeld) == 0 || state&stateNoAddress != 0 {
			continue
		}
		marked = true
		s.eachMark(slot, m.service, at, func(on carried) bool {
			if c.why == "" && on.excludes() {
				c.why = on.phrase(on.subject)
			}
			if c.held == "" && on.Kind == Holding {
				c.held = on.phrase(on.subject)
			}
			return c.why == "" || c.held == ""
		})
	}
	return n, marked
}

func unknownService(name string) error {
	return fmt.Errorf("%w %s: no database has registered it; compare with the services listed, and check REMOTE_LISTENER on the database", ErrUnknownService, quoted(name))
}

func unknownSID(sid string) error {
	return fmt.Errorf("%w %s: no instance of that name has registered; compare with the instances listed, or ask by SERVICE_NAME", ErrUnknownSID, quoted(sid))
}

// ambiguous names some of the services that a name without domain could mean.
func ambiguous(name string, s *Snapshot, qualified []string) error {
	const enough = 4
	var list []string
	for _, folded := range qualified {
		if len(list) == enough {
			list = append(list, "…")
			break
		}
		m := s.index.services.get(folded).members[0]
		list = append(list, quoted(s.slots[m.slot].registration.Services[m.service].Name))
	}
	return fmt.Errorf("%w %s: the name is ambiguous, it could be %s; ask for one of these", ErrUnknownService, quoted(name), strings.Join(list, " or "))
}

// quoted makes a client's word fit for a message: printable, and not longer than a name is likely to be.
func quoted(word string) string {
	const enough = 128
	if len(word) > enough {
		return fmt.Sprintf("%.*q…", enough, word)
	}
	return fmt.Sprintf("%q", word)
}
