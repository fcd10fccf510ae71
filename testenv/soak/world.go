package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// Services by what is done with them.
const (
	relayed    = "sales" // by either broker, whichever answers
	redirected = "hr"    // by the first
	moving     = "pdb1"  // by the second; it is at one instance at a time
	secure     = "vault" // over TLS to the first, and from there to the instance
)

// Times of the brokers.
const (
	probeInterval = 3 * time.Second
	drainTimeout  = 5 * time.Second
	patience      = 90 * time.Second // for what has to come about on a machine that has a lot else to do
)

// world is what there is.
type world struct {
	record    *record
	chronicle *chronicle
	clock     *clock
	drivers   []drivers.Looper
	sites     []*site
	donors    []*donor
	networks  stage.Networks
	network   *stage.Network  // of the first instance; nil: none can be made here
	consul    *stage.Consul   // nil: none
	control   *stage.Database // that nothing disturbs
	authority *stage.Authority
	churn     *churn
	rate      float64 // of connects, where the machine can bear it
	rounds    int
	struck    bool
}

// site is a broker and what stands before it.
type site struct {
	*stage.Broker
	name      string
	number    int
	options   stage.BrokerOptions
	tap       *stage.Tap // for clients
	secureTap *stage.Tap // the same for TLS
	state     string     // folder
	disk      bool       // that folder is a small disk of its own
	first     footprint  // when it was first at rest
	prints    []footprint
}

// donor is an instance.
type donor struct {
	*stage.Database
	network  *stage.Network // it is in, alone; nil: none
	links    []*stage.Tap   // through which it is reached where it has no network
	services map[string]bool
	reached  string // host:port, as redirects name it
}

func (d *donor) port() string {
	_, port, _ := net.SplitHostPort(d.reached)
	return "(PORT=" + port + ")"
}

// set starts everything.
func set(ctx context.Context, o options, r *record) (_ *world, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("not ready within 3 minutes"))
	defer cancel()
	w := &world{record: r, chronicle: &chronicle{}, rate: o.rate}
	r.chronicle = w.chronicle
	if o.logs, err = filepath.Abs(o.logs); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.strike()
		}
	}()
	w.drivers = findDrivers(ctx, o, r)
	program := filepath.Join(o.bin, "broker")
	if o.clocks {
		if w.clock, err = newClock(ctx, o.logs, filepath.Dir(o.testenv), "./cmd/broker"); err != nil {
			r.say("without jumps of clocks: %v", err)
		} else {
			program = w.clock.program
		}
	}
	if w.authority, err = stage.NewAuthority(o.logs); err != nil {
		return nil, err
	}
	if w.network, err = w.networks.New(); errors.Is(err, stage.ErrNoNetwork) {
		r.say("a proxy holds bytes back where packets would be dropped: %v", err)
	} else if err != nil {
		return nil, err
	}
	if o.consul {
		if w.consul, err = stage.StartConsul(ctx, filepath.Dir(o.testenv)); errors.Is(err, stage.ErrNoConsul) {
			r.say("without Consul: %v", err)
		} else if err != nil {
			return nil, err
		}
	}
	if w.control, err = stage.StartDatabase(ctx, stage.DatabaseOptions{Program: filepath.Join(o.bin, "testdb"), Instance: "control1", Services: []string{"control"},
		Arguments: []string{"--verifier", "11g"}}); err != nil {
		return nil, err
	}
	r.stalls = watchStalls(w.control)
	if err := w.setSites(ctx, program, o); err != nil {
		return nil, err
	}
	if err := w.setDonors(ctx, o); err != nil {
		return nil, err
	}
	w.churn = startChurn(w.sites)
	return w, nil
}

