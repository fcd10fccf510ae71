package attack

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"servicebroker/broker"
	"servicebroker/descriptor"
	"servicebroker/tns"
)

// renewal is what one side of a TLS connection does to have its handshake run anew, or its keys changed, where nobody has agreed
// to that.
type renewal struct {
	name string
	do   func(s *sealer) error
	only uint16 // version of TLS; 0: any
}

func renegotiations(t *testing.T) []renewal {
	t.Helper()
	anew := hello(t, &tls.Config{ServerName: "localhost"})
	inside := anew[5:]
	return []renewal{
		{"a hello", func(s *sealer) error { return s.say(recordHandshake, inside) }, 0},
		{"a hello in pieces", func(s *sealer) error {
			for i := range inside {
				if err := s.say(recordHandshake, inside[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		}, 0},
		{"a hello in the clear", func(s *sealer) error { _, err := s.raw.Conn.Write(anew); return err }, 0},
		{"a request for a hello", func(s *sealer) error { return s.say(recordHandshake, []byte{helloRequest, 0, 0, 0}) }, 0},
		{"requests for a hello without end", func(s *sealer) error {
			return forever(func() error { return s.say(recordHandshake, []byte{helloRequest, 0, 0, 0}) })
		}, 0},
		{"a hello that announces 16 MB", func(s *sealer) error { return s.say(recordHandshake, []byte{clientHello, 0xff, 0xff, 0xff}) }, 0},
		{"new keys without end", func(s *sealer) error { return forever(s.update) }, tls.VersionTLS13},
		{"empty records without end", func(s *sealer) error { return forever(func() error { return s.say(recordData, nil) }) }, 0},
		{"warnings without end", func(s *sealer) error { return forever(func() error { return s.say(recordAlert, []byte{1, 100}) }) }, tls.VersionTLS12}, // each of them ends TLS 1.3
	}
}

// forever does something until the other side has had enough.
func forever(do func() error) error {
	for range 100_000 {
		if err := do(); err != nil {
			return nil
		}
	}
	return fmt.Errorf("it goes on and on")
}

// A client that has its handshake over gets no other one: its connection ends, before its CONNECT and within its session.
func TestHandshakesAgain(t *testing.T) {
	w := start(t, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, r := range renegotiations(t) {
			for _, in := range []string{"first", "in a session"} {
				if r.only != 0 && r.only != version {
					continue
				}
				t.Run(fmt.Sprint(tls.VersionName(version), " ", r.name, " ", in), func(t *testing.T) {
					before := w.metrics()
					raw := w.dial(overTLS)
					defer raw.Close()
					_ = raw.SetDeadline(time.Now().Add(answerLimit))
					s, err := sealed(t, raw, version, &tls.Config{InsecureSkipVerify: true})
					must(t, err)
					if in != "first" {
						must(t, s.say(recordData, connect(sales)))
						reply, err := tns.NewConn(s).ReadReply()
						if _, ok := reply.(*tns.Accept); !ok || err != nil {
							t.Fatalf("answered with %#v, %v", reply, err)
						}
					}
					if err := r.do(s); err != nil && !gone(err) {
						t.Fatal(err)
					}
					if err := s.ended(); timedOut(err) {
						t.Errorf("it is still open: %v", err)
					}
					if in == "first" { // the end of a session is told as such
						w.counted(t, before, "tls")
					}
				})
			}
		}
	}
	w.unharmed()
}

// secureInstance listens with TLS, asks each client for another handshake, as those do that hand a socket over, and then does
// what it means to.
func (w *world) secureInstance(t *testing.T, version uint16, restarts int, do func(*sealer) error) (at string, asked *atomic.Int32) {
	asked = &atomic.Int32{}
	config := &tls.Config{Certificates: []tls.Certificate{w.ca.Host()}}
	return w.instance(func(c net.Conn) {
		for i := 0; ; i++ {
			s, err := sealed(t, c, version, config)
			if err != nil {
				return
			}
			if _, err := tns.NewConn(s).ReadConnect(); err != nil {
				return
			}
			asked.Add(1)
			if i == restarts {
				if do(s) == nil {
					_ = s.ended()
				}
				return
			}
			if s.say(recordData, tns.Resend{TLS: true}.AppendTo(nil, false)) != nil {
				return
			}
		}
	}), asked
}

// registerSecure registers an instance that is reached by TLS.
func (w *world) registerSecure(t *testing.T, name, at string) (withdraw func()) {
	t.Helper()
	_, port, _ := net.SplitHostPort(at)
	address := descriptor.Address{Protocol: "tcps", Host: "localhost"}
	_, err := fmt.Sscan(port, &address.Port)
	must(t, err)
	o := offer{instance: name, services: []string{name}, at: []string{at}}
	r := o.registration()
	r.Handlers[0].Protocol, r.Handlers[0].Host, r.Handlers[0].Address = "TCPS", address.Host, address.String()
	return w.registerAs(r)
}

// An instance may ask for one handshake more, by a RESEND; whatever else it does to have its own way with TLS ends the attempt, in
// the first handshake's connection and in the second's.
func TestHandshakesAgainWithInstances(t *testing.T) {
	w := start(t, func(c *broker.Config) {
		c.ProbeInterval, c.AttemptTimeout, c.Hedge, c.HedgeLearnt = 0, 2*time.Second, 0, false
	})
	n := 0
	try := func(t *testing.T, version uint16, restarts int, do func(*sealer) error, accepted bool) (asked int32) {
		t.Helper()
		n++
		name := fmt.Sprint("secure", n)
		at, connects := w.secureInstance(t, version, restarts, do)
		withdraw := w.registerSecure(t, name, at)
		defer withdraw()
		want := wantAny
		if accepted {
			want = wantAccept
		}
		p := probe{name: name, send: connect("(CONNECT_DATA=(SERVICE_NAME=" + name + "))"), then: func(c net.Conn) { _ = c.SetReadDeadline(time.Now().Add(answerLimit)) }, want: want}
		if accepted {
			p.then = nil
		}
		before := w.metrics()
		said, err := p.run(w)
		must(t, err)
		class := "instance"
		if accepted {
			class = ""
		}
		w.counted(t, before, class)
		if err := p.judge(said); err != nil {
			t.Error(err)
		}
		return connects.Load()
	}
	good := func(s *sealer) error {
		return s.say(recordData, tns.AnswerConnect(tns.NewConnect([]byte(sales)), 318, nil).AppendTo(nil, false))
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for restarts := range 2 {
			t.Run(fmt.Sprint(tls.VersionName(version), " good, handshakes ", restarts+1), func(t *testing.T) {
				if asked := try(t, version, restarts, func(s *sealer) error {
					_ = good(s)
					return io.EOF
				}, true); int(asked) != restarts+1 {
					t.Errorf("%d CONNECTs", asked)
				}
			})
			for _, r := range renegotiations(t) {
				if r.only != 0 && r.only != version {
					continue
				}
				t.Run(fmt.Sprint(tls.VersionName(version), " ", r.name, ", handshakes ", restarts+1), func(t *testing.T) { try(t, version, restarts, r.do, false) })
			}
		}
		t.Run(tls.VersionName(version)+" without end", func(t *testing.T) {
			if asked := try(t, version, 1000, good, false); asked > 8 {
				t.Errorf("it was followed %d times", asked)
			}
		})
	}
	w.goroutines += n + 4 // the instances' own
	w.files += n + 4
	w.unharmed()
}
