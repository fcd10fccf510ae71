package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/failover"
	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/loadbalance"
	"servicebroker/servicetable"
	"servicebroker/testenv/fuzzing"
	"servicebroker/tns"
)

// FuzzConversations plays a script of clients, instances, operators and the clock against a relay with a
// table, a balancer, a dialer, a holder and limits, over connections in memory. Whatever happens, everybody
// is done in the end, nothing is left over, and bytes arrive where they belong: see conversation.check.
func FuzzConversations(f *testing.F) {
	for _, script := range conversationSeeds() {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			c := newConversation(t, fuzzing.Read(script))
			for step := 0; c.More() && step < 300; step++ {
				c.step()
			}
			c.end()
		})
	})
}

// What there is at most of each.
const (
	mostCallers   = 6
	mostAnswerers = 24
	mostInstances = 3
)

// conversation is one script, and who plays in it.
type conversation struct {
	*fuzzing.Script
	t      *testing.T
	server *Server

	table    servicetable.Table
	balancer loadbalance.Balancer
	dialer   failover.Dialer
	holder   failover.Holder
	shares   limits.Shares
	limit    atomic.Pointer[limits.Limit]
	treat    atomic.Pointer[Treatment]
	rules    atomic.Pointer[RuleSet]
	holding  atomic.Bool // operators want connects held
	taking   atomic.Bool // another process takes clients that wait

	ctx        context.Context
	stop       context.CancelFunc
	stopped    bool // by the script
	serving    sync.WaitGroup
	busy       atomic.Int32 // dialogues that are being served
	background sync.WaitGroup

	callers   []*caller
	mu        sync.Mutex // guards what follows
	answerers []*answerer
	instances [mostInstances]playedInstance
	offered   map[string]map[string]bool // service: instances that have ever offered it
	orders    int
	pending   map[*counted1]bool // reservations neither released nor settled as redirects
	reports   int
	ended     map[uint64]int
	departed  int
	served    int
	rough     bool // bytes may have been lost by what the script did
	slow      bool // so much time has passed that limits struck
}

// caller is a client.
type caller struct {
	n         int
	near, far *fuzzing.Conn
	script    []byte // its CONNECT
	asks      string // service
	sent      int    // bytes of its pattern behind the CONNECT
	received  []byte
	whole     bool // all of the CONNECT was sent
	left      bool // closed or reset
	ended     bool // its half
	unpatient bool // it wrote before it had its answer
}

// answerer is an instance's side of one connection.
type answerer struct {
	instance  string
	near, far *fuzzing.Conn // near is the relay's
	received  []byte
	answered  bool // with an ACCEPT
	asked     *tns.Connect
	behind    []byte // received after the CONNECT
	sent      int
	left      bool
	ended     bool
	auto      bool
	garbage   bool // it sent something that is no dialogue
}

// playedInstance is how an instance behaves to those who connect.
type playedInstance struct {
	mode byte // 0 accepts at once, 1 is driven by the script, 2 refuses connections, 3 is silent to connects
}

// counted1 is a reservation that is watched.
type counted1 struct {
	*loadbalance.Reservation
	c        *conversation
	redirect bool
}

func (r *counted1) Kind(redirect bool) {
	r.redirect = redirect
	r.Reservation.Kind(redirect)
}

func (r *counted1) Policy() string { return "goodness" }

func (r *counted1) Verdicts() []journal.Candidate { return nil }

func (r *counted1) Settle(at servicetable.Candidate) {
	r.Reservation.Settle(at)
	if r.redirect {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		delete(r.c.pending, r)
	}
}

func (r *counted1) Release() {
	r.Reservation.Release()
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	delete(r.c.pending, r)
}

// parked lets the relay park connects with a holder.
type parked struct{ *conversation }

type parkedAt struct{ *failover.Place }

func (p parkedAt) State() PlaceState                       { return PlaceState(p.Place.State()) }
func (p parkedAt) Again(cause string, retry time.Duration) { p.Place.Again(cause, retry) }
func (p parked) Anyone() bool                              { return p.holder.Anyone() }
func (p parked) Waiting(queue string) bool                 { return p.holder.Waiting(queue) }
func (p parked) Seen(service string)                       { p.holder.Reached(service) }
func (p parked) Would(r HoldRequest) error                 { return p.holder.Would(p.request(r)) }

func (p parked) Enter(r HoldRequest) (Place, error) {
	at, err := p.holder.Enter(p.request(r))
	if err != nil {
		return nil, err
	}
	return parkedAt{at}, nil
}

