package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
	"servicebroker/servicetable"
)

// step is one thing that happens to the instances a prober watches.
type step struct {
	Does int // see model.do
	Who  int
	How  int
	Wait time.Duration // afterwards
}

const (
	modelInstances = 6
	modelAddresses = 4 // instances 4 and 5 share those of 0 and 1
	modelInterval  = 4 * time.Second
	modelServices  = 3
)

func modelSteps() *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			Does: rapid.IntRange(0, 7).Draw(t, "does"), Who: rapid.IntRange(0, modelInstances-1).Draw(t, "who"), How: rapid.IntRange(0, 2).Draw(t, "how"),
			Wait: rapid.SampledFrom([]time.Duration{0, time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond, time.Second, 3 * time.Second, 9 * time.Second, 40 * time.Second}).Draw(t, "wait"),
		}
	}), 10, 60)
}

// model is the world that a prober watches, as simple as it can be told: each address answers or does not, and since when.
type model struct {
	table  servicetable.Table
	prober *Prober

	mu        sync.Mutex
	how       [modelAddresses]int // 0 answers, 1 refuses, 2 is silent
	since     [modelAddresses]time.Time
	everUp    [modelAddresses]time.Time // latest time it was up, as of its last change
	dead      [modelAddresses]time.Time // when a connect last met it dead
	busy      [modelAddresses]int
	slow      bool                            // answers tell of how things were when they were asked
	here      [modelInstances]servicetable.ID // "" if it is not registered
	tended    [modelInstances]bool            // in maintenance
	tendedAt  [modelInstances]time.Time       // since
	changed   [modelInstances]time.Time       // registered, dropped, or in or out of maintenance
	candidate [modelInstances]servicetable.Candidate
	ids       int
	wrong     []error
}

func (m *model) fault(format string, a ...any) { m.wrong = append(m.wrong, fmt.Errorf(format, a...)) }

