package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// site is brokers by address, and an agent that registers with them.
type site struct {
	t       *testing.T
	agent   *Agent
	logged  *logged
	mu      sync.Mutex
	brokers map[string]*broker
	dialled map[string]int
	load    atomic.Uint32
	stop    func()
}

// newSite returns an agent for the named brokers, not running yet.
func newSite(t *testing.T, addresses ...string) *site {
	s := &site{t: t, logged: &logged{}, brokers: map[string]*broker{}, dialled: map[string]int{}}
	for _, a := range addresses {
		s.brokers[a] = newBroker(t)
	}
	s.agent = &Agent{
		Brokers: addresses,
		Describe: func() servicetable.Registration {
			r := sales("one", s.load.Load())
			r.GUID = [16]byte{}
			r.Handlers[0].ID = [16]byte{}
			return r
		},
		Dial: s.dial,
		Log:  slog.New(slog.NewTextHandler(s.logged, nil)),
	}
	return s
}

// down makes a broker unreachable, or reachable again.
func (s *site) down(address string, b *broker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brokers[address] = b
}

func (s *site) dial(_ context.Context, address string) (net.Conn, error) {
	s.mu.Lock()
	b := s.brokers[address]
	s.dialled[address]++
	s.mu.Unlock()
	if b == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	b.wait.Go(func() {
		conn := tns.NewConn(&addressed{Conn: ours, local: tcp("192.0.2.1:1521"), remote: tcp("127.0.0.1:1")})
		if connect, err := conn.ReadConnect(); err == nil {
			_ = b.Serve(b.ctx, conn, connect)
		}
	})
	return theirs, nil
}

// start runs the agent until the test is over or stop is called.
func (s *site) start() *site {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.agent.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	})
	s.t.Cleanup(s.stop)
	synctest.Wait()
	return s
}

func (s *site) loads(address string) (loads []uint32) {
	for _, r := range s.brokers[address].registered() {
		loads = append(loads, r.Load)
	}
	return loads
}

func (s *site) wantLoads(address string, want ...uint32) {
	s.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, s.loads(address), cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("loads registered with %s:\n%s", address, diff)
	}
}

func TestAgentRegistersWithEveryBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1", "b:1").start()
		s.wantLoads("a:1", 0)
		s.wantLoads("b:1", 0)
		a, b := s.brokers["a:1"].registered()[0], s.brokers["b:1"].registered()[0]
		if a.GUID != b.GUID || a.GUID == ([16]byte{}) || a.GUID[6]>>4 != 4 || a.GUID[8]>>6 != 2 || a.Handlers[0].ID != b.Handlers[0].ID || a.Handlers[0].ID == a.GUID {
			t.Errorf("GUIDs %x and %x, handlers %x and %x", a.GUID, b.GUID, a.Handlers[0].ID, b.Handlers[0].ID)
		}
		if a.LoadSource != "agent" || a.Instance != "one" || len(a.Services) != 1 || a.Handlers[0].Port != 1521 {
			t.Errorf("%+v", a)
		}
		s.stop()
		s.wantLoads("a:1")
		s.wantLoads("b:1")
		if diff := cmp.Diff([]string{"apply one", "drop"}, s.brokers["a:1"].history); diff != "" {
			t.Error(diff)
		}
		checkLog(t, s.brokers["a:1"], "registration died", "the database ended it")
	})
}

func TestAgentSendsLoadOnTheSameConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1", "b:1")
		refresh := make(chan struct{})
		s.agent.Refresh, s.agent.Interval = refresh, time.Minute
		s.start()
		first := s.brokers["a:1"].registered()[0]
		s.load.Store(5)
		pass(59 * time.Second)
		s.wantLoads("a:1", 0)
		pass(time.Second)
		s.wantLoads("a:1", 5)
		s.load.Store(6)
		refresh <- struct{}{}
		s.wantLoads("a:1", 6)
		s.wantLoads("b:1", 6)
		now := s.brokers["a:1"].registered()[0]
		if now.GUID != first.GUID || now.Handlers[0].ID != first.Handlers[0].ID || now.ID != first.ID || s.dialled["a:1"] != 1 {
			t.Errorf("%+v after %d dials", now, s.dialled["a:1"])
		}
		close(refresh) // no more of these, but the agent goes on
		s.load.Store(7)
		pass(time.Minute)
		s.wantLoads("a:1", 7)
	})
}

func TestAgentAsDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.AsDatabase = true
		s.start()
		if got := s.brokers["a:1"].registered()[0].LoadSource; got != "registration" {
			t.Error(got)
		}
	})
}

func TestAgentKeepsGivenIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.Describe = func() servicetable.Registration { return sales("one", 1) }
		s.start()
		if r := s.brokers["a:1"].registered()[0]; r.GUID != [16]byte{1} || r.Handlers[0].ID != [16]byte{2} {
			t.Errorf("%x, %x", r.GUID, r.Handlers[0].ID)
		}
	})
}

func TestAgentComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1", "b:1")
		s.down("a:1", nil)
		s.start()
		s.wantLoads("b:1", 0) // one that is down does not hold up the other
		pass(time.Minute)
		if n := s.dialled["a:1"]; n < 14 || n > 28 {
			t.Errorf("%d attempts in a minute at %v", n, defaultRetry)
		}
		if n := s.logged.count("not registered, trying again"); n != 1 {
			t.Errorf("the same trouble was logged %d times", n)
		}
		a := newBroker(t)
		ctx, crash := context.WithCancel(t.Context())
		a.ctx = ctx
		s.down("a:1", a)
		pass(2 * defaultRetry)
		s.wantLoads("a:1", 0)

		crash()
		synctest.Wait()
		s.down("a:1", newBroker(t))
		pass(2 * defaultRetry)
		s.wantLoads("a:1", 0)
		if n := s.logged.count("connection to the broker lost"); n != 1 {
			t.Errorf("%d connections lost\n%s", n, s.logged)
		}
		if n := s.logged.count("registered with the broker"); n != 3 {
			t.Errorf("%d times registered\n%s", n, s.logged)
		}
	})
}

func TestAgentWithdrawsASickInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1", "b:1")
		var sick atomic.Bool
		s.agent.Healthy = func(context.Context) error {
			if sick.Load() {
				return errors.New("listener hangs")
			}
			return nil
		}
		s.start()
		s.wantLoads("a:1", 0)
		sick.Store(true)
		pass(defaultInterval)
		s.wantLoads("a:1")
		s.wantLoads("b:1")
		pass(time.Hour)
		if n := s.dialled["a:1"]; n != 1 {
			t.Errorf("dialled %d times while sick", n)
		}
		sick.Store(false)
		pass(2 * defaultRetry)
		s.wantLoads("a:1", 0)
		s.wantLoads("b:1", 0)
		if n := s.logged.count("listener hangs"); n != 1 {
			t.Errorf("reported %d times\n%s", n, s.logged)
		}
		if n := s.logged.count("instance healthy again"); n != 1 {
			t.Errorf("recovery reported %d times", n)
		}
	})
}

func TestAgentEndsWhileHealthIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.Healthy = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		s.start()
		s.stop()
		if s.logged.String() != "" {
			t.Error(s.logged)
		}
	})
}

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
		s.brokers["a:1"].once = sync.Once{}
		s.brokers["a:1"].Admit = &Admission{}
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

func TestAgentWithNothingToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.Describe = func() servicetable.Registration { return servicetable.Registration{} }
		s.start()
		pass(time.Minute)
		if s.dialled["a:1"] != 0 || s.logged.count("cannot register what is described") != 1 {
			t.Errorf("%d dials\n%s", s.dialled["a:1"], s.logged)
		}
	})
}

func TestAgentThatLosesItsDescription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.Describe = func() servicetable.Registration {
			if s.load.Load() == 9 {
				return servicetable.Registration{}
			}
			return sales("one", 1)
		}
		s.start()
		s.wantLoads("a:1", 1)
		s.load.Store(9)
		pass(defaultInterval)
		s.wantLoads("a:1")
	})
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

func TestAgentThatCannotWork(t *testing.T) {
	describe := func() servicetable.Registration { return sales("one", 1) }
	for _, c := range []struct {
		agent Agent
		says  string
	}{
		{Agent{Describe: describe}, "no broker"},
		{Agent{Brokers: []string{"a:1"}}, "Describe"},
		{Agent{Brokers: []string{"a:1", "broker2"}, Describe: describe}, `"broker2" is not host:port`},
	} {
		if err := c.agent.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want something about %s", err, c.says)
		}
	}
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
