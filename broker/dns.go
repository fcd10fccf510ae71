package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/caddyserver/certmagic"
	wire "github.com/miekg/dns"

	"servicebroker/discovery"
	"servicebroker/discovery/dns"
	"servicebroker/peers"
	"servicebroker/servicetable"
)

// dnsMirror is the table in DNS: the zone that is served here, and the one that is written to a
// primary elsewhere.
type dnsMirror struct {
	server  *dns.Server // nil: the zone is not served here
	sockets *dns.Sockets
	updater *dns.Updater  // nil: it is not written anywhere
	doubt   chan struct{} // has room for one: others may have written what the updater wrote
	solver  *dns.Solver   // of the updater's primary
	layout  atomic.Pointer[dns.Layout]
	nudges  []chan struct{} // to mirrors, when layouts or the meaning of hosts change
	rcodes  [len(rcodeLabels) + 1]atomic.Uint64

	mu       sync.Mutex // guards what follows
	problems []string   // of the newest publication
}

// maxProblems bounds how many are shown.
const maxProblems = 50

// bindDNS prepares what DNS is told.
func (b *Broker) bindDNS() error {
	c := &b.config
	if !c.DNS.published() {
		return nil
	}
	if c.DNS.Zone == "" {
		return errors.New("DNS_ZONE is missing: name the zone, for example (DNS_ZONE=db.example.com)")
	}
	b.hosts.changed = b.nudgeDNS
	if c.DNS.Update.Primary != "" {
		if err := b.prepareUpdates(); err != nil {
			return fmt.Errorf("DNS_UPDATE: %w", err)
		}
	}
	if c.DNS.Address == "" {
		return nil
	}
	server := &dns.Server{
		State: b.state.folder(), Sign: c.DNS.Sign, RateLimit: cmp.Or(c.DNS.Rate, -1), Answered: b.dnsAnswered,
		Log: b.log.With("component", "dns"),
	}
	for _, s := range c.DNS.Secondaries {
		to := dns.Secondary{Addr: s.Address}
		if s.Key != "" {
			key, err := dns.ReadKey(s.Key)
			if err != nil {
				return fmt.Errorf("DNS_TRANSFER: %w", err)
			}
			to.Key = key.Name
			server.Keys = append(server.Keys, key)
		}
		server.Secondaries = append(server.Secondaries, to)
	}
	if err := server.Check(); err != nil {
		return fmt.Errorf("DNS_ADDRESS: %w", err)
	}
	b.dns.server = server
	return nil
}

// bindZone listens for questions, if the configuration says where and for which zone.
func (b *Broker) bindZone() error {
	c := &b.config.DNS
	if !c.published() || c.Zone == "" || c.Address == "" {
		return nil
	}
	sockets, err := b.listenDNS(c.Address)
	if err != nil {
		return fmt.Errorf("DNS_ADDRESS: %w: %s", err, dnsRemedy(err))
	}
	b.dns.sockets = sockets
	return nil
}

func (b *Broker) prepareUpdates() error {
	c := &b.config.DNS
	key, err := dns.ReadKey(c.Update.Key)
	if err != nil {
		return err
	}
	b.dns.updater = &dns.Updater{Primary: c.Update.Primary, Zone: c.updateZone(), Key: key, Log: b.log.With("component", "dns-update")}
	b.dns.doubt = make(chan struct{}, 1)
	b.dns.solver = &dns.Solver{Primary: c.Update.Primary, Key: key}
	return b.dns.updater.Check()
}

// dnsRemedy says what to do about an address that cannot be listened on.
func dnsRemedy(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "somebody serves DNS there, such as systemd-resolved on 127.0.0.53: name another address of this host, or another port, such as 0.0.0.0:8053"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 are for the system: choose another, such as 0.0.0.0:8053, or give the broker the right to it (CAP_NET_BIND_SERVICE; RUN_AS_LOW_PORTS=on where root starts it)"
	}
	return "choose another, or off"
}

