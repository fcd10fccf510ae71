package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/wholefile"
)

// beat is what Run remembers from one sign of life to the next.
type beat struct {
	*Member
	api        *api.Client
	registered bool
	resumed    bool // the file has been looked at
	session    string
	entered    bool // among the brokers, by that session
	doubled    bool // it has been told that another has the name
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
	b.resume()
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
	if err := b.enter(ctx); err != nil {
		return err
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
	ready, _ := b.health() // what was passing before does not fail for a moment because it is registered again
	if ready != passing {
		ready = warning // so that the next sign of life changes it, which Consul makes known at once, with the reason
	}
	registration := &api.AgentServiceRegistration{
		ID: b.id(), Name: b.Service(), Address: address, Port: int(b.Address.Port()), Namespace: namespace, Partition: partition,
		Tags: []string{"broker"}, Meta: map[string]string{ownerKey: b.Client.owner(), "name": b.Name},
		Checks: api.AgentServiceChecks{
			{CheckID: b.id() + ":alive", Name: "broker is alive", TTL: ttl, Status: passing, DeregisterCriticalServiceAfter: "1m"},
			{CheckID: b.id() + ":ready", Name: "broker is ready", TTL: ttl, Status: ready},
		},
	}
	bounded, cancel := context.WithTimeout(ctx, b.Client.timeout())
	defer cancel()
	return b.api.Agent().ServiceRegisterOpts(registration, api.ServiceRegisterOpts{}.WithContext(bounded))
}

// health says whether clients may come, and why not.
func (b *beat) health() (status, why string) {
	if b.Healthy != nil {
		if ready, reason := b.Healthy(); !ready {
			return critical, reason
		}
	}
	return passing, "ready"
}

func (b *beat) alive(ctx context.Context) error {
	status, why := b.health()
	options, cancel := b.Client.query(ctx)
	defer cancel()
	options.RequireConsistent = false
	if err := b.api.Agent().UpdateTTLOpts(b.id()+":alive", "", passing, options); err != nil {
		return err
	}
	return b.api.Agent().UpdateTTLOpts(b.id()+":ready", why, status, options)
}

// maxSession bounds a session's name, which is a UUID.
const maxSession = 64

// resume goes on with the session of whoever ran here before, if Consul still has it.
func (b *beat) resume() {
	if b.resumed {
		return
	}
	b.resumed = true
	if b.SessionFile == "" {
		return
	}
	content, err := os.ReadFile(b.SessionFile)
	if id := strings.TrimSpace(string(content)); err == nil && len(id) <= maxSession {
		b.session = id
	}
}

// keep notes the session; without the note, whoever runs here next has to wait for its end.
func (b *beat) keep(session string) {
	if b.SessionFile == "" {
		return
	}
	err := os.Remove(b.SessionFile)
	if session != "" {
		err = wholefile.Replace(b.SessionFile, []byte(session+"\n"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && b.Log != nil {
		b.Log.Warn("the session in Consul cannot be noted: after a restart another broker writes for a while", "cause", err.Error())
	}
}

// begin makes a session that ends as soon as this broker gives no sign of life, sooner than sessions do by themselves.
func (b *beat) begin(ctx context.Context) error {
	delay := cmp.Or(b.LockDelay, time.Second)
	entry := &api.SessionEntry{
		Name: b.id(), Behavior: api.SessionBehaviorDelete, TTL: max(2*b.ttl(), 10*time.Second).String(), LockDelay: delay,
		NodeChecks: []string{"serfHealth"}, ServiceChecks: []api.ServiceCheck{{ID: b.id() + ":alive"}},
	}
	options, cancel := b.Client.writing(ctx)
	defer cancel()
	id, _, err := b.api.Session().Create(entry, options)
	if err == nil && (id == "" || len(id) > maxSession) {
		err = errNonsense
	}
	if err != nil {
		return err
	}
	b.session = id
	b.keep(id)
	return nil
}

// enter enters this broker among the others, again if somebody has removed it. Its name is not free for as long as somebody of that name
// has a session.
func (b *beat) enter(ctx context.Context) error {
	if b.entered {
		query, cancel := b.Client.query(ctx)
		defer cancel()
		pair, _, err := b.api.KV().Get(b.key(), query)
		if err != nil || pair != nil && pair.Session == b.session {
			return err
		}
	}
	options, cancel := b.Client.writing(ctx)
	defer cancel()
	pair := &api.KVPair{Key: b.key(), Value: b.Value, Session: b.session}
	taken, _, err := b.api.KV().Acquire(pair, options)
	if err != nil {
		return err
	}
	b.entered = taken
	if !taken && !b.doubled && b.Log != nil {
		b.Log.Warn("another broker has this one's name in Consul, or had it a moment ago", "name", b.Name, "remedy", "give each broker a name of its own")
	}
	b.doubled = !taken
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
			b.yield("")
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
		b.yield(nameIn(pair))
		return nil
	}
	if !b.holds && b.Log != nil {
		b.Log.Info("this broker keeps the entries in Consul from now on")
	}
	b.holds = true
	b.mu.Lock()
	b.writer = ""
	b.lease, b.until = Lease{Key: key, Session: b.session, Fence: pair.ModifyIndex}, started.Add(b.ttl())
	b.mu.Unlock()
	return nil
}

func (b *beat) lose() {
	b.session, b.entered = "", false
	b.yield("")
}

// maxName bounds a broker's name as it is shown.
const maxName = 300

// nameIn names the broker that has the lock; "" if none has.
func nameIn(lock *api.KVPair) string {
	if lock == nil || lock.Session == "" {
		return ""
	}
	return strings.ToValidUTF8(string(lock.Value[:min(len(lock.Value), maxName)]), "?")
}

// yield notes that the right to write is not ours, but the broker's of that name; "" for none.
func (b *beat) yield(writer string) {
	if b.holds && b.Log != nil {
		b.Log.Info("another broker keeps the entries in Consul from now on")
	}
	b.holds = false
	b.mu.Lock()
	b.lease, b.writer = Lease{}, writer
	b.mu.Unlock()
}

// leave takes this broker out.
func (b *beat) leave(ctx context.Context) {
	b.mu.Lock()
	b.lease = Lease{}
	b.mu.Unlock()
	if b.api == nil {
		return
	}
	options, cancel := b.Client.writing(ctx)
	defer cancel()
	if b.holds { // released, there is no delay before another may write
		_, _, _ = b.api.KV().Release(&api.KVPair{Key: b.Client.prefix() + "writer", Session: b.session}, options)
	}
	if b.session != "" {
		if _, err := b.api.Session().Destroy(b.session, options); err == nil {
			b.keep("")
		}
	}
	query, done := b.Client.query(ctx)
	defer done()
	query.RequireConsistent = false
	_ = b.api.Agent().ServiceDeregisterOpts(b.id(), query)
}
