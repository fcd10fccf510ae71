package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"servicebroker/console"
	"servicebroker/journal"
	"servicebroker/loadbalance"
	"servicebroker/peers"
	"servicebroker/servicetable"
	"servicebroker/wholefile"
)

// peering is what this broker has to do with others.
type peering struct {
	id        string
	publisher peers.Publisher
	watcher   peers.Watcher
	settings  atomic.Pointer[commonSettings]
	alive     atomic.Int32 // peers
	balancing sync.Mutex   // so that the balancer has what was known last
}

// wirePeers prepares what others are told, and who looks at them.
func (b *Broker) wirePeers() {
	p := &b.peering
	p.id = b.brokerID()
	p.settings.Store(new(commonSettings))
	p.publisher = peers.Publisher{
		Snapshot: b.table.Snapshot, Stopping: b.ending, Log: b.log.With("component", "peers"),
		Stored: func(r *servicetable.Registration) bool { _, is := b.storedAt(r); return is },
		Self: func() peers.Summary {
			s := p.settings.Load()
			return peers.Summary{ID: p.id, Name: b.config.Name, Version: Version, Generation: b.generation(), Started: b.started, Leaving: b.leaving.Load(), Config: s.digest, Settings: s.values}
		},
	}
	p.watcher = peers.Watcher{Own: &p.publisher, Report: b.peerEvent}
	if b.config.Consul.Address != "" {
		p.watcher.Discover = b.discoverPeers
	}
}

// brokerID is by what others know that it is this broker that they ask, whatever address they ask: the same for as long as there
// is the state folder. A copy of that, of a host that was made from another one's image, say, is another broker's.
func (b *Broker) brokerID() string {
	var bytes [12]byte
	_, _ = rand.Read(bytes[:]) // it does not fail
	id := hex.EncodeToString(bytes[:])
	if b.state == nil {
		return id
	}
	path := filepath.Join(b.state.path, "broker-id")
	text, err := os.ReadFile(path)
	if kept := strings.TrimSpace(string(text)); err == nil && len(kept) == len(id) {
		id = kept
	} else if err := wholefile.Replace(path, []byte(id+"\n")); err != nil {
		b.log.Warn("this broker's id is not kept: peers take it for another one after a restart", "cause", err.Error())
	}
	host, _ := os.Hostname()
	where, _ := filepath.Abs(path)
	sum := sha256.Sum256([]byte(strings.Join([]string{id, host, where}, "\n")))
	return hex.EncodeToString(sum[:len(bytes)])
}

// preparePeers reads the files by which peers let this broker in.
func preparePeers(c *Config) error {
	access := c.peerAccess()
	return access.Load()
}

func (c *Config) peerAccess() peers.Access {
	return peers.Access{Credentials: c.PeerCredentials, CA: c.PeerCA}
}

// applyPeers puts the settings about peers in force.
func (b *Broker) applyPeers(c *Config) {
	s := commonOf(c)
	b.peering.settings.Store(s)
	access := c.peerAccess()
	if err := access.Load(); err != nil { // when it was read it was good
		b.log.Error("peers are asked without credentials", "cause", err.Error())
	}
	settings := peers.Settings{APIs: c.Peers, Access: access, AskTimeout: c.PeerAskTimeout}
	if len(c.Peers) == 1 && strings.EqualFold(c.Peers[0], "off") {
		settings.APIs, settings.Off = nil, true
	}
	b.peering.watcher.Configure(settings)
}

// balance tells the balancer what is configured, and how many brokers there are.
func (b *Broker) balance() {
	b.peering.balancing.Lock()
	defer b.peering.balancing.Unlock()
	c := b.settings().config
	b.balancer.Configure(loadbalance.Settings{
		Policy: c.Policy, Brokers: b.liveBrokers(), SlowStart: offIfZero(c.SlowStart), Zone: c.Zone,
		PreferNodeLoadOff: !c.PreferLeastLoadedNode,
	})
}

// liveBrokers is how many brokers share the load: as configured, else those that are alive, this one among them.
func (b *Broker) liveBrokers() int {
	if n := b.settings().config.Brokers; n > 0 {
		return n
	}
	return int(b.peering.alive.Load()) + 1
}

// peerEvent writes down what happened to a peer.
func (b *Broker) peerEvent(e peers.Event) {
	if e.Kind == peers.Leaves {
		b.log.Info("a peer takes no more connects, and is about to end", "peer", e.Peer.Label())
		b.nudgeDNS()
		return
	}
	event := journal.Event{Detail: e.Peer.Label()}
	switch e.Kind {
	case peers.Came:
		event.Kind, event.Status = journal.PeerUp, "up"
	case peers.Went:
		event.Kind, event.Status, event.Reason, event.Cause = journal.PeerDown, "down", "FAILURE", e.Peer.Cause
	case peers.Differs:
		event.Kind, event.Cause = journal.PeerDiffers, "its table has differed from this one's for a while"
		if len(e.Peer.Differences) > 0 {
			event.Cause = e.Peer.Differences[0].String()
		}
	case peers.Agrees:
		event.Kind = journal.PeerAgrees
	}
	b.journal.Add(event)
	b.log.Info("peer", "event", string(event.Kind), "peer", event.Detail, "cause", event.Cause)
	if e.Kind == peers.Came || e.Kind == peers.Went {
		b.peering.alive.Store(int32(b.peering.watcher.Alive()))
		b.balance()
		b.nudgeDNS()
	}
}

