package broker

import (
	"io"
	"net"
	"testing"
	"time"

	"servicebroker/limits"
	"servicebroker/relay"
	"servicebroker/tns"
)

// moved has two sessions of pay move to another broker with the same configuration.
func moved(t *testing.T, change func(*Config)) (successor *running, open []net.Conn) {
	t.Helper()
	with := func(c *Config) {
		c.HoldTimeout, c.Limits.AcceptQueueWait = 0, 0
		change(c)
	}
	old, successor := start(t, with), start(t, with)
	old.join("a", "pay")
	successor.join("a", "pay")
	pass(t, old.giveSessions, successor.takeSessions)
	for range 2 {
		c, _ := old.session("pay")
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		pings(t, c) // it can be moved once its bytes are
		open = append(open, c)
	}
	if moved, stayed := old.moveSessions(t.Context(), offerTo(t, successor.resumeSession)); moved != 2 || stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	return successor, open
}

// What limits sessions counts those that have moved from the first connect on, and lets others in when they have ended.
func TestLimitsCountWhatHasMoved(t *testing.T) {
	rule := relay.Rule{
		Source: relay.HostPattern{Any: true}, Destination: relay.HostPattern{Any: true}, Action: relay.Accept,
		Treatment: relay.Treatment{MaxSessions: 2}, Text: "(RULE=one)",
	}
	for name, c := range map[string]struct {
		change func(*Config)
		code   tns.Code
	}{
		"of all":      {func(c *Config) { c.Limits.MaxSessions = 2 }, tns.CodeNoHandler},
		"of a tenant": {func(c *Config) { c.Tenants = []Tenant{{Name: "one", Services: []string{"pay"}, MaxSessions: 2}} }, tns.CodeNoHandler},
		"of a rule":   {func(c *Config) { c.Rules = relay.Rules{rule} }, tns.CodeNoHandler},
		"connections": {func(c *Config) { c.Limits.MaxConnections = 2 }, tns.CodeRateLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, open := moved(t, c.change)
			r.wantCode(asking("pay"), c.code)
			_ = open[0].(*net.TCPConn).CloseWrite()
			_, _ = io.ReadAll(open[0])
			<-r.open.atMost(2) // the other session, and the database
			r.session("pay")
			r.wantCode(asking("pay"), c.code)
			pings(t, open[1])
		})
	}
}

func TestBandwidthIsOfWhatHasMoved(t *testing.T) {
	r, open := moved(t, func(c *Config) {
		c.Tenants = []Tenant{{Name: "one", Services: []string{"pay"}, Bandwidth: 1 << 30}}
	})
	for _, c := range open {
		pings(t, c)
	}
	share := r.limiting.shares.Of(limits.OfTenant, "one")
	if in, out := share.ToServer.Counts().Bytes, share.ToClient.Counts().Bytes; in != 8 || out != 8 {
		t.Errorf("%d and %d bytes", in, out)
	}
}

// Time goes on for a session, wherever it is.
func TestTimeoutsOfWhatHasMoved(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"idle":  func(c *Config) { c.IdleTimeout = 6 * time.Second }, // long enough for both to move before
		"whole": func(c *Config) { c.SessionTimeout = 6 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, open := moved(t, change)
			for _, c := range open {
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("it goes on")
				}
			}
			until(t, "they are over", func() bool { return len(r.relay.Sessions()) == 0 })
		})
	}
}

// What people see of a session says the same after it has moved.
func TestMovedSessionsAreShownAsBefore(t *testing.T) {
	old, successor := start(t, nil), start(t, nil)
	old.join("a", "pay")
	c, _ := old.session("pay")
	pings(t, c)
	before, explained := old.relay.Sessions()[0], old.journal.Recent(1)[0]
	if moved, _ := old.moveSessions(t.Context(), offerTo(t, successor.resumeSession)); moved != 1 {
		t.Fatal("it did not move")
	}
	until(t, "it has begun", func() bool { return len(successor.relay.Sessions()) == 1 })
	after := successor.relay.Sessions()[0]
	before.Idle, after.Idle = 0, 0
	if !before.Started.Equal(after.Started) {
		t.Errorf("began at %v, before at %v", after.Started, before.Started)
	}
	before.Started = after.Started // its monotonic part does not move
	if before != after {
		t.Errorf("%+v\nbefore\n%+v", after, before)
	}
	if again := successor.journal.ByRef(explained.Ref); again == nil || again.Chosen != explained.Chosen || !again.Time.Equal(explained.Time) {
		t.Errorf("explained as %+v", again)
	}
	pings(t, c)
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.ReadAll(c)
	until(t, "its end is counted", func() bool { return successor.carried.over.Load() == 1 })
	if n := old.carried.over.Load(); n != 0 {
		t.Errorf("it was over %d times where it had been", n)
	}
	if in, out := successor.carried.endedToServer.Load(), successor.carried.endedToClient.Load(); in != before.ToServer+4 || out != before.ToClient+4 {
		t.Errorf("%d and %d bytes are counted of %d and %d", in, out, before.ToServer+4, before.ToClient+4)
	}
}
