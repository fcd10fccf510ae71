package consul

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Member makes this broker known in Consul, with its health, and takes part in deciding which broker writes. Its fields are not to be
// changed once Run has been called.
type Member struct {
	Client  *Client
	Name    string         // of this broker, unique among those of the prefix
	Address netip.AddrPort // where clients reach it; an unspecified address stands for the agent's
	// Value is what other brokers read about this one: where its API is, for instance.
	Value []byte
	// Healthy tells whether this broker is ready, and why not; nil: always. Other brokers and the lock depend only on its being alive.
	Healthy func() (ready bool, why string)
	// TTL is how long after its last sign of life a broker is taken for dead; 0: 9 s. It signals thrice in that time.
	TTL time.Duration
	// LockDelay is for how long nobody may write after a writer died; 0: 1 s. Each transaction checks the lock by itself.
	LockDelay time.Duration
	// SessionFile is where the session in Consul is noted, so that whoever runs after this one in the same place goes on with it, and
	// the right to write stays where it is; "": nowhere. No two may have the same at a time.
	SessionFile string
	Log         *slog.Logger

	mu      sync.Mutex // guards what follows
	lease   Lease
	until   time.Time // lease is not ours after this unless renewed
	failure string
	passed  bool
	writer  string        // name of the other broker that may write
	decided chan struct{} // closed once it has been tried to find out who writes; made when first needed
}

// Lease is the right to write.
type Lease struct {
	Key, Session string
	Fence        uint64 // grows with each new holder
}

// Lease returns the right to write, if this broker has it.
func (m *Member) Lease() (Lease, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lease, m.lease.Session != "" && time.Now().Before(m.until)
}

// Writer names the other broker that writes; "" if none does, or that is not known.
func (m *Member) Writer() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writer
}

// Decided is closed once Run has asked, even if in vain, which broker writes.
func (m *Member) Decided() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.decided == nil {
		m.decided = make(chan struct{})
	}
	return m.decided
}

// decide has Decided closed.
func (m *Member) decide() {
	m.Decided()
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.decided:
	default:
		close(m.decided)
	}
}

// Failure says why this broker is not known in Consul; "" if it is.
func (m *Member) Failure() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

// Pass has Run take nothing out of Consul when it ends: another process goes on by what is in SessionFile.
func (m *Member) Pass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed = true
}

func (m *Member) ttl() time.Duration { return cmp.Or(m.TTL, 9*time.Second) }

func (m *Member) id() string { return m.Client.owner() + "-" + m.Name }

// key is where this broker is entered among the brokers.
func (m *Member) key() string { return m.Client.prefix() + "brokers/" + segment(m.Name) }

// Service is the name under which brokers are found in Consul.
func (m *Member) Service() string { return serviceRule.Name(m.Client.owner()) }

// Run keeps this broker known until ctx ends; then it takes itself out, and lets another write at once.
func (m *Member) Run(ctx context.Context) {
	beat := &beat{Member: m}
	failures := 0
	for ctx.Err() == nil {
		err := beat.once(ctx)
		if err != nil && ctx.Err() == nil {
			failures++
			beat.registered = false
		} else {
			failures = 0
		}
		if ctx.Err() == nil {
			m.note(err)
		}
		m.decide()
		wait := m.ttl() / 3
		switch {
		case failures > 0:
			wait = min(wait, 250*time.Millisecond<<min(failures, 5))
		case !beat.holds:
			wait = min(wait, time.Second)
		}
		if !pause(ctx, wait) {
			break
		}
	}
	m.mu.Lock()
	passed := m.passed
	m.lease = Lease{}
	m.mu.Unlock()
	if passed {
		return
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(m.Client.timeout(), 3*time.Second))
	defer cancel()
	beat.leave(leaving)
}

// note remembers and logs how it goes.
func (m *Member) note(err error) {
	text := ""
	if err != nil {
		text = explain(err).Error()
	}
	m.mu.Lock()
	before := m.failure
	m.failure = text
	m.mu.Unlock()
	switch {
	case m.Log == nil || before == text:
	case text == "":
		m.Log.Info("this broker is known in Consul again")
	case before == "":
		m.Log.Warn("Consul cannot be told that this broker is alive; routing does not depend on it, and it is tried again", "cause", text)
	}
}

// Broker is one that is alive.
type Broker struct {
	Name  string
	Value []byte // what it says about itself
	Self  bool
}

// Brokers returns all that are alive.
func (m *Member) Brokers(ctx context.Context) ([]Broker, error) {
	client, err := m.Client.open()
	if err != nil {
		return nil, err
	}
	prefix := m.Client.prefix() + "brokers/"
	query, cancel := m.Client.query(ctx)
	defer cancel()
	pairs, _, err := client.KV().List(prefix, query)
	if err == nil {
		err = whole(pairs, below(prefix))
	}
	if err != nil {
		return nil, explain(err)
	}
	var all []Broker
	for _, p := range pairs {
		if name, is := nameOf(p.Key[len(prefix):]); p.Session != "" && is && len(all) < maxBrokers {
			all = append(all, Broker{Name: name, Value: p.Value, Self: name == m.Name})
		}
	}
	return all, nil
}
