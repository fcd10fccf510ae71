package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

func built(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.Command("go", "build", "-o", folder, "./cmd/broker", "./testenv/testdb")
	build.Dir = "../.."
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return folder
}

// A short run of one fault, by both modes, with every driver there is.
func TestRun(t *testing.T) {
	o := options{bin: built(t), testenv: "..", rate: 10, only: regexp.MustCompile("^blocked"), modes: modes, parameters: "(PROBE_INTERVAL=1)(SLOW_START=0)"}
	failed, err := run(t.Context(), o)
	if err != nil || failed > 0 {
		t.Errorf("%d failed, %v", failed, err)
	}
	o.only = regexp.MustCompile("no such fault")
	if _, err := run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no fault has such a name") {
		t.Errorf("without a fault: %v", err)
	}
	o.bin = t.TempDir()
	if _, err := run(t.Context(), o); err == nil {
		t.Error("it ran without programs")
	}
}

// Time is shared out between faults and modes, none gets too little, and relocations take what they take.
func TestTrials(t *testing.T) {
	s := &scene{first: &stage.Database{}, second: &stage.Database{}}
	o := options{rate: 50, duration: 10 * time.Minute, gap: 20 * time.Second, only: regexp.MustCompile(""), modes: modes}
	all := s.trials(o)
	names := map[string]bool{}
	for _, tr := range all {
		names[tr.Fault.Name] = true
		relocates := strings.Contains(tr.Fault.Name, "relocated") || tr.Fault.Name == "and back"
		if want := o.duration/time.Duration(2*len(all)) - 2*tail; !relocates && tr.Hold != want || relocates && tr.Hold != 0 {
			t.Errorf("%s holds for %v", tr.Fault.Name, tr.Hold)
		}
		if tr.Hits == nil || tr.Ready == nil || tr.Load.Service == "" || tr.Lead != 100 || tr.Window < probeInterval {
			t.Errorf("%+v", tr)
		}
	}
	if len(names) != len(all) || names["packets dropped"] {
		t.Errorf("faults are %v", names)
	}
	s.network = &stage.Network{}
	if with := s.trials(o); len(with) != len(all)+1 {
		t.Errorf("%d faults with a network, %d without", len(with), len(all))
	}
	o.duration = time.Second
	for _, tr := range s.trials(o) {
		if tr.Hold != 0 && tr.Hold != shortHold {
			t.Errorf("%s holds for %v of a second", tr.Fault.Name, tr.Hold)
		}
	}
}

func TestParameters(t *testing.T) {
	o := options{bin: "bin", parameters: "(PROBE_INTERVAL=1) (POLICY=random)"}.broker(redirecting)
	if got := strings.Join(o.Parameters, " "); !strings.Contains(got, "ROUTE=redirect") || !strings.HasSuffix(got, "PROBE_INTERVAL=1 POLICY=random") {
		t.Errorf("parameters are %s", got)
	}
}
