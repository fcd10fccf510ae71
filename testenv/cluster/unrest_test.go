package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// unrest is instances that change all the time and go at some time, of which it is known what they said when. A broker that
// is killed and started again is judged by it: everything that it knows must have been said, and not long before the end been
// taken back.
type unrest struct {
	b        *stage.Broker
	listener net.Listener // which every client of theirs is accepted by
	all      []*restless
	leaving  *time.Timer // of one of them
	killed   time.Time
	lost     times // how old what a broker knew of an instance was when it was killed
	newest   int   // of these, how often it was the latest word
	late     times // how long after the start all had registered again
	stalls   *stalls
	most     time.Duration // that what is known may be out of date by, besides stalls
}

// restless is one of them. Each turn it offers a service of its own name, and one with the number of the turn.
type restless struct {
	name    string
	refresh chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}

	mu    sync.Mutex
	turn  int
	said  []time.Time // when each turn was, from the first of this life on
	first int         // turn of this life
	left  time.Time   // when it said goodbye; zero: it did not
}

// How many there are, and how long one says the same.
const (
	restlessInstances = 12
	restlessFor       = 40 * time.Millisecond
)

// longestLoss is what a broker may not know that was said so long before it was killed, apart from what the machine stalled for.
// Half a second is what is promised where disk and processors are idle.
const longestLoss = 2 * time.Second

// newUnrest has instances change under a broker that is killed so many times.
func newUnrest(t testing.TB, b *stage.Broker, kills int) *unrest {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepting.Go(func() { defer c.Close(); _ = welcome(c) })
		}
	})
	u := &unrest{b: b, listener: l, stalls: watchStalls(t, t.TempDir()), most: allowed(longestLoss, kills)}
	for i := range restlessInstances {
		u.all = append(u.all, &restless{name: fmt.Sprint("restless", i)})
	}
	t.Cleanup(func() { u.end(); _ = l.Close(); accepting.Wait() })
	return u
}

// welcome accepts a client and waits until it goes.
func welcome(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	conn := tns.NewConn(c)
	connect, err := conn.ReadConnect()
	if err != nil {
		return err
	}
	if err := conn.Send(tns.AnswerConnect(connect, tns.VersionHighest, nil)); err != nil {
		return err
	}
	_, err = conn.ReadPacket()
	return err
}

// begin has all of them registered, by connections of their own that are not made again.
func (u *unrest) begin(t testing.TB) {
	t.Helper()
	began := time.Now()
	port := u.listener.Addr().(*net.TCPAddr).Port
	for _, r := range u.all {
		r.begin(t.Context(), u.b.Address, port)
	}
	must(t, stage.Eventually(within(t, patience), func() error {
		known, err := u.known()
		for _, r := range u.all {
			if k := known[r.name]; err == nil && (k.times != 1 || k.status != "READY" || k.turn < r.first) {
				err = fmt.Errorf("%s: %+v, its first turn was %d", r.name, k, r.first)
			}
		}
		return err
	}))
	u.late = append(u.late, time.Since(began))
	leaver := u.all[rand.IntN(len(u.all))]
	u.leaving = time.AfterFunc(rand.N(2*time.Second), leaver.leave)
}

func (r *restless) begin(ctx context.Context, broker string, port int) {
	ctx, r.stop = context.WithCancel(ctx)
	r.refresh, r.ended = make(chan struct{}), make(chan struct{})
	r.mu.Lock()
	r.said, r.first, r.left = nil, r.turn+1, time.Time{}
	r.mu.Unlock()
	agent := &registration.Agent{Brokers: []string{broker}, Retry: time.Hour, Refresh: r.refresh, Describe: func() servicetable.Registration { return r.describe(port) }}
	var running sync.WaitGroup
	running.Go(func() { _ = agent.Run(ctx) })
	running.Go(func() {
		ticks := time.NewTicker(restlessFor)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
			select {
			case r.refresh <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	})
	go func() { running.Wait(); close(r.ended) }()
}

func (r *restless) describe(port int) servicetable.Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn++
	r.said = append(r.said, time.Now())
	all := servicetable.Registration{Instance: r.name, Host: "127.0.0.1", HostRaw: "(HOST=127.0.0.1)", NodeMax: 100, Max: 100, Load: uint32(r.turn)}
	for _, name := range []string{r.name, fmt.Sprintf("%s-%d", r.name, r.turn)} {
		all.Services = append(all.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked, Delta: 1})
	}
	all.Handlers = []servicetable.Handler{{Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: "127.0.0.1", Port: port, Max: 100, Flags: registration.FlagDedicated,
		Address: fmt.Sprintf("(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=%d))", port), Info: "REMOTE SERVER", Services: []int{0, 1}}}
	return all
}

