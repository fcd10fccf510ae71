package registration

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestAgentReportsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.brokers["a:1"].Admit = &Admission{Excluded: []string{"*"}}
		s.start()
		pass(time.Minute)
		if n := s.logged.count("registration refused, trying again"); n != 1 {
			t.Errorf("%d reports", n)
		}
		for _, text := range []string{"code=ORA-01182", "REGISTRATION_INVITED_NODES", "broker=a:1"} {
			if s.logged.count(text) == 0 {
				t.Errorf("no %q in %s", text, s.logged)
			}
		}
		s.down("a:1", newBroker(t))
		pass(2 * defaultRetry)
		s.wantLoads("a:1", 0)
	})
}

func TestRefusalRemedies(t *testing.T) {
	for _, code := range []tns.Code{tns.CodeRegistrationRejected, tns.CodeAdminRefused, tns.CodeInsecureTransport, tns.CodeUnknownCommand, tns.CodeLimit, tns.CodeRefused} {
		if refusalRemedy(code) == "" {
			t.Errorf("%v: nothing to do", code)
		}
	}
}

// Brokers that misbehave: the agent reports it, tries again and can be stopped.
func TestAgentAndRudeBrokers(t *testing.T) {
	for name, act := range map[string]func(c *tns.Conn){
		"silent":             func(c *tns.Conn) { drain(c.NetConn()) },
		"does not even read": func(*tns.Conn) {},
		"closes":             func(c *tns.Conn) { _, _ = c.ReadConnect(); c.NetConn().Close() },
		"redirects": func(c *tns.Conn) {
			_, _ = c.ReadConnect()
			_ = c.Send(&tns.Redirect{Address: "(ADDRESS=x)", ConnectData: "y"})
			drain(c.NetConn())
		},
		"asks again and again": func(c *tns.Conn) {
			for {
				if _, err := c.ReadConnect(); err != nil || c.Send(&tns.Resend{}) != nil {
					return
				}
			}
		},
		"stops reading": func(c *tns.Conn) {
			if connect, err := c.ReadConnect(); err == nil {
				_ = c.Send(tns.AnswerConnect(connect, 313, nil))
			}
		},
		"ends the session": func(c *tns.Conn) {
			if connect, err := c.ReadConnect(); err == nil {
				_ = c.Send(tns.AnswerConnect(connect, 313, nil))
				_, _ = c.ReadPacket()
				_ = c.Send(tns.Data{Flags: tns.DataEOF})
				drain(c.NetConn())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, "a:1")
				var wait sync.WaitGroup
				var dials atomic.Int32
				s.agent.Dial = func(context.Context, string) (net.Conn, error) {
					dials.Add(1)
					ours, theirs := net.Pipe()
					t.Cleanup(func() { theirs.Close() })
					wait.Go(func() { act(tns.NewConn(theirs)) })
					return ours, nil
				}
				s.start()
				pass(time.Minute)
				if dials.Load() < 3 || s.logged.count("trying again") == 0 {
					t.Errorf("%d dials\n%s", dials.Load(), s.logged)
				}
				s.stop()
				wait.Wait()
			})
		})
	}
}

// Real listeners answer; the answer must neither stop nor block the agent.
func TestAgentDiscardsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.brokers["a:1"].Server.Answer = AnswerMirror
		s.start()
		s.load.Store(3)
		pass(defaultInterval)
		s.wantLoads("a:1", 3)
		if s.brokers["a:1"].logged.count("not answered") != 0 {
			t.Error(s.brokers["a:1"].logged)
		}
	})
}

func TestAgentSendsLargeRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.Describe = func() servicetable.Registration {
			r := sales("one", 1)
			for i := range 500 {
				r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("service%d.example.com", i), Flags: 4})
				r.Handlers[0].Services = append(r.Handlers[0].Services, i+1)
			}
			return r
		}
		s.start()
		if got := s.brokers["a:1"].registered(); len(got) != 1 || len(got[0].Services) != 501 || len(got[0].Handlers[0].Services) != 501 {
			t.Errorf("%d registrations", len(got))
		}
	})
}

func TestRetryHasJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{agentRun: &agentRun{Agent: &Agent{Retry: 4 * time.Second}}, wake: make(chan struct{}, 1)}
		seen := map[time.Duration]bool{}
		for range 20 {
			start := time.Now()
			l.pause(t.Context())
			took := time.Since(start)
			if took < 3*time.Second || took > 5*time.Second {
				t.Errorf("waited %v", took)
			}
			seen[took] = true
		}
		if len(seen) < 10 {
			t.Errorf("%d different pauses of 20", len(seen))
		}
		l.wake <- struct{}{}
		start := time.Now()
		if l.pause(t.Context()); time.Since(start) != 0 {
			t.Error("a refresh does not end the pause")
		}
	})
}

// Over real sockets, with the default dialler.
func TestAgentOverTCP(t *testing.T) {
	b := newBroker(t)
	applied := make(chan struct{}, 1)
	b.Apply = func(r servicetable.Registration) { b.apply(r); applied <- struct{}{} }
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	b.wait.Go(func() {
		raw, err := socket.Accept()
		if err != nil {
			return
		}
		conn := tns.NewConn(raw)
		if connect, err := conn.ReadConnect(); err == nil {
			_ = b.Serve(t.Context(), conn, connect)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	a := &Agent{Brokers: []string{socket.Addr().String()}, Describe: func() servicetable.Registration { return sales("one", 1) }}
	go func() { done <- a.Run(ctx) }()
	<-applied
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.wait.Wait()
	if len(b.registered()) != 0 || b.count(Died) != 1 {
		t.Errorf("%v", b.registered())
	}
}
