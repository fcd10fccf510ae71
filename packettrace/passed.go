package packettrace

import (
	"slices"
	"time"
)

// Passed is what another process needs to go on with the traces of this one.
type Passed struct {
	Last   uint64 // of the numbers that were given
	Traces []Status
}

// Pass returns what there is to go on with. Traces go on here as well, for the sessions that stay, and write to the same files.
func (t *Traces) Pass() Passed {
	all := t.List()
	t.mu.Lock()
	defer t.mu.Unlock()
	return Passed{Last: t.last, Traces: all}
}

// Leave says why traces end when Run does: somebody goes on with them.
func (t *Traces) Leave(why string) { t.left.Store(&why) }

// GoOn goes on with what another process has passed on, and is called before anything else has begun. What is no more to be
// gone on with is left.
func (t *Traces) GoOn(p Passed) {
	now, files := time.Now(), t.Files()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = max(t.last, p.Last)
	for _, s := range p.Traces {
		t.last = max(t.last, s.ID)
		switch {
		case s.Ended != "":
			t.past = append(t.past, s)
		case s.File == "" || s.Order.Clients.IsValid() == (s.Order.Session != 0) || len(t.all()) >= MaxActive:
		case slices.ContainsFunc(t.all(), func(one *trace) bool { return one.ID == s.ID }):
		case s.Until.After(now):
			if longest := now.Add(MaxFor); s.Until.After(longest) {
				s.Until = longest
			}
			s.Bytes = max(s.Bytes, 1) // its title is there
			t.begin(s, files)
		}
	}
	t.past = t.past[max(len(t.past)-maxPast, 0):]
}
