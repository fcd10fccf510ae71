package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/discovery"
	"servicebroker/discovery/consul"
	"servicebroker/servicetable"
)

// consulLink is what this broker has to do with Consul. Nothing on a connect's way depends on it.
type consulLink struct {
	client    *consul.Client
	member    *consul.Member
	catalogue *consul.Catalogue
	mirror    *discovery.Mirror[consul.Publication]
	doubt     chan struct{} // has room for one: Consul was away, and may have forgotten
	brokers   *consul.Ready // with CONSUL_TARGET=brokers
	intents   *sharing
	watch     *consul.Watch

	maintenance consulMaintenance

	stop context.CancelFunc
	all  sync.WaitGroup
	gone atomic.Bool // another process goes on
}

// openConsul prepares what is kept in Consul. Whether there is one shows later, and again and again.
func (b *Broker) openConsul() error {
	s := &b.config.Consul
	if s.Address == "" {
		return nil
	}
	l := &consulLink{client: &consul.Client{
		Address: s.Address, TokenFile: s.TokenFile, Datacenter: s.Datacenter, Prefix: s.Prefix, Namespace: s.Namespace, Partition: s.Partition,
		CA: s.CA, Certificate: s.Certificate, Key: s.Key, ServerName: s.ServerName,
	}}
	if err := l.client.Check(); err != nil {
		return err
	}
	log := b.log.With("component", "consul")
	address := b.clientAddress()
	l.member = &consul.Member{
		Client: l.client, Name: b.Name(), Address: address, Value: b.aboutSelf(), SessionFile: b.stateFile("consul-session"), Log: log,
		Healthy: func() (bool, string) {
			reasons := b.unready()
			return len(reasons) == 0, strings.Join(reasons, "; ")
		},
	}
	l.catalogue = &consul.Catalogue{Client: l.client, Member: l.member, Full: 40 * time.Second, Log: log} // sooner than the mirror looks by itself
	l.doubt = make(chan struct{}, 1)
	l.client.Back = func() {
		l.catalogue.Doubt()
		b.doubtZone() // while nobody could know who writes it, each did
		nudge(l.doubt)
	}
	b.consul = l
	b.openShared()
	b.openMaintenance()
	b.mirrorToConsul()
	return nil
}

// Name is what other brokers call this one: its instance, host and port.
func (b *Broker) Name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	port := 0
	if len(b.listeners) > 0 {
		port = b.listeners[0].Addr().(*net.TCPAddr).Port
	}
	return strings.ToLower(fmt.Sprintf("%s@%s:%d", b.config.Name, host, port))
}

