package relay

import (
	"context"
	"strconv"
	"strings"
)

// standing is what the rules say of a client and what it asks for before any instance is
// looked at: when there is none, or while it waits for one.
type standing struct {
	refusal   error     // no instance whatever would be granted
	treatment Treatment // of the first rule that may accept it
	rules     string    // which rules can decide: clients of one standing may have the same
}

// standing finds the rules that fit client and service, whatever the instance.
func (s *Server) standing(ctx context.Context, d *dialogue) standing {
	if s.Rules == nil {
		return standing{}
	}
	rules := s.Rules()
	if rules == nil {
		return standing{}
	}
	v := &verdict{ctx: ctx, client: d.client.Addr(), service: asksFor(d.query), bySID: d.query.Service == "", resolve: s.Resolve}
	st := standing{refusal: errRejected}
	var fit []string
	accepted := false
	for i := range rules {
		rule := &rules[i]
		if !glob(rule.Service, v.service) || !rule.Source.matchesAddr(v, v.client) {
			continue
		}
		fit = append(fit, strconv.Itoa(i))
		switch {
		case rule.Action == Accept && !accepted:
			st.refusal, st.treatment, accepted = nil, rule.Treatment, true
		case rule.Action == Drop && !accepted:
			st.refusal = errDropped
		}
		if rule.Destination.Any { // decides about all that are left
			break
		}
	}
	st.rules = strings.Join(fit, ",")
	return st
}
