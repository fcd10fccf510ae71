package registration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"servicebroker/tns"
)

// tap passes the dialogue through to the upstream listener while we read the
// database's half. It returns false if the upstream could not be reached or did
// not reply, so that someone else has to serve the registrant, who has had no
// reply then.
func (s *Server) tap(ctx context.Context, d *dialogue, connect *tns.Connect) (served bool, err error) {
	up, err := s.dialUpstream(ctx)
	if err != nil {
		s.aloneBecause(d, err)
		return false, nil
	}
	defer up.Close()
	stop := closeOnDone(ctx, up)
	defer stop()
	keepAlive(up)
	for range maxResends {
		reply, sent, err := s.ask(up, connect)
		if err != nil {
			s.aloneBecause(d, err)
			return false, nil
		}
		if err := writeWithin(d.conn.NetConn(), sent); err != nil {
			return true, fmt.Errorf("pass the upstream listener's reply to the registrant at %s: %w", d.peer, err)
		}
		switch reply := reply.(type) {
		case *tns.Accept:
			return true, s.passThrough(ctx, d, up, reply.Version)
		case *tns.Resend:
			if connect, err = readConnectAgain(d.conn, or(s.UpstreamTimeout, defaultUpstream)); err != nil {
				return true, fmt.Errorf("registrant at %s, asked to repeat its CONNECT: %w", d.peer, err)
			}
		default:
			return true, s.passedOn(d, reply)
		}
	}
	s.aloneBecause(d, tns.ErrTooManyResends)
	return false, nil
}

func (s *Server) dialUpstream(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, or(s.UpstreamTimeout, defaultUpstream))
	defer cancel()
	if s.DialUpstream != nil {
		return s.DialUpstream(ctx, s.Upstream)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", s.Upstream)
}

func (s *Server) aloneBecause(d *dialogue, err error) {
	d.log.Warn("registration goes on without the upstream listener", "upstream", s.Upstream, "cause", err.Error(),
		"remedy", "start that listener or correct REGISTRATION_UPSTREAM; this database uses it again when it next connects")
}

// ask sends the CONNECT on, and returns the reply and all bytes that came.
func (s *Server) ask(up net.Conn, connect *tns.Connect) (tns.Message, []byte, error) {
	_ = up.SetDeadline(time.Now().Add(or(s.UpstreamTimeout, defaultUpstream)))
	defer func() { _ = up.SetDeadline(time.Time{}) }()
	kept := &recorder{Conn: up}
	conn := tns.NewConn(kept)
	if err := conn.Send(connect); err != nil {
		return nil, nil, err
	}
	reply, err := conn.ReadReply()
	return reply, kept.read, err
}

func readConnectAgain(c *tns.Conn, limit time.Duration) (*tns.Connect, error) {
	_ = c.NetConn().SetReadDeadline(time.Now().Add(limit))
	return c.ReadConnect()
}

// passedOn ends a dialogue that the upstream has not accepted; the registrant
// has got its reply.
func (s *Server) passedOn(d *dialogue, reply tns.Message) error {
	var code tns.Code
	cause := "the upstream listener sent the database elsewhere"
	if refuse, ok := reply.(*tns.Refuse); ok {
		code = refuse.Code()
		cause = "the upstream listener refused it"
	}
	d.log.Warn("registration refused", "code", code.String(), "cause", cause, "upstream", s.Upstream,
		"remedy", "allow this broker's address to register with the upstream listener")
	s.report(Event{Kind: Refused, Peer: d.peer, Code: code, Cause: cause})
	d.conn.CloseAfterReply(refusalTime)
	return nil
}

// passThrough copies bytes both ways and listens to the database's. Either
// side's end is the end of both.
func (s *Server) passThrough(ctx context.Context, d *dialogue, up net.Conn, version uint16) error {
	database := d.conn.NetConn()
	t := &tee{Conn: database, early: d.conn.Buffered(), to: up}
	d.conn = tns.NewConn(t)
	d.conn.SetVersion(version)
	defer s.enter(d)()

	var answers sync.WaitGroup
	closed := make(chan struct{})
	answers.Go(func() {
		copyTo(database, up)
		close(closed)
		database.Close()
	})
	defer answers.Wait()
	defer up.Close()

	err := d.listen(ctx)
	if t.err == nil && !errors.Is(err, errEnded) && ctx.Err() == nil {
		err = d.onlyPass(t, err)
	}
	err = d.ended(ctx, err)
	select {
	case <-closed:
		if ctx.Err() == nil {
			d.cause = "the upstream listener ended it"
		}
		return nil
	default:
		return err
	}
}

// onlyPass keeps copying what we can no longer read, since the upstream may:
// what was registered so far stays as it is. It returns why the copying ended.
func (d *dialogue) onlyPass(t *tee, cause error) error {
	d.log.Warn("registration is passed on to the upstream listener without being read any further", "cause", cause.Error())
	_ = t.SetReadDeadline(time.Time{})
	if _, err := io.Copy(io.Discard, t); err != nil {
		return err
	}
	return io.EOF
}

// recorder keeps what is read from a connection.
type recorder struct {
	net.Conn
	read []byte
}

// Read reads and keeps.
func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read = append(r.read, p[:n]...)
	return n, err
}

// tee passes on what is read from a connection, before anyone looks at it.
type tee struct {
	net.Conn
	early []byte // read already, not passed on yet
	to    net.Conn
	err   error // of the connection itself, either side
}

// Read reads and passes on. An error sticks: what could not be passed on must not
// be followed by what comes after it.
func (t *tee) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	var n int
	if len(t.early) > 0 {
		n = copy(p, t.early)
		t.early = t.early[n:]
	} else if n, t.err = t.Conn.Read(p); n == 0 {
		return 0, t.err
	}
	if err := writeWithin(t.to, p[:n]); err != nil {
		t.err = fmt.Errorf("pass on to the upstream listener: %v", err) // not to be taken for a time limit of the registrant's
	}
	return n, t.err
}

func writeWithin(c net.Conn, b []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(sendTime))
	_, err := c.Write(b)
	return err
}

// copyTo copies until either side ends, or to does not take what is sent.
func copyTo(to, from net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && writeWithin(to, buf[:n]) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}
