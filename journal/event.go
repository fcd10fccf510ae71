package journal

import "time"

// Kind is what an Event tells of.
type Kind string

// The kinds of event.
const (
	Registered   Kind = "registered"      // an instance appeared
	Died         Kind = "died"            // its registration ended
	Stale        Kind = "stale"           // its registration ended, perhaps before the start, yet it still answers
	ServiceUp    Kind = "service_up"      // an instance began to offer a service, or to take connects for it
	ServiceDown  Kind = "service_down"    // the opposite
	Status       Kind = "status"          // READY, BLOCKED … changed
	Moved        Kind = "moved"           // a service left one instance and appeared on another
	Ejected      Kind = "ejected"         // a handler stopped answering
	Restored     Kind = "restored"        // and answers again
	SessionsLost Kind = "sessions_lost"   // sessions were ended because their instance is gone
	HoldBegan    Kind = "hold_began"      // connects for a service began to wait
	HoldEnded    Kind = "hold_ended"      // no connect waits for it any more
	IntentSet    Kind = "intent"          // an operator wants something: drain, weight, hold, maintenance
	IntentEnded  Kind = "intent_ended"    // by undo or by its deadline
	Drained      Kind = "drained"         // no session is left of what was drained
	Quarantined  Kind = "quarantined"     // a registration is not trusted
	Approved     Kind = "approved"        // an operator trusts it
	Rejected     Kind = "rejected"        // an operator does not, or a registrant was not admitted
	Administered Kind = "administered"    // somebody changed something over the API, or tried to
	Undecodable  Kind = "undecodable"     // a registration message was not understood
	Started      Kind = "broker_started"  // this broker
	Stopping     Kind = "broker_stopping" // this broker

	ConfigLoaded   Kind = "config_loaded"   // a reload put the configuration in force
	ConfigRejected Kind = "config_rejected" // a reload found it wrong and changed nothing

	Upgraded         Kind = "upgraded"         // another generation of this broker serves instead
	UpgradeFailed    Kind = "upgrade_failed"   // it does not, and this one goes on
	PredecessorEnded Kind = "generation_ended" // the one before is over
	PeerUp           Kind = "peer_up"          // another broker answers
	PeerDown         Kind = "peer_down"        // it does not any more
	PeerDiffers      Kind = "peer_differs"     // its table has differed from this one's for a while
	PeerAgrees       Kind = "peer_agrees"      // and does so no more
)

// Event is something that happened. The lower fields are those of FAN, features.md 5.2, where they apply.
type Event struct {
	ID       uint64    `json:"id"` // counts up by one, without gaps
	Time     time.Time `json:"time"`
	Kind     Kind      `json:"kind"`
	Service  string    `json:"service,omitempty"`
	Instance string    `json:"instance,omitempty"` // name; Host says where
	Database string    `json:"database,omitempty"`
	Host     string    `json:"host,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Detail   string    `json:"detail,omitempty"`

	EventType string `json:"event_type,omitempty"` // SERVICEMEMBER, SERVICE, INSTANCE, NODE
	Status    string `json:"status,omitempty"`     // up, down
	Reason    string `json:"reason,omitempty"`     // USER, FAILURE, AUTOSTART …
	Card      int    `json:"card,omitempty"`       // instances of the service that are left, after an up
	DBDomain  string `json:"db_domain,omitempty"`
}