func (p parked) request(r HoldRequest) failover.HoldRequest {
	return failover.HoldRequest{
		Service: r.Service, Queue: r.Queue, Client: r.Client.String(), Ref: r.Ref, Cause: r.Cause, Limit: r.Limit, Since: r.Since, Wanted: r.Wanted, Ready: r.Ready,
		Retry: r.Retry, Wake: r.Wake,
	}
}

func newConversation(t *testing.T, script *fuzzing.Script) *conversation {
	c := &conversation{
		Script: script, t: t, offered: map[string]map[string]bool{}, pending: map[*counted1]bool{}, ended: map[uint64]int{},
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.ctx, c.stop = ctx, func() {
		cancel()
		c.server.Stop(errStopping)
	}
	c.shares.LimitOf = func(limits.Kind, string) limits.Limit { return *c.limit.Load() }
	c.server = &Server{
		Snapshot: c.table.Snapshot,
		Order: func(p Placing, all []servicetable.Candidate) Reservation {
			r := &counted1{Reservation: c.balancer.Order(loadbalance.Ask{Query: p.Query, Redirect: p.Redirect}, all), c: c}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.orders++
			c.pending[r] = true
			return r
		},
		Foresee: func(Placing, []servicetable.Candidate) []journal.Candidate { return nil },
		Dial: func(ctx context.Context, route []servicetable.Candidate, attempt Attempt) (*ServerConnection, servicetable.Candidate, error) {
			return failover.Dial(ctx, &c.dialer, route, attempt)
		},
		Connect:   c.connect,
		Rules:     c.rules.Load,
		Treatment: func(string) Treatment { return *c.treat.Load() },
		Resolve:   func(context.Context, string) []netip.Addr { return nil },
		Hold:      parked{c},
		HoldWanted: func(netip.Addr, servicetable.Query) string {
			if c.holding.Load() {
				return "fuzz"
			}
			return ""
		},
		Shares: func(service string, _ *Rule) []*limits.Share {
			return []*limits.Share{c.shares.Of(limits.OfService, service)}
		},
		Share:   func(rule string) *limits.Share { return c.shares.Of(limits.OfRule, rule) },
		Repeats: &limits.Repeats{},
		Journal: &journal.Journal{},
		Report: func(r *ConnectReport) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.reports++
		},
		Ended: func(s *SessionInfo, _ error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ended[s.ID]++
		},
		Closed: func() {
			c.busy.Add(-1)
			c.serving.Done()
		},
		Verify: func(_ context.Context, candidate servicetable.Candidate) error {
			if c.mode(candidate.Handler.Host) == 2 {
				return syscall.ECONNREFUSED
			}
			return nil
		},
	}
	c.server.Closed = func() {
		c.busy.Add(-1)
		c.serving.Done()
	}
	c.reload()
	c.background.Go(func() { c.holder.Run(c.ctx, func() <-chan struct{} { return c.table.Snapshot().Superseded() }) })
	for i := range 1 + c.Below(mostInstances) {
		c.register(i)
	}
	return c
}

// halt ends the broker.
func (c *conversation) halt() {
	c.stop()
	c.server.Stop(errors.New("it is told to"))
}

// connect is how the relay reaches an instance.
func (c *conversation) connect(ctx context.Context, to Destination) (net.Conn, error) {
	name := to.Address.Host
	if c.mode(name) == 3 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	mode, known := c.modeOf(name)
	if !known || mode == 2 || len(c.answerers) == mostAnswerers {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := fuzzing.Pipe(fmt.Sprintf("192.0.2.1:%d", 30000+len(c.answerers)), "198.51.100.1:1521", []int{1 << 16, 4096, 512, 64}[len(c.answerers)%4], 0)
	c.answerers = append(c.answerers, &answerer{instance: name, near: near, far: far, auto: mode == 0})
	return near, nil
}

// modeOf finds out how an instance behaves; callers hold mu.
func (c *conversation) modeOf(host string) (mode byte, known bool) {
	for i := range c.instances {
		if instanceName(i) == host {
			return c.instances[i].mode, true
		}
	}
	return 0, false
}

func (c *conversation) mode(host string) byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	mode, _ := c.modeOf(host)
	return mode
}

func instanceName(i int) string { return fmt.Sprintf("s%d", i) }

// services an instance may offer.
var playedServices = [][]string{{"sales"}, {"sales", "hr"}, {"hr"}, {}}

