// Package broker is one broker in one process: its listeners, the dispatch of
// first packets, the lifetimes of all that runs, and cman.ora.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/failover"
	"servicebroker/journal"
	"servicebroker/loadbalance"
	"servicebroker/packettrace"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tcp"
)

// Version of this broker, as `broker version` and the API tell it.
const Version = "0.1.0"

// Broker is one instance. Make it with [New], which binds its addresses, and
// run it with [Broker.Run].
type Broker struct {
	config  Config
	log     *slog.Logger
	started time.Time
	table   servicetable.Table
	hosts   hosts

	registrar    registration.Server
	databases    databaseAddresses
	relay        relay.Server
	balancer     loadbalance.Balancer
	dialer       failover.Dialer
	prober       failover.Prober
	holder       failover.Holder
	moves        failover.Moves
	journal      journal.Journal
	current      atomic.Pointer[settings]
	reloading    sync.Mutex
	rulesChanged chan struct{} // has room for one: there are new rules to look at
	files        configFiles

	limiting   limiting
	rejected   rejections
	overload   overload
	operations operations
	departed   departures
	holds      holdEvents
	reporters  reporters
	logs       logs
	traces     packettrace.Traces
	carried    carried
	events     eventCounts // of the journal
	mirrors    mirrors
	warm       warm
	consul     *consulLink // nil: there is none
	dns        dnsMirror
	peering    peering
	metrics    *metrics // nil until it runs
	tallyEvery time.Duration
	changing   sync.Mutex    // one change of the table at a time
	known      registrations // guarded by changing

	security security
	runsAs   string // by RUN_AS_USER; "": whoever started it
	state    *stateDir
	// folderFails says what is missing because the state folder's disk failed at the start; "": nothing.
	folderFails string
	listeners   []net.Listener
	console     net.Listener // nil: off
	rest        restAPI
	metricsAt   net.Listener // nil: metrics are on the console
	socket      net.Listener // nil: no state folder could be had

	leaving     atomic.Bool // it takes clients, and would rather have none sent
	stopping    atomic.Bool
	process     Process
	sockets     sockets
	upgrade     upgrading
	retained    retained
	ending      chan struct{}                // closed when it begins to stop
	asked       chan console.ShutdownRequest // to end, by operators; the newest counts
	connections sync.WaitGroup
	crew        crew // on whose goroutines connections are served
	partings    partings
	acceptors   sync.WaitGroup
	adopting    adopting
	departing   leaving
	settled     sync.Once // its predecessor has left
	telling     telling
	hops        reachedHops
	detours     detours
	open        openConnections
}

// New binds everything the configuration names, so that a broker that cannot run
// says so at once. log may be nil.
func New(config *Config, log *slog.Logger) (*Broker, error) { return NewIn(Process{}, config, log) }

// NewIn is New for a broker that is a process of its own, which may have sockets already, take over from another one, and be
// succeeded. Where it fails, what the process had is closed, but for the channel to its predecessor.
func NewIn(process Process, config *Config, log *slog.Logger) (*Broker, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		config: *config, started: time.Now(), ending: make(chan struct{}), asked: make(chan console.ShutdownRequest, 1), rulesChanged: make(chan struct{}, 1),
		events: newEventCounts(), tallyEvery: tallyEvery, process: process, upgrade: newUpgrading(),
		sockets: sockets{activated: process.Activated},
	}
	if p := process.Before; p != nil {
		b.sockets.found = p.sockets
	}
	b.setLevel(config.LogLevel)
	b.logTo(log)
	b.security.changed = make(chan struct{}, 1)
	err := b.bind()
	if err == nil {
		var secured *tlsInUse
		if secured, err = b.prepareTLS(&b.config); err == nil {
			b.useTLS(secured)
		}
	}
	if err != nil {
		b.closeListeners()
		return nil, b.refusedTo(err)
	}
	b.prepareOverload()
	b.wire()
	b.keepTable()
	if err := b.takeEarly(); err != nil {
		b.closeListeners()
		return nil, err
	}
	return b, nil
}

