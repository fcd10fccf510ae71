package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	wire "github.com/miekg/dns"
)

// A secondary that has answered may forget what it was told all the same: BIND does so while its own question still fails, as it may
// when both sides start. So it is reminded, after four times as long each time, until it has asked by itself as the SOA says.
const (
	firstReminder = 2 * time.Second
	lastReminder  = 32 * time.Second
)

// notify tells one secondary of each change until ctx ends (RFC 1996). A secondary that does not answer comes by itself within
// the minute that the SOA names.
func (s *Server) notify(ctx context.Context, to Secondary) {
	told := map[string]uint32{}
	failed := map[string]bool{} // zones of which it has been said
	wait := firstReminder
	for {
		c := s.content.Load()
		for _, z := range c.seen(to.Addr.Addr()) {
			if serial, before := told[z.name]; before && serial == z.serial {
				continue
			}
			err := s.tell(ctx, to, z, c.superseded)
			if err == nil {
				told[z.name] = z.serial
			} else if !failed[z.name] && ctx.Err() == nil && s.Log != nil {
				s.Log.Warn("a secondary name server does not take notice of changes", "secondary", to.Addr.String(), "zone", z.name, "cause", err.Error(),
					"remedy", "check that it runs, has the zone with this broker as a primary, and shares the key")
			}
			failed[z.name] = err != nil
		}
		var reminder <-chan time.Time
		if wait <= lastReminder {
			reminder = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.superseded:
			wait = firstReminder
		case <-reminder:
			clear(told)
			wait *= 4
		}
	}
}

// tell notifies a secondary of one zone, again and again for some seconds if it is silent.
func (s *Server) tell(ctx context.Context, to Secondary, z *zone, superseded <-chan struct{}) error {
	var err error
	for wait := 500 * time.Millisecond; wait <= 8*time.Second; wait *= 2 {
		m := new(wire.Msg)
		m.SetNotify(z.name)
		m.Answer = z.soa.rrs
		m.RecursionDesired = false
		client := &wire.Client{Net: "udp", Timeout: wait, TsigProvider: s.secrets}
		key, signed := s.key(to.Key)
		if signed {
			m.SetTsig(key.name(), key.algorithm(), fudge, time.Now().Unix())
		}
		var reply *wire.Msg
		if reply, _, err = client.ExchangeContext(ctx, m, to.Addr.String()); err == nil {
			if reply.Rcode == wire.RcodeSuccess {
				return nil
			}
			err = fmt.Errorf("it answers NOTIFY for %s with %s", z.name, wire.RcodeToString[reply.Rcode])
		}
		if errors.Is(err, wire.ErrAuth) { // the library's word for that answer to what was signed
			err = fmt.Errorf("it answers NOTIFY for %s with %s: %s", z.name, wire.RcodeToString[wire.RcodeNotAuth], whyNotAuth(reply, key, z.name))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-superseded:
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
	return err
}