// commonSettings are digests of what brokers beside each other should have in common.
type commonSettings struct {
	values map[string]string // by parameter
	digest string
}

// ownParameters begin the names of parameters that may differ from broker to broker.
func ownParameters() []string {
	return []string{
		"ACME_", "ADDRESS", "ADMIN_SOCKET", "BROKERS", "CONFIG_", "CONSOLE_", "CONSUL_", "DNS_", "EVENT_GROUP", "LOG_", "METRICS_", "NEXT_HOP", "PEER",
		"READY_SERVICES", "REGISTRATION_UPSTREAM", "REST_", "SSL_", "STATE_", "TLS_", "TRACE_", "UPSTREAM_TLS", "WALLET_", "ZONE", "DRAIN_TIMEOUT", "SHUTDOWN_GRACE",
	}
}

// commonOf reckons them.
func commonOf(c *Config) *commonSettings {
	s := &commonSettings{values: map[string]string{}}
	put := func(name, text string) {
		sum := sha256.Sum256([]byte(text))
		s.values[name] = hex.EncodeToString(sum[:6])
	}
	own := ownParameters()
	for _, p := range Parameters() {
		_, given := c.Given[p.Name]
		if given && p.acts() && !p.Secret && !slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(p.Name, prefix) }) {
			put(p.Name, c.valueOf(&p, p.Name))
		}
	}
	if texts := strings.Join(ruleTexts(c), "\n"); strings.TrimSpace(texts) != "" {
		put("RULE_LIST", texts)
	}
	if len(c.Aliases) > 0 {
		var all strings.Builder
		for _, name := range slices.Sorted(maps.Keys(c.Aliases)) {
			fmt.Fprintf(&all, "%s=%s\n", name, c.Aliases[name])
		}
		put("tnsnames.ora", all.String())
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		fmt.Fprintf(h, "%s=%s\n", name, s.values[name])
	}
	s.digest = hex.EncodeToString(h.Sum(nil)[:6])
	return s
}

// peerList shows the peers in the words of the API.
func (b *Broker) peerList() console.PeerList {
	list := console.PeerList{Peers: []console.PeerView{}, Brokers: b.liveBrokers(), Given: b.settings().config.Brokers > 0}
	for _, s := range b.peering.watcher.Peers() {
		list.Peers = append(list.Peers, peerView(&s))
	}
	return list
}

func peerView(s *peers.State) console.PeerView {
	v := console.PeerView{
		Name: s.Name, API: s.API, State: console.PeerStarting, Since: s.Since, Cause: s.Cause, Version: s.Version, Generation: s.Generation, Started: timeOrNil(s.Started),
		ClockOffset: s.ClockOffset.Milliseconds(), RoundTrip: s.RoundTrip.Milliseconds(), TableVersion: s.TableVersion, Services: s.Services, Instances: s.Instances,
		Same: s.Same, DiffersSince: timeOrNil(s.DiffersSince), Differences: []console.PeerDifference{}, MoreDifferences: s.More,
		Settings: append([]string{}, s.Settings...), Asked: s.Asked, Answered: s.Answered, Offered: s.Offered,
	}
	switch {
	case s.Alive && s.Self:
		v.State = console.PeerSelf
	case s.Alive && s.Duplicate:
		v.State = console.PeerDuplicate
	case s.Alive:
		v.State = console.PeerAlive
	case s.Known:
		v.State = console.PeerAway
	}
	for _, d := range s.Differences {
		v.Differences = append(v.Differences, console.PeerDifference{
			Instance: d.Instance, Services: append([]string{}, d.Services...), Count: d.Count, Here: d.Here, There: d.There, Cause: d.Cause,
		})
	}
	return v
}

// samplePeers tells of the other brokers.
func (s *sampler) samplePeers(out sink) {
	out.put("brokers_live", float64(s.peering.alive.Load()+1))
	for _, p := range s.peering.watcher.Peers() {
		if p.Self || p.Duplicate {
			continue
		}
		out.put("peer_up", gaugeOf(p.Alive), p.API)
		out.put("peer_table_differs", gaugeOf(p.Alive && !p.DiffersSince.IsZero()), p.API)
		if !p.Started.IsZero() { // else its clock was never seen
			out.put("peer_clock_offset_seconds", p.ClockOffset.Seconds(), p.API)
		}
	}
	c := s.peering.watcher.Asked()
	for outcome, n := range map[string]uint64{"found": c.Found, "none": c.None, "unanswered": c.Unanswered, "limited": c.Limited, "kept": c.Kept} {
		out.put("peer_questions_total", float64(n), outcome)
	}
}

func gaugeOf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// watchPeers looks at other brokers until ctx ends.
func (b *Broker) watchPeers(ctx context.Context) { b.peering.watcher.Run(ctx) }

// discoverPeers lists the brokers that Consul knows to be alive, by the API that asks for credentials where there is one.
func (b *Broker) discoverPeers(ctx context.Context) ([]peers.Found, error) {
	alive, err := b.consulBrokers(ctx)
	if err != nil {
		return nil, err
	}
	secured := b.settings().config.PeerCredentials != ""
	found := make([]peers.Found, len(alive))
	for i, one := range alive {
		found[i] = peers.Found{Name: one.Name, API: cmp.Or(one.API, one.REST), Self: one.Self}
		if secured && one.REST != "" {
			found[i].API = one.REST
		}
	}
	return found, nil
}