// wireDNS adds the mirrors.
func (b *Broker) wireDNS() {
	if b.dns.server != nil {
		m := &mirror{name: "dns", destination: "zone " + b.config.DNS.Zone + " at " + b.dns.sockets.TCP.Addr().String()}
		of := b.dnsMirrorTo(b.dns.server, m)
		m.notes = func() []string { return append(b.dnsKeys(), b.dns.noted()...) }
		m.run = func(ctx context.Context) {
			var working sync.WaitGroup
			working.Go(func() { of.Run(ctx) })
			if err := b.dns.server.Run(ctx, b.dns.sockets); err != nil {
				b.log.Error("DNS", "cause", err.Error())
			}
			working.Wait()
		}
		b.mirrors.add(m)
	}
	if u := b.dns.updater; u != nil {
		m := &mirror{name: "dns-update", destination: "zone " + b.config.DNS.Zone + " at " + u.Primary}
		of := b.dnsMirrorTo(u, m)
		m.run, of.Doubt = of.Run, b.dns.doubt
		if l := b.consul; l != nil {
			u.Writing, of.Writer, m.run = b.writesZone, l.member.Writer, l.onceDecided(of.Run)
		}
		m.notes = func() []string {
			var notes []string
			for _, name := range u.Foreign() {
				notes = append(notes, name+" is not written: somebody else made it there; remove it, or rename the service")
			}
			return append(notes, b.dns.noted()...)
		}
		if !b.config.DNS.Update.Leave {
			m.withdraw = func(ctx context.Context) error {
				if b.othersGoOn(ctx) {
					return nil
				}
				err := u.Sync(ctx, dns.Publication{TTL: uint32(b.config.DNS.TTL.Seconds()), Zones: []dns.Zone{{Name: b.config.DNS.Zone + "."}}})
				if errors.Is(err, discovery.ErrStandby) { // another one keeps it
					return nil
				}
				return err
			}
		}
		b.mirrors.add(m)
	}
}

// writesZone tells whether this broker writes a zone elsewhere that others write as well: the one that has the lock in Consul
// does, each where nobody is known to have it.
func (b *Broker) writesZone() bool {
	m := b.consul.member
	_, held := m.Lease()
	return held || m.Writer() == "" || m.Failure() != ""
}

// othersGoOn tells whether there are other brokers, with the same table as far as anybody knows, which do not end themselves.
func (b *Broker) othersGoOn(ctx context.Context) bool {
	if slices.ContainsFunc(b.peering.watcher.Peers(), func(p peers.State) bool { return p.Alive && !p.Leaving }) {
		return true
	}
	if b.consul == nil {
		return false
	}
	alive, err := b.consul.member.Brokers(ctx)
	return err == nil && len(alive) > 1
}

// dnsMirrorTo is what keeps a destination equal to the table.
func (b *Broker) dnsMirrorTo(to discovery.Destination[dns.Publication], m *mirror) *discovery.Mirror[dns.Publication] {
	nudge := make(chan struct{}, 1)
	b.dns.nudges = append(b.dns.nudges, nudge)
	of := &discovery.Mirror[dns.Publication]{
		Name: m.name, Snapshot: b.table.Snapshot, Desire: b.publish, Equal: dns.Equal, Destination: to, Nudge: nudge,
		Log: b.log.With("component", m.name), Synced: m.synced.note,
	}
	m.status = of.Status
	return of
}

// resumeZone serves the zone again as one that secondaries follow, and writes it elsewhere as it should be, whatever a successor that is
// gone told and wrote.
func (b *Broker) resumeZone() {
	b.doubtZone() // that wrote what it knew
	if b.dns.server == nil {
		return
	}
	if err := b.dns.server.Resume(); err != nil {
		b.log.Error("secondaries may not follow the zone until the broker is restarted", "cause", err.Error())
	}
}

// doubtZone has the zone elsewhere compared with what this broker wants there: others may have written to it, which nobody tells.
func (b *Broker) doubtZone() {
	if b.dns.updater == nil {
		return
	}
	b.dns.updater.Doubt()
	nudge(b.dns.doubt)
}

// nudgeDNS has mirrors look again though the table is as it was.
func (b *Broker) nudgeDNS() {
	for _, of := range b.dns.nudges {
		nudge(of)
	}
}

// publish is what DNS should have.
func (b *Broker) publish(s *servicetable.Snapshot) dns.Publication {
	l := *b.dns.layout.Load()
	l.Brokers = b.reachedAt(b.settings().config)
	l.Serving = b.servingAt(l.Brokers)
	p := l.Publish(s)
	b.dns.mu.Lock()
	before := b.dns.problems
	b.dns.problems = p.Problems
	b.dns.mu.Unlock()
	told := 0
	for _, problem := range p.Problems {
		if !slices.Contains(before, problem) && told < maxProblems {
			told++
			b.log.Warn("in DNS not everything is as registered", "component", "dns", "problem", problem)
		}
	}
	return p
}

