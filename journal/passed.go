package journal

import (
	"math"
	"slices"

	"servicebroker/moment"
)

// Passed is what another process needs to go on with a journal.
type Passed struct {
	Last   uint64  `json:"last"`   // ID of the newest event that was kept
	Events []Event `json:"events"` // the newest ones, oldest first, numbered without gaps
}

// waiting are events that are not kept yet.
type waiting struct {
	on     bool // all that are added wait
	events []Event
}

// Wait lets events that are added from now on wait, without an ID, so that nobody sees them: for [Journal.GoOn], [Journal.Resume]
// or [Journal.Waited].
func (j *Journal) Wait() {
	j.events.mu.Lock()
	defer j.events.mu.Unlock()
	j.wait.on = true
}

// Pass returns the newest events, at most so many with so many bytes of text, and lets later ones wait.
func (j *Journal) Pass(most, bytes int) Passed {
	j.Wait()
	p := Passed{Last: j.Last(), Events: j.Events(Filter{Limit: max(most, 1)})}
	for i, e := range slices.Backward(p.Events) {
		if bytes -= e.size(); bytes < 0 {
			p.Events = p.Events[i+1:]
			break
		}
	}
	return p
}

// GoOn begins with what another process has passed on: that is where the events that wait here find their place. It does
// nothing in a journal that has events.
func (j *Journal) GoOn(p Passed) {
	next := p.Last + 1
	if n := uint64(len(p.Events)); p.Last == 0 || p.Last > math.MaxInt64 || n > p.Last || !inOrder(p.Events, p.Last) {
		p.Events, next = nil, max(j.FirstID, 1)
	}
	j.events.mu.Lock()
	if !j.events.started() {
		size := orElse(j.MaxEvents, 100_000)
		p.Events = p.Events[max(len(p.Events)-size, 0):]
		j.events.start(size, next-uint64(len(p.Events)))
		for _, e := range p.Events {
			if moment.InUTC("time", &e.Time) != nil {
				e.Time = j.now() // with one that cannot be told it could not be shown, nor those beside it
			}
			j.put(e)
		}
	}
	j.events.mu.Unlock()
	j.Resume()
}

// inOrder tells whether the IDs of events end with the last one, without gaps.
func inOrder(all []Event, last uint64) bool {
	for i := range all {
		if all[i].ID != last-uint64(len(all)-1-i) {
			return false
		}
	}
	return true
}

// Resume keeps events again, those that wait first.
func (j *Journal) Resume() {
	j.events.mu.Lock()
	all := j.wait.events
	j.wait = waiting{}
	for i := range all {
		all[i] = j.keep(all[i])
	}
	j.events.mu.Unlock()
	if j.Added == nil {
		return
	}
	for _, e := range all {
		j.Added(e)
	}
}

// Waited takes out the events that wait, which somebody else keeps. [Journal.Changed] tells of those that come later.
func (j *Journal) Waited() []Event {
	j.events.mu.Lock()
	defer j.events.mu.Unlock()
	all := j.wait.events
	j.wait.events = nil
	return all
}

// hold lets an event wait, if events do; callers hold the lock of events.
func (j *Journal) hold(e Event) bool {
	if !j.wait.on {
		return false
	}
	if most := orElse(j.MaxEvents, 100_000); len(j.wait.events) >= most {
		j.wait.events = slices.Delete(j.wait.events, 0, most/10+1)
	}
	j.wait.events = append(j.wait.events, e)
	j.tell()
	return true
}
