package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Inquiry is a connect that somebody wants explained before it is made.
type Inquiry struct {
	Descriptor string     // as a driver would send it
	From       netip.Addr // the client
	ArrivedOn  string     // listening address; may be empty
	Secure     bool       // over TLS
}

// Explain tells what would become of a connect made now: the same decisions by the
// same figures, but nothing is counted, dialled or kept.
func (s *Server) Explain(ctx context.Context, q Inquiry) *journal.Explanation {
	d := &dialogue{
		began: time.Now(), connect: tns.NewConnect([]byte(q.Descriptor)), client: netip.AddrPortFrom(q.From.Unmap(), 0),
		arrived: q.ArrivedOn, secure: q.Secure,
	}
	err := s.foresee(ctx, d)
	if err == nil {
		return d.record
	}
	d.record.Code, d.record.Text = int(codeOf(err)), err.Error()
	switch {
	case errors.Is(err, errDropped):
		d.record.Outcome, d.record.Code = journal.Drop, 0
	case s.mayWait(d, err) && s.wouldHold(ctx, d, err):
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
	candidates, err := s.weigh(ctx, d)
	if err != nil {
		return err
	}
	treatment := s.treatment(d, candidates[0])
	redirect := treatment.Mode == ModeRedirect
	d.record.Policy = treatment.Policy
	verdicts := s.Foresee(Placing{Query: d.query, Policy: treatment.Policy, Redirect: redirect}, candidates)
	d.order(verdicts, len(candidates))
	if len(verdicts) == 0 {
		return fmt.Errorf("%w: nothing to order", servicetable.ErrNoHandler)
	}
	d.record.Outcome, d.record.Chosen = journal.Relay, verdicts[0].Key
	d.record.Text = "the session would be relayed to " + verdicts[0].Key
	for _, c := range candidates {
		if c.Registration.HandlerKey(c.Handler) != verdicts[0].Key {
			continue
		}
		if rule := d.granted[c.Handler]; rule != nil {
			d.record.Rule = rule.Text
		}
		if _, ok := s.redirection(d, c); ok && s.treatment(d, c).Mode == ModeRedirect {
			d.record.Outcome = journal.Redirect
			d.record.Text = "the client would be redirected to " + c.Handler.Address
		}
		break
	}
	return nil
}
