package drivers

import (
	"os"
	"regexp"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// patience is how long anything may take that is not itself measured.
const patience = 30 * time.Second

// eventually polls until check returns nil, and fails the test with its last error
// when that takes too long. It returns how long it took.
func eventually(t *testing.T, within time.Duration, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	ticks := time.NewTicker(2 * time.Millisecond)
	defer ticks.Stop()
	interrupted := t.Context().Done()
	if t.Context().Err() != nil { // what is awaited is part of cleaning up
		interrupted = nil
	}
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		select {
		case <-ticks.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %v", within, err)
		case <-interrupted:
			t.Fatalf("interrupted: %v", err)
		}
	}
}

// process is a running program under test.
type process struct{ *stage.Process }

// startProcess starts a program that is killed at the latest when the test ends. A
// data race or a panic in it fails the test; its log is shown if the test failed.
func startProcess(t *testing.T, name, program string, arguments ...string) *process {
	t.Helper()
	if err := programs.readSources(); err != nil {
		t.Fatal(err)
	}
	p, err := stage.Start(name, program, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return guard(t, p)
}

// guard has a process ended and judged with the test.
func guard(t *testing.T, started *stage.Process) *process {
	p := &process{started}
	t.Cleanup(func() {
		p.Kill()
		p.judge(t)
	})
	return p
}

func (p *process) kill() { p.Kill() }

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// waitExit returns the exit code and how long the end took.
func (p *process) waitExit(t *testing.T, within time.Duration) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	select {
	case <-p.Exited():
		return p.State().ExitCode(), time.Since(began)
	case <-time.After(within):
		t.Fatalf("%s still runs after %v", p.Name, within)
		return 0, 0
	}
}

func (p *process) running() bool { return p.Running() }

func (p *process) judge(t *testing.T) {
	if found := p.Trouble(); found != "" {
		t.Errorf("%s: %s", p.Name, found)
	}
	if t.Failed() {
		const most = 20_000
		text, _ := p.Log.Read()
		if len(text) > most {
			text = text[len(text)-most:]
		}
		t.Logf("log of %s (%v):\n%s", p.Name, p.State(), text)
	}
}

// residentKB is how much memory the process occupies, in KiB.
func (p *process) residentKB(t *testing.T) int {
	t.Helper()
	kb, err := p.ResidentKB()
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

// openFiles is how many descriptors the process has.
func (p *process) openFiles(t *testing.T) int {
	t.Helper()
	n, err := p.OpenFiles()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitLog waits for a line and returns the submatches.
func (p *process) waitLog(t *testing.T, line *regexp.Regexp) []string {
	t.Helper()
	found, err := p.AwaitLine(bound(t), line)
	must(t, err)
	return found
}
