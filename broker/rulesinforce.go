package broker

import (
	"context"
	"net"
	"net/netip"
	"time"

	"servicebroker/console"
)

// rulesInForce lists the rules that are about clients.
func (b *Broker) rulesInForce() []console.RuleView {
	views := []console.RuleView{}
	for _, s := range b.settings().rules.Status() {
		views = append(views, console.RuleView{Name: s.Name, Text: s.Rule.Text, Where: s.Rule.Where, Matched: s.Matched})
	}
	return views
}

// mayAdminister tells whether the rules for cmon let the peer of a connection give
// administrative commands. Without such rules they do. All addresses of this host count
// as one, so that it does not matter by which of them a tool connects.
func (b *Broker) mayAdminister(ctx context.Context, conn net.Conn) bool {
	admin := b.settings().admin
	if admin == nil {
		return true
	}
	own := b.hosts.localAddresses()
	var from []netip.Addr
	if peer, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		a := peer.Addr().Unmap().WithZone("")
		if from = append(from, a); b.hosts.isLocal(a) {
			from = append(from, own...)
		}
	}
	if at, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
		own = append(own[:len(own):len(own)], at.Addr().Unmap().WithZone(""))
	}
	allowed, _ := admin.Allows(ctx, from, own)
	return allowed
}

// watchRuleNames keeps what host names in the rules mean up to date, until ctx ends.
func (b *Broker) watchRuleNames(ctx context.Context) {
	tick := time.NewTicker(hostsTTL)
	defer tick.Stop()
	for {
		s := b.settings()
		s.rules.Refresh(ctx, b.hosts.fresh)
		s.admin.Refresh(ctx, b.hosts.fresh)
		select {
		case <-b.rulesChanged:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
