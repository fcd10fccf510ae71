// Package intent holds what operators want of instances and services: drain, weight, hold, maintenance, and whom they
// trust. Values and their store; it carries nothing out.
package intent

import "time"

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

// Target says what an intent is about: everything that fits all fields that are not empty. At least one is given.
type Target struct {
	Database string `json:"database,omitempty"` // name of a REGISTRANT group
	Service  string `json:"service,omitempty"`  // with or without domain; * stands for any text
	Instance string `json:"instance,omitempty"` // "sales1" or "sales1@db1"
	Node     string `json:"node,omitempty"`     // host, as registered
	Network  string `json:"network,omitempty"`  // clients from here, "192.0.2.0/24"
}

// Intent is one wish of an operator.
type Intent struct {
	ID          string    `json:"id"`
	Kind        Kind      `json:"kind"`
	Target      Target    `json:"target"`
	Value       uint32    `json:"value,omitempty"` // of a weight: per cent
	Created     time.Time `json:"created"`
	Deadline    time.Time `json:"deadline,omitzero"`      // of a drain: when its sessions have to be over; of others: when it ends by itself
	EndSessions bool      `json:"end_sessions,omitempty"` // end those that are left at the deadline
	Reason      string    `json:"reason,omitempty"`
	Source      string    `json:"source,omitempty"` // who, and by what
}