// playModel lets the steps happen and returns what was wrong.
func playModel(steps []step, with mistakes) error {
	m := &model{slow: true}
	now := time.Now()
	for i := range m.since {
		m.since[i], m.everUp[i] = now, now
	}
	m.prober = &Prober{
		Snapshot: m.table.Snapshot, Probe: m.probe, Report: m.report, Interval: modelInterval, Workers: 3, mistake: with,
		Mark:   func(key string, mark servicetable.Mark) { m.table.Mark(key, mark) },
		Unmark: func(key string, k servicetable.MarkKind) { m.table.Unmark(key, k) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.prober.Run(ctx) }()
	for i := range modelInstances - 1 {
		m.do(step{Does: 1, Who: i, How: 2})
	}
	for _, s := range steps {
		if s.Does == 7 { // dies while a probe is on its way back
			m.do(step{Does: 5, Who: s.Who})
			pass(150 * time.Millisecond)
			m.do(step{Does: 0, Who: s.Who, How: 1})
			m.do(step{Does: 3, Who: s.Who})
		}
		m.do(s)
		pass(s.Wait)
		synctest.Wait()
		m.check()
	}
	cancel()
	<-done
	for i := range modelInstances {
		if len(m.ejectedMarks(i)) > 0 {
			m.fault("instance %d is still marked after the end", i)
		}
	}
	return errors.Join(m.wrong...)
}

func addressOfInstance(i int) int { return i % modelAddresses }

// probe answers as the address does now, after a while.
func (m *model) probe(ctx context.Context, c servicetable.Candidate, _ bool) error {
	var at, who int
	_, _ = fmt.Sscanf(c.Handler.Host, "h%d", &at)
	_, _ = fmt.Sscanf(c.Registration.Instance, "i%d", &who)
	m.mu.Lock()
	if m.busy[at]++; m.busy[at] > 1 {
		m.fault("%d probes of address %d at a time", m.busy[at], at)
	}
	if now := time.Now(); m.tended[who] && now.Sub(m.tendedAt[who]) > 2*syncSpacing && m.allTended(at, now) {
		m.fault("instance %d was probed in maintenance", who)
	}
	how, slow := m.how[at], m.slow
	m.mu.Unlock()
	defer func() { m.mu.Lock(); m.busy[at]--; m.mu.Unlock() }()
	if how == 2 {
		return silent(ctx)
	}
	if slow {
		if err := lasts(ctx, 700*time.Millisecond, false); err != nil {
			return err
		}
	}
	if how == 1 {
		return errRefused()
	}
	return nil
}

// allTended reports whether no instance at an address may be probed, for a while already.
func (m *model) allTended(at int, now time.Time) bool {
	for i := range modelInstances {
		if addressOfInstance(i) == at && (now.Sub(m.changed[i]) < time.Second || m.here[i] != "" && !m.tended[i]) {
			return false
		}
	}
	return true
}

// report checks that nobody is restored without having answered since a connect met it dead.
func (m *model) report(e ProbeEvent) {
	if e.Kind != HandlerRestored {
		return
	}
	var who int
	_, _ = fmt.Sscanf(e.Registration.Instance, "i%d", &who)
	m.mu.Lock()
	defer m.mu.Unlock()
	at := addressOfInstance(who)
	if m.how[at] != 0 && m.everUp[at].Before(m.dead[at]) {
		m.fault("instance %d was restored although nothing answered since a connect met it dead", who)
	}
}

// do lets one thing happen.
func (m *model) do(s step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, at := time.Now(), addressOfInstance(s.Who)
	switch s.Does {
	case 0: // an address changes
		m.turn(at, s.How, now)
	case 1: // registers, or again in place of the former registration
		m.register(s.Who, s.How, now)
	case 2: // its registration ends
		if s.How == 0 && m.here[s.Who] != "" {
			m.table.Drop(m.here[s.Who])
			m.here[s.Who], m.changed[s.Who] = "", now
		}
	case 3: // a client connects
		if m.here[s.Who] != "" {
			m.connect(s.Who, at, now)
		}
	case 4: // in or out of maintenance
		m.tended[s.Who] = !m.tended[s.Who]
		m.tendedAt[s.Who], m.changed[s.Who] = now, now
		key := fmt.Sprintf("i%d@n", s.Who)
		if m.tended[s.Who] {
			m.table.Mark(key, servicetable.Mark{Kind: servicetable.Maintenance})
		} else {
			m.table.Unmark(key, servicetable.Maintenance)
		}
	case 5: // suspicion
		if m.here[s.Who] != "" {
			m.prober.Suspect(m.candidate[s.Who], "test")
		}
	case 6:
		m.slow = !m.slow
	}
}

func (m *model) turn(at, how int, now time.Time) {
	if m.how[at] == how {
		return
	}
	if m.how[at] == 0 {
		m.everUp[at] = now
	}
	if how == 0 {
		m.everUp[at] = now
	}
	m.how[at], m.since[at] = how, now
}

func (m *model) register(who, services int, now time.Time) {
	m.ids++
	r := servicetable.Registration{ID: servicetable.ID(fmt.Sprint("c", m.ids)), Instance: fmt.Sprint("i", who), Host: "n", RegisteredAt: now}
	h := servicetable.Handler{Name: "DEDICATED", Protocol: "tcp", Host: fmt.Sprint("h", addressOfInstance(who)), Port: 1521}
	for i, name := range []string{"common", fmt.Sprint("own", who), fmt.Sprint("some", who%2)}[:1+services] {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	if m.here[who] != "" {
		m.table.Drop(m.here[who])
	}
	m.table.Apply(r)
	m.here[who], m.changed[who] = r.ID, now
	m.candidate[who] = servicetable.Candidate{Registration: &r, Service: &r.Services[0], Handler: &r.Handlers[0]}
}

func (m *model) connect(who, at int, now time.Time) {
	a := Attempt{Candidate: m.candidate[who]}
	switch m.how[at] {
	case 0:
		a.Committed, a.Answered = true, true
	case 1:
		a.Err = errRefused()
		m.dead[at] = now
	case 2:
		a.Err, a.Hedged = ErrHedged, true
	}
	m.prober.Observe(a)
}

func (m *model) ejectedMarks(who int) []servicetable.Mark {
	marks := m.table.Snapshot().Marks(fmt.Sprintf("i%d@n/DEDICATED", who))
	return slices.DeleteFunc(marks, func(k servicetable.Mark) bool { return k.Kind != servicetable.Ejected })
}

// check compares what is marked with how things are, where they have been so for long enough.
func (m *model) check() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	total, ejected := map[string]int{}, map[string]int{}
	quiet := true // the table, for long enough to have been read
	for i := range modelInstances {
		quiet = quiet && now.Sub(m.changed[i]) > 2*syncSpacing
		if m.here[i] == "" || m.tended[i] {
			continue
		}
		for _, s := range m.candidate[i].Registration.Services {
			total[s.Name]++
			ejected[s.Name] += len(m.ejectedMarks(i))
		}
	}
	if !quiet {
		return
	}
	crowded := map[string]bool{}
	for name, n := range ejected {
		if crowded[name] = total[name] > 1 && n+1 > total[name]/2; total[name] > 1 && n > total[name]/2 {
			m.fault("%d of %d handlers of %s are ejected", n, total[name], name)
		}
	}
	for i := range modelInstances {
		m.checkInstance(i, now, crowded)
	}
}

func (m *model) checkInstance(i int, now time.Time, crowded map[string]bool) {
	isEjected := len(m.ejectedMarks(i)) > 0
	if m.here[i] == "" || m.tended[i] {
		if isEjected {
			m.fault("instance %d is marked although it is gone or in maintenance", i)
		}
		return
	}
	at := addressOfInstance(i)
	steady := now.Sub(m.since[at])
	switch {
	case m.how[at] == 0 && isEjected && steady > 2*modelInterval+2*time.Second && now.Sub(m.changed[i]) > 2*time.Second:
		m.fault("instance %d is ejected although it has answered for %v", i, steady)
	case m.how[at] != 0 && !isEjected && steady > 2*modelInterval && now.Sub(m.changed[i]) > 2*modelInterval:
		full := slices.ContainsFunc(m.candidate[i].Registration.Services, func(s servicetable.Service) bool { return crowded[s.Name] })
		if !full {
			m.fault("instance %d is in rotation although it has not answered for %v", i, steady)
		}
	}
}

func TestProberAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := modelSteps().Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) { err = playModel(steps, mistakes{}) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// Each known mistake must be noticed within histories in which nothing is wrong without it.
func TestProberModelNoticesMistakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  mistakes
		fault string
	}{
		{"old probes believed", mistakes{believeOldProbes: true}, "restored although"},
		{"no panic threshold", mistakes{noPanic: true}, "are ejected"},
		{"marks left behind", mistakes{leaveMarks: true}, "gone or in maintenance"},
		{"registration taken for an answer", mistakes{restoreOnReplace: true}, "restored although"},
		{"maintenance ignored", mistakes{probeMaintained: true}, "maintenance"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := modelSteps()
			for seed := range 2000 {
				steps := all.Example(seed)
				var right, wrong error
				synctest.Test(t, func(*testing.T) { right, wrong = playModel(steps, mistakes{}), playModel(steps, c.with) })
				if right != nil {
					t.Fatalf("history %d without the mistake: %v", seed, right)
				}
				if wrong != nil && strings.Contains(wrong.Error(), c.fault) {
					t.Logf("noticed in history %d: %v", seed, wrong)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
