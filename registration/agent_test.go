package registration

import (
	"context"
	"errors"
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

// dials tells how often a broker was dialled.
func (s *site) dials(address string) int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled[address]
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
		if now.GUID != first.GUID || now.Handlers[0].ID != first.Handlers[0].ID || now.ID != first.ID || s.dials("a:1") != 1 {
			t.Errorf("%+v after %d dials", now, s.dials("a:1"))
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
		if n := s.dials("a:1"); n < 14 || n > 28 {
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
		if n := s.dials("a:1"); n != 1 {
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

func TestAgentWithNothingToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "a:1")
		s.agent.Describe = func() servicetable.Registration { return servicetable.Registration{} }
		s.start()
		pass(time.Minute)
		if s.dials("a:1") != 0 || s.logged.count("cannot register what is described") != 1 {
			t.Errorf("%d dials\n%s", s.dials("a:1"), s.logged)
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
