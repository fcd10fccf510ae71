package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A short soak with every driver there is, through the real programs.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	build := exec.Command("go", "build", "-o", folder, "./cmd/broker", "./testenv/testdb")
	build.Dir = "../.."
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	out := &bytes.Buffer{}
	o := options{bin: folder, testenv: "..", duration: time.Second, act: time.Second, seed: 1, rate: 2, members: 4, only: regexp.MustCompile("^(reload|PDB moves|upgrade)$"),
		logs: filepath.Join(folder, "logs")}
	if faults, err := run(t.Context(), out, o); err != nil || faults > 0 {
		t.Errorf("%d faults, %v:\n%s", faults, err, out)
	}
	for _, want := range []string{"seed 1:", "act 1", "go-ora", "0 faults"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// A clock that is built in shows another time of day, and the same monotonic one.
func TestClock(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module clock\n"), 0o600))
	must(t, os.Mkdir(filepath.Join(folder, "program"), 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "program", "main.go"), []byte(`package main
import "time"
func main() { began := time.Now(); println(began.Unix(), time.Since(began) < time.Minute) }`), 0o600))
	t.Setenv(jumpVariable, "")
	c, err := newClock(t.Context(), folder, folder, "./program")
	must(t, err)
	for _, ahead := range []time.Duration{0, 24 * time.Hour, -time.Hour} {
		c.set(ahead)
		said, err := exec.Command(c.program).CombinedOutput()
		must(t, err)
		var seconds int64
		var monotonic bool
		_, err = fmt.Sscan(string(said), &seconds, &monotonic)
		must(t, err)
		if is := time.Until(time.Unix(seconds, 0)); !monotonic || (is-ahead).Abs() > time.Minute {
			t.Errorf("%v ahead: it is %v ahead, the monotonic clock is right: %v", ahead, is, monotonic)
		}
	}
}

func fullWorld() *world {
	w := &world{record: newRecord(&bytes.Buffer{}), chronicle: &chronicle{}, clock: &clock{}, consul: &stage.Consul{}}
	w.record.stalls = &stalls{}
	for _, name := range []string{"A", "B"} {
		w.sites = append(w.sites, &site{name: name, disk: true})
	}
	for i, name := range []string{"sales1", "sales2", "sales3", "vault1", "vault2"} {
		w.donors = append(w.donors, &donor{Database: &stage.Database{Instance: name}, reached: fmt.Sprint("127.0.0.1:100", i), services: map[string]bool{relayed: i < 3, redirected: i < 3, secure: i > 2}})
	}
	return w
}

// A seed draws the same again, another one does not; everything is drawn at some time, and never two of a realm at a time.
func TestSchedule(t *testing.T) {
	kinds := fullWorld().possible(regexp.MustCompile(""))
	drawAll := func(seed uint64) string {
		text := &strings.Builder{}
		s, seen := newSchedule(seed, kinds), map[string]bool{}
		for range 500 {
			d := s.next()
			for one := d; one != nil; one = one.beside {
				fmt.Fprintf(text, "%s %d %v %.3f %v; ", one.kind.name, one.target, one.hold, one.choice, one.pause)
				seen[one.kind.name] = true
				if one.hold < one.kind.least || one.hold > one.kind.most || one.target < 0 {
					t.Errorf("%s of %d is to last %v", one.kind.name, one.target, one.hold)
				}
			}
			if d.beside != nil && (d.kind.realm == d.beside.kind.realm || d.beside.beside != nil) {
				t.Errorf("%s beside %s", d.beside.kind.name, d.kind.name)
			}
		}
		if len(seen) != len(kinds) {
			t.Errorf("%d of %d kinds are drawn: %v", len(seen), len(kinds), seen)
		}
		return text.String()
	}
	if one := drawAll(1); one != drawAll(1) || one == drawAll(2) {
		t.Error("a schedule does not follow from its seed alone")
	}
}

// What is missing here is not drawn.
func TestPossible(t *testing.T) {
	w := fullWorld()
	all := len(w.possible(regexp.MustCompile("")))
	w.clock, w.consul, w.sites[0].disk = nil, nil, false
	if less := len(w.possible(regexp.MustCompile(""))); less != all-3 {
		t.Errorf("%d disturbances of %d are possible without clock, Consul and disk", less, all)
	}
	if some := w.possible(regexp.MustCompile("^upgrade")); len(some) != 2 {
		t.Errorf("%d kinds of upgrades", len(some))
	}
}

