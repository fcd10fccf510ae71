package registration

import (
	"context"
	"errors"
	"net/netip"
)

// Welcome tells why a database at an address could not register here, over whatever transport is allowed; nil if it could.
func (s *Server) Welcome(ctx context.Context, peer netip.Addr) error {
	g, err := s.currentGate()
	if err != nil {
		return err
	}
	if len(g.transports) == 0 {
		return errors.New("no transport is allowed")
	}
	if v := g.admit(ctx, peer, g.transports[0]); !v.allowed {
		return errors.New(v.why)
	}
	return nil
}
