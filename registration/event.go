package registration

import (
	"net/netip"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// EventKind is what an Event tells of.
type EventKind uint8

const (
	Registered  EventKind = iota // a database has registered, or registered anew
	Updated                      // it has sent new values
	Died                         // its connection is over, or it withdrew, and its registration is gone
	Refused                      // someone was not allowed to register
	Undecodable                  // a message was not understood and left out
	LeftOut                      // a handler is at an address that cannot be its own
)

// Event is something that happened to a registration.
type Event struct {
	Kind         EventKind
	Registration *servicetable.Registration // as it is now, or was last; nil if there was none. Not to be changed
	Peer         netip.AddrPort
	Code         tns.Code // of a refusal
	Cause        string   // for people
	Repeated     bool     // one like it has been told of a moment ago
}
