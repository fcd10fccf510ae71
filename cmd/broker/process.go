package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"servicebroker/broker"
	"servicebroker/handover"
)

// program is how this process was started, as it was before anybody could replace the file.
type program struct {
	path      string
	arguments []string
	keeper    *os.File // where a keeper is told which process serves; nil: there is none
}

// thisProgram finds out where the program is. The name by which it was called counts, since it may be a link that will mean
// another file when there is an upgrade.
func thisProgram() (program, error) {
	p := program{arguments: os.Args}
	running, err := os.Executable()
	if err != nil {
		return p, fmt.Errorf("the file of this program cannot be found, which an upgrade would need: %w", err)
	}
	p.path = running
	called, err := exec.LookPath(os.Args[0])
	if err == nil {
		called, err = filepath.Abs(called)
	}
	if err == nil && sameFile(called, running) {
		p.path = called
	}
	return p, nil
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// notInherited are the environment variables that are about this process alone.
func notInherited() []string {
	return []string{handover.Variable, keeperVariable, socketsVariable, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"}
}

// command is the program, to be started again with some open files, of which each is named by a variable.
func (p *program) command(files map[string]*os.File) *exec.Cmd {
	c := &exec.Cmd{Path: p.path, Args: p.arguments, Stdin: nil, Stdout: os.Stdout, Stderr: os.Stderr}
	for _, one := range os.Environ() {
		name, _, _ := strings.Cut(one, "=")
		if !slices.Contains(notInherited(), name) {
			c.Env = append(c.Env, one)
		}
	}
	for name, file := range files {
		if file != nil {
			c.Env = append(c.Env, fmt.Sprintf("%s=%d", name, 3+len(c.ExtraFiles)))
			c.ExtraFiles = append(c.ExtraFiles, file)
		}
	}
	return c
}

// start starts a successor.
func (p *program) start(channel *os.File) (broker.Successor, error) {
	c := p.command(map[string]*os.File{handover.Variable: channel, keeperVariable: p.keeper})
	if err := c.Start(); err != nil {
		return nil, err
	}
	return successor{c, c.Process.Pid}, nil
}

// successor is a process of this program.
type successor struct {
	*exec.Cmd
	pid int // also once it is released
}

func (s successor) PID() int { return s.pid }
func (s successor) Kill()    { _ = s.Process.Kill() }
func (s successor) Release() { _ = s.Process.Release() }

// Ended also lets go of what the system keeps of one that has.
func (s successor) Ended() bool {
	pid, err := syscall.Wait4(s.pid, nil, syscall.WNOHANG, nil)
	return pid == s.pid || errors.Is(err, syscall.ECHILD)
}

// process is what the broker is told of its process: who started it, and what was open then.
func (c *serveCommand) process(ctx context.Context, log *slog.Logger) (broker.Process, error) {
	self, err := thisProgram()
	if err != nil {
		return broker.Process{}, err
	}
	self.keeper = inheritedKeeper()
	p := broker.Process{Start: self.start, Notify: notifier(self.keeper != nil, log), Confine: confine}
	if self.keeper != nil {
		p.Serves = func(pid int) { _, _ = fmt.Fprintln(self.keeper, pid) }
	}
	for _, file := range append(activation.Files(true), passedSockets()...) {
		p.Activated = append(p.Activated, broker.ActivatedSocket{Name: file.Name(), File: file})
	}
	channel, succeeds, err := handover.Inherited()
	if err == nil && succeeds {
		p.Before, err = broker.Succeed(ctx, channel)
	}
	return p, err
}

// notifier tells the service manager how the broker is.
func notifier(kept bool, log *slog.Logger) func(string) {
	return func(state string) {
		if kept { // by a keeper, which is the main process for as long as any generation lives
			if state = withoutMainPID(state); state == "" {
				return
			}
		}
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.Warn("the service manager cannot be told how the broker is", "cause", err.Error())
		}
	}
}

// withoutMainPID is what there is to tell but who the main process is.
func withoutMainPID(state string) string {
	lines := slices.DeleteFunc(strings.Split(state, "\n"), func(line string) bool { return strings.HasPrefix(line, "MAINPID=") })
	return strings.Join(lines, "\n")
}

// watchdog tells the service manager, as often as it wants, that the broker answers, until stop is called.
func watchdog(b *broker.Broker, log *slog.Logger) (stop func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(every / 2)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				b.Touch() // returns only if it is not stuck
				if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
					log.Debug("watchdog", "cause", err.Error())
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(time.Second): // it is stuck, and ends with the process
		}
	}
}

// onSignal calls do at each of a signal, one after the other, until stop is called.
func onSignal(ctx context.Context, which os.Signal, do func(context.Context)) (stop func()) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, which)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-came:
				do(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(came)
		cancel()
		<-ended
	}
}

// inheritedKeeper is the file by which a keeper is told which process serves; nil if there is no keeper.
func inheritedKeeper() *os.File {
	number, err := strconv.Atoi(os.Getenv(keeperVariable))
	if err != nil || number < 3 {
		return nil
	}
	syscall.CloseOnExec(number)
	return os.NewFile(uintptr(number), "keeper")
}
