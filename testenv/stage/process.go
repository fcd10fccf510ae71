// Package stage starts the real programs, a broker and test databases, as processes of their own, breaks them on
// purpose, and watches from between clients and broker what goes over the wire. It is what tests and the chaos command
// share; it judges nothing.
package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
)

// Log collects what a process prints.
type Log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed when more is there
	file    *os.File      // that it is added to; nil: none, and all of it stays in memory
}

// keptInMemory is how much of a log that is in a file stays in memory, at least.
const keptInMemory = 256 << 10

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.file != nil {
		_, _ = l.file.Write(p)
		if l.text.Len() > 2*keptInMemory {
			l.text.Next(l.text.Len() - keptInMemory)
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

// Read returns all there is and a channel that is closed when there is more.
func (l *Log) Read() (text []byte, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes()), l.changed
}

// Process is a running program.
type Process struct {
	Name   string // for people
	Log    Log
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts a program. It gets a SIGKILL at the latest when the thread that started it ends.
func Start(name, program string, arguments ...string) (*Process, error) {
	return StartKept(name, "", program, arguments...)
}

// StartKept starts a program whose log is added to a file, of which only the end stays in memory; "" is no file.
func StartKept(name, log, program string, arguments ...string) (_ *Process, err error) {
	p := &Process{Name: name, exited: make(chan struct{})}
	p.Log.changed = make(chan struct{})
	if log != "" {
		if p.Log.file, err = os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	p.cmd = exec.Command(program, arguments...)
	p.cmd.Env = QuickExit()
	p.cmd.Stdout, p.cmd.Stderr = &p.Log, &p.Log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		_ = p.Log.file.Close() // of nil, too
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() { // ends with the process, which Kill ends
		_ = p.cmd.Wait()
		_ = p.Log.file.Close()
		close(p.exited)
	}()
	return p, nil
}

// QuickExit is an environment in which a program built with the race detector ends when it ends, not a second later.
func QuickExit() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// Kill ends the process as a crash of its machine would, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s: %v: %w", p.Name, s, err)
	}
	return nil
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed once the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// State is how the process ended; nil while it runs.
func (p *Process) State() *os.ProcessState {
	if p.Running() {
		return nil
	}
	return p.cmd.ProcessState
}

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// trouble is what no log may contain. A line of its own each, since logs quote what clients send.
var trouble = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: |fatal error: ).*$`)

// Trouble is the first line of the log that tells of a data race or a panic; empty if there is none.
func (p *Process) Trouble() string {
	text, _ := p.Log.Read()
	return string(trouble.Find(text))
}

// AwaitLine waits for a line and returns the submatches.
func (p *Process) AwaitLine(ctx context.Context, line *regexp.Regexp) ([]string, error) {
	for {
		text, more := p.Log.Read()
		if found := line.FindSubmatch(text); found != nil {
			all := make([]string, len(found))
			for i := range found {
				all[i] = string(found[i])
			}
			return all, nil
		}
		select {
		case <-more:
		case <-p.exited:
			if text, _ := p.Log.Read(); line.Match(text) {
				continue
			}
			return nil, fmt.Errorf("%s ended before it said %v: %v", p.Name, line, p.cmd.ProcessState)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s did not say %v: %w", p.Name, line, context.Cause(ctx))
		}
	}
}

// ResidentKB is how much memory the process occupies, in KiB.
func (p *Process) ResidentKB() (kb int, err error) { return ResidentKB(p.PID()) }

// OpenFiles is how many descriptors the process has.
func (p *Process) OpenFiles() (int, error) { return OpenFiles(p.PID()) }

// ResidentKB is how much memory a process occupies, in KiB.
func ResidentKB(pid int) (kb int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, line, _ := bytes.Cut(status, []byte("VmRSS:"))
	if _, err := fmt.Sscan(string(line), &kb); err != nil {
		return 0, errors.Join(errors.New("no VmRSS in /proc"), err)
	}
	return kb, nil
}

// OpenFiles is how many descriptors a process has.
func OpenFiles(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}