func (b *Broker) bind() error {
	for _, a := range b.config.Addresses {
		at := net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
		l, err := b.listen(socketListener, at, func() (net.Listener, error) { return listenTCP(networkFor(a.Host), at, b.config.keepAlive()) })
		if err != nil {
			return fmt.Errorf("ADDRESS %s: %w: %s", a, err, listenRemedy(err))
		}
		if of, ok := l.(*net.TCPListener); ok {
			if l, err = tcp.NewListener(of); err != nil {
				return fmt.Errorf("ADDRESS %s: %w", a, err)
			}
		}
		b.listeners = append(b.listeners, l)
	}
	if b.config.ConsoleAddress != "" {
		l, err := b.listenHTTP(socketConsole, b.config.ConsoleAddress)
		if err != nil {
			return fmt.Errorf("CONSOLE_ADDRESS: %w: choose another, or off", err)
		}
		b.console = l
	}
	if b.config.MetricsAddress != "" {
		l, err := b.listenHTTP(socketMetrics, b.config.MetricsAddress)
		if err != nil {
			return fmt.Errorf("METRICS_ADDRESS: %w: choose another, or off", err)
		}
		b.metricsAt = l
	}
	if err := b.bindREST(); err != nil {
		return err
	}
	for _, open := range []func() error{b.bindZone, b.confine, b.loadREST, func() error { return preparePeers(&b.config) }, b.bindSocket, b.openIntents, b.openConsul, b.bindDNS} {
		if err := open(); err != nil {
			return err
		}
	}
	return nil
}

