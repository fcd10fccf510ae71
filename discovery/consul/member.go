package consul

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
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
	Log       *slog.Logger

	mu      sync.Mutex // guards what follows
	lease   Lease
	until   time.Time // lease is not ours after this unless renewed
	failure string
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

// Failure says why this broker is not known in Consul; "" if it is.
func (m *Member) Failure() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

func (m *Member) ttl() time.Duration { return cmp.Or(m.TTL, 9*time.Second) }

func (m *Member) id() string { return m.Client.owner() + "-" + m.Name }

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
		m.note(err)
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

// beat is what Run remembers from one sign of life to the next.
type beat struct {
	*Member
	api        *api.Client
	registered bool
	session    string
	holds      bool
}

// once gives one sign of life, and puts right what is amiss.
func (b *beat) once(ctx context.Context) error {
	var err error
	if b.api, err = b.Client.open(); err != nil {
		return err
	}
	started := time.Now()
	if !b.registered {
		if err := b.register(ctx); err != nil {
			return fmt.Errorf("this broker cannot be registered: %w", err)
		}
		b.registered = true
	}
	if err := b.alive(ctx); err != nil {
		return err
	}
	if b.session != "" {
		options, cancel := b.Client.writing(ctx)
		entry, _, err := b.api.Session().Renew(b.session, options)
		cancel()
		if err != nil {
			return err
		}
		if entry == nil {
			b.lose()
		}
	}
	if b.session == "" {
		if err := b.begin(ctx); err != nil {
			return fmt.Errorf("no session: %w", err)
		}
	}
	return b.lock(ctx, started)
}

// register enters this broker at the agent as a service with two checks: that it is alive, and that it is ready.
func (b *beat) register(ctx context.Context) error {
	address := ""
	if a := b.Address.Addr(); a.IsValid() && !a.IsUnspecified() {
		address = a.Unmap().WithZone("").String()
	}
	namespace, partition := b.Client.scope(ctx)
	ttl := b.ttl().String()
	registration := &api.AgentServiceRegistration{
		ID: b.id(), Name: b.Service(), Address: address, Port: int(b.Address.Port()), Namespace: namespace, Partition: partition,
		Tags: []string{"broker"}, Meta: map[string]string{ownerKey: b.Client.owner(), "name": b.Name},
		Checks: api.AgentServiceChecks{
			{CheckID: b.id() + ":alive", Name: "broker is alive", TTL: ttl, Status: passing, DeregisterCriticalServiceAfter: "1m"},
			{CheckID: b.id() + ":ready", Name: "broker is ready", TTL: ttl, Status: warning},
		},
	}
	bounded, cancel := context.WithTimeout(ctx, b.Client.timeout())
	defer cancel()
	return b.api.Agent().ServiceRegisterOpts(registration, api.ServiceRegisterOpts{}.WithContext(bounded))
}

func (b *beat) alive(ctx context.Context) error {
	status, why := passing, "ready"
	if b.Healthy != nil {
		if ready, reason := b.Healthy(); !ready {
			status, why = critical, reason
		}
	}
	options, cancel := b.Client.query(ctx)
	defer cancel()
	options.RequireConsistent = false
	if err := b.api.Agent().UpdateTTLOpts(b.id()+":alive", "", passing, options); err != nil {
		return err
	}
	return b.api.Agent().UpdateTTLOpts(b.id()+":ready", why, status, options)
}

// begin makes a session that ends as soon as this broker gives no sign of life, sooner than sessions do by themselves, and enters this
// broker among the others with it.
func (b *beat) begin(ctx context.Context) error {
	delay := cmp.Or(b.LockDelay, time.Second)
	entry := &api.SessionEntry{
		Name: b.id(), Behavior: api.SessionBehaviorDelete, TTL: max(2*b.ttl(), 10*time.Second).String(), LockDelay: delay,
		NodeChecks: []string{"serfHealth"}, ServiceChecks: []api.ServiceCheck{{ID: b.id() + ":alive"}},
	}
	options, cancel := b.Client.writing(ctx)
	defer cancel()
	id, _, err := b.api.Session().Create(entry, options)
	if err != nil {
		return err
	}
	b.session = id
	pair := &api.KVPair{Key: b.Client.prefix() + "brokers/" + b.Name, Value: b.Value, Session: id}
	if taken, _, err := b.api.KV().Acquire(pair, options); err != nil {
		return err
	} else if !taken && b.Log != nil {
		b.Log.Warn("another broker has this one's name in Consul, or had it a moment ago", "name", b.Name, "remedy", "give each broker a name of its own")
	}
	return nil
}

// lock takes the right to write if nobody has it, and finds out whether it is still ours.
func (b *beat) lock(ctx context.Context, started time.Time) error {
	key := b.Client.prefix() + "writer"
	query, cancel := b.Client.query(ctx)
	pair, _, err := b.api.KV().Get(key, query)
	cancel()
	if err != nil {
		return err
	}
	if pair == nil || pair.Session == "" {
		options, cancel := b.Client.writing(ctx)
		taken, _, err := b.api.KV().Acquire(&api.KVPair{Key: key, Value: []byte(b.Name), Session: b.session}, options)
		cancel()
		if err != nil || !taken {
			b.yield()
			return err
		}
		query, cancel := b.Client.query(ctx)
		pair, _, err = b.api.KV().Get(key, query)
		cancel()
		if err != nil {
			return err
		}
	}
	if pair == nil || pair.Session != b.session {
		b.yield()
		return nil
	}
	if !b.holds && b.Log != nil {
		b.Log.Info("this broker keeps the entries in Consul from now on")
	}
	b.holds = true
	b.mu.Lock()
	b.lease, b.until = Lease{Key: key, Session: b.session, Fence: pair.ModifyIndex}, started.Add(b.ttl())
	b.mu.Unlock()
	return nil
}

func (b *beat) lose() {
	b.session = ""
	b.yield()
}

// yield notes that the right to write is not ours.
func (b *beat) yield() {
	if b.holds && b.Log != nil {
		b.Log.Info("another broker keeps the entries in Consul from now on")
	}
	b.holds = false
	b.mu.Lock()
	b.lease = Lease{}
	b.mu.Unlock()
}

// leave takes this broker out.
func (b *beat) leave(ctx context.Context) {
	b.mu.Lock()
	lease := b.lease
	b.lease = Lease{}
	b.mu.Unlock()
	if b.api == nil {
		return
	}
	options, cancel := b.Client.writing(ctx)
	defer cancel()
	if lease.Session != "" { // released, there is no delay before another may write
		_, _, _ = b.api.KV().Release(&api.KVPair{Key: lease.Key, Session: lease.Session}, options)
	}
	if b.session != "" {
		_, _ = b.api.Session().Destroy(b.session, options)
	}
	query, done := b.Client.query(ctx)
	defer done()
	query.RequireConsistent = false
	_ = b.api.Agent().ServiceDeregisterOpts(b.id(), query)
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
	if err != nil {
		return nil, explain(err)
	}
	var all []Broker
	for _, p := range pairs {
		if name := p.Key[len(prefix):]; p.Session != "" && name != "" {
			all = append(all, Broker{Name: name, Value: p.Value, Self: name == m.Name})
		}
	}
	return all, nil
}
