package tns

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
)

// restartable is a connection that notes when its TLS is restarted.
type restartable struct {
	net.Conn
	restarts int
	fail     error
}

func (r *restartable) RestartTLS(context.Context) error { r.restarts++; return r.fail }

// ConnectionState makes it a TLS connection.
func (r *restartable) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

// wrapped is a connection inside another.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// A RESEND with TLS is answered by a restart and the CONNECT again; one without by the
// CONNECT alone.
func TestTryServiceRestartsTLS(t *testing.T) {
	connect := pingConnect()
	for _, wrap := range []func(net.Conn) net.Conn{
		func(c net.Conn) net.Conn { return c },
		func(c net.Conn) net.Conn { return wrapped{wrapped{c}} },
	} {
		ours, end := script(t, step{expect: connect}, step{send: encode(Resend{TLS: true})}, step{expect: connect}, step{send: encode(Resend{})},
			step{expect: connect}, step{send: encode(Resend{TLS: true})}, step{expect: connect}, step{send: encode(PingReply("LISTENER"))})
		c := &restartable{Conn: ours}
		if reply, err := Ping(t.Context(), wrap(c)); err != nil || reply != pingAnswer {
			t.Errorf("%q, %v", reply, err)
		}
		if c.restarts != 2 {
			t.Errorf("%d restarts, want 2", c.restarts)
		}
		end()
	}
}

func TestRestartTLSFails(t *testing.T) {
	broken := errors.New("bad certificate")
	ours, end := script(t, step{expect: pingConnect()}, step{send: encode(Resend{TLS: true})})
	_, err := TryService(t.Context(), &restartable{Conn: ours, fail: broken}, []byte("(CONNECT_DATA=(COMMAND=ping))"))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "which RESEND asks for") {
		t.Error(err)
	}
	end()
}

// Only what can run a handshake is asked to.
func TestRestartTLSNeedsTLS(t *testing.T) {
	for _, c := range []net.Conn{&wire{}, wrapped{&wire{}}} {
		conn := NewConn(c)
		if err := conn.RestartTLS(t.Context()); !errors.Is(err, ErrNoRestart) {
			t.Errorf("%T: %v", c, err)
		}
		if err := conn.AskTLSRestart(t.Context()); !errors.Is(err, ErrNoRestart) {
			t.Errorf("%T: %v", c, err)
		}
		if conn.OverTLS() {
			t.Errorf("%T is taken for TLS", c)
		}
	}
	w := &wire{}
	if _ = NewConn(wrapped{w}).AskTLSRestart(t.Context()); w.out.Len() > 0 {
		t.Error("a RESEND was sent that cannot be kept")
	}
}

func TestAskTLSRestart(t *testing.T) {
	ours, end := script(t, step{expect: encode(Resend{TLS: true})}, step{send: pingConnect()})
	c := &restartable{Conn: ours}
	conn := NewConn(c)
	if err := conn.AskTLSRestart(t.Context()); err != nil || c.restarts != 1 || !conn.OverTLS() {
		t.Errorf("%v, %d restarts", err, c.restarts)
	}
	if connect, err := conn.ReadConnect(); err != nil || string(connect.Data) != "(CONNECT_DATA=(COMMAND=ping))" {
		t.Errorf("%v", err)
	}
	end()
}

// What was sent within the old session must not be taken for part of the new one.
func TestRestartTLSWithBytesLeft(t *testing.T) {
	c := &restartable{Conn: &wire{in: strings.NewReader(string(encode(Resend{TLS: true})) + "rest")}}
	conn := NewConn(c)
	if _, err := conn.ReadReply(); err != nil {
		t.Fatal(err)
	}
	if err := conn.RestartTLS(t.Context()); !errors.Is(err, ErrUnexpected) || c.restarts != 0 || !strings.Contains(err.Error(), "4 bytes") {
		t.Errorf("%v, %d restarts", err, c.restarts)
	}
}