// What may befall a connect by what happened, and what may not.
func TestVerdict(t *testing.T) {
	now := time.Now()
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	w := fullWorld()
	a, b := w.sites[0], w.sites[1]
	both, one, overTLS := errand{service: relayed, sites: []*site{a, b}}, errand{service: relayed, sites: []*site{a}}, errand{service: secure, sites: []*site{a}, secure: true}
	saw := func(s *site, answer stage.Answer, answered, ended float64, text string) sighting {
		return sighting{stage.Sighting{Door: netip.Addr{}, Began: at(0.1), Answer: answer, Answered: at(answered), Ended: at(ended), Text: text}, s}
	}
	happened := func(how how, s *site, d *donor, began, done, healed float64) *happening {
		return &happening{text: "something", how: how, broker: s, on: d, began: at(began), done: at(done), healed: at(healed)}
	}
	toFirst := "(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1000))"
	for _, c := range []struct {
		name     string
		errand   errand
		error    string
		happened *happening
		seen     sighting
		want     string
	}{
		{"nothing happened", both, "ORA-12514", nil, saw(a, stage.Refused, 0.5, 0.6, ""), faulty},
		{"its broker was killed", both, "EOF", happened(brokerDied, a, nil, 0.4, 0.5, 3), saw(a, stage.NoAnswer, 0, 0.5, ""), "lost in flight"},
		{"another broker was killed", both, "EOF", happened(brokerDied, b, nil, 0.4, 0.5, 3), saw(a, stage.NoAnswer, 0, 0.5, ""), faulty},
		{"its broker was killed after it", both, "ORA-1", happened(brokerDied, a, nil, 0.4, 0.5, 3), saw(a, stage.Refused, 0.2, 0.3, ""), faulty},
		{"its only broker is not there", one, "refused", happened(brokerDied, a, nil, -1, -0.5, 3), sighting{site: b}, "nobody there"},
		{"one of its two brokers is not there", both, "refused", happened(brokerDied, a, nil, -1, -0.5, 3), sighting{site: b}, faulty},
		{"its only broker was there again", one, "refused", happened(brokerDied, a, nil, -3, -2, -1), sighting{site: b}, faulty},
		{"accepted by an instance that died", both, "EOF", happened(instanceDied, nil, w.donors[0], 0.4, 0.5, 3), saw(a, stage.Accepted, 0.3, 0.5, ""), "lost in flight"},
		{"accepted long after one died", both, "EOF", happened(instanceDied, nil, w.donors[0], -4, -3, 3), saw(a, stage.Accepted, 0.3, 0.5, ""), faulty},
		{"refused as one died", both, "ORA-12514", happened(instanceDied, nil, w.donors[0], 0.4, 0.5, 3), saw(a, stage.Refused, 0.6, 0.7, ""), faulty},
		{"redirected before that can be known", one, "refused", happened(instanceDied, nil, w.donors[0], -1, -0.9, 3), saw(a, stage.Redirected, 0.2, 0.3, toFirst), "in window"},
		{"redirected though it can be known", one, "refused", happened(instanceDied, nil, w.donors[0], -9, -8, 3), saw(a, stage.Redirected, 0.2, 0.3, toFirst), faulty},
		{"redirected to another", one, "refused", happened(instanceDied, nil, w.donors[1], -1, -0.9, 3), saw(a, stage.Redirected, 0.2, 0.3, toFirst), faulty},
		{"redirected before", one, "reset", happened(instanceDeaf, nil, w.donors[0], 0.4, 0.5, 3), saw(a, stage.Redirected, 0.2, 0.3, toFirst), "lost in flight"},
		{"accepted by one that only hears no more", both, "EOF", happened(instanceDeaf, nil, w.donors[0], 0.4, 0.5, 3), saw(a, stage.Accepted, 0.3, 0.5, ""), faulty},
		{"over TLS as generations change", overTLS, "EOF", happened(generationEnd, a, nil, 0.2, 0.3, 3), saw(a, stage.NoAnswer, 0, 2, ""), "lost in flight"},
		{"in the clear as generations change", one, "EOF", happened(generationEnd, a, nil, 0.2, 0.3, 3), saw(a, stage.NoAnswer, 0, 2, ""), faulty},
		{"with a successor that was killed", one, "EOF", happened(successorDied, a, nil, 0, 0.5, 3), saw(a, stage.NoAnswer, 0, 0.5, ""), "lost in flight"},
		{"refused for want of descriptors", one, "ORA-12537", happened(fewFiles, a, nil, 0, 0, 3), saw(a, stage.Refused, 0.3, 0.4, ""), "no descriptors"},
		{"something harmless", one, "EOF", happened(harmless, a, nil, 0, 0.5, 3), saw(a, stage.NoAnswer, 0, 0.5, ""), faulty},
	} {
		w.chronicle.all = nil
		if c.happened != nil {
			w.chronicle.all = append(w.chronicle.all, c.happened)
		}
		tr := &trial{drivers.Connected{StartedMS: float64(now.UnixMicro()) / 1000, TookMS: 1000, Error: c.error}, c.errand}
		if got := w.verdict(tr, []sighting{c.seen}); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %.60q instead of %q", c.name, got, c.want)
		}
	}
}

