package journal

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Longest texts of an event, in bytes: names come from whoever registers.
const (
	maxName   = 256
	maxDetail = 1024
)

// Add keeps an event and returns it as kept: with its ID, the time of now where it has none, and overlong texts cut. While
// events wait, its ID is 0.
func (j *Journal) Add(e Event) Event {
	e, kept := j.add(e)
	if kept && j.Added != nil {
		j.Added(e)
	}
	return e
}

func (j *Journal) add(e Event) (_ Event, kept bool) {
	if e.Time.IsZero() {
		e.Time = j.now()
	}
	e.cut()
	j.events.mu.Lock()
	defer j.events.mu.Unlock()
	if j.hold(e) {
		return e, false
	}
	return j.keep(e), true
}

// keep gives an event its ID; callers hold the lock of events.
func (j *Journal) keep(e Event) Event {
	j.startEvents()
	e.ID = j.events.next
	j.put(e)
	j.tell()
	return e
}

// put makes room for the next event; callers hold the lock of events.
func (j *Journal) put(e Event) {
	size := e.cut()
	limit := orElse(j.MaxEventBytes, 32<<20)
	if j.events.full() {
		j.dropEvent()
	}
	for j.bytes+size > limit && j.events.first < j.events.next {
		j.dropEvent()
	}
	j.events.push(e)
	j.bytes += size
}

// tell wakes those who wait for events; callers hold their lock.
func (j *Journal) tell() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

func (j *Journal) startEvents() {
	if !j.events.started() {
		j.events.start(orElse(j.MaxEvents, 100_000), max(j.FirstID, 1))
	}
}

func (j *Journal) dropEvent() {
	oldest := j.events.drop()
	j.bytes -= oldest.size()
}

// Changed returns a channel that is closed when the next event is added. Who follows the journal takes it first, then
// reads Events, and waits only if there were none:
//
//	for {
//		changed := j.Changed()
//		for _, e := range j.Events(journal.Filter{Since: last}) {
//			last = e.ID
//			…
//		}
//		<-changed // or the context
//	}
func (j *Journal) Changed() <-chan struct{} {
	j.events.mu.Lock()
	defer j.events.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed
}

// Last returns the ID of the newest event; before the first one, the ID before its.
func (j *Journal) Last() uint64 {
	j.events.mu.Lock()
	defer j.events.mu.Unlock()
	j.startEvents()
	return j.events.next - 1
}

// Filter says which events are wanted: those that fit every field that is set.
type Filter struct {
	Since     uint64            // later than the event of this ID. One that was not given out yet means another life of the broker: all events are later
	SinceTime time.Time         // not before this
	Kinds     []Kind            // one of these
	Service   string            // any case, with or without its domain; * stands for any text
	Instance  string            // "sales1" or "sales1@db1", any case; * stands for any text
	Only      func(*Event) bool // if set, those for which it is true; it must not ask the journal
	Limit     int               // at most so many: the first ones where Since is given, so that one can read on; else the newest. 0: all
}

// Events returns copies of the events that fit, oldest first. A first ID greater than Since+1 tells that some were lost
// to age, or did not fit.
func (j *Journal) Events(f Filter) []Event {
	limit := orElse(f.Limit, math.MaxInt)
	var found []Event
	visit := func(e *Event) bool {
		if f.fits(e) {
			found = append(found, *e)
		}
		return len(found) < limit
	}
	switch {
	case f.Since == 0:
		j.events.backward(visit)
		slices.Reverse(found)
	case f.Since > j.Last():
		j.events.forward(0, visit)
	default:
		j.events.forward(f.Since+1, visit)
	}
	return found
}

func (f *Filter) fits(e *Event) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind) || e.Time.Before(f.SinceTime) {
		return false
	}
	return (f.Service == "" || serviceFits(f.Service, e.Service)) && (f.Instance == "" || instanceFits(f.Instance, e)) &&
		(f.Only == nil || f.Only(e))
}

func instanceFits(pattern string, e *Event) bool {
	name, host, qualified := strings.Cut(pattern, "@")
	return fits(name, e.Instance) && (!qualified || fits(host, e.Host))
}

// texts are those whose length others choose, with their longest size.
func (e *Event) texts() [10]bounded {
	return [...]bounded{
		{&e.Service, maxName}, {&e.Instance, maxName}, {&e.Database, maxName}, {&e.Host, maxName}, {&e.DBDomain, maxName},
		{&e.Cause, maxDetail}, {&e.Detail, maxDetail}, {&e.EventType, maxName}, {&e.Status, maxName}, {&e.Reason, maxName},
	}
}

// cut shortens what is too long and returns size.
func (e *Event) cut() int {
	for _, t := range e.texts() {
		t.cut()
	}
	return e.size()
}

// size is the length of all texts.
func (e *Event) size() int {
	return len(e.Service) + len(e.Instance) + len(e.Database) + len(e.Host) + len(e.DBDomain) + len(e.Cause) + len(e.Detail) +
		len(e.EventType) + len(e.Status) + len(e.Reason)
}
