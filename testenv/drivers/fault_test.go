package drivers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// The probes of the brokers in these tests: soon enough for a test to wait for them.
const (
	probeInterval = time.Second
	probeTimeout  = 500 * time.Millisecond
	// redirectWindow is how long after a fault a client may still be sent there: one interval, and what a loaded machine
	// adds. Connects redirected later count as failed, in faults that last longer than it.
	redirectWindow = probeInterval + 2*time.Second
)

// probing are the parameters of a broker with these probes, in a mode, unless more says otherwise.
func probing(mode string, more ...string) []string {
	all := slices.Clone(more)
	for _, usual := range []string{"ROUTE=" + mode, "PROBE_INTERVAL=1", "PROBE_TIMEOUT=500ms", "SLOW_START=0"} {
		name, _, _ := strings.Cut(usual, "=")
		if !slices.ContainsFunc(more, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			all = append(all, usual)
		}
	}
	return all
}

// scene is a broker that relays and one that redirects, each behind a tap, with the same two instances of sales, the
// first of which alone has pdb1.
type scene struct {
	modes     []string
	brokers   map[string]*broker // by mode
	taps      map[string]*stage.Tap
	links     []*stage.Tap // through which the second instance registers
	databases [2]*database
}

func startScene(t *testing.T, more ...string) *scene { return startSceneIn(t, nil, more...) }

// startSceneIn starts a scene whose first instance is in a network of its own, unless that is nil.
func startSceneIn(t *testing.T, network *stage.Network, more ...string) *scene {
	t.Helper()
	s := &scene{modes: []string{relaying, redirecting}, brokers: map[string]*broker{}, taps: map[string]*stage.Tap{}}
	var addresses [2][]string
	for _, mode := range s.modes {
		o := brokerOptions{parameters: probing(mode, more...)}
		here := "127.0.0.1"
		if network != nil {
			here, o.listen, o.parameters = network.Here, "0.0.0.0:0", append(o.parameters, "REGISTRATION_INVITED_NODES="+network.Prefix)
		}
		b := startBroker(t, o)
		b.address = b.At("127.0.0.1")
		link := startTap(t, b.address)
		s.brokers[mode], s.taps[mode], s.links = b, startTap(t, b.address), append(s.links, link)
		addresses[0], addresses[1] = append(addresses[0], b.At(here)), append(addresses[1], link.Address)
	}
	for i := range s.databases {
		services := []string{"sales"}
		if i == 0 {
			services = append(services, "pdb1")
		}
		s.databases[i] = startDatabase(t, databaseOptions{
			instance: fmt.Sprintf("sales%d", i+1), services: services, brokers: addresses[i], network: network, arguments: []string{"--max", "2000"}})
		network = nil
	}
	s.ready(t)
	return s
}

func (s *scene) ready(t *testing.T) {
	t.Helper()
	for _, b := range s.brokers {
		b.awaitService(t, "sales", "READY", 2)
		b.awaitService(t, "pdb1", "READY", 1)
	}
}

func startTap(t *testing.T, address string) *stage.Tap {
	t.Helper()
	tap, err := stage.StartTap(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tap.Close)
	return tap
}

// trial is a fault under load.
type trial struct {
	fault   stage.Fault
	service string
	hold    time.Duration
}

// loopers finds the drivers that loop; those not installed are told.
func loopers(t *testing.T) []Looper {
	t.Helper()
	all, missing := FindDrivers(t.Context(), testenvFolder)
	for _, err := range missing {
		t.Log(err)
	}
	return all
}

// bound is a context for what has to be done soon.
func bound(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*patience, fmt.Errorf("not within %v", 2*patience))
	t.Cleanup(cancel)
	return ctx
}

// The load in these tests, connects in a second through each broker: of go-ora and of each of the scripts.
const (
	fastRate = 12
	slowRate = 6
)

// run strikes while drivers connect through both brokers, heals, and judges every connect.
func (s *scene) run(t *testing.T, tr trial) (map[string][]Sample, Struck) {
	t.Helper()
	samples, struck, err := Trial{
		Fault: tr.fault, Hits: s.databases[0].Database, Lead: fastRate, Hold: tr.hold, Tail: probeInterval / 2, Window: redirectWindow,
		Load:  Load{Drivers: loopers(t), Rate: fastRate, Scripts: slowRate, Service: tr.service, Grace: grace},
		Ready: func(context.Context) error { s.ready(t); return nil },
	}.Run(bound(t), s.taps)
	must(t, err)
	for _, mode := range s.modes {
		t.Logf("%+v", Summarise(mode, struck, samples[mode]))
		reportFailed(t, mode, samples[mode], struck)
	}
	return samples, struck
}

// grace is for connects that are under way at the end: with busy processors that takes longer, and is no failure.
const grace = 30 * time.Second

