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
	return t
}

// treatment is how d is treated on its way to c.
func (s *Server) treatment(d *dialogue, c servicetable.Candidate) Treatment {
	var t Treatment
	if rule := d.granted[c.Handler]; rule != nil {
		t = rule.Treatment
	}
	return t.Or(s.serviceTreatment(d))
}

func (s *Server) serviceTreatment(d *dialogue) Treatment {
	if s.Treatment == nil {
		return Treatment{}
	}
	return s.Treatment(asksFor(d.query))
}
