package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// scene is what the faults strike: two instances of sales, the first of which alone has pdb1.
type scene struct {
	brokers  map[string]*stage.Broker // by mode
	taps     map[string]*stage.Tap    // in front of them, for clients
	links    []*stage.Tap             // in front of them, for the second instance to register through
	network  *stage.Network           // of the first instance; nil: none can be made here
	networks stage.Networks
	first    *stage.Database
	second   *stage.Database
}

// parameter is one entry of PARAMETER_LIST in parentheses.
var parameter = regexp.MustCompile(`\(([^=()]+=[^()]*)\)`)

// set starts everything.
func set(ctx context.Context, o options) (_ *scene, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s := &scene{brokers: map[string]*stage.Broker{}, taps: map[string]*stage.Tap{}}
	defer func() {
		if err != nil {
			s.strike()
		}
	}()
	here := "127.0.0.1"
	switch s.network, err = s.networks.New(); {
	case errors.Is(err, stage.ErrNoNetwork):
		fmt.Println("packets are not dropped:", err)
	case err != nil:
		return nil, err
	default:
		here = s.network.Here
	}
	var near, far []string
	for _, mode := range modes {
		b, err := stage.StartBroker(ctx, o.broker(mode))
		if err != nil {
			return nil, err
		}
		s.brokers[mode] = b
		if s.taps[mode], err = stage.StartTap(b.At("127.0.0.1")); err != nil {
			return nil, err
		}
		link, err := stage.StartTap(b.At("127.0.0.1"))
		if err != nil {
			return nil, err
		}
		s.links = append(s.links, link)
		near, far = append(near, link.Address), append(far, b.At(here))
	}
	testdb := filepath.Join(o.bin, "testdb")
	arguments := []string{"--max", "5000"}
	if s.first, err = stage.StartDatabase(ctx, stage.DatabaseOptions{Program: testdb, Instance: "sales1", Services: []string{"sales", "pdb1"},
		Brokers: far, Network: s.network, Arguments: arguments}); err != nil {
		return nil, err
	}
	if s.second, err = stage.StartDatabase(ctx, stage.DatabaseOptions{Program: testdb, Instance: "sales2", Services: []string{"sales"},
		Brokers: near, Arguments: arguments}); err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

func (o options) broker(mode string) stage.BrokerOptions {
	parameters := []string{"ROUTE=" + mode, "REGISTRATION_INVITED_NODES=198.18.0.0/15"}
	for _, p := range parameter.FindAllStringSubmatch(o.parameters, -1) {
		parameters = append(parameters, p[1])
	}
	return stage.BrokerOptions{Program: filepath.Join(o.bin, "broker"), Listen: "0.0.0.0:0", Parameters: parameters}
}

// ready waits until all that can be had is there.
func (s *scene) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not ready within a minute"))
	defer cancel()
	for _, mode := range modes {
		if err := errors.Join(s.brokers[mode].AwaitInstances(ctx, "sales", 2), s.brokers[mode].AwaitInstances(ctx, "pdb1", 1)); err != nil {
			return fmt.Errorf("broker that works by %s: %w", mode, err)
		}
	}
	return nil
}

// strike takes the scene down.
func (s *scene) strike() {
	for _, d := range []*stage.Database{s.first, s.second} {
		if d != nil && d.Process != nil {
			d.Kill()
		}
	}
	for _, tap := range s.links {
		tap.Close()
	}
	for _, mode := range modes {
		if tap := s.taps[mode]; tap != nil {
			tap.Close()
		}
		if b := s.brokers[mode]; b != nil {
			b.Stop()
		}
	}
	if s.network != nil {
		if err := s.network.Close(); err != nil {
			fmt.Println(err)
		}
	}
}

// Spans around a fault.
const (
	tail      = 3 * time.Second
	shortHold = 5 * time.Second
	grace     = 15 * time.Second
)

// trials are the faults to try, their time shared out.
func (s *scene) trials(o options) []drivers.Trial {
	type fault struct {
		stage.Fault
		service string
		hits    *stage.Database
	}
	faults := []fault{
		{stage.Fault{Name: "none", Strike: nothing, Heal: nothing}, "sales", s.first},
		{stage.Kill(s.first), "sales", s.first},
		{stage.Freeze(s.first), "sales", s.first},
		{stage.Block(s.first), "sales", s.first},
		{stage.Restrict(s.first), "sales", s.first},
		{stage.Shutdown(s.first), "sales", s.first},
		{stage.ListenerHangs(s.first), "sales", s.first},
		{stage.ListenerResets(s.first), "sales", s.first},
		{stage.Unregister(s.first), "sales", s.first},
		{stage.UnregisterThenKill(s.first, 2*time.Second), "sales", s.first},
		{stage.ReportsStop(s.links...), "sales", s.second},
		{named("its only instance killed, restart", stage.Kill(s.first)), "pdb1", s.first},
		{stage.Relocate("pdb1", s.first, s.second, o.gap), "pdb1", s.first},
		{named("and back", stage.Relocate("pdb1", s.second, s.first, o.gap)), "pdb1", s.second},
	}
	if s.network != nil {
		faults = append(faults, fault{stage.DropPackets(s.first), "sales", s.first})
	}
	var all []drivers.Trial
	for _, f := range faults {
		if o.only.MatchString(f.Name) {
			all = append(all, drivers.Trial{Fault: f.Fault, Hits: f.hits, Load: drivers.Load{Service: f.service, Grace: grace},
				Lead: int(2 * o.rate), Tail: tail, Window: probeInterval + probeInterval/10, Ready: s.ready})
		}
	}
	for i := range all {
		all[i].Hold = max(o.duration/time.Duration(len(all)*len(o.modes))-2*tail, shortHold)
		if strings.Contains(all[i].Fault.Name, "relocated") || all[i].Fault.Name == "and back" {
			all[i].Hold, all[i].Tail, all[i].Load.Grace = 0, 2*tail, time.Minute // the gap is long, and then many come at a time
		}
	}
	return all
}

func nothing(context.Context) error { return nil }

func named(name string, f stage.Fault) stage.Fault {
	f.Name = name
	return f
}