// register has an instance registered, in one of several forms.
func (c *conversation) register(i int) {
	name := instanceName(i)
	r := servicetable.Registration{ID: servicetable.ID(name), Instance: name, Host: name + ".host"}
	h := servicetable.Handler{Name: "DEDICATED", Protocol: "TCP", Host: name, Port: 1521}
	flags := fuzzing.Pick(c.Script, servicetable.FlagUnblocked, servicetable.FlagUnblocked, servicetable.FlagUnblocked, 0, servicetable.FlagUnblocked|servicetable.FlagRestricted)
	c.mu.Lock()
	for n, s := range fuzzing.Pick(c.Script, playedServices...) {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: flags, Delta: 1})
		h.Services = append(h.Services, n)
		if c.offered[s] == nil {
			c.offered[s] = map[string]bool{}
		}
		c.offered[s][name] = true
	}
	c.mu.Unlock()
	r.Handlers = []servicetable.Handler{h}
	c.table.Apply(r)
	for _, s := range r.Services {
		if s.Flags == servicetable.FlagUnblocked {
			c.holder.Seen(s.Name)
		}
	}
}

// reload puts settings in force that the script chooses. All of them end what lasts for too long.
func (c *conversation) reload() {
	treatment := &Treatment{
		Mode: fuzzing.Pick(c.Script, ModeRelay, ModeRelay, ModeRedirect), AttemptTimeout: 5 * time.Second, DialTimeout: TimeoutOf(time.Minute),
		HoldTimeout: fuzzing.Pick(c.Script, 0, 10*time.Second, time.Minute), HoldSet: true,
		IdleTimeout: TimeoutOf(fuzzing.Pick(c.Script, 10*time.Minute, time.Minute)), SessionTimeout: TimeoutOf(30 * time.Minute),
	}
	c.treat.Store(treatment)
	c.holder.Configure(failover.HoldSettings{Timeout: time.Minute, Max: 4, Rate: 5})
	c.limit.Store(fuzzing.Pick(c.Script, &limits.Limit{}, &limits.Limit{Sessions: 2}, &limits.Limit{Rate: 1, Wait: 3 * time.Second}, &limits.Limit{Bandwidth: 64 << 10}))
	c.shares.Reconfigure()
	c.server.Reshare()
	c.rules.Store(fuzzing.Pick(c.Script, nil, nil, CompileRules(Rules{
		{Services: []string{"sales"}, Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Action: Accept},
	}, c.rules.Load())))
}

// arrive is what a broker does with a client.
func (c *conversation) arrive(one *caller) {
	c.serving.Go(func() {
		conn := tns.NewConn(one.far)
		_ = one.far.SetReadDeadline(time.Now().Add(time.Minute))
		connect, err := conn.ReadConnect()
		if err != nil {
			_ = one.far.Close()
			return
		}
		c.mu.Lock()
		c.served++
		c.mu.Unlock()
		c.busy.Add(1)
		defer c.busy.Add(-1)
		c.server.Serve(c.ctx, conn, connect, Arrival{
			Depart: func(*Before, []byte) error {
				if !c.taking.Load() {
					return ErrNotTaken
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				c.departed++
				return nil
			},
			Carried: c.carried,
		})
	})
}

// carried has a session counted like whoever serves a client.
func (c *conversation) carried() {
	c.serving.Add(1)
	c.busy.Add(1)
}

// pattern is what peers say: each byte tells whose it is, and where in the stream.
func pattern(who, from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := from + i
		b[i] = byte(at) ^ byte(at>>8)*31 ^ byte(who)*17
	}
	return b
}

// connectFor is a CONNECT that tells by its PROGRAM whose it is.
func (c *conversation) connectFor(n int) (asks string, packets []byte) {
	asks = fuzzing.Pick(c.Script, "sales", "sales", "hr", "nobody")
	more := fuzzing.Pick(c.Script, "", "", "(INSTANCE_NAME=s0)", "(SERVER=shared)", "(UR=A)", "(CONNECT_TIMEOUT=2)", "(X="+strings.Repeat("y", 300)+")", "(X="+strings.Repeat("z", 9000)+")")
	text := fmt.Sprintf("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=broker)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=%s)(CID=(PROGRAM=c%d)(HOST=h)(USER=u))%s))", asks, n, more)
	connect := tns.NewConnect([]byte(text))
	switch c.Below(8) {
	case 5:
		connect.HeaderFlags = tns.FlagRedirected
	case 6:
		connect.Version, connect.Offset = 314, 58
	case 7:
		connect.Data = []byte(fuzzing.Text(c.Script))
	}
	return asks, bytes.Clone(connect.AppendTo(nil, false))
}
