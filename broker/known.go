package broker

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"servicebroker/servicetable"
)

// registrations are those in the table, as they are there, found by their IDs and by the instances that they are of. The zero
// value has none.
type registrations struct {
	byID    map[servicetable.ID]*servicetable.Registration
	byKey   map[string][]servicetable.ID // by instance, in small letters
	offered map[string]int               // how many offer what clients can ask for, by its name as offers has it
}

// get returns nil if there is none of that ID.
func (k *registrations) get(id servicetable.ID) *servicetable.Registration { return k.byID[id] }

// all are in no order.
func (k *registrations) all() iter.Seq[*servicetable.Registration] { return maps.Values(k.byID) }

// of are those of an instance. Any of them may be removed meanwhile.
func (k *registrations) of(key string) (all []*servicetable.Registration) {
	for _, id := range k.byKey[strings.ToLower(key)] {
		all = append(all, k.byID[id])
	}
	return all
}

// put enters r in place of what had its ID.
func (k *registrations) put(r *servicetable.Registration) {
	if k.byID == nil {
		k.byID, k.byKey, k.offered = map[servicetable.ID]*servicetable.Registration{}, map[string][]servicetable.ID{}, map[string]int{}
	}
	if before := k.byID[r.ID]; before == nil || before.Key() != r.Key() {
		k.remove(r.ID)
		key := strings.ToLower(r.Key())
		k.byKey[key] = append(k.byKey[key], r.ID)
	} else {
		k.count(before, -1)
	}
	k.count(r, +1)
	k.byID[r.ID] = r
}

// remove takes out what has that ID.
func (k *registrations) remove(id servicetable.ID) {
	r := k.byID[id]
	if r == nil {
		return
	}
	k.count(r, -1)
	delete(k.byID, id)
	key := strings.ToLower(r.Key())
	if k.byKey[key] = slices.DeleteFunc(k.byKey[key], func(one servicetable.ID) bool { return one == id }); len(k.byKey[key]) == 0 {
		delete(k.byKey, key)
	}
}

// count enters what r offers, or takes that out.
func (k *registrations) count(r *servicetable.Registration, by int) {
	for name := range offers(r) {
		if k.offered[name] += by; k.offered[name] == 0 {
			delete(k.offered, name)
		}
	}
}

// unoffered returns those of the names that nobody offers, by whatever registration.
func (k *registrations) unoffered(names []string) (none []string) {
	for _, name := range names {
		if k.offered[name] == 0 {
			none = append(none, name)
		}
	}
	return none
}
