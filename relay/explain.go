package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"servicebroker/dn"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Inquiry is a connect that somebody wants explained before it is made.
type Inquiry struct {
	Descriptor string     // as a driver would send it
	From       netip.Addr // the client
	ArrivedOn  string     // listening address; may be empty
	Network    string     // that it belongs to; "" : none
	Secure     bool       // over TLS
	Sealed     bool       // which is passed on to an instance
	DN         string     // the name in the client's certificate, as CN=app1,O=example; "" without one
}

// Explain tells what would become of a connect made now: the same decisions by the
// same figures, but nothing is counted, dialled or kept.
func (s *Server) Explain(ctx context.Context, q Inquiry) *journal.Explanation {
	d := &dialogue{
		began: time.Now(), connect: tns.NewConnect([]byte(q.Descriptor)), client: netip.AddrPortFrom(q.From.Unmap(), 0),
		arrived: q.ArrivedOn, network: q.Network, secure: q.Secure,
	}
	if q.Sealed {
		d.hello = []byte{}
	}
	if q.DN != "" {
		d.dn = dn.Parse(q.DN)
	}
	err := s.foresee(ctx, d)
	if err == nil {
		return d.record
	}
	d.record.Code = int(codeOf(err))
	defer func() { d.record.Text = strings.TrimSuffix(err.Error()+"; "+d.record.Text, "; ") }() // and why it would not wait
	switch {
	case errors.Is(err, errDropped):
		d.record.Outcome, d.record.Code = journal.Drop, 0
	case errors.Is(err, errBehind), s.mayWait(d, err) && s.wouldHold(ctx, d, err):
		d.record.Outcome = journal.Hold
	default:
		d.record.Outcome = journal.Refuse
	}
	return d.record
}

// foresee goes the way of try, up to where the world would be touched.
func (s *Server) foresee(ctx context.Context, d *dialogue) error {
	d.record = &journal.Explanation{Time: d.began, Client: d.client.Addr().String()}
	if err := s.understand(d); err != nil {
		return err
	}
	if s.anyoneWaits(d) && s.hasLine(ctx, d) {
		return errBehind
	}
	candidates, err := s.weigh(ctx, d)
	if err != nil {
		if candidates = s.elsewhere(ctx, d, err); len(candidates) == 0 {
			return err
		}
	}
	treatment := s.treatment(d, candidates[0])
	redirect := treatment.Mode == ModeRedirect && d.hello == nil
	d.record.Policy = treatment.Policy
	verdicts := s.Foresee(Placing{Query: d.query, Policy: treatment.Policy, Redirect: redirect}, candidates)
	d.order(verdicts, len(candidates))
	if len(verdicts) == 0 {
		return fmt.Errorf("%w: nothing to order", servicetable.ErrNoHandler)
	}
	c, message := s.destined(ctx, d, candidates, verdicts)
	outcome := journal.Relay
	if message != nil {
		outcome = journal.Redirect
	}
	if err := s.limited(d, c, outcome == journal.Relay); err != nil {
		return err
	}
	d.record.Outcome, d.record.Chosen = outcome, c.Registration.HandlerKey(c.Handler)
	d.record.Text = "the session would be relayed to " + d.record.Chosen
	switch {
	case d.way != nil:
		d.record.Text += ", by " + d.record.Route
	case d.record.Route != "":
		d.record.Text += ", " + d.record.Route
	}
	if message != nil {
		d.record.Text = "the client would be redirected to " + message.Address
	}
	if detour := s.detour(ctx, c); detour != "" {
		d.record.Route, d.record.Text = detour, d.record.Text+"; "+detour
	}
	if rule := d.granted.by(c); rule != nil {
		d.record.Rule = rule.Text
	}
	return nil
}

// destined finds the candidate that the client would get to, as try does: the first, or
// where that is to be redirected to and cannot be, the first that can.
func (s *Server) destined(ctx context.Context, d *dialogue, candidates []servicetable.Candidate, verdicts []journal.Candidate) (servicetable.Candidate, *tns.Redirect) {
	byKey := map[string]servicetable.Candidate{}
	for _, c := range candidates {
		byKey[c.Registration.HandlerKey(c.Handler)] = c
	}
	first := byKey[verdicts[0].Key]
	if s.treatment(d, first).Mode != ModeRedirect || d.hello != nil {
		return first, nil
	}
	for _, v := range verdicts {
		c := byKey[v.Key]
		if message, ok := s.redirection(ctx, d, c); ok && s.treatment(d, c).Mode == ModeRedirect {
			return c, message
		}
	}
	return first, nil
}
