package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/relay/engine"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Bounds on what an instance may ask for before it accepts.
const (
	maxUpstreamRedirects = 4 // tns.md 11.3
	maxUpstreamResends   = 4
)

// ErrNoAnswer is an instance that answers a CONNECT with nothing that decides it.
var ErrNoAnswer = errors.New("no answer to a CONNECT")

// ServerConnection is a connection to an instance that has accepted a client.
type ServerConnection struct {
	conn   *tns.Conn
	accept *tns.Accept // nil for a sealed client
	landed func()      // it is a session now, or none any more
}

// Close ends a connection that no client will have, so that the instance notices at once.
func (c *ServerConnection) Close() error {
	if c != nil {
		reset(c.conn.NetConn())
		c.landed()
	}
	return nil
}

// accepted is what was settled for the session, as far as it is known.
func (c *ServerConnection) accepted() engine.Accepted {
	if c.accept == nil {
		return engine.Accepted{}
	}
	return engine.Accepted{Version: c.accept.Version, SDU: c.accept.SDU}
}

// reset closes a connection and throws away what is under way.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// attempt makes one attempt for the client, within what bounds it, and counts it.
func (s *Server) attempt(ctx context.Context, d *dialogue, c servicetable.Candidate, commit func() error) (server *ServerConnection, err error) {
	underway := s.attempts.begin(c, d.client.Addr())
	defer func() {
		if err != nil {
			s.attempts.end(underway)
		} else { // until it is a session, so that whoever drains misses none
			server.landed = func() { s.attempts.end(underway) }
		}
	}()
	if err := s.stillWanted(d, c); err != nil {
		return nil, &moveOn{err}
	}
	limit := s.treatment(d, c).AttemptTimeout
	limited, cancel := within(ctx, limit)
	defer cancel()
	if d.hello != nil {
		server, err = s.passOn(limited, d, c, commit)
	} else {
		server, err = s.converse(limited, d, c, commit)
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %v: %w", limit, os.ErrDeadlineExceeded) // silence is no answer, whatever broke then
	}
	s.countAttempt(c, err)
	return server, err
}

// within is context.WithTimeout where 0 is no limit.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// converse asks one candidate to accept the client: it forwards the CONNECT with
// the edits of tns.md 11.3 and follows the instance's own RESEND and REDIRECT.
func (s *Server) converse(ctx context.Context, d *dialogue, c servicetable.Candidate, commit func() error) (*ServerConnection, error) {
	to := s.destination(ctx, d, c)
	connect := d.forward([]byte(d.request(c, to.Address)), d.connect.HeaderFlags&tns.FlagRedirected != 0)
	for range maxUpstreamRedirects + 1 {
		server, redirect, err := s.ask(ctx, to, connect, commit)
		if err != nil || redirect == nil {
			return server, err
		}
		if to.Address, connect, err = follow(d, connect, redirect); err != nil {
			return nil, err
		}
		to.At = netip.Addr{}
		if c.Path == nil || !c.Path.Named {
			continue
		}
		if to.At, err = s.mayFollow(ctx, d, to.Address, connect); err != nil {
			return nil, &moveOn{fmt.Errorf("%s redirected to %s, where this client may not go: %w", c.Registration.Hop, descriptor.Escape(to.Address.HostPort()), err)}
		}
	}
	return nil, &moveOn{fmt.Errorf("%w: instance redirected more than %d times", ErrNoAnswer, maxUpstreamRedirects)}
}

// request is the descriptor to ask a candidate with.
func (d *dialogue) request(c servicetable.Candidate, at descriptor.Address) string {
	if c.Path != nil {
		return c.Path.Descriptor
	}
	return withAddress(retarget(d, c), at).String()
}

// follow prepares the CONNECT that an instance's REDIRECT asks for.
func follow(d *dialogue, sent *tns.Connect, redirect *tns.Redirect) (descriptor.Address, *tns.Connect, error) {
	address, err := descriptor.ParseAddress(redirect.Address)
	if err != nil {
		return address, nil, &moveOn{fmt.Errorf("%w: instance redirected to an address that cannot be read: %w", ErrNoAnswer, err)}
	}
	data := sent.Data
	if strings.TrimRight(redirect.ConnectData, "\x00") != "" {
		data = []byte(strings.TrimRight(redirect.ConnectData, "\x00"))
	}
	return address, d.forward(data, true), nil
}

