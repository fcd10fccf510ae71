package relay

import (
	"time"

	"servicebroker/servicetable"
)

// Mode says how a client gets to its instance.
type Mode uint8

// The modes, in the words of the ROUTE parameter. ModeUnset leaves the choice to
// whoever is asked next.
const (
	ModeUnset Mode = iota
	ModeRelay
	ModeRedirect
)

// String returns the word ROUTE takes.
func (m Mode) String() string {
	if m == ModeRedirect {
		return "redirect"
	}
	return "relay"
}

// Treatment is how a connect is treated. Fields that are zero leave it to who is
// asked next: first the rule that let the client in, then the service, then all.
type Treatment struct {
	Mode   Mode   // ROUTE
	Policy string // POLICY
	// AttemptTimeout bounds one dial and its ACCEPT.
	AttemptTimeout time.Duration
	// HoldTimeout is how long a connect may wait; 0 by HoldSet is not at all.
	HoldTimeout time.Duration
	HoldSet     bool

	IdleTimeout    Timeout // MIT, IDLE_TIMEOUT: of a session that moves no byte; of 0: never
	SessionTimeout Timeout // MCT, SESSION_TIMEOUT: from its begin; of 0: never
	DialTimeout    Timeout // MOCT, OUTBOUND_CONNECT_TIMEOUT: all attempts together; of 0: as long as each of them may take

	Rate        float64 // RATE: connects a second; 0 leaves it open
	MaxSessions int     // MAX_SESSIONS; 0 leaves it open
	Bandwidth   int64   // BANDWIDTH: bytes a second, each way; 0 leaves it open
}

// Timeout is a time limit that may be left open.
type Timeout struct {
	Limit time.Duration
	Set   bool
}

// TimeoutOf is a limit that is not left open.
func TimeoutOf(d time.Duration) Timeout { return Timeout{d, true} }

func (t Timeout) or(d time.Duration) time.Duration {
	if t.Set {
		return t.Limit
	}
	return d
}

// Or fills what t leaves open from other.
func (t Treatment) Or(other Treatment) Treatment {
	if t.Mode == ModeUnset {
		t.Mode = other.Mode
	}
	if t.Policy == "" {
		t.Policy = other.Policy
	}
	if t.AttemptTimeout == 0 {
		t.AttemptTimeout = other.AttemptTimeout
	}
	if !t.HoldSet {
		t.HoldTimeout, t.HoldSet = other.HoldTimeout, other.HoldSet
	}
	for _, pair := range [][2]*Timeout{
		{&t.IdleTimeout, &other.IdleTimeout}, {&t.SessionTimeout, &other.SessionTimeout}, {&t.DialTimeout, &other.DialTimeout},
	} {
		if !pair[0].Set {
			*pair[0] = *pair[1]
		}
	}
	if t.Rate == 0 {
		t.Rate = other.Rate
	}
	if t.MaxSessions == 0 {
		t.MaxSessions = other.MaxSessions
	}
	if t.Bandwidth == 0 {
		t.Bandwidth = other.Bandwidth
	}
	return t
}

// treatment is how d is treated on its way to c.
func (s *Server) treatment(d *dialogue, c servicetable.Candidate) Treatment {
	var t Treatment
	if rule := d.granted.by(c); rule != nil {
		t = rule.Treatment
	}
	t = t.Or(s.serviceTreatment(d))
	if c.Path != nil || d.passing {
		t.Mode = ModeRelay // who sent it here had a reason not to go there
	}
	return t
}

// dialLimit is how long all attempts along a route may take together; 0: no limit. What
// the first of them grants holds for all.
func (s *Server) dialLimit(d *dialogue, route []servicetable.Candidate) time.Duration {
	if len(route) == 0 {
		return 0
	}
	return s.treatment(d, route[0]).DialTimeout.or(0)
}

func (s *Server) serviceTreatment(d *dialogue) Treatment {
	if s.Treatment == nil {
		return Treatment{}
	}
	return s.Treatment(asksFor(d.query))
}
