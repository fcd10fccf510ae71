package tns

import (
	"context"
	"net"
)

// Ping asks a listener whether it is there, as tnsping does (tns.md 10.1). reply is the
// text of its answer; err is nil only for the REFUSE with ERR=0 that says yes. A context
// that ends closes c.
func Ping(ctx context.Context, c net.Conn) (reply string, err error) { return "", errNotReady }

// TryService sends a CONNECT with data as its connect data and returns the first
// definite reply: *Accept, *Refuse or *Redirect; RESEND is answered, except one that asks
// for a new TLS handshake on a TLS connection, which is returned. c is of no use
// afterwards but to be closed. A context that ends closes c.
func TryService(ctx context.Context, c net.Conn, data []byte) (Message, error) {
	return nil, errNotReady
}
