package relay

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Sealed is a client whose TLS is for the instance to end: all that is known of it is what
// the first message of its handshake says (tns.md 7).
type Sealed struct {
	Service       string
	Instance      string // "" if it asks for none
	Server        string // of its name the first letter: d, s or p; "" if it asks for none
	ColocationTag string
	Hello         []byte // that message, as it was read from the connection
}

// data is what such a client would have asked for in Oracle Net.
func (q *Sealed) data() string {
	data := &descriptor.Node{Name: "CONNECT_DATA"}
	data.Set("SERVICE_NAME", q.Service)
	for _, more := range []struct{ name, value string }{
		{"INSTANCE_NAME", q.Instance}, {"SERVER", map[string]string{"d": "dedicated", "s": "shared", "p": "pooled"}[strings.ToLower(q.Server)]},
		{"COLOCATION_TAG", q.ColocationTag},
	} {
		if more.value != "" {
			data.Set(more.name, more.value)
		}
	}
	return (&descriptor.Node{Name: "DESCRIPTION", Children: []*descriptor.Node{data}}).String()
}

// ServeSealed is Serve for a client whose connection is passed on with TLS in it, to an
// instance that ends TLS itself. Nothing can be said to such a client in Oracle Net: it is
// refused by an alert of TLS.
func (s *Server) ServeSealed(ctx context.Context, raw net.Conn, asked Sealed, arrival Arrival) {
	d := &dialogue{
		began: time.Now(), arrival: arrival, conn: tns.NewConn(raw), connect: tns.NewConnect([]byte(asked.data())), client: AddrPort(raw.RemoteAddr()),
		arrived: nameOf(raw.LocalAddr()), secure: true, hello: asked.Hello,
	}
	s.conduct(ctx, d)
}

// errUnsealed is what a sealed client gets where no instance could take it.
var errUnsealed = errors.New("no instance of the service ends TLS itself, and the client's connection is to be passed on with TLS in it (PASSTHROUGH): " +
	"let the database register an address with PROTOCOL=tcps, or send clients to an address without PASSTHROUGH")

// passable leaves out those to whom a sealed client cannot be passed on.
func (d *dialogue) passable(candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	if d.hello == nil || len(candidates) == 0 {
		return candidates, nil
	}
	var kept []servicetable.Candidate
	for _, c := range candidates {
		if strings.EqualFold(c.Handler.Protocol, "tcps") {
			kept = append(kept, c)
			continue
		}
		d.passOver(c, "it does not end TLS itself")
	}
	if len(kept) == 0 {
		return nil, errUnsealed
	}
	return kept, nil
}

// passOn hands a sealed client's first message to a candidate. It is accepted once the
// candidate answers anything: what, is between the two of them.
func (s *Server) passOn(ctx context.Context, d *dialogue, c servicetable.Candidate, commit func() error) (*ServerConnection, error) {
	to := s.destination(ctx, d, c)
	to.Sealed = true
	raw, err := s.open(ctx, to)
	if err != nil {
		return nil, &moveOn{err}
	}
	if err := commit(); err != nil {
		_ = raw.Close()
		return nil, &moveOn{err}
	}
	conn := tns.NewConn(raw)
	stop := context.AfterFunc(ctx, func() { reset(raw) })
	if _, err = raw.Write(d.hello); err == nil {
		err = conn.Watch()
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close()
		return nil, &moveOn{err}
	}
	return &ServerConnection{conn: conn}, nil
}

// The alerts by which sealed clients are refused, RFC 8446 6.2.
const (
	alertAccessDenied     = 49
	alertInternalError    = 80
	alertUnrecognizedName = 112
)

// alertOf is what a sealed client is told in place of a code.
func alertOf(code tns.Code) byte {
	switch code {
	case tns.CodeRuleRejects, tns.CodeRateLimit, tns.CodeRestricted:
		return alertAccessDenied
	case tns.CodeUnknownService, tns.CodeUnknownInstance, tns.CodeNoHandlerOfKind, tns.CodeHandlerProtocol:
		return alertUnrecognizedName
	}
	return alertInternalError
}

// FatalAlert is the TLS record of a fatal alert in clear, as a server may answer a
// ClientHello with.
func FatalAlert(alert byte) []byte { return []byte{0x15, 3, 3, 0, 2, 2, alert} }

// UnrecognizedName is the alert about a server name that nothing is known about.
func UnrecognizedName() []byte { return FatalAlert(alertUnrecognizedName) }

// sendRefusal tells the client that it is refused, in the words that it understands.
func (s *Server) sendRefusal(d *dialogue, code tns.Code) error {
	if d.hello != nil {
		_, err := d.conn.NetConn().Write(FatalAlert(alertOf(code)))
		return err
	}
	return d.conn.Send(tns.NewRefuse(code, s.VSNNUM).WithRef(d.record.Ref))
}

// sendAccept passes on what the instance said; to a sealed client that goes with the rest.
func (d *dialogue) sendAccept(server *ServerConnection) error {
	if d.hello != nil {
		return nil
	}
	return d.conn.Send(server.accept)
}
