package peers

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Difference is one thing in which two tables differ.
type Difference struct {
	Instance string   // key, as it is compared
	Services []string // the first few of them; none: the whole instance
	Count    int      // of the services
	Here     string   // state; "" : not registered
	There    string   // likewise
	Cause    string   // for people: what that means, and what to look at
}

// Bounds of what is told of differences.
const (
	mostDifferences = 40
	mostNamed       = 4
)

// lateLoad is by how much one broker's figures of an instance are older than another's before that is worth a word: databases
// report at least once a minute (peers.md 2.4).
const lateLoad = 3 * time.Minute

// compare tells in what two tables differ, and in how many things. Both lists are sorted by key.
func compare(here, there []Row) (all []Difference, count int) {
	add := func(d Difference) {
		if count++; len(all) < mostDifferences {
			all = append(all, d)
		}
	}
	for len(here)+len(there) > 0 {
		switch {
		case len(there) == 0 || len(here) > 0 && here[0].Key < there[0].Key:
			add(missing(&here[0], true))
			here = here[1:]
		case len(here) == 0 || there[0].Key < here[0].Key:
			add(missing(&there[0], false))
			there = there[1:]
		default:
			for _, d := range compareRows(&here[0], &there[0]) {
				add(d)
			}
			here, there = here[1:], there[1:]
		}
	}
	return all, count
}

// missing tells of an instance that only one of the two has.
func missing(r *Row, there bool) Difference {
	state := strings.Join(sortedStates(r), ", ")
	if there {
		return Difference{Instance: r.Key, Here: state, Cause: "the database is not registered there: see whether its REMOTE_LISTENER names that broker, whether REGISTRATION_INVITED_NODES there names its host, and whether the two can reach each other"}
	}
	return Difference{Instance: r.Key, There: state, Cause: "the database is not registered here: see whether its REMOTE_LISTENER names this broker, whether REGISTRATION_INVITED_NODES here names its host, and whether the two can reach each other"}
}

func sortedStates(r *Row) []string {
	var states []string
	for s := range r.Offers {
		states = append(states, s)
	}
	slices.Sort(states)
	return states
}

// compareRows tells in what an instance differs that both have: services alike in one, by load at last.
func compareRows(here, there *Row) []Difference {
	type states struct{ here, there string }
	is, was := statesOf(here), statesOf(there)
	differing := map[states][]string{}
	for name, state := range is {
		if was[name] != state {
			differing[states{state, was[name]}] = append(differing[states{state, was[name]}], name)
		}
	}
	for name, state := range was {
		if _, known := is[name]; !known {
			differing[states{"", state}] = append(differing[states{"", state}], name)
		}
	}
	var all []Difference
	for s, names := range differing {
		slices.Sort(names)
		d := Difference{
			Instance: here.Key, Services: names[:min(len(names), mostNamed)], Count: len(names), Here: s.here, There: s.there, Cause: meaning(s.here, s.there),
		}
		switch {
		case here.Stored && status(s.here) == stale:
			d.Cause = "known from disk here since the start, not registered again yet: databases come back within about a minute"
		case there.Stored && status(s.there) == stale:
			d.Cause = "known from disk there since that broker's start, not registered again yet: databases come back within about a minute"
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Difference) int { return strings.Compare(a.Here+"\x00"+a.There, b.Here+"\x00"+b.There) })
	if d := lag(here, there); d != nil {
		all = append(all, *d)
	}
	return all
}

func statesOf(r *Row) map[string]string {
	all := map[string]string{}
	for _, state := range sortedStates(r) {
		for _, name := range r.Offers[state] {
			all[name] = state
		}
	}
	return all
}

// stale is the status of what is kept of an instance that is not registered.
const stale = "STALE"

// status is a state without what keeps clients from it.
func status(state string) string {
	word, _, _ := strings.Cut(state, " ")
	return word
}

// meaning words a difference of states.
func meaning(here, there string) string {
	switch {
	case there == "":
		return "the database does not offer it there, or has not said so yet"
	case here == "":
		return "the database does not offer it here, or has not said so yet"
	case strings.Contains(here+there, "quarantined"):
		return "it is quarantined at one of them: compare REGISTRANT, and what was approved"
	case status(here) == stale || status(there) == stale:
		return "one of them has lost the registration"
	case status(here) != status(there):
		return "the database's last word to one of them did not come to the other"
	case strings.Contains(here+there, "ejected"):
		return "one of them cannot reach it"
	}
	return "marks differ: what an operator wants was told to one of them alone"
}

// lag tells of figures that are much older at one broker.
func lag(here, there *Row) *Difference {
	if here.LoadAge == nil || there.LoadAge == nil {
		return nil
	}
	is, was := time.Duration(*here.LoadAge)*time.Millisecond, time.Duration(*there.LoadAge)*time.Millisecond
	if (is - was).Abs() < lateLoad {
		return nil
	}
	return &Difference{
		Instance: here.Key, Here: "load " + is.Round(time.Second).String() + " old", There: "load " + was.Round(time.Second).String() + " old",
		Cause: "older load: its reports do not come to one of them",
	}
}

// String tells of a difference in one line.
func (d Difference) String() string {
	what := d.Instance
	if len(d.Services) > 0 {
		what += " " + strings.Join(d.Services, ", ")
		if more := d.Count - len(d.Services); more > 0 {
			what += fmt.Sprintf(" and %d more", more)
		}
	}
	side := func(state string) string {
		if state == "" {
			return "absent"
		}
		return state
	}
	return what + ": " + side(d.Here) + " here, " + side(d.There) + " there: " + d.Cause
}

// differingSettings names the settings in which two brokers differ.
func differingSettings(here, there map[string]string) []string {
	var names []string
	for name, is := range here {
		if there[name] != is {
			names = append(names, name)
		}
	}
	for name := range there {
		if _, known := here[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
