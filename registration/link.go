package registration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration/nsgr"
	"servicebroker/tns"
)

// link is an agent's connection to one broker, made again whenever it breaks.
type link struct {
	*agentRun
	address    string
	log        *slog.Logger
	wake       chan struct{}
	registered bool
	told       string // the last trouble that was logged, so that it is logged once
}

// run keeps the instance registered with the broker until ctx ends.
func (l *link) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.keep(ctx)
		l.registered = false
		if ctx.Err() != nil {
			return
		}
		l.tell(err)
		l.pause(ctx)
	}
}

// tell logs trouble with the broker, unless it is the same as before.
func (l *link) tell(err error) {
	if errors.Is(err, errUnhealthy) || err.Error() == l.told {
		return
	}
	l.told = err.Error()
	var refused *tns.RefusedError
	if !errors.As(err, &refused) {
		l.log.Warn("not registered, trying again", "cause", err.Error())
		return
	}
	code := refused.Refuse.Code()
	l.log.Warn("registration refused, trying again", "code", code.String(), "meaning", code.Meaning(), "text", refused.Refuse.Text,
		"remedy", refusalRemedy(code))
}

// refusalRemedy says what to do about a refusal.
func refusalRemedy(code tns.Code) string {
	switch code {
	case tns.CodeRegistrationRejected, tns.CodeAdminRefused, tns.CodeNotAuthorised:
		return "add this host's address to REGISTRATION_INVITED_NODES on the broker"
	case tns.CodeInsecureTransport:
		return "register over TLS, or add TCP to REGISTRATION_TRANSPORTS on the broker"
	case tns.CodeUnknownCommand:
		return "switch dynamic registration on at that listener"
	case tns.CodeLimit:
		return "raise MAX_REG_CONNECTIONS on the broker"
	}
	return "look into the log of the broker"
}

// pause waits for the next attempt; a refresh ends it early. The jitter keeps the
// agents of a whole site from coming back in step.
func (l *link) pause(ctx context.Context) {
	retry := or(l.Retry, defaultRetry)
	timer := time.NewTimer(retry - retry/4 + rand.N(retry/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
	case <-ctx.Done():
	}
}

// keep registers, and registers again at each interval and refresh, until the
// connection breaks, the instance is not healthy or ctx ends.
func (l *link) keep(ctx context.Context) error {
	if err := l.healthy(ctx); err != nil {
		return err
	}
	payload, err := l.message()
	if err != nil {
		return err
	}
	conn, sdu, err := l.connect(ctx)
	if err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- discard(conn) }()
	err = l.repeat(ctx, &session{conn: conn, sdu: sdu, gone: gone, first: payload})
	if !errors.As(err, new(*brokenError)) {
		_ = sendWithin(conn, goodbyeTime, tns.Data{Flags: tns.DataEOF})
	}
	conn.NetConn().Close()
	<-gone
	return err
}

// session is one registered connection.
type session struct {
	conn  *tns.Conn
	sdu   int
	gone  chan error // gets one value when nothing more can be read
	first []byte
}

// brokenError is the end of a connection by the broker or the network.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return "connection to the broker lost: " + e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// repeat sends the registration until something ends that.
func (l *link) repeat(ctx context.Context, s *session) error {
	tick := time.NewTicker(or(l.Interval, defaultInterval))
	defer tick.Stop()
	payload := s.first
	for {
		if err := sendWithin(s.conn, sendTime, inPackets{payload: payload, sdu: s.sdu}); err != nil {
			return &brokenError{err}
		}
		if !l.registered {
			l.registered, l.told = true, ""
			l.log.Info("registered with the broker")
		}
		select {
		case err := <-s.gone:
			s.gone <- err // for whoever waits for the reader
			return &brokenError{err}
		case <-tick.C:
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := l.healthy(ctx)
		if err != nil {
			return err
		}
		if payload, err = l.message(); err != nil {
			return err
		}
	}
}

// message is the whole registration as of now, in wire form.
func (l *link) message() ([]byte, error) {
	m, err := ToMessage(l.describe(), nsgr.Representation{})
	if err != nil {
		return nil, fmt.Errorf("cannot register what is described: %w", err)
	}
	return m.AppendTo(nil)
}

// connect reaches the broker and gets its ACCEPT.
func (l *link) connect(ctx context.Context) (*tns.Conn, int, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	raw, err := l.dial(ctx)
	if err != nil {
		return nil, 0, err
	}
	conn := tns.NewConn(raw)
	stop := closeOnDone(ctx, raw)
	accept, err := l.handshake(conn)
	stop()
	switch {
	case err == nil && ctx.Err() == nil:
		conn.SetVersion(accept.Version)
		keepAlive(raw)
		return conn, int(max(accept.SDU, tns.MinSDU)), nil
	case ctx.Err() != nil:
		err = fmt.Errorf("no reply from the broker: %w", ctx.Err())
	}
	raw.Close()
	return nil, 0, err
}

func (l *link) dial(ctx context.Context) (net.Conn, error) {
	if l.Dial != nil {
		return l.Dial(ctx, l.address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", l.address)
}

func (l *link) handshake(conn *tns.Conn) (*tns.Accept, error) {
	connect := tns.NewConnect([]byte(l.connectData()))
	for range maxResends {
		if err := conn.Send(connect); err != nil {
			return nil, err
		}
		reply, err := conn.ReadReply()
		if err != nil {
			return nil, err
		}
		switch reply := reply.(type) {
		case *tns.Accept:
			return reply, nil
		case *tns.Refuse:
			return nil, &tns.RefusedError{Refuse: reply}
		case *tns.Redirect:
			return nil, fmt.Errorf("the broker answers a registration with a REDIRECT to %s; register there", descriptor.Escape(reply.Address))
		}
	}
	return nil, tns.ErrTooManyResends
}

// connectData asks to register; a database sends nothing else (nsgr.md 2.1).
func (l *link) connectData() string {
	if l.AsDatabase {
		return "(CONNECT_DATA=(COMMAND=service_register_NSGR))"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	data := &descriptor.Node{Name: "CONNECT_DATA", Children: []*descriptor.Node{
		{Name: "CID", Children: []*descriptor.Node{{Name: "PROGRAM", Value: AgentProgram}, {Name: "HOST", Value: host}}},
		{Name: "COMMAND", Value: "service_register_NSGR"},
	}}
	return data.String()
}

// discard reads what the broker answers, of which nothing is needed, until the
// connection ends.
func discard(conn *tns.Conn) error {
	for {
		p, err := conn.ReadPacket()
		if err != nil {
			return err
		}
		var data tns.Data
		if p.Type == tns.TypeData && data.Decode(p) == nil && data.Flags&tns.DataEOF != 0 {
			return io.EOF
		}
	}
}
