package broker

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"servicebroker/console"
	"servicebroker/relay"
)

// rulesInForce lists the rules about clients, and those about administration.
func (b *Broker) rulesInForce() []console.RuleView {
	s := b.settings()
	views := []console.RuleView{}
	for about, set := range map[string]*relay.RuleSet{console.AboutClients: s.rules, console.AboutAdministration: s.admin} {
		for i, status := range set.Status() {
			v := ruleView(about, i, status.Rule)
			v.Matched = status.Matched
			if last := status.Last; !last.IsZero() {
				v.Last = &last
			}
			views = append(views, v)
		}
	}
	slices.SortStableFunc(views, func(a, b console.RuleView) int { return strings.Compare(a.About, b.About) })
	return views
}

// ruleView shows a rule of a list, which is counted from 0.
func ruleView(about string, number int, r *relay.Rule) console.RuleView {
	v := console.RuleView{
		Name: strconv.Itoa(number + 1), About: about, Action: r.Action.String(), Group: r.Group,
		Services: append([]string{}, r.Services...), DNs: append([]string{}, r.DNs...), Text: r.Text, Where: r.Where,
	}
	if about == console.AboutAdministration {
		v.Name = about + " " + v.Name
	}
	return v
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

// watchRuleNames keeps what host names in the rules mean up to date, until ctx ends. Who was quarantined since a name meant nothing
// yet is let in once it does.
func (b *Broker) watchRuleNames(ctx context.Context) {
	tick := time.NewTicker(hostsTTL)
	defer tick.Stop()
	for {
		s := b.settings()
		s.rules.Refresh(ctx, b.hosts.fresh)
		s.admin.Refresh(ctx, b.hosts.fresh)
		if s.registrants.Learn(ctx) {
			b.rejudge()
		}
		select {
		case <-b.rulesChanged:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
