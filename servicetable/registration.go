package servicetable

import (
	"net/netip"
	"time"
)

// ID identifies a registration: one registration connection, or one static entry of the configuration.
type ID string

// Registration is all that one database says about itself, as one value, for as long as its connection lasts.
// Writers hand a whole Registration to Table.Apply; whatever a snapshot hands out must not be changed.
type Registration struct {
	ID       ID
	Instance string // instance name as registered
	Host     string // inner value of the registered (HOST=…), trimmed of blanks
	HostRaw  string // the host text as registered, nsgr.md 4.3
	Hop      string // host:port of an address that a route names; "" of all that is in a table
	Broker   string // name of another broker in whose table it is; "" of all that is in this one's

	NodeLoad, NodeMax uint32 // load of the machine and its maximum, as sent, nsgr.md 4.3
	Load, Max         uint32 // load of the instance and its maximum (SESSIONS), as sent, nsgr.md 4.3
	Flags             uint32 // instance flags as sent
	GUID              [16]byte

	Services  []Service
	Handlers  []Handler
	Endpoints []string // addresses the database would like a listener to listen on; for display only

	RegisteredAt time.Time // when this registration appeared
	LoadAt       time.Time // when its load figures were reported
	LoadSource   string    // who reported them: "registration", "agent", "feed"

	Peer      netip.Addr // observed address of the registrant; the zero Addr for a static entry
	PeerDN    string     // subject of the certificate it registered with, if that was verified; "" if there was none
	ArrivedOn string     // listening address it came in on
	Network   string     // that the address belongs to; "" : none
	Static    bool       // from the configuration: liveness not known
	Stale     bool       // its connection is gone, yet the instance answered since

	// What this broker holds about the instance. Databases never say any of it.
	Database string // the group that a REGISTRANT rule assigns the registrant to; "" where none names it
	Tier     int    // lower ones are used before any higher one; 0 where nothing else is configured
	Zone     string // where it stands, for brokers that prefer their own zone; "" if not known
	Marks    []Mark // on the whole instance, besides those that Table.Mark holds by key; they end with the registration
}

// Key returns "instance@host", the name by which people and marks refer to the instance, or its Hop.
func (r *Registration) Key() string {
	if r.Hop != "" {
		return r.Hop
	}
	return r.Instance + "@" + r.Host
}

// HandlerKey returns "instance@host/handler", the name by which marks refer to one handler of the instance.
func (r *Registration) HandlerKey(h *Handler) string {
	if r.Hop != "" {
		return r.Hop + "/" + h.Name
	}
	return r.Instance + "@" + r.Host + "/" + h.Name // at once: it is asked for several times a connect
}

// Status tells whether the instance takes new connects for the service s, one of r.Services. A stale registration stays
// as closed as it was when it was last heard of; of a static one nothing was ever heard.
func (r *Registration) Status(s *Service) Status {
	switch {
	case r.Static:
		return Unknown
	case s.Flags&FlagUnblocked == 0:
		return Blocked
	case s.Flags&FlagRestricted != 0:
		return Restricted
	case r.Stale:
		return Stale
	}
	return Ready
}

// Service is one service as one instance registers it.
type Service struct {
	Name     string // as registered; names match without regard to case
	Flags    uint32 // as sent, nsgr.md 5.2
	Goodness uint32 // lower is better, nsgr.md 4.4
	Delta    uint32 // what one more connection adds to Goodness

	// What this broker holds about the service at this instance.
	Weight Weight // the part of the instance's capacity to use
	Marks  []Mark // on this service at this instance alone
}

// Weight is the part of its capacity that is used of an instance. The zero value is all of it.
type Weight struct {
	set     bool
	percent uint32
}

// WeightOf returns the weight of so many per cent; 0 keeps connects away for as long as there is anything else.
func WeightOf(percent uint32) Weight {
	if percent == 100 {
		return Weight{}
	}
	return Weight{set: true, percent: percent}
}

// Percent returns the weight, 100 where none was set.
func (w Weight) Percent() uint32 {
	if !w.set {
		return 100
	}
	return w.percent
}

// Equal reports whether two weights are the same part.
func (w Weight) Equal(o Weight) bool { return w.Percent() == o.Percent() }

// Bits of Service.Flags.
const (
	// FlagDispatchersOnly is set for services that only dispatchers serve, such as XDB. nsgr.md 5.2.
	FlagDispatchersOnly uint32 = 1
	// FlagUnblocked is set while the service takes new connections. nsgr.md 5.2.
	FlagUnblocked uint32 = 4
	// FlagRestricted marks a service of an instance in restricted mode. No recording shows the real bit: this
	// one is our convention.
	FlagRestricted uint32 = 8
)

// Kind is the sort of server process behind a handler.
type Kind uint8

// The kinds of handler, nsgr.md 5.3.
const (
	Dedicated  Kind = iota // a listener that starts one server process a connection
	Dispatcher             // shared server
	Pooled                 // a database resident connection pool's broker
)

// String returns the word for k: dedicated, dispatcher or pooled.
func (k Kind) String() string {
	switch k {
	case Dispatcher:
		return "dispatcher"
	case Pooled:
		return "pooled"
	}
	return "dedicated"
}

// Handler is one address at which an instance takes connections for some of its services.
type Handler struct {
	ID       [16]byte
	Name     string // "DEDICATED", "D000" …
	Kind     Kind
	Protocol string // as written in Address
	Host     string // parsed from Address
	Port     int    // parsed from Address; 0 where it could not be, and then nobody is sent there
	Address  string // the address text as registered
	Info     string // the line of text a listener shows below the handler

	Load, Max uint32 // as sent, nsgr.md 4.6
	Flags     uint32 // as sent, nsgr.md 5.3
	Services  []int  // indexes into Registration.Services
}

// Blocked reports whether the handler was at its maximum load when it last reported.
func (h *Handler) Blocked() bool { return h.Max > 0 && h.Load >= h.Max }

// Status tells whether an instance takes new connects for a service.
type Status uint8

// The statuses, features.md 1.4. Stale and Unknown instances are candidates, below the ready ones.
const (
	Ready      Status = iota
	Blocked           // starting, mounted or shutting down
	Restricted        // open for privileged users only
	Unknown           // static, liveness not known
	Stale             // its registration is gone, yet it answered since
)

// String returns the status as listeners print it: READY, BLOCKED, RESTRICTED, UNKNOWN or STALE.
func (s Status) String() string {
	switch s {
	case Blocked:
		return "BLOCKED"
	case Restricted:
		return "RESTRICTED"
	case Unknown:
		return "UNKNOWN"
	case Stale:
		return "STALE"
	}
	return "READY"
}
