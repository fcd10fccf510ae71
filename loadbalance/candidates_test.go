package loadbalance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// built is a candidate in the making; its methods change a copy of what it points to.
type built struct {
	r servicetable.Registration
	s servicetable.Service
	h servicetable.Handler
	c servicetable.Candidate
}

// instance builds one that reports load of max sessions and has one DEDICATED handler.
func instance(name string, load, max uint32) built {
	return built{
		r: servicetable.Registration{ID: servicetable.ID("c-" + name), Instance: name, Host: "h", Load: load, Max: max, LoadAt: reported()},
		s: servicetable.Service{Name: "s"},
		h: servicetable.Handler{Name: "DEDICATED", Port: 1521},
	}
}

func (b built) goodness(goodness, delta uint32) built {
	b.s.Goodness, b.s.Delta = goodness, delta
	return b
}

func (b built) handler(name string, load, max uint32) built {
	b.h.Name, b.h.Load, b.h.Max = name, load, max
	return b
}

func (b built) node(load, max uint32) built {
	b.r.NodeLoad, b.r.NodeMax = load, max
	return b
}

func (b built) status(s servicetable.Status) built {
	b.c.Status = s
	return b
}

// reports is the same instance with a newer report.
func (b built) reports(load uint32) built {
	b.r.Load, b.r.LoadAt = load, b.r.LoadAt.Add(time.Minute)
	return b
}

func (b built) candidate() servicetable.Candidate {
	b.r.Services, b.r.Handlers = []servicetable.Service{b.s}, []servicetable.Handler{b.h}
	b.c.Registration, b.c.Service, b.c.Handler = &b.r, &b.r.Services[0], &b.r.Handlers[0]
	return b.c
}

// siblings are handlers of one registration.
func siblings(all ...built) []servicetable.Candidate {
	first := all[0].candidate()
	var c []servicetable.Candidate
	for _, b := range all {
		next := b.candidate()
		first.Registration.Handlers = append(first.Registration.Handlers, b.h)
		next.Registration, next.Service = first.Registration, first.Service
		c = append(c, next)
	}
	return c
}

func candidates(all ...built) []servicetable.Candidate {
	var c []servicetable.Candidate
	for _, b := range all {
		c = append(c, b.candidate())
	}
	return c
}

// names renders a route as "instance" or, for handlers other than DEDICATED, "instance/handler".
func names(route []servicetable.Candidate) string {
	var words []string
	for _, c := range route {
		word := c.Registration.Instance
		if c.Handler.Name != "DEDICATED" {
			word += "/" + c.Handler.Name
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// seeded returns a random source that is the same in every run.
func seeded(seed uint64) func() uint64 {
	return rand.New(rand.NewPCG(seed, 1)).Uint64
}

// tied keeps equal candidates in the order given.
func tied() uint64 { return 0 }

// reported is when instances in tests have reported first.
func reported() time.Time { return time.Unix(1000, 0) }

// newBalancer returns a balancer whose time stands still at the first report.
func newBalancer(random func() uint64) *Balancer {
	return &Balancer{Random: random, Now: reported}
}

// connect orders, settles on the first and returns its name; the session stays open.
func connect(b *Balancer, c []servicetable.Candidate) (string, *Reservation) {
	r := b.Order(Ask{Query: servicetable.Query{Service: "s"}}, c)
	first := r.Route()[0]
	r.Settle(first)
	return names([]servicetable.Candidate{first}), r
}

// spread makes n connects that stay and counts where they went.
func spread(b *Balancer, c []servicetable.Candidate, n int) map[string]int {
	count := map[string]int{}
	for range n {
		name, _ := connect(b, c)
		count[name]++
	}
	return count
}

func spreadText(count map[string]int) string { return fmt.Sprint(count) }