// networkFor keeps 0.0.0.0 to IPv4: whoever writes it means that.
func networkFor(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// wire hands the components the functions and values by which they know each
// other.
func (b *Broker) wire() {
	b.journal.FirstID = uint64(time.Now().UnixMilli()) // so that who follows events notices no restart
	b.journal.Added = b.events.add
	if b.process.Before != nil { // whose events come first
		b.journal.Wait()
	}
	b.reporters.connects = append(b.reporters.connects, b.carried.connected, b.rejected.connected)
	b.reporters.sessions = append(b.reporters.sessions, b.carried.ended)
	b.wireFailover()
	b.registrar = registration.Server{
		Apply: b.registrarApplied, Lost: b.registrarLost, Drop: b.registrarDropped, Adopt: b.registered,
		Series: b.series(), Report: b.registrationEvent, Repeats: b.registrationRepeats,
		Admit:            &b.config.Admission,
		Answer:           b.config.Answer,
		Upstream:         b.config.Upstream,
		VSNNUM:           b.config.VSNNUM,
		MaxRegistrations: b.config.MaxRegistrations,
		MaxPerPeer:       max(1, b.config.MaxRegistrations*3/4), // no single host takes every place
		Own:              b.own,
		Unfit:            b.unfit,
		Full:             b.fullFor,
		Paced:            b.overload.memory.paced,
		Log:              b.log.With("component", "registration"),
	}
	b.relay = relay.Server{
		Snapshot: b.table.Snapshot, Order: b.order, Foresee: b.foresee, Dial: b.dial,
		Rules:     func() *relay.RuleSet { return b.settings().rules },
		Treatment: func(service string) relay.Treatment { return b.settings().treatment(service) },
		Withhold:  b.withhold, HoldWanted: b.holdWanted, Group: b.group, Lately: b.lately, Hold: holding{b},
		Elsewhere: b.elsewhere,
		Verify:    b.verify, Suspect: b.suspect, Journal: &b.journal,
		Report: b.connectReported, Ended: b.sessionEnded,
		Connect: b.connect,
		Routes:  func() *relay.Routes { return b.settings().routes },
		Resolve: b.hosts.resolve, Claimed: b.hosts.claimed, Local: b.hosts.isLocal, View: b.view, StandIn: b.standIn,
		Own:    b.claimedOwn,
		VSNNUM: b.config.VSNNUM,
		Log:    b.log.With("component", "relay"),
	}
	b.files = configFiles{read: b.config.read, again: make(chan struct{}, 1), watcher: fsnotify.NewWatcher}
	b.reporters.connects = append(b.reporters.connects, b.logConnect)
	b.wireTraces()
	b.wireLimits()
	b.wireMoves()
	b.wireDNS()
	b.wirePeers()
	b.apply(&b.config)
	b.applyStatic(nil, &b.config)
}

// wireFailover prepares those who get past what is dead.
func (b *Broker) wireFailover() {
	c := &b.config
	b.dialer = failover.Dialer{
		TotalTimeout: longestDial, Hedge: c.Hedge, Observe: b.observed,
	}
	if !c.HedgeLearnt {
		b.dialer.Hedge = offIfZero(c.Hedge)
	}
	b.prober = failover.Prober{
		Snapshot: b.table.Snapshot, Probe: b.probe,
		Mark:     func(key string, m servicetable.Mark) { b.table.Mark(key, m) },
		Unmark:   func(key string, k servicetable.MarkKind) { b.table.Unmark(key, k) },
		Drop:     b.dead,
		Interval: c.ProbeInterval, Timeout: c.ProbeTimeout, StaleTimeout: c.StaleTimeout,
		Redirecting: func() bool { return b.settings().redirects },
		Report:      b.probed, Gone: b.gone, WhyStale: b.whyStored,
		Log: b.log.With("component", "prober"),
	}
	b.holds.tell = func(e journal.Event) { b.journal.Add(e) }
	b.holder.Report = b.holds.note
	b.moves = failover.Moves{Window: c.MoveWindow, Report: b.moved}
}

// longestDial bounds all attempts of a connect where its treatment does not.
const longestDial = time.Hour

// verify probes a handler to which a client is about to be redirected.
func (b *Broker) verify(ctx context.Context, c servicetable.Candidate) error {
	stale := c.Registration != nil && c.Registration.Stale // what it said of itself may be long ago
	if !b.settings().config.RedirectVerify && !stale {
		return nil
	}
	err := b.prober.Verify(ctx, c)
	if errors.Is(err, failover.ErrNotProbing) && stale {
		return b.askOnce(ctx, c)
	}
	if errors.Is(err, failover.ErrNotProbing) { // the broker has only just started
		return nil
	}
	return err
}

// Addresses returns where the broker listens; ports that were given as 0 are
// the ones chosen.
func (b *Broker) Addresses() []string {
	var all []string
	for _, l := range b.listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

// endpoints are the addresses on which it listens, as they are bound.
func (b *Broker) endpoints() []descriptor.Address {
	all := make([]descriptor.Address, len(b.listeners))
	for i, l := range b.listeners {
		at := l.Addr().(*net.TCPAddr)
		all[i] = descriptor.Address{Protocol: strings.ToLower(b.config.Addresses[i].Protocol), Host: at.IP.String(), Port: at.Port}
	}
	return all
}

// ConsoleAddress returns where page and API are; empty if they are off.
func (b *Broker) ConsoleAddress() string {
	if b.console == nil {
		return ""
	}
	return b.console.Addr().String()
}

// MetricsAddress returns where metrics and health are besides; empty if nowhere.
func (b *Broker) MetricsAddress() string {
	if b.metricsAt == nil {
		return ""
	}
	return b.metricsAt.Addr().String()
}

// SocketPath returns where the admin socket is; empty if there is none.
func (b *Broker) SocketPath() string {
	if b.socket == nil {
		return ""
	}
	return b.socket.Addr().String()
}

// Snapshot returns the table as it is now.
func (b *Broker) Snapshot() *servicetable.Snapshot { return b.table.Snapshot() }

// Run serves until ctx ends. It then says that it is not ready, for ShutdownGrace, and
// after that accepts no more, lets the open sessions go on for at most DrainTimeout, and
// returns once all is closed; when abort ends, all that is cut short. Run may be called once.
func (b *Broker) Run(ctx, abort context.Context) error {
	b.beginLogs()
	defer b.endLogs()
	defer b.startMetrics()()
	if err := b.awaitCommit(ctx); err != nil {
		b.leaveTraces()
		b.closeListeners()
		return err
	}
	b.logStarted()
	serving, stopServing := context.WithCancelCause(context.Background())
	defer stopServing(nil)

	var background sync.WaitGroup
	b.startAccepting(serving)
	servers := b.serveConsole(&background)
	looking, stopLooking := context.WithCancel(context.Background())
	defer stopLooking()
	background.Go(func() { b.security.tend(looking, b.log) })
	background.Go(func() { b.prober.Run(looking) })
	tending, stopTending := context.WithCancel(context.Background()) // what a process needs to its end, though another one serves
	defer stopTending()
	background.Go(func() { b.traces.Run(tending) })
	background.Go(func() { b.watchOverload(tending) })
	background.Go(func() { b.keepIntents(looking) })
	background.Go(func() { b.clearUp(tending) })
	if b.process.Before != nil {
		background.Go(func() { b.takeOver(tending, serving) })
		background.Go(func() { b.inform(tending) })
	}
	background.Go(func() { b.watchRuleNames(looking) })
	background.Go(func() { b.watchConfig(looking) })
	b.startConsul()
	background.Go(func() { b.watchPeers(looking) })
	b.mirrors.start()
	holding, stopHolding := context.WithCancel(context.Background())
	defer stopHolding()
	background.Go(func() { b.holder.Run(holding, func() <-chan struct{} { return b.table.Snapshot().Superseded() }) })
	b.journal.Add(journal.Event{Kind: journal.Started, Detail: Version})
	b.begun()
	started := []any{"generation", b.generation(), "name", b.config.Name, "version", Version, "addresses", b.Addresses(), "console", b.ConsoleAddress(), "rest", b.RESTAddress(), "socket", b.SocketPath()}
	b.log.Info("broker started", append(started, b.aboutOthers()...)...)
	b.logRoom()

	limit, next, follow := b.untilSucceeded(ctx, abort, serving)
	b.freezeWarm()
	b.stopping.Store(true)
	close(b.ending)
	b.stopAccepting(next)
	if next == nil {
		b.logListening("No longer listening on", b.logs.files.Load())
	}
	b.acceptors.Wait()
	b.adopting.end() // from here on no connection is added
	if next == nil {
		b.journal.Add(journal.Event{Kind: journal.Stopping})
		stopHolding() // those who wait are answered
	} else {
		stopLooking() // all that is the successor's affair from here on
		b.endMirrors(false)
		b.leaveConsul()
		b.leaveSockets(servers)
		background.Go(func() { endServers(servers, serverPatience) })
	}
	b.drain(ctx, abort, limit, next)
	if next == nil {
		b.awaitPredecessor(abort)
		b.endMirrors(true) // before registrations end, which is not for others to see
		b.endConsul()
	}
	stopHolding()
	stopServing(errStopping)
	b.relay.Stop(errStopping)
	b.open.close(phaseReading, phaseRegistration)
	b.connections.Wait()
	b.relay.Close()
	b.crew.end()
	follow()
	b.endOthers(next, servers)
	stopLooking()
	stopTending()
	background.Wait()
	b.holds.flush()
	b.limiting.repeats.Flush()
	b.hosts.close()
	b.closeListeners()
	b.log.Info("broker stopped", "generation", b.generation())
	return nil
}

// own reports whether host and port are an address this broker listens on.
func (b *Broker) own(host string, port int) bool { return b.isOwn(host, port, b.hosts.means) }

// claimedOwn is own for what clients send.
func (b *Broker) claimedOwn(host string, port int) bool {
	return b.isOwn(host, port, b.hosts.claimed)
}

// meanings are the addresses that a host text stands for.
type meanings func(ctx context.Context, host string) []netip.Addr

func (b *Broker) isOwn(host string, port int, means meanings) bool {
	for _, l := range b.listeners {
		if b.isAt(l, host, port, means) {
			return true
		}
	}
	return false
}

// isAt reports whether host and port are the address of a listener.
func (b *Broker) isAt(l net.Listener, host string, port int, means meanings) bool {
	at := l.Addr().(*net.TCPAddr)
	if at.Port != port {
		return false
	}
	for _, a := range means(context.Background(), host) {
		if at.IP.IsUnspecified() && b.hosts.isLocal(a) || at.AddrPort().Addr().Unmap().WithZone("") == a {
			return true
		}
	}
	return false
}
