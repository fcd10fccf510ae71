package relay

import (
	"crypto/tls"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// maxRedirectText keeps a redirect within one DATA packet of 8192 bytes, which
// is all that some drivers read of it (tns.md 13).
const maxRedirectText = 8192 - 10

// cameBack tells of a client that has been redirected already and came here all
// the same: then only relaying ends the circle.
func (s *Server) cameBack(d *dialogue) bool {
	return d.connect.HeaderFlags&tns.FlagRedirected != 0 || s.loops.returned(loopKeys(d))
}

// modeFor is the way to a candidate: what the rule that granted it says, else what
// holds for all.
func (s *Server) modeFor(d *dialogue, c servicetable.Candidate) Mode {
	if rule := d.granted[c.Handler]; rule != nil && rule.Mode != ModeUnset {
		return rule.Mode
	}
	return s.Mode
}

// redirect sends the client to the best candidate, if that is one to redirect to,
// or to the next best that is. It reports false if the session is to be relayed.
func (s *Server) redirect(d *dialogue, reservation Reservation) (bool, error) {
	for i, c := range reservation.Route() {
		if s.modeFor(d, c) != ModeRedirect {
			if i == 0 {
				return false, nil
			}
			continue
		}
		message, ok := s.redirection(d, c)
		if !ok {
			continue
		}
		reservation.Settle(c)
		s.loops.sent(sentKeys(d, c)) // before the client can be back
		_ = d.conn.NetConn().SetWriteDeadline(time.Now().Add(replyTimeout))
		if err := d.conn.Send(message); err != nil {
			reservation.Release()
			return true, &clientGone{err}
		}
		s.countAttempt(c, nil)
		s.logRedirected(d, c)
		d.conn.CloseAfterReply(lingerTimeout)
		return true, nil
	}
	return false, nil
}

// redirection makes the REDIRECT to a candidate, in the form of tns.md 4 and
// 14: protocol of the client's own connection, nothing but PROTOCOL, HOST and
// PORT in the address, the client's own descriptor with the instance named.
func (s *Server) redirection(d *dialogue, c servicetable.Candidate) (*tns.Redirect, bool) {
	h := c.Handler
	if !strings.EqualFold(h.Protocol, clientProtocol(d)) || !plainHost(h.Host) || s.Own != nil && s.Own(h.Host, h.Port) {
		return nil, false
	}
	address := descriptor.Address{Protocol: strings.ToUpper(h.Protocol), Host: h.Host, Port: h.Port}
	for _, description := range []*descriptor.Node{retarget(d.asked, c), essence(d.asked, c)} {
		m := &tns.Redirect{Address: address.String(), ConnectData: description.String()}
		if len(m.Address)+1+len(m.ConnectData) <= maxRedirectText {
			return m, true
		}
	}
	return nil, false
}

// essence is a retargeted descriptor reduced to its CONNECT_DATA, for those
// whose owner wrote more than a redirect can hold.
func essence(asked *descriptor.Node, c servicetable.Candidate) *descriptor.Node {
	data := retarget(asked, c).Child("CONNECT_DATA")
	return &descriptor.Node{Name: "DESCRIPTION", Children: []*descriptor.Node{data}}
}

func clientProtocol(d *dialogue) string {
	if _, ok := d.conn.NetConn().(*tls.Conn); ok {
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
