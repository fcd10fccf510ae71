package servicetable

import "slices"

// slot is one registration in the table, with what Match needs of it ready made. Slots are immutable and shared between snapshots.
type slot struct {
	// What Match reads of every member stands first and is small: its speed is that of the processor's cache.
	services []serviceState // of each service
	states   []handlerState // of each handler

	registration Registration
	order        uint64 // counts registrations in the order in which they first appeared
	key          string // folded Registration.Key
	links        *links // shared with the slot before it where only numbers changed
	sid          member // stands for the whole instance when it is asked for by SID
	marks        *slotMarks
}

// links is the structure of a registration: which names it has and which handlers serve them.
type links struct {
	instance string // folded
	services []linkedName

	sidHandlers []int32 // those that take ordinary connects
	sidService  int32   // the service of the instance's own name, -1 if it has none
}

// linkedName is one service of a registration as the index knows it.
type linkedName struct {
	name string // folded
	member
}

// member is one registration's part in a service: positions in the slot list, its Services and its Handlers.
type member struct {
	slot     int32
	service  int32
	handlers []int32
}

// newSlot copies r to stand at position at. Where before, the slot it replaces, has the same structure, that is shared.
func newSlot(r *Registration, at int32, before *slot, ascending []int32) *slot {
	s := &slot{registration: *r}
	c := &s.registration
	c.Marks = slices.Clone(r.Marks)
	c.Services = slices.Clone(r.Services)
	c.Endpoints = slices.Clone(r.Endpoints)
	c.Handlers = slices.Clone(r.Handlers)
	same := before != nil && sameStructure(&before.registration, r)
	for i := range c.Handlers {
		if same {
			c.Handlers[i].Services = before.registration.Handlers[i].Services
		} else {
			c.Handlers[i].Services = slices.Clone(r.Handlers[i].Services)
		}
	}
	if same {
		s.links = before.links
	} else {
		s.links = newLinks(c, at, ascending)
	}
	s.key = fold(c.Key())
	s.services = make([]serviceState, len(c.Services))
	for i := range c.Services {
		svc := &c.Services[i]
		if len(svc.Marks) > 0 {
			svc.Marks = slices.Clone(svc.Marks)
		}
		s.services[i] = newServiceState(c.Status(svc), svc.Marks)
	}
	s.sid = s.sidMember(at)
	return s
}

// mark gives s, which is not published yet, the marks of its instance and handlers.
func (s *slot) mark(m *slotMarks) {
	s.marks = m
	s.states = make([]handlerState, len(s.registration.Handlers))
	for i := range s.states {
		s.states[i] = newHandlerState(&s.registration, &s.registration.Handlers[i], m.on(i))
	}
}

// sameStructure reports whether a and b differ in nothing that the index holds.
func sameStructure(a, b *Registration) bool {
	if a.Instance != b.Instance || len(a.Services) != len(b.Services) || len(a.Handlers) != len(b.Handlers) {
		return false
	}
	for i := range a.Services {
		if a.Services[i].Name != b.Services[i].Name || (a.Services[i].Flags^b.Services[i].Flags)&FlagDispatchersOnly != 0 {
			return false
		}
	}
	for i := range a.Handlers {
		if !slices.Equal(a.Handlers[i].Services, b.Handlers[i].Services) {
			return false
		}
	}
	return true
}

// newLinks links services and handlers by name. A name that occurs more than once in r counts as its first occurrence,
// served by the handlers of all; positions out of range link nothing. Lists of handlers are taken from ascending, 0, 1,
// 2 …, where they can be: one list for nearly all services stays in the processor's cache.
func newLinks(r *Registration, at int32, ascending []int32) *links {
	l := &links{instance: fold(r.Instance), services: make([]linkedName, 0, len(r.Services))}
	position := l.addServices(r, at)
	for h := range r.Handlers {
		for _, i := range r.Handlers[h].Services {
			if i < 0 || i >= len(position) || position[i] < 0 {
				continue
			}
			m := &l.services[position[i]].member
			switch n := len(m.handlers); {
			case n == 0:
				m.handlers = ascending[h : h+1 : h+1]
			case m.handlers[n-1] == int32(h): // named twice
			case int(m.handlers[0])+n == h:
				m.handlers = ascending[h-n : h+1 : h+1]
			default: // a gap: append copies, since the list ends at its capacity
				m.handlers = append(m.handlers, int32(h))
			}
		}
	}
	l.linkSID(r)
	return l
}

// addServices fills l.services and returns where in it each service of r stands, -1 for one without a name.
func (l *links) addServices(r *Registration, at int32) []int32 {
	first := make(map[string]int32, len(r.Services))
	position := make([]int32, len(r.Services))
	for i := range r.Services {
		name := fold(r.Services[i].Name)
		p, seen := first[name]
		switch {
		case name == "":
			p = -1
		case !seen:
			p = int32(len(l.services))
			first[name] = p
			l.services = append(l.services, linkedName{name: name, member: member{slot: at, service: int32(i)}})
		}
		position[i] = p
	}
	return position
}

// linkSID finds what of the structure answers for the instance when it is asked for by SID: the handlers that take
// ordinary connects, and the service of the instance's own name.
func (l *links) linkSID(r *Registration) {
	ordinary := func(i int) bool {
		return i >= 0 && i < len(r.Services) && r.Services[i].Flags&FlagDispatchersOnly == 0
	}
	for h := range r.Handlers {
		if slices.ContainsFunc(r.Handlers[h].Services, ordinary) {
			l.sidHandlers = append(l.sidHandlers, int32(h))
		}
	}
	l.sidService = -1
	for i := range l.services {
		name, at := l.services[i].name, l.services[i].service
		if ordinary(int(at)) && name[:shortName(name)] == l.instance {
			l.sidService = at
			return
		}
	}
}

// sidMember picks the service whose status the instance has when it is asked for by SID: the one of its own name, else
// the last that takes connects and carries no mark, else the last (an instance registers its database's own service last, nsgr.md 4.1).
func (s *slot) sidMember(at int32) member {
	m := member{slot: at, service: s.links.sidService, handlers: s.links.sidHandlers}
	if m.service >= 0 {
		return m
	}
	r := &s.registration
	for i := len(r.Services) - 1; i >= 0; i-- {
		if r.Services[i].Flags&FlagDispatchersOnly != 0 {
			continue
		}
		if m.service < 0 {
			m.service = int32(i)
		}
		if s.services[i] == serviceState(Ready) {
			m.service = int32(i)
			break
		}
	}
	return m
}
