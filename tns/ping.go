package tns

import (
	"context"
	"fmt"
	"net"
)

// maxResends is how often a client of ours sends its CONNECT again.
const maxResends = 4

// pingData is what tnsping sends (tns.md 10.1).
const pingData = "(CONNECT_DATA=(COMMAND=ping))"

// Ping asks a listener whether it is there, as tnsping does (tns.md 10.1). reply is the
// text of its answer; err is nil only for the REFUSE with ERR=0 that says yes, and a
// *RefusedError for any other REFUSE. A context that ends closes c; without a deadline
// Ping may last as long as the listener is silent.
func Ping(ctx context.Context, c net.Conn) (reply string, err error) {
	m, err := TryService(ctx, c, []byte(pingData))
	if err != nil {
		return "", err
	}
	switch m := m.(type) {
	case *Refuse:
		return m.Text, m.Err()
	case *Accept:
		return string(m.Data), fmt.Errorf("%w: ACCEPT of a ping; check that the peer is a listener", ErrUnexpected)
	case *Redirect:
		return "", fmt.Errorf("%w: ping redirected to %s; ping that address", ErrUnexpected, m.Address)
	}
	return "", fmt.Errorf("%w: answer %T to a ping; check that the peer is a listener", ErrUnexpected, m)
}

// TryService sends a CONNECT with data as its connect data and returns the first
// definite reply: *Accept, *Refuse or *Redirect. RESEND is answered, also one that asks
// for a new TLS handshake if c can run one (see Conn.RestartTLS); if it cannot and is a
// TLS connection, that *Resend is returned. c is of no use afterwards but to be closed. A
// context that ends closes c.
func TryService(ctx context.Context, c net.Conn, data []byte) (Message, error) {
	release := closeWhenDone(ctx, c)
	m, err := tryService(ctx, c, data)
	release()
	if err == nil {
		return m, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("no answer from %v: %w", c.RemoteAddr(), cause)
	}
	return nil, err
}

func tryService(ctx context.Context, c net.Conn, data []byte) (Message, error) {
	conn, connect := NewConn(c), NewConnect(data)
	for range 1 + maxResends {
		if err := conn.Send(connect); err != nil {
			return nil, fmt.Errorf("send CONNECT: %w", err)
		}
		m, err := conn.ReadReply()
		if err != nil {
			return nil, fmt.Errorf("read the answer to CONNECT: %w", err)
		}
		resend, again := m.(*Resend)
		switch {
		case !again:
			return m, nil
		case !resend.TLS || !overTLS(c):
		case restarterOf(c) == nil:
			return m, nil
		default:
			if err := conn.RestartTLS(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("%w: %d from %v; check the listener", ErrTooManyResends, maxResends+1, c.RemoteAddr())
}

// closeWhenDone closes c when ctx ends. release ends the watch and waits for it.
func closeWhenDone(ctx context.Context, c net.Conn) (release func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		c.Close()
	})
	return func() {
		if !stop() {
			<-closed
		}
	}
}
