package relay

import (
	"strconv"
	"sync/atomic"
	"time"
)

// ruleHits counts what a rule had a part in. A rule keeps its count through changes of
// the list it stands in, as long as its own text stays.
type ruleHits struct {
	matched atomic.Uint64
	last    atomic.Int64 // nanoseconds since 1970; 0: never
}

func (h *ruleHits) count(now time.Time) {
	h.matched.Add(1)
	h.last.Store(now.UnixNano())
}

// RuleStatus is a rule in force, and what it did.
type RuleStatus struct {
	Name    string    // its number in the list, from 1
	Rule    *Rule     // not to be changed
	Matched uint64    // connects it decided for at least one candidate; for ACT=log those it matched
	Last    time.Time // of Matched; zero if there was none
}

// Status lists the rules in the order in which they are tried.
func (s *RuleSet) Status() []RuleStatus {
	if s == nil {
		return nil
	}
	all := make([]RuleStatus, len(s.rules))
	for i, h := range s.hits {
		all[i] = RuleStatus{Name: strconv.Itoa(i + 1), Rule: s.rules[i].rule, Matched: h.matched.Load()}
		if last := h.last.Load(); last != 0 {
			all[i].Last = time.Unix(0, last)
		}
	}
	return all
}

// ruleKey is by what a rule is known again after a reload: its text, where it stands, and
// the how manieth of that text it is.
type ruleKey struct {
	group, text string
	nth         int
}

// inheritHits takes over the counts of rules that were there before.
func (s *RuleSet) inheritHits(before *RuleSet) {
	known := map[ruleKey]*ruleHits{}
	if before != nil {
		before.eachKey(func(i int, key ruleKey) { known[key] = before.hits[i] })
	}
	s.hits = make([]*ruleHits, len(s.rules))
	s.eachKey(func(i int, key ruleKey) {
		if s.hits[i] = known[key]; s.hits[i] == nil {
			s.hits[i] = &ruleHits{}
		}
	})
}

func (s *RuleSet) eachKey(f func(int, ruleKey)) {
	times := map[ruleKey]int{}
	for i := range s.rules {
		key := ruleKey{group: s.rules[i].rule.Group, text: s.rules[i].rule.Text}
		times[key]++
		f(i, ruleKey{key.group, key.text, times[key]})
	}
}

// countRules counts the rules that had a part in d, once however often it is tried.
func (d *dialogue) countRules(part []*ruleHits) {
	if d.conn == nil { // only thought through
		return
	}
	for _, h := range part {
		known := false
		for _, counted := range d.counted {
			known = known || counted == h
		}
		if !known {
			d.counted = append(d.counted, h)
			h.count(time.Now())
		}
	}
}
