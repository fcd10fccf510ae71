package broker

import (
	"context"

	"servicebroker/failover"
	"servicebroker/journal"
	"servicebroker/loadbalance"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// order places a connect of the relay by the balancer.
func (b *Broker) order(p relay.Placing, c []servicetable.Candidate) relay.Reservation {
	return b.balancerFor(c).Order(b.ask(p), c)
}

func (b *Broker) foresee(p relay.Placing, c []servicetable.Candidate) []journal.Candidate {
	return b.balancerFor(c).Explain(b.ask(p), c)
}

// balancerFor is who counts connects: for addresses that clients name themselves one that has
// forgotten them a moment later, since there are as many of those as clients like.
func (b *Broker) balancerFor(c []servicetable.Candidate) *loadbalance.Balancer {
	if len(c) > 0 && c[0].Path != nil && c[0].Path.Named {
		return new(loadbalance.Balancer)
	}
	return &b.balancer
}

// ask translates; words were checked when the configuration was read.
func (b *Broker) ask(p relay.Placing) loadbalance.Ask {
	policy, _ := loadbalance.ParsePolicy(p.Policy)
	return loadbalance.Ask{Query: p.Query, Policy: policy, Redirect: p.Redirect, Tiers: b.settings().tiersFor(p.Query)}
}

// dial makes the relay's attempts by the dialer.
func (b *Broker) dial(ctx context.Context, route []servicetable.Candidate, attempt relay.Attempt) (*relay.ServerConnection, servicetable.Candidate, error) {
	return failover.Dial(ctx, &b.dialer, route, attempt)
}
