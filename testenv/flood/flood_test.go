package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// full is how hard a broker is to be loaded for a figure to tell of; without it the test
// only sees that everything holds.
var full = flag.Bool("full", false, "5,000 connects a second, 500 slow clients, 5,000 silent connections, and a judgement of what that does to others")

var programs struct{ broker, flood string }

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	folder, err := os.MkdirTemp("", "servicebroker-flood-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	programs.broker, programs.flood = filepath.Join(folder, "broker"), filepath.Join(folder, "flood")
	build := exec.Command("go", "build", "-o", folder, "./cmd/broker", "./testenv/flood")
	build.Dir = "../.."
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the programs cannot be built: %v\n%s", err, said)
		return 1
	}
	return m.Run()
}

// play starts a role of this program.
func play(t *testing.T, arguments ...string) *stage.Process {
	t.Helper()
	p, err := stage.Start("flood "+arguments[0], programs.flood, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// says waits for what a role prints.
func says(ctx context.Context, t *testing.T, p *stage.Process, pattern string) string {
	t.Helper()
	found, err := p.AwaitLine(ctx, regexp.MustCompile("(?m)"+pattern))
	if err != nil {
		text, _ := p.Log.Read()
		t.Fatalf("%s: %v\n%s", p.Name, err, text)
	}
	return found[1]
}

// A flood of connects to one service, slow clients and silent connections: those who ask
// for another service are all served, and the flood is told in few lines.
func TestOthersAreServedBesideAFlood(t *testing.T) {
	rate, slow, idle, lasting := 300, 50, 500, 4*time.Second
	if *full {
		rate, slow, idle, lasting = 5000, 500, 5000, 20*time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	instance := says(ctx, t, play(t, "bare"), `^ready (\S+) \S+$`)
	bare := says(ctx, t, play(t, "bare"), `^ready (\S+) \S+$`)
	_, port, _ := strings.Cut(instance, ":")
	static := "STATIC_SERVICE=(NAME=%s)(INSTANCE=i1)(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=" + port + "))"
	b, err := stage.StartBroker(ctx, stage.BrokerOptions{Program: programs.broker, Quiet: true, Parameters: []string{
		"SERVICE=(NAME=flooded)(RATE=20)", "ACCEPT_QUEUE_WAIT=1", "PROBE_INTERVAL=0", fmt.Sprintf(static, "flooded"), fmt.Sprintf(static, "other"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()

	load := play(t, "load", "--target", b.Address, "--rate", fmt.Sprint(rate), "--slow", fmt.Sprint(slow), "--idle", fmt.Sprint(idle), "--for", lasting.String())
	says(ctx, t, load, `^silent ones are there: (\d+)$`)
	measure := play(t, "measure", "--service", "other", "--target", b.Address+","+bare, "--for", (lasting * 3 / 4).String())
	var got []measured
	var flooded offered
	for text, into := range map[string]any{says(ctx, t, measure, `^(\[.*\])$`): &got, says(ctx, t, load, `^(\{.*\})$`): &flooded} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := got[0], got[1]
	t.Logf("flood: %+v", flooded)
	t.Logf("through the broker %+v", ours)
	t.Logf("to the bare server %+v", theirs)
	if ours.Failed > 0 || ours.Count == 0 {
		t.Errorf("%d of %d connects to another service failed: %s", ours.Failed, ours.Failed+ours.Count, ours.Why)
	}
	if most := uint64(20*(flooded.Seconds+3)) + 20; flooded.Accepted > most || flooded.Refused[12530] == 0 {
		t.Errorf("%d connects over a rate of 20 a second in %v s, at most %d expected; %v refused", flooded.Accepted, flooded.Seconds, most, flooded.Refused)
	}
	log, _ := b.Log.Read()
	if n := strings.Count(string(log), "refused"); n > 20 {
		t.Errorf("the flood is told in %d lines", n)
	}
	var explained struct{ Explanations []any }
	if err := b.GetJSON("/api/v1/explanations?outcome=refuse", &explained); err != nil || len(explained.Explanations) > 20 {
		t.Errorf("%d explanations of refusals, %v", len(explained.Explanations), err)
	}
	if *full && ours.P99 > 2*theirs.P99 {
		t.Errorf("the p99 of others is %.1f ms, more than twice the %.1f ms of a bare server", ours.P99, theirs.P99)
	}
}

func TestWhatIsMeasured(t *testing.T) {
	var m measured
	m.summarize()
	for i := range 1000 {
		m.took = append(m.took, time.Duration(1000-i)*time.Millisecond)
	}
	m.summarize()
	if m.Count != 1000 || m.P50 != 501 || m.P99 != 991 || m.Longest != 1000 {
		t.Errorf("%+v", m)
	}
	for _, arguments := range [][]string{nil, {"dance"}, {"load", "--rate", "x"}} {
		if err := run(arguments); err == nil {
			t.Errorf("%v is a role", arguments)
		}
	}
}
