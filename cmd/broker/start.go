package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"servicebroker/console"
)

// Bounds of starting and ending a broker.
const (
	startWait = 60 * time.Second       // for the new broker to answer
	startPoll = 100 * time.Millisecond // between questions whether it does
	stopGrace = 30 * time.Second       // beyond the time that sessions have
	tailBytes = 4 << 10                // of its log that are shown if it fails
)

// starting is a broker that was started in the background.
type starting struct {
	process *os.Process
	log     string // file that its standard output goes to
	offset  int64  // of what it has written there
}

// start runs `broker serve` for the instance in a session of its own and returns when it answers.
func (a *administered) start(ctx context.Context) (*starting, error) {
	if a.config == nil && a.problem == nil {
		return nil, errors.New("an instance that is named by its API alone cannot be started from here: run broker serve there")
	}
	if a.problem != nil {
		return nil, a.problem
	}
	s, err := a.spawn()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	ticks := time.NewTicker(startPoll)
	defer ticks.Stop()
	for {
		if _, away, err := a.started(ctx); away == nil && err == nil {
			return s, s.process.Release()
		}
		if s.hasEnded() {
			return nil, fmt.Errorf("it ended at once; %s says:\n%s", s.log, s.tail())
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("process %d does not answer within %v; its log is %s", s.process.Pid, startWait, s.log)
		}
	}
}

// spawn starts the process. What it writes goes to broker.log in its state folder.
func (a *administered) spawn() (*starting, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path, err := a.config.SocketPath()
	if err != nil {
		return nil, err
	}
	s := &starting{log: filepath.Join(filepath.Dir(path), "broker.log")}
	if as, err := accountOf(a.config.Privileges); err == nil && os.Geteuid() == 0 { // whose it is to be, if it is not there
		if err := makeFolder(filepath.Dir(path), as); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	if s.offset, err = out.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	arguments := []string{"broker", "serve"}
	if a.file != "" {
		arguments = append(arguments, "-c", a.file, a.name)
	}
	command := exec.Cmd{Path: program, Args: arguments, Stdout: out, Stderr: out, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s.process = command.Process
	return s, nil
}

// hasEnded reports whether the process is over.
func (s *starting) hasEnded() bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(s.process.Pid, &status, syscall.WNOHANG, nil)
	return pid == s.process.Pid || errors.Is(err, syscall.ECHILD)
}

// tail is what the process wrote last.
func (s *starting) tail() string {
	file, err := os.Open(s.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	end, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(max(s.offset, end-tailBytes), io.SeekStart)
	}
	if err != nil {
		return err.Error()
	}
	text, _ := io.ReadAll(file)
	return strings.TrimSpace(string(text))
}

// stop lets the broker end and waits until another one could be started in its place.
func (a *administered) stop(ctx context.Context, request console.ShutdownRequest) error {
	status, err := a.client.Status(ctx)
	if err != nil {
		return err
	}
	if _, err := a.client.Shutdown(ctx, request); err != nil {
		return err
	}
	if limit, set := request.Limit(); set {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit+stopGrace)
		defer cancel()
	}
	ticks := time.NewTicker(startPoll)
	defer ticks.Stop()
	for {
		_, away, _ := a.started(ctx)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("it is still there: %w", ctx.Err())
		case away != nil && unlocked(filepath.Join(filepath.Dir(status.Socket), "lock")):
			return nil
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
		}
	}
}

// unlocked reports whether no process of this host holds the lock of a state folder.
func unlocked(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return true // there is none, or it is not this user's
	}
	defer file.Close() // which gives the lock back
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
