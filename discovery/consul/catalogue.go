package consul

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/discovery"
)

// Catalogue is a destination of publications: Consul's catalogue. Entries of ours are known by a mark in their meta; whatever does not
// have it is never changed or removed.
type Catalogue struct {
	Client *Client
	// Member tells whether it is this broker that writes; nil: it is, and nobody else does.
	Member *Member
	// Full is how often everything is compared with what Consul has; 0: 1 minute. Details is how often load figures are brought up to
	// date where nothing else has changed; 0: 5 minutes.
	Full, Details time.Duration
	Log           *slog.Logger

	doubted  atomic.Bool // what Consul has is to be read again
	problems atomic.Pointer[[]string]
	look     atomic.Pointer[Look]

	mu        sync.Mutex // guards what follows, and is held while Consul is waited for
	known     bool       // the rest is what Consul has
	fullAt    time.Time
	detailsAt time.Time
	has       state
	intact    bool  // has is what this broker left in Consul
	by        Lease // it had when all was written last
	written   bool  // all was, once
	away      bool  // Consul has been, since
}

// state is what Consul has.
type state struct {
	nodes    map[string]nodeState
	services map[entry]written // of ours
	foreign  map[entry]bool    // of others, at nodes that are external as ours are
	hidden   bool              // there is more, which this broker may not see
}

// nodeState is what is to be known of a node.
type nodeState struct {
	address string
	owner   string // mark of the brokers that made it; "": others did
}

// entry is where a service stands.
type entry struct{ node, id string }

// written is a service as it is written, to be compared.
type written struct {
	name, address, tags, meta, status, output string
	port, weight                              int
	Detail
}

// parallel is how many reads go on at the same time.
const parallel = 8

// maxEntries bounds how many entries are believed to be there.
const maxEntries = 200_000

// Problems returns what could not be written because others have it, for people. It waits for nobody.
func (c *Catalogue) Problems() []string {
	if problems := c.problems.Load(); problems != nil {
		return slices.Clone(*problems)
	}
	return nil
}

// Doubt has the next Sync compare everything with what Consul has, as is wise once that has been away.
func (c *Catalogue) Doubt() { c.doubted.Store(true) }

// Sync writes what differs.
func (c *Catalogue) Sync(ctx context.Context, p Publication) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	client, err := c.Client.open()
	if err != nil {
		return err
	}
	if c.doubted.Swap(false) {
		c.known, c.intact, c.away, c.fullAt = false, false, true, time.Time{}
	}
	w := &writer{Client: c.Client, api: client}
	var lease Lease
	if c.Member != nil {
		var held bool
		if lease, held = c.Member.Lease(); !held {
			return c.stand(ctx, client, p)
		}
		w.guard = c.guard(ctx, lease)
	}
	if lease != c.by { // somebody else may have written
		c.known, c.intact = false, false
	}
	now := time.Now()
	full := !c.known || !now.Before(c.fullAt)
	before := c.has
	if full {
		has, err := c.read(ctx, client)
		if err != nil {
			c.known = false
			return explain(err)
		}
		c.has, c.fullAt = has, now.Add(orDefault(c.Full, time.Minute))
	}
	details := !now.Before(c.detailsAt)
	d := c.differences(ctx, p, details, lease.Fence)
	look := c.Looked()
	if full {
		look = c.judge(before, c.has, len(d.units))
	}
	problems := d.problems
	if c.has.hidden {
		problems = append(problems, "Consul hides nodes or services from the token in CONSUL_TOKEN_FILE, and what is hidden can neither be put right nor told: it needs "+rightsNeeded)
	}
	c.problems.Store(&problems)
	c.known, c.intact = false, false // until all is written
	if err := w.run(ctx, d.units); err != nil {
		if errors.Is(err, errLost) {
			return fmt.Errorf("%w: %w", discovery.ErrStandby, err)
		}
		return err
	}
	c.known, c.intact, c.by, c.written, c.away = true, true, lease, true, false
	c.look.Store(&look) // no sooner: if the lock is lost, Consul itself may be another
	if details {
		c.detailsAt = now.Add(orDefault(c.Details, 5*time.Minute))
	}
	return nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// stand looks now and then how much what the writing broker wrote differs from what this one would.