// clientAddress is where clients reach this broker; an unspecified address stands for all of this host's.
func (b *Broker) clientAddress() netip.AddrPort {
	if len(b.listeners) == 0 {
		return netip.AddrPort{}
	}
	at := b.listeners[0].Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// stateFile is the path of a file in the state folder, "" if there is none.
func (b *Broker) stateFile(name string) string {
	if b.state == nil {
		return ""
	}
	return filepath.Join(b.state.path, name)
}

// aboutBroker is what brokers tell each other of themselves in Consul. Fields that a version does not know it disregards.
type aboutBroker struct {
	Format  int    `json:"format"` // 1
	Host    string `json:"host"`
	API     string `json:"api,omitempty"`  // URL, of the console; its host is unspecified if that is so
	REST    string `json:"rest,omitempty"` // URL, with credentials
	Version string `json:"version"`
}

func (b *Broker) aboutSelf() []byte {
	host, _ := os.Hostname()
	about := aboutBroker{Format: 1, Host: host, Version: Version}
	if at := b.ConsoleAddress(); at != "" {
		about.API = "http://" + at
	}
	if at := b.RESTAddress(); at != "" {
		about.REST = "https://" + at
	}
	text, _ := json.Marshal(about) // of texts and a number
	return text
}

// consulBroker is a broker that Consul knows to be alive.
type consulBroker struct {
	Name    string
	Self    bool
	API     string // where others can ask it, a URL; "" if its console is for its own host only
	REST    string
	Version string
}

// consulBrokers returns the brokers that are alive, this one among them, from Consul, sorted by name; none where there is no Consul. It
// waits for Consul, no longer than ctx.
func (b *Broker) consulBrokers(ctx context.Context) ([]consulBroker, error) {
	if b.consul == nil {
		return nil, nil
	}
	alive, err := b.consul.member.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	here, _ := os.Hostname()
	all := make([]consulBroker, 0, len(alive))
	for _, one := range alive {
		var about aboutBroker
		_ = json.Unmarshal(one.Value, &about) // it is alive whatever it says
		c := consulBroker{Name: one.Name, Self: one.Self, Version: about.Version, API: reachable(about.API, about.Host, here), REST: reachable(about.REST, about.Host, here)}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b consulBroker) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// reachable is a URL of a broker on host as it is reached from here; "" if it is not.
func reachable(url, host, here string) string {
	scheme, at, _ := strings.Cut(url, "://")
	name, port, err := net.SplitHostPort(at)
	if err != nil {
		return ""
	}
	ip, err := netip.ParseAddr(name)
	switch {
	case err != nil, !ip.IsUnspecified() && !ip.IsLoopback():
		return url
	case host == here && ip.Is4():
		return scheme + "://" + net.JoinHostPort("127.0.0.1", port)
	case host == here:
		return scheme + "://" + net.JoinHostPort("localhost", port)
	case ip.IsLoopback() || host == "":
		return ""
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// mirrorToConsul has the table kept there.
func (b *Broker) mirrorToConsul() {
	l, s := b.consul, &b.config.Consul
	layout := func() consul.Layout { return consul.Layout{} }
	resync := time.Duration(0)
	if s.ToBrokers {
		l.brokers = &consul.Ready{Member: l.member}
		layout = func() consul.Layout { return consul.Layout{ToBrokers: true, Brokers: l.brokers.All()} }
		resync = brokersLook
	}
	one := &mirror{
		name: "consul", destination: fmt.Sprintf("%s with the prefix %s", s.Address, l.client.Folder()),
		notes: l.notes, withdraw: l.withdraw,
	}
	l.mirror = &discovery.Mirror[consul.Publication]{
		Name: "consul", Snapshot: b.table.Snapshot, Destination: l.catalogue, Equal: consul.Equal,
		Desire: func(s *servicetable.Snapshot) consul.Publication {
			l := layout()
			return l.Publish(s)
		},
		Settle: 50 * time.Millisecond, MaxDelay: 200 * time.Millisecond, Resync: resync, Doubt: l.doubt,
		Writer: l.member.Writer, Log: b.log.With("component", "consul"), Synced: one.synced.note,
	}
	one.run, one.status = l.onceDecided(l.mirror.Run), l.mirror.Status
	b.mirrors.add(one)
}

// onceDecided is run, begun when it is known which broker writes, or that it cannot be known.
func (l *consulLink) onceDecided(run func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-l.member.Decided():
			run(ctx)
		case <-ctx.Done():
		}
	}
}

// brokersLook is how often the list of brokers is looked at where they are what is published.
const brokersLook = 2 * time.Second

// startConsul begins to be known in Consul.
func (b *Broker) startConsul() {
	l := b.consul
	if l == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	l.all.Go(func() { l.member.Run(ctx) })
	l.all.Go(func() { l.intents.Run(ctx) })
	l.all.Go(func() { b.keepShared(ctx) })
	l.all.Go(func() { l.watch.Run(ctx) })
	if l.brokers != nil {
		l.all.Go(func() { l.brokers.Run(ctx) })
	}
}

// passConsul has the end of this process change nothing in Consul: another one goes on there, by the same session.
func (b *Broker) passConsul() {
	if b.consul != nil {
		b.consul.gone.Store(true)
		b.consul.member.Pass()
	}
}

// endConsul takes this broker out of Consul, unless another process goes on in its place. The mirror has ended before.
func (b *Broker) endConsul() {
	l := b.consul
	if l == nil {
		return
	}
	if l.stop != nil {
		l.stop()
		l.all.Wait()
	}
	l.client.Close()
}

// withdraw takes the entries out, unless there is another broker, which will keep them.
func (l *consulLink) withdraw(ctx context.Context) error {
	if _, writes := l.member.Lease(); !writes || l.gone.Load() {
		return nil
	}
	alive, err := l.member.Brokers(ctx)
	if err != nil || len(alive) > 1 {
		return err
	}
	return l.catalogue.Sync(ctx, consul.Publication{})
}

// notes are what people should know of the mirror.
func (l *consulLink) notes() []string {
	notes := l.catalogue.Problems()
	if why := l.member.Failure(); why != "" {
		notes = append(notes, "this broker is not known in Consul: "+why)
	}
	if why := l.watch.Failure(); why != "" {
		notes = append(notes, "maintenance mode is not followed, and stays as it was: "+why)
	}
	if n := l.intents.Pending(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d intents are not known to other brokers yet: %s", n, l.intents.Failure()))
	}
	look := l.catalogue.Looked()
	if _, writes := l.member.Lease(); writes != (look.Occasion == consul.Standing) { // else it is of a time before the right to write came or went
		if note := look.Note(); note != "" {
			notes = append(notes, note)
		}
	}
	return notes
}
