package dns

import (
	"context"
	"fmt"
	"slices"

	"github.com/libdns/libdns"
	wire "github.com/miekg/dns"
)

// maxProofs bounds the names that prove something at the same time.
const maxProofs = 100

// AppendRecords adds TXT records to the zones that s serves, beside what is published: those by which an ACME authority sees that
// names are ours (DNS-01). With DeleteRecords it is what certmagic's DNS01Solver takes as DNSProvider. They are lost at a restart.
func (s *Server) AppendRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return s.prove(zone, records, func(texts []string, text string) []string {
		if slices.Contains(texts, text) {
			return texts
		}
		return append(texts, text)
	})
}

// DeleteRecords takes such records away.
func (s *Server) DeleteRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return s.prove(zone, records, func(texts []string, text string) []string {
		return slices.DeleteFunc(texts, func(t string) bool { return t == text })
	})
}

func (s *Server) prove(zone string, records []libdns.Record, change func(texts []string, text string) []string) ([]libdns.Record, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		rr := r.RR()
		name := wire.CanonicalName(libdns.AbsoluteName(rr.Name, zone))
		switch texts := change(s.proofs[name], rr.Data); {
		case rr.Type != "TXT":
			return nil, fmt.Errorf("record %s of type %s is none of a challenge", name, rr.Type)
		case len(s.latest.Zones) > 0 && !wire.IsSubDomain(s.latest.Zones[0].Name, name):
			return nil, fmt.Errorf("%s is not in the zone %s, which is served here: certify names within it", name, s.latest.Zones[0].Name)
		case len(texts) > 0 && len(s.proofs[name]) == 0 && len(s.proofs) >= maxProofs:
			return nil, fmt.Errorf("%d names are being proved already", maxProofs)
		case len(texts) > 0:
			s.proofs[name] = texts
		default:
			delete(s.proofs, name)
		}
	}
	if len(s.latest.Zones) == 0 {
		return records, nil // they come with the first Sync
	}
	return records, s.serve(s.latest)
}