func (c *Catalogue) stand(ctx context.Context, client *api.Client, p Publication) error {
	c.known, c.intact = false, false
	if now := time.Now(); !now.Before(c.fullAt) {
		has, err := c.read(ctx, client)
		if err != nil {
			return explain(err)
		}
		c.has = has
		c.look.Store(&Look{Standing, len(c.differences(ctx, p, false, 0).units)})
		c.fullAt = now.Add(orDefault(c.Full, time.Minute))
	}
	return discovery.ErrStandby
}

func (c *Catalogue) guard(ctx context.Context, l Lease) *op {
	namespace, partition := c.Client.scope(ctx)
	return &op{KV: &opKV{Verb: "check-session", Key: l.Key, Session: l.Session, Namespace: namespace, Partition: partition}}
}

// read finds out what Consul has.
func (c *Catalogue) read(ctx context.Context, client *api.Client) (state, error) {
	s := state{nodes: map[string]nodeState{}, services: map[entry]written{}, foreign: map[entry]bool{}}
	q, cancel := c.Client.query(ctx)
	nodes, meta, err := client.Catalog().Nodes(q)
	cancel()
	if err == nil {
		err = whole(nodes, anything)
	}
	if err != nil {
		return s, err
	}
	s.hidden = meta.ResultsFilteredByACLs
	for _, n := range nodes {
		s.nodes[n.Node] = nodeState{address: n.Address, owner: n.Meta[ownerKey]}
	}
	q, cancel = c.Client.query(ctx)
	q.NodeMeta = map[string]string{"external-node": "true"}
	names, meta, err := client.Catalog().Services(q)
	cancel()
	if err != nil {
		return s, err
	}
	s.hidden = s.hidden || meta.ResultsFilteredByACLs
	work, found := make(chan string), make(chan []*api.ServiceEntry)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var readers sync.WaitGroup
	for range parallel {
		readers.Go(func() { c.readers(ctx, client, work, found, stop) })
	}
	go func() {
		defer close(found)
		defer readers.Wait()
		defer close(work)
		for name := range names {
			select {
			case work <- name:
			case <-ctx.Done():
				return
			}
		}
	}()
	for list := range found {
		for _, e := range list {
			s.enter(e, c.Client.owner())
		}
		if len(s.services)+len(s.foreign) > maxEntries {
			stop(errTooLong)
		}
	}
	return s, context.Cause(ctx)
}

// readers reads services by name, with their health, until there are no more; the first fault stops all.
func (c *Catalogue) readers(ctx context.Context, client *api.Client, work <-chan string, found chan<- []*api.ServiceEntry, stop context.CancelCauseFunc) {
	for name := range work {
		q, cancel := c.Client.query(ctx)
		q.NodeMeta = map[string]string{"external-node": "true"}
		list, _, err := client.Health().Service(name, "", false, q)
		cancel()
		if err == nil {
			err = whole(list, entireEntry)
		}
		if err != nil {
			stop(err)
			return
		}
		found <- list
	}
}

func (s *state) enter(e *api.ServiceEntry, owner string) {
	at := entry{e.Node.Node, e.Service.ID}
	if e.Service.Meta[ownerKey] != owner {
		s.foreign[at] = true
		return
	}
	w := written{name: e.Service.Service, address: e.Service.Address, port: e.Service.Port, tags: strings.Join(e.Service.Tags, " "),
		meta: metaText(e.Service.Meta), weight: e.Service.Weights.Passing}
	w.Load, w.Max, w.Goodness = figure(e.Service.Meta["load"]), figure(e.Service.Meta["max"]), figure(e.Service.Meta["goodness"])
	for _, check := range e.Checks {
		if check.CheckID == checkID(e.Service.ID) {
			w.status, w.output = check.Status, check.Output
		}
	}
	s.services[at] = w
}

func checkID(service string) string { return "oracle:" + service }

func figure(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

// metaText is meta to be compared: without what changes all the time or says when it was written.
func metaText(meta map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		switch key {
		case "load", "max", "goodness", "version", "fence":
		default:
			b.WriteString(key + "=" + meta[key] + "\n")
		}
	}
	return b.String()
}