func reportFailed(t *testing.T, mode string, samples []Sample, struck Struck) {
	t.Helper()
	const most = 10
	shown := 0
	failedFirst := func(a, b Sample) int {
		switch {
		case a.Outcome == b.Outcome:
			return 0
		case a.Outcome == Failed:
			return -1
		}
		return 1
	}
	for _, sample := range slices.SortedStableFunc(slices.Values(samples), failedFirst) {
		if sample.Outcome == Succeeded {
			continue
		}
		if shown++; shown > most {
			continue
		}
		at := func(when time.Time) time.Duration { return when.Sub(struck.Done).Round(time.Millisecond) }
		t.Logf("%s, %s %d, %s: began %v after the fault, over %v, at %s: %s", mode, sample.Driver, sample.N, sample.Outcome,
			at(sample.Started()), at(sample.Ended()), sample.Stage, sample.Error)
		for _, seen := range sample.Seen {
			t.Logf("    from %s: began %v, %v %v, ended %v: %s", seen.Client, at(seen.Began), seen.Answer, at(seen.Answered), at(seen.Ended), seen.Text)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// faults are those that every scene goes through.
func faults(s *scene) []trial {
	d := s.databases[0].Database
	return []trial{
		{fault: stage.Kill(d), service: "sales", hold: time.Second},
		{fault: stage.Freeze(d), service: "sales", hold: 3 * time.Second},
		{fault: stage.Block(d), service: "sales", hold: time.Second},
		{fault: stage.Restrict(d), service: "sales", hold: time.Second},
		{fault: stage.ListenerHangs(d), service: "sales", hold: 3 * time.Second},
		{fault: stage.ListenerResets(d), service: "sales", hold: redirectWindow + 2*time.Second},
		{fault: stage.ListenerRefuses(d), service: "sales", hold: 2 * time.Second},
		{fault: stage.Unregister(d), service: "sales", hold: 2 * time.Second},
		{fault: stage.UnregisterThenKill(d, time.Second), service: "sales", hold: 2 * time.Second},
		{fault: stage.Kill(d), service: "pdb1", hold: time.Second}, // nowhere else, so that its clients wait for the restart
		{fault: stage.Relocate("pdb1", d, s.databases[1].Database, 2*time.Second), service: "pdb1"},
	}
}

// Whatever happens to one of two instances, no connect fails: relayed or redirected.
func TestFaults(t *testing.T) {
	s := startScene(t)
	for _, tr := range faults(s) {
		t.Run(tr.fault.Name+", "+tr.service, func(t *testing.T) { s.survives(t, tr) })
	}
}

// The same where packets vanish, and where reports no longer come.
func TestFaultsOfTheNetwork(t *testing.T) {
	s := startSceneIn(t, newForeignNetwork(t).Network)
	for _, tr := range []trial{
		{fault: stage.DropPackets(s.databases[0].Database), service: "sales", hold: 3 * time.Second},
		{fault: stage.ReportsStop(s.links...), service: "sales", hold: 3 * time.Second},
	} {
		t.Run(tr.fault.Name, func(t *testing.T) { s.survives(t, tr) })
	}
}

func (s *scene) survives(t *testing.T, tr trial) {
	t.Helper()
	if late := s.hit(t, tr); late != nil { // something may have stood still for a moment: what the broker does wrong it does again
		t.Log(late)
		if late := s.hit(t, tr); late != nil {
			t.Error(late)
		}
	}
}

// hit runs a trial in which no connect may fail, and tells if too many clients had to wait.
func (s *scene) hit(t *testing.T, tr trial) (late error) {
	t.Helper()
	samples, struck := s.run(t, tr)
	for mode, samples := range samples {
		row := Summarise(mode, struck, samples)
		if mode == redirecting && tr.fault.Name == unseen {
			continue // a listener that answers is alive: those sent to it see its answer, as with any listener that redirects
		}
		if row.Failed > 0 {
			t.Errorf("%s: %d of %d connects failed", mode, row.Failed, row.Connects)
		}
		if mode == relaying && row.InWindow > 0 {
			t.Errorf("%d connects were redirected by a broker that relays", row.InWindow)
		}
		// A loaded machine takes its time besides: what the median connect takes tells how loaded it is.
		if took, allowed := unwarned(samples, struck), longestWait+3*row.P50; mode == relaying && took > allowed && tr.service == "sales" {
			late = fmt.Errorf("90%% of the connects that began when no probe could know took up to %v, at most %v is allowed", took, allowed)
		}
	}
	return late
}

// unseen is the name of the fault that no probe can see.
var unseen = stage.ListenerRefuses(nil).Name

// longestWait is what nine in ten connects may take that begin while an instance dies, if they are relayed. Without a hedge
// more than the tenth would wait for one that hangs, until their attempt or the silence ends.
const longestWait = time.Second

// unwarned is what nine in ten connects took that began after the fault and before a probe of every instance was due.
func unwarned(samples []Sample, struck Struck) time.Duration {
	var took []time.Duration
	for _, s := range samples {
		if s.Outcome != InFlight && s.Started().After(struck.Began) && s.Started().Before(struck.Done.Add(probeInterval)) {
			took = append(took, s.ConnectTime())
		}
	}
	return percentile(took, 90)
}
