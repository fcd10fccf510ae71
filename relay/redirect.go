package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// maxRedirectText keeps a redirect within one DATA packet of 8192 bytes, which
// is all that some drivers read of it (tns.md 13).
const maxRedirectText = 8192 - 10

// cameBack tells of a client that has been redirected already and came here all
// the same: then only relaying ends the circle. It may well be that it found nobody
// where it was sent: that is worth a look.
func (s *Server) cameBack(d *dialogue) bool {
	from, known := s.loops.returned(loopKeys(d))
	if known && from != "" && s.Suspect != nil {
		s.Suspect(from, "a client that was redirected there came back")
	}
	return known || d.connect.HeaderFlags&tns.FlagRedirected != 0
}

// redirect sends the client to the best candidate, if that is one to redirect to, or to the next best that is. Where it
// sends it nowhere it returns those to which the session can be relayed: all but those that were found not to answer.
func (s *Server) redirect(ctx context.Context, d *dialogue, reservation Reservation) (rest []servicetable.Candidate, err error) {
	var unfit []error
	route := reservation.Route()
	for i, c := range route {
		fit := s.treatment(d, c).Mode == ModeRedirect
		if !fit && i == 0 {
			return route, nil
		}
		var message *tns.Redirect
		if fit {
			message, fit = s.redirection(ctx, d, c)
		}
		if !fit {
			rest = append(rest, c)
			continue
		}
		err := s.verifyAndSend(ctx, d, c, message, reservation)
		var gone *clientGone
		if err == nil || errors.As(err, &gone) {
			return nil, err
		}
		unfit = append(unfit, err)
	}
	if len(rest) == 0 {
		d.route = route
		reservation.Release()
		return nil, errors.Join(unfit...)
	}
	return rest, nil
}

// verifyAndSend redirects the client to c if that answers and is still wanted. Whoever takes c out of use meanwhile
// waits for the end of this, as for a server connection.
func (s *Server) verifyAndSend(ctx context.Context, d *dialogue, c servicetable.Candidate, message *tns.Redirect, reservation Reservation) error {
	underway := s.attempts.begin(c, d.client.Addr())
	defer s.attempts.end(underway)
	if err := s.verify(ctx, d, c); err != nil {
		return err
	}
	if err := s.stillWanted(d, c); err != nil {
		return &moveOn{err}
	}
	return s.sendRedirect(ctx, d, c, message, reservation)
}

// verify finds out whether c answers, where that is not known.
func (s *Server) verify(ctx context.Context, d *dialogue, c servicetable.Candidate) error {
	if s.Verify == nil {
		return nil
	}
	began := time.Now()
	err := s.Verify(ctx, c)
	if err == nil {
		return nil
	}
	d.recordAttempts(attemptRecord(c, err, time.Since(began), false))
	return &moveOn{fmt.Errorf("%s at %s does not answer: %w", c.Registration.Key(), c.Handler.Address, err)}
}

func (s *Server) sendRedirect(ctx context.Context, d *dialogue, c servicetable.Candidate, message *tns.Redirect, reservation Reservation) error {
	reservation.Kind(true)
	reservation.Settle(c)
	s.loops.sent(sentKeys(d, c), c.Registration.HandlerKey(c.Handler)) // before the client can be back
	_ = d.conn.NetConn().SetWriteDeadline(time.Now().Add(replyTimeout))
	if err := d.conn.Send(message); err != nil {
		reservation.Release()
		return &clientGone{err}
	}
	s.countAttempt(c, nil)
	s.seen(d)
	d.leave(true)
	s.finishAt(ctx, d, journal.Redirect, c)
	s.logRedirected(d, c, message)
	return nil
}

// redirection makes the REDIRECT to a candidate, in the form of tns.md 4 and
// 14: protocol of the client's own connection, nothing but PROTOCOL, HOST and
// PORT in the address, the client's own descriptor with the instance named.
func (s *Server) redirection(ctx context.Context, d *dialogue, c servicetable.Candidate) (*tns.Redirect, bool) {
	address := descriptor.Address{Protocol: strings.ToUpper(c.Handler.Protocol), Host: c.Handler.Host, Port: c.Handler.Port}
	if !strings.EqualFold(address.Protocol, clientProtocol(d)) {
		return nil, false
	}
	if at := s.standIn(ctx, c); at.IsValid() {
		address.Host = at.String()
	}
	if s.View != nil {
		address.Host, address.Port = s.View(d.client.Addr(), address.Host, address.Port)
	}
	if !plainHost(address.Host) || !sameFamily(d.client.Addr(), address.Host) || s.Own != nil && s.Own(address.Host, address.Port) {
		return nil, false
	}
	description := retarget(d, c)
	m := &tns.Redirect{Address: address.String(), ConnectData: description.String()}
	if inOnePacket(m) {
		return m, true
	}
	m.ConnectData = essence(description).String()
	return m, inOnePacket(m)
}

// inOnePacket tells whether all drivers can take a REDIRECT.
func inOnePacket(m *tns.Redirect) bool { return len(m.Address)+1+len(m.ConnectData) <= maxRedirectText }

// essence is a retargeted descriptor reduced to its CONNECT_DATA, for those
// whose owner wrote more than a redirect can hold.
func essence(description *descriptor.Node) *descriptor.Node {
	return &descriptor.Node{Name: description.Name, Children: []*descriptor.Node{description.Child("CONNECT_DATA")}}
}

func clientProtocol(d *dialogue) string {
	if d.secure {
		return "tcps"
	}
	return "tcp"
}

// plainHost: some drivers take no other characters in a redirect's HOST (tns.md 4.1).
func plainHost(host string) bool {
	return host != "" && strings.IndexFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-:", r))
	}) < 0
}
