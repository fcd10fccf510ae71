package relay

import (
	"net/netip"
	"time"

	"servicebroker/servicetable"
)

// HoldRequest is one connect that would have to be refused now.
type HoldRequest struct {
	Service string // as asked for; (SID=…) of one that asked by SID
	Queue   string // who has the same Queue waits in one line
	Client  netip.AddrPort
	Ref     string
	Cause   string // why it cannot be served
	// Limit bounds the wait; 0 leaves it to the holder.
	Limit time.Duration
	// Since is when it began to wait, if that was in another process: Limit counts from then. Zero: now.
	Since time.Time
	// Wanted: an operator holds it, whether or not the service was there lately.
	Wanted bool
	// Route are the candidates that were dialled in vain; empty where there were none.
	Route []servicetable.Candidate
	// Answered: all of them answered, with refusals.
	Answered bool
	// Ready tells whether a try is worth while now.
	Ready func() bool
	// Retry is after how long to try though nothing changes, since nothing in the
	// table will tell; 0: only when something changes.
	Retry time.Duration
	// Wake is called when the place's State is no longer Waiting, once for each time it
	// was waiting.
	Wake func()
}

// PlaceState is what became of a connect that waits.
type PlaceState uint8

// The states of a place in line.
const (
	PlaceWaiting PlaceState = iota
	PlaceGo                 // try now
	PlaceExpired            // it waited as long as it may
	PlaceStopped            // nobody may wait any more
)

// Place is one connect's place among those that wait.
type Place interface {
	State() PlaceState
	// Again waits anew at the same place after a try in vain.
	Again(cause string, retry time.Duration)
	// Leave gives the place up. It is called once.
	Leave(connected bool)
	// Move is Leave for a connect with which another process goes on.
	Move()
}

// Holding parks connects.
type Holding interface {
	// Anyone tells whether any connect waits at all; Waiting whether some do in a
	// line, so that newcomers wait behind them.
	Anyone() bool
	Waiting(queue string) bool
	// Enter takes a place. Its error tells why the connect is not to wait.
	Enter(HoldRequest) (Place, error)
	// Would tells why the connect would not be let wait, nil if it would.
	Would(HoldRequest) error
	// Seen notes that a connect for a service was served.
	Seen(service string)
}
