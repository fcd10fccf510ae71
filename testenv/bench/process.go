package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"servicebroker/testenv/stage"
)

// process is a program whose output goes to a file, as in production: nobody who measures spends time on it.
type process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// start starts a program. It gets a SIGKILL at the latest when the thread that started it ends.
func start(folder, name, program string, arguments ...string) (*process, error) {
	p := &process{log: filepath.Join(folder, name+".log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, arguments...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() { // ends with the process, which stop ends
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop ends the process and its children: workers of nginx live on without their master.
func (p *process) stop() {
	for _, pid := range p.family()[1:] {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// ready waits for the line by which a role of this program says where it listens.
func (p *process) ready(ctx context.Context) (address string, err error) {
	line := regexp.MustCompile(`(?m)^ready (\S+)$`)
	err = p.until(ctx, func() error {
		said, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		found := line.FindSubmatch(said)
		if found == nil {
			return fmt.Errorf("%s is not ready", p.log)
		}
		address = string(found[1])
		return nil
	})
	return address, err
}

// until waits for something about the process; its log is in the error if it ends before.
func (p *process) until(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with ctx
		select {
		case <-p.exited:
			said, _ := os.ReadFile(p.log)
			cancel(fmt.Errorf("%s ended: %s", filepath.Base(p.cmd.Path), bytes.TrimSpace(said)))
		case <-ctx.Done():
		}
	}()
	return stage.Eventually(ctx, check)
}

// family is the process and its children, as nginx has them.
func (p *process) family() []int {
	all := []int{p.cmd.Process.Pid}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[0]))
	for _, t := range threads {
		children, _ := os.ReadFile(t)
		for _, child := range bytes.Fields(children) {
			var pid int
			if _, err := fmt.Sscan(string(child), &pid); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

// spent is the processor time that the process and its children have used so far, as programs and within the kernel.
func (p *process) spent() (user, system time.Duration, err error) {
	for _, pid := range p.family() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, err
		}
		_, fields, _ := bytes.Cut(stat, []byte(") ")) // the name before may have blanks
		var state string
		var skipped [10]int64
		var u, s int64
		into := []any{&state}
		for i := range skipped {
			into = append(into, &skipped[i])
		}
		if _, err := fmt.Sscan(string(fields), append(into, &u, &s)...); err != nil {
			return 0, 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		user, system = user+time.Duration(u)*clockTick, system+time.Duration(s)*clockTick
	}
	return user, system, nil
}

// clockTick is the unit of times in /proc, the same on all architectures there are.
const clockTick = 10 * time.Millisecond

// usage is what the process and its children occupy now.
func (p *process) usage() (kb, files int, err error) {
	for _, pid := range p.family() {
		memory, err := stage.ResidentKB(pid)
		if err != nil {
			return 0, 0, err
		}
		open, err := stage.OpenFiles(pid)
		if err != nil {
			return 0, 0, err
		}
		kb, files = kb+memory, files+open
	}
	return kb, files, nil
}
