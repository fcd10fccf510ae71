package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"servicebroker/loadbalance"
	"servicebroker/servicetable"
)

// epoch is when worlds begin.
func epoch() time.Time { return time.Unix(1_000_000_000, 0) }

// sessionsPerCore is by how much a database's maximum of sessions exceeds its cores.
const sessionsPerCore = 100

// Ours is a policy of package loadbalance.
type Ours struct {
	Policy   loadbalance.Policy
	Redirect bool                        // clients are redirected, so that their sessions are not seen to end
	Brokers  int                         // what each broker takes the number of brokers for; 0: what it is
	Tune     func(*loadbalance.Settings) // nil: as an operator finds it
}

// balanced is that policy at work: one Balancer for each broker, all with the world's clock.
type balanced struct {
	w         *world
	ask       loadbalance.Ask
	brokers   []*loadbalance.Balancer
	reported  []servicetable.Registration // by server
	servers   []servicetable.Candidate
	offered   []servicetable.Candidate // those of servers that are there
	index     map[*servicetable.Handler]int
	once      []loadbalance.Reservation // by broker, for redirects
	open      []*loadbalance.Reservation
	free      []int32 // places in open
	lifetimes int
}

func (o Ours) dispatcher(w *world, random *rand.Rand) dispatcher {
	settings := loadbalance.Settings{Brokers: o.Brokers}
	if o.Brokers == 0 {
		settings.Brokers = w.brokers
	}
	if o.Tune != nil {
		o.Tune(&settings)
	}
	b := &balanced{
		w: w, ask: loadbalance.Ask{Query: servicetable.Query{Service: "s"}, Policy: o.Policy, Redirect: o.Redirect},
		reported: make([]servicetable.Registration, len(w.servers)), servers: make([]servicetable.Candidate, len(w.servers)),
		once: make([]loadbalance.Reservation, w.brokers), index: map[*servicetable.Handler]int{},
	}
	for range w.brokers {
		balancer := &loadbalance.Balancer{Now: b.now, Random: random.Uint64}
		balancer.Configure(settings)
		b.brokers = append(b.brokers, balancer)
	}
	for i := range w.servers {
		b.register(i, epoch())
		b.report(i, 0)
	}
	return b
}

func (b *balanced) now() time.Time {
	return epoch().Add(time.Duration(b.w.now * float64(time.Second)))
}

func (b *balanced) register(i int, when time.Time) {
	b.lifetimes++
	b.reported[i] = servicetable.Registration{
		ID: servicetable.ID(fmt.Sprint(b.lifetimes)), Instance: fmt.Sprintf("i%d", i), Host: "h",
		Max: uint32(b.w.servers[i].cores * sessionsPerCore), RegisteredAt: when,
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Port: 1521}},
	}
}

// report publishes the registration of a server anew, as a table would.
func (b *balanced) report(i, sessions int) {
	r := b.reported[i]
	r.Load, r.LoadAt = uint32(sessions), b.now()
	r.Services = []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked, Goodness: uint32(sessions), Delta: 1}}
	b.reported[i] = r
	b.servers[i] = servicetable.Candidate{Registration: &r, Service: &r.Services[0], Handler: &r.Handlers[0]}
	b.index[b.servers[i].Handler] = i
	b.offer()
}

func (b *balanced) offer() {
	b.offered = b.offered[:0]
	for i := range b.servers {
		if !b.w.servers[i].away && b.servers[i].Registration != nil {
			b.offered = append(b.offered, b.servers[i])
		}
	}
}

func (b *balanced) choose(broker int) (int, int32) {
	if b.ask.Redirect {
		r := &b.once[broker]
		b.brokers[broker].Reserve(r, b.ask, b.offered)
		first := r.Route()[0]
		r.Settle(first)
		return b.index[first.Handler], 0
	}
	var ticket int32
	if last := len(b.free) - 1; last >= 0 {
		ticket, b.free = b.free[last], b.free[:last]
	} else {
		ticket, b.open = int32(len(b.open)), append(b.open, new(loadbalance.Reservation))
	}
	r := b.open[ticket]
	b.brokers[broker].Reserve(r, b.ask, b.offered)
	first := r.Route()[0]
	r.Settle(first)
	return b.index[first.Handler], ticket
}

func (b *balanced) ended(_, _ int, ticket int32) {
	if !b.ask.Redirect {
		b.open[ticket].Release()
		b.free = append(b.free, ticket)
	}
}

func (b *balanced) left(int) { b.offer() }

func (b *balanced) came(i int) {
	b.register(i, b.now())
	b.report(i, 0)
}