// Who is elsewhere than it asked for is a fault, whatever happens.
func TestAstray(t *testing.T) {
	w := fullWorld()
	e := errand{name: "relay", service: relayed}
	for answer, good := range map[string]bool{"sales/sales1": true, "sales/sales3": true, "sales/vault1": false, "hr/sales1": false, "sales/nobody": false, "": false} {
		if got := w.astray(answer, e); (got == well) != good {
			t.Errorf("%q: %s", answer, got)
		}
	}
	two := "2"
	m := &member{errand: e, rows: 1, sum: 2}
	say := func(identity, count string) *drivers.Result {
		return &drivers.Result{Rows: [][]*string{{&identity, &count, &two}}}
	}
	if wrong := w.identify(m, say("sales/sales1/7", "1")); wrong != "" || m.identity != "sales/sales1/7" {
		t.Errorf("%+v: %s", m, wrong)
	}
	for _, r := range []*drivers.Result{say("sales/sales1/8", "1"), say("sales/sales1/7", "2"), {}} {
		if wrong := w.identify(m, r); !strings.HasPrefix(wrong, crossed) {
			t.Errorf("another session is not noticed: %q", wrong)
		}
	}
}

// Time-outs count as the machine's only where that was slow.
func TestStalled(t *testing.T) {
	w := fullWorld()
	now := time.Now()
	tr := &trial{drivers.Connected{StartedMS: float64(now.UnixMicro()) / 1000, TookMS: 1000, Error: "i/o timeout"}, errand{service: relayed, sites: w.sites}}
	if got := w.verdict(tr, nil); !strings.HasPrefix(got, faulty) {
		t.Error(got)
	}
	w.record.stalls.note(now.Add(-unfair), now.Add(time.Second))
	if got := w.verdict(tr, nil); got != "machine stalled" {
		t.Error(got)
	}
	tr.Error = "ORA-12514"
	if got := w.verdict(tr, nil); !strings.HasPrefix(got, faulty) {
		t.Error(got)
	}
}

func TestDiffer(t *testing.T) {
	set := func(all ...string) map[string]bool {
		m := map[string]bool{}
		for _, s := range all {
			m[s] = true
		}
		return m
	}
	if err := differ("A", set("a", "b"), set("b", "a")); err != nil {
		t.Error(err)
	}
	if err := differ("A", set("a", "x"), set("b", "a")); err == nil || err.Error() != "A has x, lacks b" {
		t.Error(err)
	}
}

// What happened is known for as long as a session may take to find that it is lost by it.
func TestChronicle(t *testing.T) {
	c := &chronicle{}
	h := c.begin(&happening{text: "killed", how: instanceDied})
	c.struck(h)
	c.heal(h)
	if c.forget(time.Now().Add(-remembered)); len(c.during(time.Now().Add(-time.Second), time.Now())) != 1 {
		t.Error("it is forgotten at once")
	}
	if c.forget(time.Now()); len(c.all) != 0 {
		t.Error("it is never forgotten")
	}
}

// A driver that does not come back is left behind.
func TestWithin(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	if within(time.Millisecond, func() { <-never }) || !within(patience, func() {}) {
		t.Error("it is not known what comes to its end")
	}
}

// A flood, and a disturbance whose healing fails, leave nothing behind and are told of.
func TestUndertake(t *testing.T) {
	w := fullWorld()
	d := &drawn{kind: &disturbance{name: "test"}, hold: time.Millisecond}
	var order []string
	u := &undertaking{strike: func(context.Context) error { order = append(order, "strike"); return nil },
		heal: func(context.Context) error { order = append(order, "heal"); return errors.New("it is still ill") }}
	w.undertake(t.Context(), d, u)
	if !reflect.DeepEqual(order, []string{"strike", "heal"}) || len(w.record.faults) != 1 || !strings.Contains(w.record.faults[0], "still ill") || w.record.struck["test"] != 1 {
		t.Errorf("%v, %v", order, w.record.faults)
	}
	if err := expect(nil, "no"); err == nil {
		t.Error("what must fail did not")
	}
}
