package relay

import (
	"context"
	"slices"
	"strings"

	"servicebroker/servicetable"
)

// mayAsk tells whether other brokers could have what a connect fails for want of: nobody is here who offers it, or nobody of
// those answers. What rules or operators refuse is refused whoever has it.
func (s *Server) mayAsk(d *dialogue, cause error) bool {
	if s.Elsewhere == nil || d.way != nil {
		return false
	}
	return isAny(cause, errAway, servicetable.ErrUnknownService, servicetable.ErrUnknownSID, servicetable.ErrUnknownInstance, servicetable.ErrBlocked,
		servicetable.ErrRestricted, servicetable.ErrRestrictedOrBlocked, servicetable.ErrNoHandler, servicetable.ErrNoHandlerOfKind) &&
		!isAny(cause, servicetable.ErrHeld) || dialFailed(cause) && !isAny(cause, errLoop, errCircle, errOverruled)
}

// elsewhere finds candidates that other brokers have, by the same rules as those that are here; none: cause stands.
func (s *Server) elsewhere(ctx context.Context, d *dialogue, cause error) []servicetable.Candidate {
	if !s.mayAsk(d, cause) {
		return nil
	}
	recorded, by := d.record.Candidates, d.granted // of those that were judged first
	offered, asked := s.Elsewhere(ctx, d.query)
	d.peers = asked
	candidates, err := s.grant(ctx, d, offered)
	if err != nil || len(candidates) == 0 {
		d.record.Candidates, d.granted = recorded, by
		if asked {
			d.record.Route = "peers were asked: none has what this client may have"
		}
		return nil
	}
	d.record.Route = d.from(candidates, cause)
	return candidates
}

// from tells people where candidates come from, and why they are not of this broker's own table.
func (d *dialogue) from(candidates []servicetable.Candidate, cause error) string {
	var names []string
	for _, c := range candidates {
		if !slices.Contains(names, c.Registration.Broker) {
			names = append(names, c.Registration.Broker)
		}
	}
	return brief("from peer " + strings.Join(names, ", ") + ", since here: " + cause.Error())
}
