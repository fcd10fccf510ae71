package relay

import (
	"context"
	"net/netip"
	"time"
)

// Allows decides about an administrative command by the rules for cmon: first match wins,
// none refuses. A nil set allows it. from are the peer's addresses: that it connected
// from, and where that is one of this host's, all of this host's. own are this host's.
// The deciding rule is returned, nil where none matched, and counted.
func (s *RuleSet) Allows(ctx context.Context, from, own []netip.Addr) (bool, *Rule) {
	if s == nil {
		return true, nil
	}
	s.await(ctx)
	names := s.index.Load()
	for i := range s.rules {
		p := &s.rules[i]
		if !p.source.takes(names, from...) || !p.destination.takes(names, own...) {
			continue
		}
		s.hits[i].count(time.Now())
		if p.rule.Action != Log {
			return p.rule.Action == Accept, p.rule
		}
	}
	return false, nil
}
