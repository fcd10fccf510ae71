package console

import (
	"net/netip"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// ExplainRequest asks what would become of a connect.
type ExplainRequest struct {
	Descriptor string     // a connect descriptor, or Easy Connect text, or a bare service name
	From       netip.Addr // the client's address; not valid: that of a client on the broker's own host
	User       string
	Program    string
}

// ExplanationList is the answer of GET /api/v1/explanations, and of GET /api/v1/explain by CONNECTION_ID or client.
type ExplanationList struct {
	Explanations []*journal.Explanation `json:"explanations"` // the newest first
}

// EventList is the answer of GET /api/v1/events.
type EventList struct {
	Events []journal.Event `json:"events"` // the oldest first
}

// IntentList is the answer of GET /api/v1/intents.
type IntentList struct {
	Intents []IntentView `json:"intents"`
}

// IntentView is an intent with what has come of it.
type IntentView struct {
	intent.Intent
	Progress Progress `json:"progress"`
	Origin   string   `json:"origin,omitempty"` // broker where it was set, where brokers share intents
	Shared   string   `json:"shared,omitempty"` // SharedYes or SharedNotYet, where brokers share intents
}

// Whether other brokers have an intent.
const (
	SharedYes    = "yes"
	SharedNotYet = "not yet" // it is in force at this broker, and at others as soon as Consul is there
)

// Progress tells how far an intent is carried out. Only a drain or maintenance has sessions to wait for.
type Progress struct {
	SessionsAtStart int  `json:"sessions_at_start"` // that were open on its target when it was set
	SessionsLeft    int  `json:"sessions_left"`     // that still are
	Ended           int  `json:"ended"`             // that the broker ended at the deadline
	Done            bool `json:"done"`              // nothing is left to wait for
	DeadlinePassed  bool `json:"deadline_passed"`
}

// HeldList is the answer of GET /api/v1/held.
type HeldList struct {
	Total    int           `json:"total"`    // connects that wait, whatever part of them Held shows
	Services []HeldService `json:"services"` // sorted by name
	Held     []Held        `json:"held"`     // those that wait longest first
}

// HeldService is one service for which connects wait.
type HeldService struct {
	Service string    `json:"service"`
	Waiting int       `json:"waiting"`
	Oldest  time.Time `json:"oldest_since"`
}

// Held is one connect that waits for its service to come back.
type Held struct {
	Service string    `json:"service"` // as the client asked for it
	Client  string    `json:"client"`  // address and port
	Ref     string    `json:"ref"`     // by which its explanation is found
	Cause   string    `json:"cause"`   // why it cannot be served now
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"` // when it is refused
}

// QuarantineList is the answer of GET /api/v1/quarantine.
type QuarantineList struct {
	Quarantine []QuarantineEntry `json:"quarantine"`
}

// QuarantineEntry is one service at one instance that is not used before an operator decides.
type QuarantineEntry struct {
	ID       string    `json:"id"`
	Service  string    `json:"service"`
	Instance string    `json:"instance"` // key, "sales1@db1"
	Peer     string    `json:"peer"`     // address that the registration came from
	Database string    `json:"database"` // the group whose rule claims the service
	Cause    string    `json:"cause"`
	Since    time.Time `json:"since"`
	Rejected bool      `json:"rejected"` // an operator has decided already
}

// LoadReport is the body of PUT /api/v1/load: the figures of one instance, each nil where it is not to change.
type LoadReport struct {
	Instance string                 `json:"instance"` // key, "sales1@db1"
	Services map[string]ServiceLoad `json:"services,omitempty"`
	Load     *uint32                `json:"load,omitempty"`
	Max      *uint32                `json:"max,omitempty"`
	NodeLoad *uint32                `json:"node_load,omitempty"`
	NodeMax  *uint32                `json:"node_max,omitempty"`
}

// ServiceLoad are the figures of one service at an instance.
type ServiceLoad struct {
	Goodness *uint32 `json:"goodness,omitempty"`
	Delta    *uint32 `json:"delta,omitempty"`
}

// Closed is the answer of DELETE /api/v1/sessions and /api/v1/sessions/{id}.
type Closed struct {
	Closed []string `json:"closed"` // ids of the sessions that were ended
}

// ReloadResult is the answer of POST /api/v1/reload.
type ReloadResult struct {
	Config       string          `json:"config"`        // the file that is in force now
	Changed      []string        `json:"changed"`       // parameters and rules that differ from before
	NeedsRestart []string        `json:"needs_restart"` // parameters that differ but are in force only after an upgrade or a restart
	Messages     []ConfigMessage `json:"messages"`      // warnings and notices about the file
}

// ConfigMessage is something to say about a place in the configuration.
type ConfigMessage struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"` // error, warning or notice
	Text     string `json:"text"`
}

// ParameterList is the answer of GET /api/v1/parameters.
type ParameterList struct {
	Parameters []Parameter `json:"parameters"`
}

// Parameter is one setting of the broker.
type Parameter struct {
	Name    string `json:"name"`
	Value   string `json:"value"` // in force; "" for none
	Default string `json:"default"`
	Set     bool   `json:"set"`   // by the configuration
	Where   string `json:"where"` // file:line that sets it; "" where nothing does
	Meaning string `json:"meaning"`
}

// RuleList is the answer of GET /api/v1/rules.
type RuleList struct {
	Rules []RuleView `json:"rules"` // in the order in which they are tried: those about clients, then those about administration
}

// RuleView is one rule of a RULE_LIST or RULE_GROUP.
type RuleView struct {
	Name     string     `json:"name"`     // as sessions and explanations refer to it
	About    string     `json:"about"`    // clients, or cmon: administration
	Action   string     `json:"action"`   // accept, reject, drop or log
	Group    string     `json:"group"`    // of the RULE_GROUP that it stands in; "" for none
	Services []string   `json:"services"` // patterns it is about, those of its group included; empty: any
	DNs      []string   `json:"dns"`      // patterns of the client's TLS name, those of its list included; empty: with or without
	Text     string     `json:"text"`     // as written
	Where    string     `json:"where"`
	Matched  uint64     `json:"matched"` // connects it decided
	Last     *time.Time `json:"last"`    // when it did so last; null: never
}

// The two things that rules are about.
const (
	AboutClients        = "clients"
	AboutAdministration = "cmon"
)
