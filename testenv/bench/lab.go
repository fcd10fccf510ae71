package main

import (
	"context"
	"errors"
	"fmt"
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
	process  *process // who is measured; nil for the backend itself
	connects connects // the load that suits it
}

// lab is everything that runs.
type lab struct {
	folder, bin string
	cores       int
	self        string // this program
	backend     *process
	instance    string // address of the backend
	peers       map[string]*peer
	missing     []string
	processes   []*process
	agents      sync.WaitGroup
	standing    context.Context // ends when the lab is struck
	unregister  context.CancelFunc
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
	l.standing, l.unregister = context.WithCancel(context.WithoutCancel(ctx))
	if l.self, err = os.Executable(); err != nil {
		return l, err
	}
	if l.backend, err = l.own(start(folder, "backend", l.self, "backend")); err != nil {
		return l, err
	}
	l.instance, err = l.backend.ready(ctx)
	return l, err
}

func (l *lab) own(p *process, err error) (*process, error) {
	if err == nil {
		l.processes = append(l.processes, p)
	}
	return p, err
}

// strike ends everything.
func (l *lab) strike() {
	l.unregister()
	l.agents.Wait()
	for _, p := range l.processes {
		p.stop()
	}
	os.RemoveAll(l.folder)
}

// add starts the peers that are named and waits until each answers as it should. One that is not on this machine is noted.
func (l *lab) add(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var broker *peer
	for _, name := range names {
		if l.peers[name] != nil {
			continue
		}
		var p *peer
		var err error
		if isBroker(name) {
			if broker == nil {
				if broker, err = l.startBroker(ctx); err != nil {
					return err
				}
			}
			p = &peer{name: name, address: broker.address, process: broker.process}
		} else {
			p, err = l.startPeer(ctx, name)
		}
		if errors.Is(err, errMissing) {
			if !slices.Contains(l.missing, err.Error()) {
				l.missing = append(l.missing, err.Error())
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		l.suit(p)
		l.peers[name] = p
		if err := l.answers(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func isBroker(name string) bool { return name == "relay" || name == "redirect" || name == "decide" }

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
	}
}

// startPeer starts whoever is no broker.
func (l *lab) startPeer(ctx context.Context, name string) (*peer, error) {
	if name == "direct" {
		return &peer{name: name, address: l.instance, process: l.backend}, nil
	}
	if name == "bare" {
		process, err := l.own(start(l.folder, name, l.self, "bare", "-to", l.instance))
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
		process, err = l.own(l.startHAProxy(name, "", address, l.instance))
	case "haproxy-splice":
		process, err = l.own(l.startHAProxy(name, "  option splice-auto", address, l.instance))
	case "nginx":
		process, err = l.own(l.startNginx(address, l.instance))
	default:
		err = fmt.Errorf("there is no such peer: %s", strings.Join(peerNames, ", "))
	}
	return &peer{name: name, address: address, process: process}, err
}

// peerNames are all of them.
var peerNames = []string{"direct", "bare", "decide", "redirect", "relay", "haproxy", "haproxy-splice", "nginx"}

// answers waits until a peer answers a connect.
func (l *lab) answers(ctx context.Context, p *peer) error {
	return p.process.until(ctx, func() error {
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
  (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=*)(SRV=*)(ACT=accept)))
  (PARAMETER_LIST=
    (STATE_DIRECTORY=%s)(CONSOLE_ADDRESS=127.0.0.1:0)
    (SERVICE=(NAME=` + moved + `)(ROUTE=redirect))))
`

// startBroker starts a broker as in production, with its log in a file, and has the backend registered with it.
func (l *lab) startBroker(ctx context.Context) (*peer, error) {
	address, err := stage.FreeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	name := fmt.Sprintf("broker%d", len(l.processes))
	file := filepath.Join(l.folder, name+".ora")
	if err := os.WriteFile(file, fmt.Appendf(nil, brokerConfig, port, filepath.Join(l.folder, name)), 0o600); err != nil {
		return nil, err
	}
	process, err := l.own(start(l.folder, name, filepath.Join(l.bin, "broker"), "serve", "-c", file))
	if err != nil {
		return nil, err
	}
	return &peer{address: address, process: process}, l.register(address)
}

// register has the backend registered with a broker, as a database registers, for as long as the lab stands.
func (l *lab) register(broker string) error {
	r, err := describe("bench1", l.instance, carried, moved)
	if err != nil {
		return err
	}
	agent := registration.Agent{
		Brokers: []string{broker}, Describe: func() servicetable.Registration { return r }, AsDatabase: true, Retry: 50 * time.Millisecond,
	}
	l.agents.Go(func() { _ = agent.Run(l.standing) }) // fails only where it is made wrong, and then nothing answers
	return nil
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