// Destination is where a connection to an instance goes, and for whom.
type Destination struct {
	Address descriptor.Address
	At      netip.Addr // what its host means, where that was judged: nothing else may be dialled. The zero Addr: any of its addresses
	Client  netip.AddrPort
	Arrived string     // the listening address at which the client came in
	From    netip.Addr // whence the instance registered; the zero Addr: nobody knows, or it did not
	Sealed  bool       // TLS is between client and instance: open none
}

// Dial is the host:port to connect to; Address says whom to expect there.
func (to *Destination) Dial() string {
	if to.At.IsValid() {
		return netip.AddrPortFrom(to.At, uint16(to.Address.Port)).String()
	}
	return to.Address.HostPort()
}

func (s *Server) destination(ctx context.Context, d *dialogue, c servicetable.Candidate) Destination {
	to := Destination{
		Address: descriptor.Address{Protocol: c.Handler.Protocol, Host: c.Handler.Host, Port: c.Handler.Port},
		Client:  d.client, Arrived: d.arrived, At: s.standIn(ctx, c), From: c.RegisteredFrom(),
	}
	if c.Path != nil {
		to.At = c.Path.At
	}
	return to
}

// ask opens one connection, sends the CONNECT and reads on until there is a
// definite answer: the connection that accepted, a redirect, or an error.
func (s *Server) ask(ctx context.Context, to Destination, connect *tns.Connect, commit func() error) (*ServerConnection, *tns.Redirect, error) {
	raw, err := s.open(ctx, to)
	if err != nil {
		return nil, nil, &moveOn{err}
	}
	if err := commit(); err != nil {
		_ = raw.Close()
		return nil, nil, &moveOn{err}
	}
	conn := tns.NewConn(raw)
	if s.Seen != nil {
		conn.Seen = s.Seen(to)
	}
	stop := context.AfterFunc(ctx, func() { reset(raw) })
	reply, err := request(ctx, conn, connect)
	if !stop() { // ctx ended and closed the connection under us
		err = context.Cause(ctx)
	}
	if accept, ok := reply.(*tns.Accept); ok && err == nil {
		return &ServerConnection{conn: conn, accept: accept}, nil, nil
	}
	_ = raw.Close()
	if err != nil {
		return nil, nil, &moveOn{err}
	}
	switch reply := reply.(type) {
	case *tns.Refuse:
		return nil, nil, &RefusedError{Code: refusedWith(reply), Text: reply.Text}
	case *tns.Redirect:
		return nil, reply, nil
	}
	return nil, nil, &moveOn{fmt.Errorf("%w: instance answered a CONNECT with %T", ErrNoAnswer, reply)}
}

// refusedWith is the code to pass on; a refusal without one still is a refusal.
func refusedWith(r *tns.Refuse) tns.Code {
	if code := r.Code(); code > 0 {
		return code
	}
	return tns.CodeHandoff
}

// request sends the CONNECT, again for each RESEND, and returns what is
// answered in the end. A RESEND over TLS may ask for a new handshake first, as that of
// an instance that hands the socket to another process (tns.md 5).
func request(ctx context.Context, conn *tns.Conn, connect *tns.Connect) (tns.Message, error) {
	for range maxUpstreamResends + 1 {
		if err := conn.Send(connect); err != nil {
			return nil, err
		}
		reply, err := conn.ReadReply()
		if err != nil {
			return nil, err
		}
		resend, again := reply.(*tns.Resend)
		if !again {
			return reply, nil
		}
		if resend.TLS && conn.OverTLS() {
			if err := conn.RestartTLS(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("%w: instance asked for the CONNECT more than %d times", ErrNoAnswer, maxUpstreamResends)
}

// open connects to an instance's address.
func (s *Server) open(ctx context.Context, to Destination) (net.Conn, error) {
	protocol := strings.ToLower(to.Address.Protocol)
	switch {
	case protocol != "tcp" && (protocol != "tcps" || s.Connect == nil && !to.Sealed):
		return nil, fmt.Errorf("instance is registered under protocol %q, which cannot be dialled: let it register tcp or tcps", descriptor.Escape(to.Address.Protocol))
	case s.Own != nil && (s.Own(to.Address.Host, to.Address.Port) || to.At.IsValid() && s.Own(to.At.String(), to.Address.Port)):
		return nil, errLoop
	case s.Connect != nil:
		return s.Connect(ctx, to)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", to.Dial())
}

// moveOn marks a failure that another candidate could avoid.
type moveOn struct{ error }

func (e *moveOn) Unwrap() error { return e.error }

// MoveOn is what the dialer asks before it tries the next candidate.
func (e *moveOn) MoveOn() bool { return true }
