package registration

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestTransportAndPeer(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	plain := &addressed{Conn: ours, remote: tcp("[::ffff:10.1.2.3]:99")}
	if got := transportOf(plain); got != "TCP" {
		t.Errorf("plain: %s", got)
	}
	if got := transportOf(tls.Server(plain, &tls.Config{})); got != "TCPS" {
		t.Errorf("TLS: %s", got)
	}
	if got := transportOf(&wrapped{tls.Server(plain, &tls.Config{})}); got != "TCPS" {
		t.Errorf("wrapped TLS: %s", got)
	}
	if got := transportOf(&addressed{Conn: ours, remote: &net.UnixAddr{Net: "unix"}}); got != "IPC" {
		t.Errorf("Unix socket: %s", got)
	}
	if got := peerOf(plain); got != netip.MustParseAddrPort("10.1.2.3:99") {
		t.Errorf("peer %v", got)
	}
	for _, none := range []net.Addr{nil, &net.UnixAddr{Net: "unix"}} {
		if got := peerOf(&addressed{Conn: ours, remote: none}); got.IsValid() {
			t.Errorf("peer %v", got)
		}
	}
	keepAlive(&wrapped{plain}) // nothing to set, nothing to break
}

type wrapped struct{ net.Conn }

func (w *wrapped) NetConn() net.Conn { return w.Conn }

// alive counts how often keepalive is asked for.
type alive struct {
	net.Conn
	set int
}

func (a *alive) SetKeepAliveConfig(c net.KeepAliveConfig) error {
	if c.Enable {
		a.set++
	}
	return errors.New("not supported")
}

func TestKeepAliveIsSet(t *testing.T) {
	a := &alive{}
	keepAlive(&wrapped{&wrapped{a}})
	if a.set != 1 {
		t.Errorf("set %d times", a.set)
	}
}

// Over real sockets: the registration is gone when Serve returns, however the
// connection ends.
func TestSockets(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"close": func(c *net.TCPConn) { c.Close() },
		"reset": func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
		"half":  func(c *net.TCPConn) { _ = c.CloseWrite(); drain(c) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			applied := make(chan struct{}, 1)
			b.Apply = func(r servicetable.Registration) { b.apply(r); applied <- struct{}{} }
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			done := make(chan error, 1)
			go func() {
				raw, err := listener.Accept()
				if err != nil {
					done <- err
					return
				}
				conn := tns.NewConn(raw)
				connect, err := conn.ReadConnect()
				if err == nil {
					err = b.Serve(t.Context(), conn, connect)
				}
				done <- err
			}()
			raw, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			r := &registrant{t: t, conn: tns.NewConn(raw)}
			r.send(tns.NewConnect([]byte(plainConnect)))
			r.accepted().says(recording(t, "sid_4"))
			<-applied
			end(raw.(*net.TCPConn))
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got := b.registered(); len(got) != 0 || b.count(Died) != 1 {
				t.Errorf("%v, %d died", got, b.count(Died))
			}
		})
	}
}
