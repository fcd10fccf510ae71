package relay

import (
	"crypto/tls"
	"net"

	"servicebroker/dn"
)

// clientDN is the name in a client's certificate that was verified; none if there is none.
func clientDN(c net.Conn) dn.Name {
	secure, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return dn.Name{}
	}
	state := secure.ConnectionState()
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return dn.Name{}
	}
	return dn.Of(state.PeerCertificates[0])
}
