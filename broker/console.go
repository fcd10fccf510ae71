package broker

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"servicebroker/console"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// serveConsole starts page and API on their TCP address and on the admin socket.
func (b *Broker) serveConsole(background *sync.WaitGroup) []*http.Server {
	of := &console.Server{
		Snapshot: b.table.Snapshot,
		Sessions: b.consoleSessions,
		Identity: b.identity,
		Counters: func(handlerKey string) (established, refused uint64) {
			t := b.relay.Tally(handlerKey)
			return t.Established, t.Refused
		},
		Database: func(r *servicetable.Registration) string { return r.Database },
		Unready:  b.unready, Notes: b.notes, Stored: b.storedAt, MetricsAddress: b.MetricsAddress(), Stats: b.Stats,
		Explain: b.Explain, Intents: b.Intents, SetIntent: b.SetIntent, EndIntent: b.EndIntent,
		Held: b.Held, Limits: b.limitViews, Mirrors: b.mirrorViews, Peers: b.peerList, Table: &b.peering.publisher, Quarantine: b.Quarantine, Certificates: b.consoleCertificates, SetLoad: b.SetLoad, CloseSession: b.closeSession,
		Reload: b.Reload, Parameters: b.parametersInForce, Rules: b.rulesInForce, Journal: &b.journal,
		Shutdown: b.Shutdown, Upgrade: b.Upgrade, Generations: b.Generations,
		Traces: b.traceViews, StartTrace: b.startTrace, StopTrace: b.stopTrace, SetLogLevel: b.setLogLevel,
		Stopping: b.ending, Hosts: b.consoleHosts(),
		Log: b.log.With("component", "console"), Audit: b.log.With("component", "audit"),
	}
	if b.metrics != nil {
		of.Metrics = b.metrics.handler(b.log)
	}
	var servers []*http.Server
	restTLS := b.restTLS()
	for i, way := range [httpAddresses]struct {
		listener net.Listener
		handler  http.Handler
		tls      *tls.Config // nil: without
	}{
		{b.console, of.Handler(), nil}, {b.metricsAt, of.HealthHandler(), nil}, {b.socket, of.AdminHandler(), nil},
		{b.rest.listener, of.RESTHandler(b.rest.logins), restTLS},
	} {
		l := way.listener
		if l == nil {
			continue
		}
		crowd := &b.overload.http[i]
		server := &http.Server{
			Handler: b.rejected.overHTTP(b.untilMoved(way.handler)), TLSConfig: way.tls, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
			WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelDebug), ConnContext: console.PeerContext, ConnState: crowd.note,
		}
		serve := server.Serve
		if way.tls != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		servers = append(servers, server)
		background.Go(func() {
			if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
				b.log.Error("console stopped", "address", l.Addr().String(), "cause", err.Error())
			}
		})
	}
	return servers
}

// consoleHosts are the names under which people may reach the page.
func (b *Broker) consoleHosts() []string {
	var names []string
	if host, _, err := net.SplitHostPort(b.config.ConsoleAddress); err == nil && host != "" {
		names = append(names, host)
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	return names
}

// VersionInfo tells which build this is, without an instance.
func VersionInfo() console.Version {
	v := console.Version{Version: Version, Go: runtime.Version(), Release: tns.VersionText(defaultVSNNUM)}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				v.Commit = setting.Value
			}
		}
	}
	return v
}

// absolute is a path as it is from wherever, "" for none.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func (b *Broker) identity() console.Identity {
	i := console.Identity{
		Version: VersionInfo(), Started: b.started, Config: absolute(b.config.File),
		LogLevel: b.levelWord(), LogDir: b.settings().config.LogDirectory, TraceDir: b.traceFiles().Directory, TraceLevel: b.traceLevel(),
		Console: b.ConsoleAddress(), REST: b.RESTAddress(), Socket: b.SocketPath(), Route: b.settings().config.Mode.String(),
		LastReload: b.files.lastReload(), Generation: b.generation(), Others: b.others(),
	}
	i.Version.Instance, i.Version.Release = b.config.Name, tns.VersionText(b.config.VSNNUM)
	for _, at := range b.endpoints() {
		i.Listening = append(i.Listening, console.Endpoint{Protocol: at.Protocol, Host: at.Host, Port: at.Port})
	}
	return i
}

// dnsAddress is where the zone is served; "" if it is not.
func (b *Broker) dnsAddress() string {
	if b.dns.sockets == nil {
		return ""
	}
	return b.dns.sockets.TCP.Addr().String()
}

// aboutOthers is the same for a log, as far as it is configured.
func (b *Broker) aboutOthers() (attributes []any) {
	o := b.others()
	if o.DNS != nil {
		attributes = append(attributes, "dns_zone", o.DNS.Zone)
		if o.DNS.Address != "" {
			attributes = append(attributes, "dns", o.DNS.Address)
		}
		if o.DNS.Primary != "" {
			attributes = append(attributes, "dns_primary", o.DNS.Primary)
		}
	}
	if o.Consul != nil {
		attributes = append(attributes, "consul", o.Consul.Address)
	}
	if all := b.config.Peers; len(all) > 0 {
		attributes = append(attributes, "peers", strings.Join(all, ","))
	}
	return attributes
}

// others tells what this broker has to do with DNS, Consul and other brokers.
func (b *Broker) others() console.Others {
	var o console.Others
	if c := &b.config.DNS; c.published() {
		o.DNS = &console.DNSPlace{Zone: c.Zone, Address: b.dnsAddress(), Primary: c.Update.Primary}
	}
	if b.consul != nil {
		o.Consul = &console.ConsulPlace{Address: b.config.Consul.Address, Problem: b.consul.member.Failure()}
	}
	var count console.PeerCount
	for _, p := range b.peering.watcher.Peers() {
		if p.Self || p.Duplicate {
			continue
		}
		if count.Known++; p.Alive {
			count.Alive++
		}
	}
	if count.Known > 0 {
		o.Peers = &count
	}
	return o
}

// consoleCertificates shows the certificates in use in the words of the API.
func (b *Broker) consoleCertificates() []console.Certificate {
	var all []console.Certificate
	for _, e := range b.Certificates() {
		all = append(all, console.Certificate{From: e.From, Subject: e.Subject, Authority: e.Trusted, Expires: e.NotAfter})
	}
	return all
}

// consoleSessions shows the relay's sessions in the words of the API.
func (b *Broker) consoleSessions() []console.Session {
	open := b.relay.Sessions()
	sessions := make([]console.Session, len(open))
	for i, s := range open {
		sessions[i] = console.Session{
			ID: strconv.FormatUint(s.ID, 10), Client: s.Client,
			CID:     console.CID{Program: s.Program, Host: s.Machine, User: s.User},
			Service: s.Service, Instance: s.Instance, Handler: s.Handler,
			Server:  console.Upstream{ID: strconv.FormatUint(s.ServerID, 10), Local: s.ServerLocal, Remote: s.Server},
			Started: s.Started, Idle: s.Idle.Milliseconds(), FromClient: s.ToServer, ToClient: s.ToClient, Rule: s.Rule, Ref: s.Ref,
		}
	}
	return sessions
}
