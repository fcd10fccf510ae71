package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
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
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		select {
		case <-ticks.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %v", within, err)
		case <-t.Context().Done():
			t.Fatalf("interrupted: %v", err)
		}
	}
}

// processLog collects what a process prints.
type processLog struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed when more is there
}

func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *processLog) read() (text []byte, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes()), l.changed
}

// process is a running program under test.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    processLog
	exited chan struct{} // closed once err is set
	err    error
}

// startProcess starts a program that is killed at the latest when the test ends. A
// data race or a panic in it fails the test; its log is shown if the test failed.
func startProcess(t *testing.T, name, program string, arguments ...string) *process {
	t.Helper()
	if err := programs.readSources(); err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, exited: make(chan struct{})}
	p.log.changed = make(chan struct{})
	p.cmd = exec.Command(program, arguments...)
	p.cmd.Env = quickExit()
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		p.judge(t)
	})
	return p
}

// quickExit is an environment in which a program built with the race detector ends
// when it ends, not a second later.
func quickExit() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// kill ends the process as a crash of its machine would, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v: %v", p.name, s, err)
	}
}

// waitExit returns the exit code and how long the end took.
func (p *process) waitExit(t *testing.T, within time.Duration) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), time.Since(began)
	case <-time.After(within):
		t.Fatalf("%s still runs after %v", p.name, within)
		return 0, 0
	}
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// trouble is what no log may contain. A line of its own each, since logs quote what
// clients send.
var trouble = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: |fatal error: ).*$`)

func (p *process) judge(t *testing.T) {
	text, _ := p.log.read()
	if found := trouble.Find(text); found != nil {
		t.Errorf("%s: %s", p.name, found)
	}
	if t.Failed() {
		const most = 20_000
		if len(text) > most {
			text = text[len(text)-most:]
		}
		t.Logf("log of %s (%v):\n%s", p.name, p.cmd.ProcessState, text)
	}
}

// waitLog waits for a line and returns the submatches.
func (p *process) waitLog(t *testing.T, line *regexp.Regexp) []string {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		text, more := p.log.read()
		if found := line.FindSubmatch(text); found != nil {
			all := make([]string, len(found))
			for i := range found {
				all[i] = string(found[i])
			}
			return all
		}
		select {
		case <-more:
		case <-p.exited:
			if text, _ := p.log.read(); line.Match(text) {
				continue
			}
			t.Fatalf("%s ended before it said %v: %v", p.name, line, p.err)
		case <-deadline.C:
			t.Fatalf("%s did not say %v", p.name, line)
		}
	}
}

// residentKB is how much memory the process occupies, in KiB.
func (p *process) residentKB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	_, line, _ := bytes.Cut(status, []byte("VmRSS:"))
	if _, err := fmt.Sscan(string(line), &kb); err != nil {
		t.Fatal(errors.Join(errors.New("no VmRSS in /proc"), err))
	}
	return kb
}

// openFiles is how many descriptors the process has.
func (p *process) openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