// noted are the problems of the newest publication, as many as people read.
func (d *dnsMirror) noted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	shown := slices.Clone(d.problems[:min(len(d.problems), maxProblems)])
	if more := len(d.problems) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more like these", more))
	}
	return shown
}

// dnsKeys tells what parent zones need.
func (b *Broker) dnsKeys() (notes []string) {
	for _, ds := range b.dns.server.DS() {
		notes = append(notes, "signed; the parent zone needs: "+strings.Join(strings.Fields(ds), " "))
	}
	return notes
}

// applyDNS puts in force what of DNS a reload may change.
func (b *Broker) applyDNS(c *Config) {
	d := &c.DNS
	b.dns.layout.Store(&dns.Layout{
		Zone: b.config.DNS.Zone, NameServers: d.NameServers, ToBrokers: d.ToBrokers, Views: b.dnsViews(c), Reverse: d.Reverse, TTL: d.TTL,
		Resolve: b.hosts.known,
	})
	b.nudgeDNS()
}

// dnsViews are the VIEWs as DNS has them: one for each set of VIEWs that have networks in common, so that each client sees
// through all those that are for it, as the relay does.
func (b *Broker) dnsViews(c *Config) []dns.View {
	var views []dns.View
	at := map[string]int{}
	for i := range c.Views {
		for _, network := range c.Views[i].Clients {
			var through []*View
			key := ""
			for j := range c.Views {
				if slices.ContainsFunc(c.Views[j].Clients, func(p netip.Prefix) bool { return p.Bits() <= network.Bits() && p.Contains(network.Addr()) }) {
					through = append(through, &c.Views[j])
					key += fmt.Sprint(j, " ")
				}
			}
			n, known := at[key]
			if !known {
				n = len(views)
				at[key] = n
				views = append(views, b.dnsView(through))
			}
			if !slices.Contains(views[n].Clients, network) {
				views[n].Clients = append(views[n].Clients, network)
			}
		}
	}
	return views
}

// dnsView is what those see who look through some VIEWs.
func (b *Broker) dnsView(through []*View) dns.View {
	v := dns.View{Map: func(host string, port int) (string, int) {
		for _, one := range through {
			for _, m := range one.Maps {
				if (m.FromPort == 0 || m.FromPort == port) && b.sameHost(m.From, host, b.hosts.knownMeaning) {
					return m.To, cmp.Or(m.ToPort, port)
				}
			}
		}
		return host, port
	}}
	if first := slices.IndexFunc(through, func(v *View) bool { return len(v.Services) > 0 }); first >= 0 {
		v.Services = func(service string) bool {
			return slices.ContainsFunc(through[first].Services, func(p string) bool { return servicetable.ServiceFits(p, service) })
		}
	}
	return v
}

// rcodeLabels are the answers that are counted each for itself, by number.
var rcodeLabels = [...]string{"noerror", "formerr", "servfail", "nxdomain", "notimp", "refused"}

func (b *Broker) dnsAnswered(_ uint16, rcode int) {
	b.dns.rcodes[min(rcode, len(rcodeLabels))].Add(1)
	switch rcode {
	case wire.RcodeFormatError, wire.RcodeNotImplemented, wire.RcodeRefused, wire.RcodeNotAuth, wire.RcodeBadVers:
		b.rejected.add(rejectedDNS)
	}
}

// sampleDNS tells of answers.
func (s *sampler) sampleDNS(out sink) {
	if s.dns.server == nil {
		return
	}
	for i := range s.dns.rcodes {
		label := "other"
		if i < len(rcodeLabels) {
			label = rcodeLabels[i]
		}
		out.put("dns_answers_total", float64(s.dns.rcodes[i].Load()), label)
	}
}

// proofs are who puts ACME's proofs into DNS, and a server of the zone that shows them; nil if nobody can.
func (b *Broker) proofs() (certmagic.DNSProvider, string) {
	switch {
	case b.dns.solver != nil:
		return b.dns.solver, b.dns.solver.Primary
	case b.dns.server != nil:
		at := b.dns.sockets.TCP.Addr().(*net.TCPAddr).AddrPort()
		if at.Addr().IsUnspecified() {
			at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
		}
		return b.dns.server, at.String()
	}
	return nil, ""
}
