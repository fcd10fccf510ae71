package dns

import (
	"context"
	"fmt"
	"time"

	"github.com/libdns/libdns"
	wire "github.com/miekg/dns"
)

// Solver puts the records by which an ACME authority sees that names are ours (DNS-01) on a primary. It is what certmagic's
// DNS01Solver takes as DNSProvider.
type Solver struct {
	Primary string // "host:port"
	Key     Key
	Timeout time.Duration // 0: 5 s
}

// AppendRecords adds records to a zone.
func (s *Solver) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return s.change(ctx, zone, records, (*wire.Msg).Insert)
}

// DeleteRecords removes exactly these records from a zone.
func (s *Solver) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return s.change(ctx, zone, records, (*wire.Msg).Remove)
}

func (s *Solver) change(ctx context.Context, zone string, records []libdns.Record, how func(*wire.Msg, []wire.RR)) ([]libdns.Record, error) {
	if err := s.Key.check(); err != nil {
		return nil, err
	}
	m := new(wire.Msg)
	m.SetUpdate(wire.CanonicalName(zone))
	for _, r := range records {
		rr := r.RR()
		name := wire.CanonicalName(libdns.AbsoluteName(rr.Name, zone))
		if rr.Type != "TXT" {
			return nil, fmt.Errorf("record %s of type %s is none of a challenge", name, rr.Type)
		}
		how(m, []wire.RR{(&Record{Name: name, Type: wire.TypeTXT, Text: rr.Data}).rr(uint32(max(rr.TTL.Seconds(), 5)))})
	}
	u := &Updater{Primary: s.Primary, Key: s.Key, Timeout: s.Timeout}
	c, err := u.dial(ctx, zone)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	reply, err := c.exchange(m)
	if err != nil {
		return nil, err
	}
	if reply.Rcode != wire.RcodeSuccess {
		return nil, refusal{s.Primary, reply.Rcode}
	}
	return records, nil
}
