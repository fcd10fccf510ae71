package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// plant is a table, what answers at the addresses in it, and a prober that watches both.
type plant struct {
	table  servicetable.Table
	prober *Prober
	stop   func()

	mu     sync.Mutex
	does   map[string]func(context.Context) error // by host; none answers
	deeply map[string]error                       // by instance: what a deep probe meets
	probes []string                               // hosts probed, in order; deep ones with the instance
	events []string
	ids    int
}

// watch starts a prober over an empty table; configure may be nil. It ends with the test.
func watch(t *testing.T, configure func(*Prober)) *plant {
	w := &plant{does: map[string]func(context.Context) error{}, deeply: map[string]error{}}
	w.prober = &Prober{
		Snapshot: w.table.Snapshot,
		Probe:    w.probe,
		Mark:     func(key string, m servicetable.Mark) { w.table.Mark(key, m) },
		Unmark:   func(key string, k servicetable.MarkKind) { w.table.Unmark(key, k) },
		Drop:     func(id servicetable.ID, _ string) { w.table.Drop(id) },
		Interval: 5 * time.Second,
		Report:   func(e ProbeEvent) { w.note(e.Kind.String() + " " + e.Key) },
		Gone: func(r *servicetable.Registration, answered bool, _ string) {
			w.note(fmt.Sprintf("lost %s %v", r.Key(), answered))
		},
	}
	if configure != nil {
		configure(w.prober)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.prober.Run(ctx) }()
	w.stop = func() { cancel(); <-done }
	t.Cleanup(w.stop)
	synctest.Wait()
	return w
}

func (w *plant) note(event string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event)
}

func (w *plant) probe(ctx context.Context, c servicetable.Candidate, deep bool) error {
	w.mu.Lock()
	does, name := w.does[c.Handler.Host], c.Handler.Host
	if deep {
		name = "deep " + c.Registration.Instance
		err := w.deeply[c.Registration.Instance]
		does = func(context.Context) error { return err }
	}
	w.probes = append(w.probes, name)
	w.mu.Unlock()
	if does == nil {
		return nil
	}
	return does(ctx)
}

func (w *plant) set(host string, does func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.does[host] = does
}

// register enters an instance whose DEDICATED handler is at "h-" and its name, for the services given.
func (w *plant) register(instance string, services ...string) servicetable.Candidate {
	w.ids++
	r := servicetable.Registration{ID: servicetable.ID(fmt.Sprint("c", w.ids)), Instance: instance, Host: "n", RegisteredAt: time.Now()}
	h := servicetable.Handler{Name: "DEDICATED", Protocol: "tcp", Host: "h-" + instance, Port: 1521}
	for i, s := range services {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	w.table.Apply(r)
	w.settle()
	return servicetable.Candidate{Registration: &r, Service: &r.Services[0], Handler: &r.Handlers[0]}
}

// settle lets the prober take in the table.
func (w *plant) settle() {
	pass(2 * syncSpacing)
	synctest.Wait()
}

// ejected lists the instances whose handler is ejected now.
func (w *plant) ejected() string {
	var found []string
	s := w.table.Snapshot()
	for _, r := range s.Registrations() {
		for i := range r.Handlers {
			if slices.ContainsFunc(s.Marks(r.HandlerKey(&r.Handlers[i])), func(m servicetable.Mark) bool { return m.Kind == servicetable.Ejected }) {
				found = append(found, r.Instance)
			}
		}
	}
	return strings.Join(found, " ")
}

func (w *plant) wantEjected(t *testing.T, want string) {
	t.Helper()
	if got := w.ejected(); got != want {
		t.Errorf("ejected are %q, want %q", got, want)
	}
}

// told returns what was reported since the last call.
func (w *plant) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

// wantEvents compares what was reported since the last call.
func (w *plant) wantEvents(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(w.told(), ", "); got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// probed counts the probes of a host since the last call of forget; "" is any host.
func (w *plant) probed(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.probes {
		if p == name || name == "" {
			n++
		}
	}
	return n
}

func (w *plant) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probes = nil
}

// met tells the prober of a connect.
func (w *plant) met(c servicetable.Candidate, err error) {
	w.prober.Observe(Attempt{Candidate: c, Err: err, Answered: err == nil, Committed: err == nil})
	synctest.Wait()
}

func bubble(t *testing.T, f func(*testing.T)) { t.Helper(); synctest.Test(t, f) }

func TestRefusedConnectEjectsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", refuses)
		begun := time.Now()
		w.met(a, errRefused())
		w.wantEjected(t, "a")
		if took := time.Since(begun); took > 0 {
			t.Errorf("took %v", took)
		}
		w.wantEvents(t, "ejected a@n/DEDICATED")
		w.set("h-a", nil)
		pass(1200 * time.Millisecond)
		synctest.Wait()
		w.wantEjected(t, "")
		w.wantEvents(t, "restored a@n/DEDICATED")
	})
}

func TestSilentHostIsEjectedWithinTwoIntervals(t *testing.T) {
	for _, interval := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 5 * time.Second, time.Minute} {
		bubble(t, func(t *testing.T) {
			w := watch(t, func(p *Prober) { p.Interval = interval })
			w.register("a", "s")
			w.register("b", "s")
			pass(7*interval/4 + time.Millisecond)
			for range 20 {
				w.set("h-a", silent)
				pass(2 * interval)
				synctest.Wait()
				w.wantEjected(t, "a")
				w.set("h-a", nil)
				pass(2*interval + 2*time.Second)
				synctest.Wait()
				w.wantEjected(t, "")
			}
		})
	}
}

func TestHedgedSilenceIsProbedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", silent)
		w.prober.Observe(Attempt{Candidate: a, Err: ErrHedged, Hedged: true, Took: 300 * time.Millisecond})
		pass(2*time.Second + probeSpacing)
		synctest.Wait()
		w.wantEjected(t, "a")
	})
}

// What each way to fail says of the handler, with a probe that would find it alive.
func TestWhatAttemptsShow(t *testing.T) {
	for _, c := range []struct {
		name    string
		attempt Attempt
		ejects  bool // at once
		probes  bool
	}{
		{"accepted", Attempt{Committed: true, Answered: true}, false, false},
		{"refused by the instance", Attempt{Err: answer{false}, Committed: true, Answered: true}, false, false},
		{"nobody listens", Attempt{Err: errRefused()}, true, true},
		{"nobody listens where the instance sent us", Attempt{Err: errRefused(), Committed: true}, false, true},
		{"no connection in time", Attempt{Err: noAnswer(3 * time.Second), Took: 3 * time.Second}, false, true},
		{"no answer in time", Attempt{Err: noAnswer(3 * time.Second), Took: 3 * time.Second, Committed: true}, false, true},
		{"hung up", Attempt{Err: errors.New("EOF"), Committed: true}, false, true},
		{"hedged", Attempt{Err: ErrHedged, Hedged: true}, false, true},
		{"overtaken", Attempt{Err: ErrOvertaken, Stopped: true}, false, false},
		{"not tried for being our own address", Attempt{Err: answer{true}, Answered: true}, false, false},
	} {
		bubble(t, func(t *testing.T) {
			w := watch(t, nil)
			c.attempt.Candidate = w.register("a", "s")
			w.register("b", "s")
			pass(time.Second)
			w.forget()
			w.prober.Observe(c.attempt)
			pass(time.Millisecond)
			synctest.Wait()
			if got := slices.Contains(w.told(), "ejected a@n/DEDICATED"); got != c.ejects {
				t.Errorf("%s: ejected %v", c.name, got)
			}
			if got := w.probed("h-a") > 0; got != c.probes {
				t.Errorf("%s: probed %v", c.name, got)
			}
			w.wantEjected(t, "") // the probe found it alive
		})
	}
}

func TestSilenceIsOnlyDoubtWhereOthersWereAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = time.Hour })
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", silent)
		late := Attempt{Candidate: a, Err: noAnswer(time.Second), Took: time.Second}
		pass(2 * time.Second)
		w.met(a, nil)
		w.prober.Observe(late)
		synctest.Wait()
		w.wantEjected(t, "")
		pass(2 * time.Second)
		w.prober.Observe(late)
		synctest.Wait()
		w.wantEjected(t, "a")
	})
}

// A probe that was under way when something newer was learnt must not undo it.
func TestOldProbesDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = 10 * time.Second })
		a := w.register("a", "s")
		w.register("b", "s")
		slowly := func(err error) func(context.Context) error {
			return func(context.Context) error { pass(time.Second); return err }
		}
		w.set("h-a", slowly(nil))
		w.prober.Suspect(a, "test")
		pass(500 * time.Millisecond)
		w.set("h-a", refuses)
		w.met(a, errRefused())
		pass(600 * time.Millisecond) // the probe has returned and says alive
		synctest.Wait()
		w.wantEjected(t, "a")

		w.set("h-a", slowly(errRefused()))
		pass(3 * time.Second) // on its way now
		w.set("h-a", nil)
		w.met(a, nil)
		w.wantEjected(t, "")
		w.told()
		pass(2 * time.Second)
		synctest.Wait()
		w.wantEvents(t, "")
	})
}

func TestFindingsAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log strings.Builder
		var probes int
		w := watch(t, func(p *Prober) {
			p.Log = slog.New(slog.NewTextHandler(&log, nil))
			p.Probed = func(_ servicetable.Candidate, _ bool, _ time.Duration, err error) {
				if err == nil {
					probes++
				}
			}
		})
		a := w.register("a", "s")
		w.set("h-a", refuses)
		w.met(a, errRefused())
		w.set("h-a", nil)
		pass(5 * time.Second)
		synctest.Wait()
		w.stop()
		if got := log.String(); !strings.Contains(got, "level=WARN msg=ejected key=a@n/DEDICATED cause=\"connect: dial tcp: connection refused\"") || !strings.Contains(got, "level=INFO msg=restored") {
			t.Errorf("logged %s", got)
		}
		if probes < 2 {
			t.Errorf("%d probes told of", probes)
		}
	})
}

// What a connect met is told to those who ask before a probe has.
func TestVerifyTellsWhatIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Workers, p.Timeout = 1, time.Second })
		a := w.register("a", "s")
		block := make(chan struct{})
		defer close(block)
		w.set("h-a", func(context.Context) error { <-block; return nil })
		w.met(a, errRefused())
		if err := w.prober.Verify(t.Context(), a); err == nil || !strings.Contains(err.Error(), "tcp/h-a:1521 does not answer: connect: dial tcp: connection refused") {
			t.Errorf("%v", err)
		}
	})
}
