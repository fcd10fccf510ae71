package registration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// AgentProgram is the program name by which an Agent's CONNECT is told from a
// database's.
const AgentProgram = "servicebroker-agent"

// Agent registers an instance with brokers or listeners, as the database itself
// would. It must not be changed while it runs.
type Agent struct {
	Brokers []string // host:port each
	// Describe returns what to register. It is asked before each send, by one
	// goroutine a broker, so it may be called by several at once. GUIDs and handler
	// ids left zero are made up, and stay the same for as long as Run does.
	Describe func() servicetable.Registration
	Interval time.Duration   // between sends on a connection; 0: 10 s. Shorter means fresher load and more traffic
	Retry    time.Duration   // between attempts to reach a broker, give or take a quarter; 0: 3 s
	Refresh  <-chan struct{} // each value causes a send to every broker at once; nil: none
	// Healthy is asked before each send, by one goroutine a broker. While it
	// fails, connections are closed, so that the instance is registered nowhere.
	// nil: always healthy.
	Healthy func(context.Context) error
	Dial    func(ctx context.Context, address string) (net.Conn, error) // nil: plain TCP
	// AsDatabase sends the CONNECT of a database, so that the registration does
	// not show as an agent's.
	AsDatabase bool
	Log        *slog.Logger // nil: silent
}

const (
	defaultInterval = 10 * time.Second
	defaultRetry    = 3 * time.Second
	connectTime     = 10 * time.Second // to reach a broker and to get its reply
	goodbyeTime     = time.Second      // for a broker to take our goodbye
)

// Run keeps one registered connection to each broker until ctx ends, then
// unregisters by closing them and returns nil. It fails at once if the Agent
// cannot work at all; what goes wrong later is logged and tried again.
func (a *Agent) Run(ctx context.Context) error {
	if len(a.Brokers) == 0 {
		return errors.New("the agent has no broker to register with; name one as host:port")
	}
	if a.Describe == nil {
		return errors.New("the agent has nothing to register; set Describe")
	}
	for _, address := range a.Brokers {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("broker %q is not host:port: %w", address, err)
		}
	}
	shared := &agentRun{Agent: a, log: a.Log}
	if shared.log == nil {
		shared.log = slog.New(slog.DiscardHandler)
	}
	var wait sync.WaitGroup
	var wake []chan struct{}
	for _, address := range a.Brokers {
		l := &link{agentRun: shared, address: address, log: shared.log.With("broker", address), wake: make(chan struct{}, 1)}
		wake = append(wake, l.wake)
		wait.Go(func() { l.run(ctx) })
	}
	a.spread(ctx, wake)
	wait.Wait()
	return nil
}

// spread hands each refresh to all links until ctx ends. A link that has one to
// do already needs no second.
func (a *Agent) spread(ctx context.Context, wake []chan struct{}) {
	refresh := a.Refresh
	for {
		select {
		case _, open := <-refresh:
			if !open {
				refresh = nil
				continue
			}
			for _, w := range wake {
				select {
				case w <- struct{}{}:
				default:
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// agentRun is what the links of one Run share.
type agentRun struct {
	*Agent
	log *slog.Logger

	mu        sync.Mutex
	unhealthy bool
	ids       map[string][16]byte
}

// errUnhealthy closes a connection; that it did has been logged.
var errUnhealthy = errors.New("the instance is not healthy")

// healthy asks Healthy and logs when the answer changes.
func (r *agentRun) healthy(ctx context.Context) error {
	if r.Healthy == nil {
		return nil
	}
	err := r.Healthy(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	changed := r.unhealthy != (err != nil)
	r.unhealthy = err != nil
	r.mu.Unlock()
	switch {
	case err == nil && changed:
		r.log.Info("instance healthy again, registering")
	case err != nil && changed:
		r.log.Warn("instance not healthy, withdrawn from all brokers until it is", "cause", err.Error())
	}
	if err != nil {
		return errUnhealthy
	}
	return nil
}

// describe returns what to register, ids included.
func (r *agentRun) describe() servicetable.Registration {
	reg := r.Describe()
	none := [16]byte{}
	if reg.GUID == none {
		reg.GUID = r.id("instance " + reg.Instance)
	}
	handlers := make([]servicetable.Handler, len(reg.Handlers))
	for i, h := range reg.Handlers {
		if h.ID == none {
			h.ID = r.id("handler " + h.Name)
		}
		handlers[i] = h
	}
	reg.Handlers = handlers
	return reg
}

// id returns the random GUID, version 4, of something that has none.
func (r *agentRun) id(of string) [16]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, known := r.ids[of]; known {
		return id
	}
	if r.ids == nil {
		r.ids = map[string][16]byte{}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	r.ids[of] = id
	return id
}
