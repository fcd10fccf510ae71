// Package intent holds what operators want of instances and services: drain, weight, hold, maintenance, and whom they
// trust. Values and their store; it carries nothing out.
package intent

import (
	"strconv"
	"strings"
	"time"
)

// Kind is what an operator wants.
type Kind string

// The kinds of intent.
const (
	Drain       Kind = "drain"       // no new connects; sessions may end by themselves, or are ended at the deadline
	Weight      Kind = "weight"      // use so many per cent of its capacity
	Hold        Kind = "hold"        // connects wait until released
	Maintenance Kind = "maintenance" // no new connects, and no probes
	Approve     Kind = "approve"     // a quarantined registration may be used
	Reject      Kind = "reject"      // a quarantined registration may not be used, and is not asked about again
)

// Target says what an intent is about: everything that fits all fields that are not empty. At least one is given. Names
// are compared without regard to case, and * stands for any text in each of them.
type Target struct {
	Database string `json:"database,omitempty"` // name of a REGISTRANT group
	Service  string `json:"service,omitempty"`  // without a domain: in any
	Instance string `json:"instance,omitempty"` // "sales1" or "sales1@db1"
	Node     string `json:"node,omitempty"`     // host, as registered
	Network  string `json:"network,omitempty"`  // clients from here, "192.0.2.0/24"

	Quarantine string `json:"quarantine,omitempty"` // ID of a quarantined registration: for approve and reject, and only for them
}

// Intent is one wish of an operator.
type Intent struct {
	ID          string    `json:"id"`
	Kind        Kind      `json:"kind"`
	Target      Target    `json:"target"`
	Value       uint32    `json:"value"` // of a weight: per cent
	Created     time.Time `json:"created"`
	Deadline    time.Time `json:"deadline,omitzero"`      // of a drain: when its sessions have to be over; of others: when it ends by itself
	EndSessions bool      `json:"end_sessions,omitempty"` // end those that are left at the deadline
	Reason      string    `json:"reason,omitempty"`
	Source      string    `json:"source,omitempty"` // who, and by what
}

// Due reports whether the deadline of i is reached. Intents without one never are.
func (i Intent) Due(now time.Time) bool { return !i.Deadline.IsZero() && !i.Deadline.After(now) }

// Ends reports whether i ends by itself at its deadline, as all do but drains: what was drained stays so until an
// operator says otherwise.
func (i Intent) Ends() bool { return i.Kind != Drain && !i.Deadline.IsZero() }

// String returns i in one line, for logs.
func (i Intent) String() string {
	var b strings.Builder
	b.WriteString(i.ID + " " + string(i.Kind))
	if i.Kind == Weight {
		b.WriteString(" " + strconv.FormatUint(uint64(i.Value), 10))
	}
	b.WriteString(" " + i.Target.String())
	if !i.Deadline.IsZero() {
		b.WriteString(" until " + i.Deadline.Format(time.RFC3339))
	}
	if i.EndSessions {
		b.WriteString(", then sessions are ended")
	}
	if i.Reason != "" {
		b.WriteString(" (" + i.Reason + ")")
	}
	if i.Source != "" {
		b.WriteString(" by " + i.Source)
	}
	return b.String()
}
