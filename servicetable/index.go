package servicetable

import (
	"slices"
	"sort"
)

// index finds registrations by name. It is immutable, and shared between snapshots as long as only numbers change.
type index struct {
	services names[*named]
	sids     names[[]int32] // slots by folded instance name, in order of registration
}

// named is what the index holds under one folded service name.
type named struct {
	members   []member // in order of registration
	qualified []string // for a name without domain: the folded registered names that begin with it and have one, sorted
}

// indexEdit is the next index in the making: the slots as they will be, and the change of one of them.
type indexEdit struct {
	slots    []*slot
	services *namesEdit[*named]
	domains  map[string]*domainChange // by short name
}

// domainChange collects which names with a domain come and go under one short name.
type domainChange struct{ come, gone []string }

// withSlot returns the index after the slot at position at changed from before to after, either of which may be nil. slots
// are those of the new snapshot.
func (x *index) withSlot(slots []*slot, at int32, before *slot) *index {
	e := indexEdit{slots: slots, services: x.services.edit(), domains: map[string]*domainChange{}}
	after := slots[at]
	old, current := before.servicesByName(), after.servicesByName()
	for name, m := range old {
		if n, stays := current[name]; !stays {
			e.change(name, at, nil)
		} else if n.service != m.service || !slices.Equal(n.handlers, m.handlers) {
			e.change(name, at, n)
		}
	}
	for name, n := range current {
		if _, known := old[name]; !known {
			e.change(name, at, n)
		}
	}
	e.settleDomains()
	return &index{services: e.services.next, sids: x.sidsWith(slots, at, before)}
}

func (s *slot) servicesByName() map[string]*member {
	if s == nil {
		return nil
	}
	byName := make(map[string]*member, len(s.links.services))
	for i := range s.links.services {
		byName[s.links.services[i].name] = &s.links.services[i].member
	}
	return byName
}

// change puts m in the place of the member that slot at has under name; nil takes that away.
func (e *indexEdit) change(name string, at int32, m *member) {
	var next named
	if before := e.services.next.get(name); before != nil {
		next = *before
	}
	had := len(next.members) > 0
	members := make([]member, 0, len(next.members)+1)
	for _, other := range next.members {
		if other.slot != at {
			members = append(members, other)
		}
	}
	if m != nil {
		order := e.slots[at].order
		i := sort.Search(len(members), func(i int) bool { return e.slots[members[i].slot].order > order })
		members = slices.Insert(members, i, *m)
	}
	next.members = members
	e.put(name, next)
	if has := len(members) > 0; has != had {
		e.noteDomain(name, has)
	}
}

func (e *indexEdit) put(name string, n named) {
	if len(n.members) == 0 && len(n.qualified) == 0 {
		e.services.remove(name)
		return
	}
	e.services.set(name, &n)
}

func (e *indexEdit) noteDomain(name string, comes bool) {
	short := name[:shortName(name)]
	if short == name {
		return
	}
	c := e.domains[short]
	if c == nil {
		c = &domainChange{}
		e.domains[short] = c
	}
	if comes {
		c.come = append(c.come, name)
	} else {
		c.gone = append(c.gone, name)
	}
}

// settleDomains enters all that noteDomain collected, each short name once.
func (e *indexEdit) settleDomains() {
	for short, c := range e.domains {
		var next named
		if before := e.services.next.get(short); before != nil {
			next = *before
		}
		slices.Sort(c.gone)
		qualified := make([]string, 0, len(next.qualified)+len(c.come))
		for _, name := range next.qualified {
			if _, gone := slices.BinarySearch(c.gone, name); !gone {
				qualified = append(qualified, name)
			}
		}
		qualified = append(qualified, c.come...)
		slices.Sort(qualified)
		next.qualified = qualified
		e.put(short, next)
	}
}

// sidsWith is withSlot for the SIDs.
func (x *index) sidsWith(slots []*slot, at int32, before *slot) names[[]int32] {
	was, is := "", ""
	if before != nil {
		was = before.links.instance
	}
	after := slots[at]
	if after != nil {
		is = after.links.instance
	}
	if was == is {
		return x.sids
	}
	e := x.sids.edit()
	if before != nil {
		left := slices.DeleteFunc(slices.Clone(e.next.get(was)), func(i int32) bool { return i == at })
		if len(left) > 0 {
			e.set(was, left)
		} else {
			e.remove(was)
		}
	}
	if after != nil {
		list := slices.Clone(e.next.get(is))
		i := sort.Search(len(list), func(i int) bool { return slots[list[i]].order > after.order })
		e.set(is, slices.Insert(list, i, at))
	}
	return e.next
}