// leave says goodbye, unless all is over.
func (r *restless) leave() {
	r.mu.Lock()
	r.left = time.Now()
	r.mu.Unlock()
	r.stop()
}

// cut is called when the broker hears nothing any more, and nobody is to come back to the next one.
func (u *unrest) cut() {
	u.killed = time.Now()
	u.leaving.Stop()
	for _, r := range u.all {
		r.stop()
	}
}

// end stops all of them, to whom nobody listens any more.
func (u *unrest) end() {
	for _, r := range u.all {
		if r.stop != nil {
			r.stop()
			<-r.ended
		}
	}
}

// knowledge is what a broker knows of an instance.
type knowledge struct {
	status string
	turn   int
	times  int // in the list of the service of its name
	turns  int // services with the number of a turn
}

// known is what the broker knows of all restless instances, by their names.
func (u *unrest) known() (map[string]knowledge, error) {
	list, err := u.b.Services()
	if err != nil {
		return nil, err
	}
	known := map[string]knowledge{}
	for _, in := range list {
		name, turn, numbered := strings.Cut(in.Service, "-")
		k := known[in.Name]
		k.status = in.Status
		switch {
		case numbered:
			k.turn, _ = strconv.Atoi(turn)
			k.turns++
		case name == in.Name:
			k.times++
		}
		known[in.Name] = k
	}
	return known, nil
}

// judge compares what the broker, started again, knows with what was said until it was killed.
func (u *unrest) judge(t testing.TB) {
	t.Helper()
	u.end()
	if text, _ := u.b.Log.Read(); strings.Contains(string(text), "could not be read") {
		t.Errorf("the table on disk could not be read:\n%s", tailOf(u.b))
	}
	known, err := u.known()
	must(t, err)
	for _, r := range u.all {
		age, err := r.age(known[r.name], u.killed)
		if err != nil {
			t.Error(err)
			continue
		}
		if u.lost = append(u.lost, age); age == 0 {
			u.newest++
		}
		if stalled := u.stalls.within(u.killed.Add(-age), u.killed); age-stalled > u.most {
			t.Errorf("%s: what is known, %+v, was not true any more for %v, of which the machine stalled %v", r.name, known[r.name], age, stalled)
		}
	}
}

// age is for how long before the broker was killed it was no longer true what it knows.
func (r *restless) age(k knowledge, killed time.Time) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := !r.left.IsZero() && r.left.Before(killed)
	switch {
	case k.turns == 0 && k.times == 0 && gone:
		return 0, nil
	case k.turns == 0 && k.times == 0:
		return killed.Sub(r.said[0]), nil
	case k.turns != 1 || k.times != 1:
		return 0, fmt.Errorf("%s is known as %+v, which it never was", r.name, k)
	}
	next := k.turn - r.first + 1 // in said
	switch {
	case next > len(r.said):
		return 0, fmt.Errorf("%s has not come to turn %d", r.name, k.turn)
	case next < 1:
		return killed.Sub(r.said[0]), nil
	case next < len(r.said) && r.said[next].Before(killed):
		return killed.Sub(r.said[next]), nil
	case gone:
		return killed.Sub(r.left), nil
	}
	return 0, nil
}

// settle waits until databases have come back by themselves, and only what is true is left.
func (u *unrest) settle(t testing.TB, databases []*stage.Database) {
	t.Helper()
	u.begin(t)
	u.leaving.Stop()
	_ = u.listener.Close() // nobody is to believe that they live on
	for _, r := range u.all {
		r.leave()
		<-r.ended
	}
	must(t, stage.Eventually(within(t, 100*time.Second), func() error { return u.settled(len(databases)) }))
	must(t, u.b.AwaitInstances(within(t, patience), "sales", len(databases)))
}

// settled is nil once all that the broker knows are so many databases, each once, by their own word.
func (u *unrest) settled(databases int) error {
	list, err := u.b.Services()
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, in := range list {
		count[in.Service]++
		if !in.Stored.IsZero() {
			return fmt.Errorf("%s of %s is known from disk alone, of %v", in.Name, in.Service, in.Stored)
		}
	}
	for service, n := range count {
		if strings.HasPrefix(service, "restless") || n != databases {
			return fmt.Errorf("there is %s with %d instances", service, n)
		}
	}
	return nil
}

func (u *unrest) String() string {
	return fmt.Sprintf("%d instances changing every %v: what was on disk was out of date %v before the kill (%d of %d times not at all); after the start all had registered anew within %v; %v",
		len(u.all), restlessFor, u.lost, u.newest, len(u.lost), slices.Max(u.late).Round(time.Millisecond), u.stalls)
}
