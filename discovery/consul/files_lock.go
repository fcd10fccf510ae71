package consul

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// fileLock is one that is held here: by a session that is renewed until it is given back, and that Consul ends if nobody renews it.
type fileLock struct {
	session string
	stop    context.CancelFunc
	renewed sync.WaitGroup
}

const (
	lockTTL      = 15 * time.Second
	lockDelay    = time.Second      // after the end of a session that was not given back
	lockWait     = 10 * time.Second // of one question
	giveBackTime = 5 * time.Second
)

// Lock waits until no other broker, and nobody here, holds the lock of that name. Where it cannot be had nothing must be issued: every
// broker would.
func (f *Files) Lock(ctx context.Context, name string) error {
	client, err := f.Client.open()
	if err != nil {
		return err
	}
	w, cancel := f.Client.writing(ctx)
	session, _, err := client.Session().CreateNoChecks(&api.SessionEntry{
		Name: "certificates", TTL: lockTTL.String(), LockDelay: lockDelay, Behavior: api.SessionBehaviorDelete,
	}, w)
	cancel()
	if err != nil {
		return fmt.Errorf("no lock for %s: %w", name, err)
	}
	l := &fileLock{session: session}
	var renewing context.Context
	renewing, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.renewed.Go(func() { f.renew(renewing, client, session) })
	if err := f.acquire(ctx, client, name, session); err != nil {
		l.end(client, f.Client)
		return fmt.Errorf("no lock for %s: %w", name, err)
	}
	f.mu.Lock()
	if f.locks == nil {
		f.locks = map[string]*fileLock{}
	}
	f.locks[name] = l
	f.mu.Unlock()
	return nil
}

func (f *Files) acquire(ctx context.Context, client *api.Client, name, session string) error {
	key := f.path("locks/" + name)
	for {
		w, cancel := f.Client.writing(ctx)
		got, _, err := client.KV().Acquire(&api.KVPair{Key: key, Session: session}, w)
		cancel()
		if err != nil || got {
			return err
		}
		if err := f.awaitFree(ctx, client, key); err != nil {
			return err
		}
	}
}

// awaitFree waits for whoever holds a lock, or for the delay after one that has died.
func (f *Files) awaitFree(ctx context.Context, client *api.Client, key string) error {
	q, cancel := f.Client.query(ctx)
	pair, about, err := client.KV().Get(key, q)
	cancel()
	if err != nil {
		return err
	}
	if pair == nil || pair.Session == "" {
		if !pause(ctx, lockDelay) {
			return ctx.Err()
		}
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, lockWait+f.Client.timeout())
	defer cancel()
	q = new(api.QueryOptions)
	q.Namespace, q.Partition = f.Client.scope(bounded)
	q.WaitIndex, q.WaitTime = about.LastIndex, lockWait
	_, _, err = client.KV().Get(key, q.WithContext(bounded))
	return err
}

// renew keeps a session until ctx ends. One that is lost has lost its lock, which certmagic, looking again at what is stored, survives.
func (f *Files) renew(ctx context.Context, client *api.Client, session string) {
	for pause(ctx, lockTTL/3) {
		w, cancel := f.Client.writing(ctx)
		_, _, err := client.Session().Renew(session, w)
		cancel()
		if err != nil && ctx.Err() == nil {
			f.warn("the lock on certificates that brokers share may be lost", session, err)
		}
	}
}

// end gives the session back, and with it the lock.
func (l *fileLock) end(client *api.Client, c *Client) {
	l.stop()
	l.renewed.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTime)
	defer cancel()
	w, done := c.writing(ctx)
	defer done()
	_, _ = client.Session().Destroy(l.session, w) // else it ends by itself
}

// Unlock gives a lock back. Where Consul is away it ends by itself.
func (f *Files) Unlock(_ context.Context, name string) error {
	f.mu.Lock()
	l := f.locks[name]
	delete(f.locks, name)
	f.mu.Unlock()
	if l == nil {
		return fmt.Errorf("the lock for %s is not held here", name)
	}
	client, err := f.Client.open()
	if err != nil {
		return err
	}
	l.end(client, f.Client)
	return nil
}
