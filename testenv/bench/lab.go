package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// The services of the instance, by what the broker does for them.
const (
	carried = "carried" // relays
	moved   = "moved"   // redirects
)

// peer is somebody who answers connects.
type peer struct {
	name     string
	address  string
	secure   string   // of a broker: its address for TLS
	console  string   // of a broker
	process  *process // who is measured
	connects connects // the load that suits it

	unregister func()   // of a broker: ends the registration with it and waits
	others     *process // who else is registered with it; nil: nobody
}

// stop ends the peer, for others that share its process as well.
func (p *peer) stop() {
	if p.unregister != nil {
		p.unregister()
	}
	if p.others != nil {
		p.others.stop()
	}
	p.process.stop()
}

// lab is everything that runs.
type lab struct {
	folder, bin string
	cores       int
	self        string // this program
	backend     *process
	instance    string   // address of the backend
	wide        *process // a backend at all addresses of this machine; nil: not needed yet
	authority   *authority
	peers       map[string]*peer
	missing     []string
	brokers     int // that have been started
}

func hasStream(options string) bool {
	return regexp.MustCompile(`--with-stream(\s|$)`).MatchString(options)
}

// set starts the backend.
func set(ctx context.Context, bin string, cores int) (*lab, error) {
	folder, err := os.MkdirTemp("", "servicebroker-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{folder: folder, bin: bin, cores: cores, peers: map[string]*peer{}}
	if l.self, err = os.Executable(); err != nil {
		return l, err
	}
	if l.authority, err = newAuthority(folder); err != nil {
		return l, err
	}
	if l.backend, err = start(folder, "backend", l.self, "backend"); err != nil {
		return l, err
	}
	l.instance, err = l.backend.ready(ctx)
	return l, err
}

// strike ends everything.
func (l *lab) strike() {
	for _, p := range l.peers {
		p.stop()
	}
	for _, p := range []*process{l.backend, l.wide} {
		if p != nil {
			p.stop()
		}
	}
	os.RemoveAll(l.folder)
}

// add starts the peers that are named and are not there yet, and waits until each answers as it should. One that is not on this
// machine is noted.
func (l *lab) add(ctx context.Context, names []string) error {
	for _, name := range names {
		if l.peers[name] != nil {
			continue
		}
		p, err := l.start(ctx, name, l.broker())
		if errors.Is(err, errMissing) {
			l.leaveOut(err)
			continue
		}
		if err != nil {
			return err
		}
		l.peers[name] = p
	}
	return nil
}

// leaveOut notes what is not on this machine.
func (l *lab) leaveOut(missing error) {
	if !slices.Contains(l.missing, missing.Error()) {
		l.missing = append(l.missing, missing.Error())
	}
}

// keep stops the peers of which it is not said that they are needed. A process goes with the last peer that it is.
func (l *lab) keep(needed func(name string) bool) {
	for name, p := range l.peers {
		if needed(name) {
			continue
		}
		delete(l.peers, name)
		if !l.runs(p.process) {
			p.stop()
		}
	}
}

func (l *lab) runs(process *process) bool {
	if process == l.backend {
		return true
	}
	for _, p := range l.peers {
		if p.process == process {
			return true
		}
	}
	return false
}

// start starts a peer and waits until it answers as it should. What is a broker's is done by the one that is given, if there is any.
func (l *lab) start(ctx context.Context, name string, broker *peer) (p *peer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	of := l.landscape(name)
	switch {
	case of != nil:
		p, err = l.startLandscape(ctx, of)
	case !isBroker(name):
		p, err = l.startPeer(ctx, name)
	case broker != nil:
		p = broker
	default:
		p, err = l.startBroker()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p = &peer{name: name, address: p.address, secure: p.secure, console: p.console, process: p.process, unregister: p.unregister, others: p.others}
	l.suit(p)
	if err := l.answers(ctx, p); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// broker is a peer that is one, if there is any.
func (l *lab) broker() *peer {
	for name, p := range l.peers {
		if isBroker(name) {
			return p
		}
	}
	return nil
}

func isBroker(name string) bool {
	return name == "relay" || name == "relay-tls" || name == "redirect" || name == "decide"
}

// suit says what a client of the peer does.
func (l *lab) suit(p *peer) {
	p.connects = connects{target: p.address, packet: connectPacket(carried), want: tns.TypeAccept}
	switch p.name {
	case "bare":
		p.connects.want = tns.TypeRedirect
	case "decide":
		p.connects.packet, p.connects.want = connectPacket(moved), tns.TypeRedirect
	case "redirect":
		p.connects.packet, p.connects.want = connectPacket(moved), tns.TypeRedirect
		p.connects.follow, p.connects.followPacket = l.instance, connectPacket(moved)
	case "relay-tls":
		p.address = p.secure
	}
}

// startPeer starts whoever is no broker.
func (l *lab) startPeer(ctx context.Context, name string) (*peer, error) {
	if name == "direct" {
		return &peer{name: name, address: l.instance, process: l.backend}, nil
	}
	if name == "bare" || name == "plain" {
		process, err := start(l.folder, name, l.self, name, "-to", l.instance)
		if err != nil {
			return nil, err
		}
		address, err := process.ready(ctx)
		return &peer{name: name, address: address, process: process}, err
	}
	address, err := stage.FreeAddress()
	if err != nil {
		return nil, err
	}
	var process *process
	switch name {
	case "haproxy":
		process, err = l.startHAProxy(name, "", address, l.instance)
	case "haproxy-splice":
		process, err = l.startHAProxy(name, "  option splice-auto", address, l.instance)
	case "haproxy-tls":
		process, err = l.startHAProxy(name, "", address+l.authority.bind(), l.instance)
	case "nginx":
		process, err = l.startNginx(address, l.instance)
	default:
		err = fmt.Errorf("there is no such peer: %s", strings.Join(peerNames, ", "))
	}
	return &peer{name: name, address: address, process: process}, err
}

// peerNames are all of them.
var peerNames = []string{"direct", "bare", "decide", "redirect", "relay", "plain", "haproxy", "haproxy-splice", "nginx", "relay-tls", "haproxy-tls"}

// answers waits until a peer answers a connect.
func (l *lab) answers(ctx context.Context, p *peer) error {
	return p.process.until(ctx, func() error {
		if strings.HasSuffix(p.name, "-tls") {
			c, err := openSecure(p.address, l.authority.client(tls.VersionTLS13), p.connects.packet)
			if err == nil {
				c.NetConn().Close()
			}
			return err
		}
		to, err := sockaddr(p.address)
		if err != nil {
			return err
		}
		s, err := openSession(to, [4]byte{}, p.connects.packet)
		if err == nil {
			s.close()
			return nil
		}
		if p.connects.want == tns.TypeRedirect && strings.Contains(err.Error(), "packet of type 5") {
			return nil
		}
		return err
	})
}

const brokerConfig = `BENCH = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=%s))
  (ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=%s))
  (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=*)(SRV=*)(ACT=accept)))
  (PARAMETER_LIST=
    (STATE_DIRECTORY=%s)(CONSOLE_ADDRESS=%s)(TLS_CERTIFICATE=%s)(TLS_KEY=%s)(MAX_REG_CONNECTIONS=15000)
    (SERVICE=(NAME=` + moved + `)(ROUTE=redirect))))
`

// startBroker starts a broker as in production, with its log in a file, and has the backend registered with it.
func (l *lab) startBroker() (*peer, error) {
	address, secure, console, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	l.brokers++
	name := fmt.Sprintf("broker%d", l.brokers)
	file := filepath.Join(l.folder, name+".ora")
	if err := os.WriteFile(file, fmt.Appendf(nil, brokerConfig, portOf(address), portOf(secure), filepath.Join(l.folder, name), console, l.authority.certificate, l.authority.key), 0o600); err != nil {
		return nil, err
	}
	unregister, err := register(address, l.instance)
	if err != nil {
		return nil, err
	}
	process, err := start(l.folder, name, filepath.Join(l.bin, "broker"), "serve", "-c", file)
	if err != nil {
		unregister()
		return nil, err
	}
	return &peer{address: address, secure: secure, console: console, process: process, unregister: unregister}, nil
}

// freeAddresses are three different ones.
func freeAddresses() (a, b, c string, err error) {
	all := map[string]bool{}
	for len(all) < 3 {
		one, err := stage.FreeAddress()
		if err != nil {
			return "", "", "", err
		}
		all[one] = true
	}
	of := slices.Sorted(maps.Keys(all))
	return of[0], of[1], of[2], nil
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// register has an instance registered with a broker, as a database registers, until it is told to end.
func register(broker, address string) (end func(), err error) {
	r, err := describe("bench1", address, carried, moved)
	if err != nil {
		return nil, err
	}
	agent := registration.Agent{
		Brokers: []string{broker}, Describe: func() servicetable.Registration { return r }, AsDatabase: true, Retry: 50 * time.Millisecond,
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = agent.Run(ctx) }) // fails only where it is made wrong, and then nothing answers
	return func() { cancel(); running.Wait() }, nil
}

// describe is the registration of an instance that has one handler for all its services.
func describe(instance, address string, services ...string) (servicetable.Registration, error) {
	at, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return servicetable.Registration{}, err
	}
	host := at.IP.String()
	r := servicetable.Registration{Instance: instance, Host: host, HostRaw: "(HOST=" + host + ")", NodeMax: 1000, Max: 100000}
	h := servicetable.Handler{
		Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: host, Port: at.Port, Info: "REMOTE SERVER",
		Address: descriptor.Address{Protocol: "TCP", Host: host, Port: at.Port}.String(), Max: 100000, Flags: registration.FlagDedicated,
	}
	for i, name := range services {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r, nil
}