// setSites starts the brokers, which are peers.
func (w *world) setSites(ctx context.Context, program string, o options) error {
	var consoles, listens, secures [2]string
	for i := range consoles {
		for _, to := range []*string{&consoles[i], &listens[i], &secures[i]} {
			address, err := stage.FreeAddress()
			if err != nil {
				return err
			}
			*to = address
		}
	}
	for i, name := range []string{"A", "B"} {
		s := &site{name: name, number: i}
		w.sites = append(w.sites, s)
		if err := s.makeState(w.record); err != nil {
			return err
		}
		own := filepath.Join(s.state, "..", "broker") // that can be replaced by another one
		if err := copyFile(own, program); err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(listens[i])
		s.options = stage.BrokerOptions{Program: own, Listen: "0.0.0.0:" + port, Console: consoles[i], State: s.state,
			KeepLog:   filepath.Join(o.logs, "broker-"+name+".log"),
			Addresses: []string{"(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=" + portOf(secures[i]) + "))"},
			Parameters: []string{w.authority.Parameter(), fmt.Sprint("DRAIN_TIMEOUT=", drainTimeout.Seconds()), fmt.Sprint("PROBE_INTERVAL=", probeInterval.Seconds()),
				"PEERS=http://" + consoles[1-i], "SERVICE=(NAME=" + redirected + ")(ROUTE=redirect)", "REGISTRATION_INVITED_NODES=198.18.0.0/15", "SLOW_START=5", "STALE_TIMEOUT=20",
				"UPSTREAM_TLS=(CA=" + filepath.Join(w.authority.Folder, "ca.pem") + ")",
				"LOG_DIRECTORY=" + s.state, "LOG_FILE_SIZE=2M", "LOG_FILE_NUM=2", "MAX_REG_CONNECTIONS=2000"}}
		if w.consul != nil {
			s.options.Parameters = append(s.options.Parameters, "CONSUL_ADDRESS="+w.consul.Address)
		}
		var err error
		if s.Broker, err = stage.StartBroker(ctx, s.options); err != nil {
			return err
		}
		if s.tap, err = stage.StartTap(s.At("127.0.0.1")); err != nil {
			return err
		}
		if s.secureTap, err = stage.StartTap(secures[i]); err != nil {
			return err
		}
	}
	return nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// stateSize is how large the disks are on which brokers keep their state and logs.
const stateSize = "64m"

// makeState makes the folder of a broker's state, on a disk of its own if that can be.
func (s *site) makeState(r *record) error {
	top, err := os.MkdirTemp("", "soak-"+s.name+"-") // short, for the admin socket's sake
	if err != nil {
		return err
	}
	s.state = filepath.Join(top, "state")
	if err := os.Mkdir(s.state, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", s.state, "tmpfs", 0, "mode=0700,size="+stateSize); err != nil {
		r.say("no disk of %s is ever full: none can be mounted: %v", s.name, err)
		return nil
	}
	s.disk = true
	return nil
}

func (s *site) removeState() {
	if s.disk {
		_ = syscall.Unmount(s.state, syscall.MNT_DETACH)
	}
	if s.state != "" {
		_ = os.RemoveAll(filepath.Dir(s.state))
	}
}

// setDonors starts the databases.
func (w *world) setDonors(ctx context.Context, o options) error {
	for _, one := range []struct {
		name     string
		services []string
		tls      bool
	}{
		{"sales1", []string{relayed, redirected, moving}, false},
		{"sales2", []string{relayed, redirected}, false},
		{"sales3", []string{relayed, redirected}, false},
		{"vault1", []string{secure}, true},
		{"vault2", []string{secure}, true},
	} {
		d := &donor{services: map[string]bool{}}
		w.donors = append(w.donors, d)
		for _, s := range one.services {
			d.services[s] = true
		}
		options := stage.DatabaseOptions{Program: filepath.Join(o.bin, "testdb"), Instance: one.name, Services: one.services, Retry: 500 * time.Millisecond,
			KeepLog: filepath.Join(o.logs, "testdb-"+one.name+".log"), Arguments: []string{"--max", "5000", "--private", "--verifier", "11g"}}
		here := "127.0.0.1"
		switch {
		case one.tls:
			options.Arguments = append(options.Arguments, "--tls-cert", filepath.Join(w.authority.Folder, "host.pem"))
		case len(w.donors) == 1 && w.network != nil:
			d.network, options.Network, here = w.network, w.network, w.network.Here
		}
		for _, s := range w.sites {
			options.Brokers = append(options.Brokers, s.At(here))
		}
		if err := w.place(ctx, d, options, one.tls, len(w.donors) == 1 && w.network == nil); err != nil {
			return err
		}
	}
	return nil
}

// place starts an instance where it can be reached: where its certificate is good, and behind proxies if it is to be cut off
// by them.
func (w *world) place(ctx context.Context, d *donor, options stage.DatabaseOptions, tls, behindProxy bool) (err error) {
	if tls || behindProxy {
		if options.Listen, err = stage.FreeAddress(); err != nil {
			return err
		}
	}
	if tls {
		options.Arguments = append(options.Arguments, "--advertise", "localhost:"+portOf(options.Listen))
	}
	if behindProxy {
		door, err := stage.StartTap(options.Listen)
		if err != nil {
			return err
		}
		d.links = append(d.links, door)
		d.reached = door.Address
		options.Arguments = append(options.Arguments, "--advertise", door.Address)
		for i, b := range options.Brokers {
			link, err := stage.StartTap(b)
			if err != nil {
				return err
			}
			d.links = append(d.links, link)
			options.Brokers[i] = link.Address
		}
	}
	if d.Database, err = stage.StartDatabase(ctx, options); err != nil {
		return err
	}
	if d.reached == "" {
		d.reached = d.Address
	}
	return nil
}

// strike takes the world down.
func (w *world) strike() {
	if w.struck {
		return
	}
	w.struck = true
	if w.churn != nil {
		w.churn.end()
	}
	if w.control != nil && w.control.Process != nil {
		defer w.control.Kill() // after all others
	}
	for _, d := range w.donors {
		if d.Database != nil && d.Process != nil {
			_ = d.Signal(syscall.SIGCONT)
			d.Kill()
		}
		for _, l := range d.links {
			l.Close()
		}
	}
	for _, s := range w.sites {
		for _, t := range []*stage.Tap{s.tap, s.secureTap} {
			if t != nil {
				t.Close()
			}
		}
		if s.Broker != nil {
			s.Stop()
		}
		s.removeState()
	}
	if w.consul != nil {
		w.consul.Stop()
	}
	if w.network != nil {
		if err := w.network.Close(); err != nil {
			w.record.say("%v", err)
		}
	}
}

func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o700)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	return err
}

// command runs a command of a broker's and returns what is wrong with what came of it.
func (s *site) command(ctx context.Context, arguments ...string) error {
	said, code, err := s.Command(ctx, arguments...)
	if err == nil && code != 0 {
		err = fmt.Errorf("broker %s: exit %d: %.500s", strings.Join(arguments, " "), code, said)
	}
	return err
}
