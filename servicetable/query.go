package servicetable

import "net/netip"

// Query is what a client asks for. Names match without regard to case.
type Query struct {
	Service  string // SERVICE_NAME; where it and SID are both given, it decides
	SID      string // an instance name
	Instance string // INSTANCE_NAME: only this instance of the service
	Server   string // "", "dedicated", "shared" or "pooled", in any case; another word counts as not given

	ColocationTag string // COLOCATION_TAG: connects of one tag belong together
	ArrivedOn     string // listening address the client came in on
	IgnoreStatus  bool   // UR=A: blocked and restricted instances too
}

// Candidate is one way to serve a query. It points into a snapshot and must not be changed through.
type Candidate struct {
	Registration *Registration
	Service      *Service // its Name is the name as this instance registered it, by which to ask for it there
	Handler      *Handler
	Status       Status
	Forwards     bool  // as Registration.Forwards says of the handler
	Path         *Path // of one that a route names, and no registration; else nil
}

// RegisteredFrom is the address from which the candidate's instance registered; the zero Addr of one that did not, over IP.
func (c *Candidate) RegisteredFrom() netip.Addr {
	if c.Path != nil || c.Registration == nil || c.Registration.Static {
		return netip.Addr{}
	}
	return c.Registration.Peer
}

// Path is how a candidate is reached that a route names: its Registration, Service and Handler are made up for it, and no
// snapshot has them.
type Path struct {
	At         netip.Addr // what the handler's host meant when it was judged; nothing else may be dialled
	Descriptor string     // to ask for the service with
	Service    string     // asked for
	Named      bool       // by the client: the configuration says nothing of it
}
