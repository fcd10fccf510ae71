package loadbalance

import (
	"fmt"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// Policy is a way to choose between candidates.
type Policy uint8

// The policies. In all of them tiers come before scores, and the capacity of an instance is its registered maximum
// times its weight times the part that slow start allows.
const (
	PolicyUnset Policy = iota // whatever applies one level up; Adaptive if nothing does
	Adaptive                  // least load per capacity: the report interpreted by its age, and own connects counted on top
	Goodness                  // what an Oracle listener does, features.md 1.3
	Sessions                  // least sessions per capacity: the last report and own connects since
	RoundRobin                // in turn, by capacity
	Random                    // drawn, by capacity
)

// policyWords are the words of the configuration, by Policy.
const policyWords = "adaptive goodness sessions roundrobin random"

// ParsePolicy returns the policy that a word of the configuration means, in any case.
func ParsePolicy(word string) (Policy, error) {
	for i, known := range strings.Fields(policyWords) {
		if strings.EqualFold(word, known) {
			return Policy(i + 1), nil
		}
	}
	return PolicyUnset, fmt.Errorf("%q is no policy; use one of %s", word, strings.ReplaceAll(policyWords, " ", ", "))
}

// String returns the word of the configuration, "" for PolicyUnset.
func (p Policy) String() string {
	if words := strings.Fields(policyWords); p > PolicyUnset && int(p) <= len(words) {
		return words[p-1]
	}
	return ""
}

// Ask is one connect for which candidates are to be ordered.
type Ask struct {
	Query    servicetable.Query
	Policy   Policy // unset: that of the Settings
	Redirect bool   // the client will be sent there, so that the end of its session is not seen
	Tiers    *Tiers // which instances of the service are preferred to which; nil: as registered
}

// Settings are what an operator may set. The zero value is the default.
type Settings struct {
	Policy      Policy        // unset: Adaptive
	Brokers     int           // brokers that share the load, this one included; below 1: 1
	SlowStart   time.Duration // how long a new or recovered instance takes to reach its capacity; 0: 60 s; below 0: no time
	Zone        string        // where this broker stands: candidates of the same zone come first; "": zones do not matter
	ConnectTime time.Duration // how long a redirected client takes until a report can contain it; 0: 200 ms; below 0: no time

	// ReportInterval is how often an instance is thought to report as long as too few reports have come to tell; 0: 60 s.
	// A report older than three intervals is not used.
	ReportInterval time.Duration

	// PreferNodeLoadOff makes the policy Goodness disregard the load of machines, as PREFER_LEAST_LOADED_NODE=OFF does.
	PreferNodeLoadOff bool
}

func (s *Settings) policy(a *Ask) Policy {
	switch {
	case a.Policy != PolicyUnset:
		return a.Policy
	case s.Policy != PolicyUnset:
		return s.Policy
	}
	return Adaptive
}

// brokers is the factor by which own connects are multiplied to stand for those of all brokers.
func (s *Settings) brokers() float64 { return float64(max(s.Brokers, 1)) }

func (s *Settings) slowStart() time.Duration      { return orDefault(s.SlowStart, time.Minute) }
func (s *Settings) connectTime() time.Duration    { return orDefault(s.ConnectTime, 200*time.Millisecond) }
func (s *Settings) reportInterval() time.Duration { return orDefault(s.ReportInterval, time.Minute) }

// orDefault reads a setting of which 0 means d and what is below 0 means none.
func orDefault(set, d time.Duration) time.Duration {
	if set == 0 {
		return d
	}
	return max(set, 0)
}
