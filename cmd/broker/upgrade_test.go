package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"servicebroker/console"
)

// realBroker is this program as a process of its own, with a file that may be replaced.
type realBroker struct {
	t       *testing.T
	folder  string
	program string
	config  string
	api     string
	command *exec.Cmd
	apart   bool // its processes have numbers of their own, which end with the one that was started

	mu     sync.Mutex
	log    strings.Builder
	deadly *deadly
}

// configText is a configuration on ports that are chosen once.
func configText(folder, port, parameters string) string {
	return fmt.Sprintf(`CMAN1 = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=%s))
  (RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))
  (PARAMETER_LIST=(CONSOLE_ADDRESS=127.0.0.1:0)(SHUTDOWN_GRACE=0)(DRAIN_TIMEOUT=20)(STATE_DIRECTORY=%s)%s))
`, port, filepath.Join(folder, "state"), parameters)
}

// startReal runs the program in a folder of its own.
func startReal(t *testing.T, environment []string, arguments ...string) *realBroker {
	t.Helper()
	return startBy(t, nil, environment, arguments...)
}

// startBy is startReal by way of another program.
func startBy(t *testing.T, before, environment []string, arguments ...string) *realBroker {
	t.Helper()
	folder, err := os.MkdirTemp("", "upgrade") // short: it has a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	r := &realBroker{
		t: t, folder: folder, program: filepath.Join(folder, "broker"), config: filepath.Join(folder, "cman.ora"), api: "unix:" + filepath.Join(folder, "state/admin.sock"),
		apart: slices.Contains(before, "--pid"),
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, r.program); err != nil {
		t.Fatal(err)
	}
	r.configure(configText(folder, "0", ""))
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	line := slices.Concat(before, []string{r.program, "serve", "-c", r.config}, arguments)
	r.command = exec.Command(line[0], line[1:]...)
	r.command.Env = append(append(os.Environ(), "BROKER_TEST_PROGRAM=1"), environment...)
	r.command.Stdout, r.command.Stderr = out, out
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	serving := make(chan struct{}, 100)
	var reading sync.WaitGroup
	reading.Go(func() { // until all generations have ended
		for lines := bufio.NewScanner(in); lines.Scan(); {
			r.mu.Lock()
			fmt.Fprintln(&r.log, lines.Text())
			if r.deadly != nil {
				r.deadly.read(lines.Text())
			}
			r.mu.Unlock()
			if strings.Contains(lines.Text(), "broker started") {
				serving <- struct{}{}
			}
		}
	})
	t.Cleanup(func() {
		if r.command.ProcessState == nil {
			_ = r.command.Process.Kill()
			_ = r.command.Wait()
		}
		for _, g := range r.generations() {
			if !r.apart {
				_ = syscall.Kill(g.PID, syscall.SIGKILL)
			}
		}
		reading.Wait()
		in.Close()
		if t.Failed() {
			t.Log(r.said())
		}
	})
	select {
	case <-serving:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not start")
	}
	return r
}

func (r *realBroker) configure(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *realBroker) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func (r *realBroker) client() *console.Client { return &console.Client{API: r.api} }

// generations are those that live; none if nobody answers.
func (r *realBroker) generations() []console.Generation {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, err := r.client().Generations(ctx)
	if err != nil {
		return nil
	}
	return list.Generations
}

func (r *realBroker) newest() console.Generation {
	r.t.Helper()
	all := r.generations()
	if len(all) == 0 {
		r.t.Fatal("no generation answers")
	}
	return all[len(all)-1]
}

func (r *realBroker) address() string {
	r.t.Helper()
	status, err := r.client().Status(r.t.Context())
	if err != nil || len(status.Listening) == 0 {
		r.t.Fatalf("%+v %v", status, err)
	}
	return fmt.Sprintf("%s:%d", status.Listening[0].Host, status.Listening[0].Port)
}

// ends waits for the process that was started, and returns its exit code.
func (r *realBroker) ends() int {
	r.t.Helper()
	kill := time.AfterFunc(30*time.Second, func() { _ = r.command.Process.Kill() })
	defer kill.Stop()
	err := r.command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.command.ProcessState.ExitCode()
}

func TestUpgrade(t *testing.T) {
	r := startReal(t, nil)
	at, before := r.address(), r.newest()
	stop, pinging := make(chan struct{}), sync.WaitGroup{}
	pings := 0
	pinging.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			out, errs, code := command(t, "ping", at)
			if code != exitDone {
				t.Errorf("ping: %d %s %s", code, out, errs)
				return
			}
			pings++
		}
	})
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
	close(stop)
	pinging.Wait()
	if pings == 0 {
		t.Error("nobody connected meanwhile")
	}
	if code := r.ends(); code != exitDone {
		t.Errorf("the old process ended with %d", code)
	}
	after := r.newest()
	if after.Number != 2 || after.PID == before.PID || after.State != console.GenerationServing || r.address() != at {
		t.Errorf("%+v at %s, before %+v at %s", after, r.address(), before, at)
	}
	says(t, []string{"--api", r.api, "generations"}, "serving", fmt.Sprint(after.PID))
	// The socket has survived the end of the process that made it, and a second upgrade goes as well.
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 3 serves")
	says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
}

func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	r := startReal(t, nil)
	before := r.newest()
	refused := func(want ...string) {
		t.Helper()
		out, errs, code := command(t, "--api", r.api, "upgrade")
		for _, text := range want {
			if code != exitNo || !strings.Contains(errs, text) {
				t.Errorf("%q is not in: %d %s %s", text, code, out, errs)
			}
		}
		if now := r.newest(); now.PID != before.PID || now.State != console.GenerationServing || now.Number != 1 {
			t.Errorf("%+v", now)
		}
	}
	good := configText(r.folder, "0", "")
	r.configure(strings.Replace(good, "(ACT=accept)", "(ACT=acept)", 1))
	refused(r.config+":3:", `ACT="acept"`, "goes on as it was")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r.configure(configText(r.folder, fmt.Sprint(taken.Addr().(*net.TCPAddr).Port), ""))
	refused("address already in use")
	r.configure(good)

	self, err := os.Readlink(r.program)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(make func() error) {
		t.Helper()
		if err := errors.Join(os.Remove(r.program), make()); err != nil {
			t.Fatal(err)
		}
	}
	replace(func() error { return nil })
	refused("cannot be started", "no such file")
	for content, want := range map[string]string{
		"#!/bin/sh\nexit 3\n": "exit status 3", "#!/bin/sh\nexit 0\n": "without a complaint", "#!/bin/sh\nprintf nonsense-nonsense-nonsense >&3\n": "is damaged: it begins with",
	} {
		if err := os.WriteFile(r.program, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		refused(want)
	}
	replace(func() error { return os.Symlink(self, r.program) })
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
	says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
}

func TestUpgradeBySignal(t *testing.T) {
	r := startReal(t, nil)
	if err := r.command.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if code := r.ends(); code != exitDone || r.newest().Number != 2 {
		t.Errorf("%d, %+v", code, r.newest())
	}
	if err := syscall.Kill(r.newest().PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// notes collects what a service manager would be told.
func notes(t *testing.T) (socket string, next func(want string) (told string)) {
	t.Helper()
	folder, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket = filepath.Join(folder, "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return socket, func(want string) string {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		for all := ""; ; {
			buffer := make([]byte, 4096)
			n, err := c.Read(buffer)
			if err != nil {
				t.Fatalf("%q was not told: %v; told was %q", want, err, all)
			}
			if all += string(buffer[:n]) + "\n"; strings.Contains(string(buffer[:n]), want) {
				return all
			}
		}
	}
}

func TestTheServiceManagerIsTold(t *testing.T) {
	socket, next := notes(t)
	r := startReal(t, []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=200000"})
	next("READY=1")
	next("WATCHDOG=1")
	if err := r.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	next("RELOADING=1\nMONOTONIC_USEC=")
	next("READY=1")
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
	next("MAINPID=" + fmt.Sprint(r.newest().PID))
	next("WATCHDOG=1")
	if err := syscall.Kill(r.newest().PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next("STOPPING=1")
}

// deadly kills the second generation once the log says something.
type deadly struct {
	text string
	pid  int
}

// read is told of each line.
func (d *deadly) read(line string) {
	if _, after, is := strings.Cut(line, `msg="upgrade: successor started" generation=2 pid=`); is {
		_, _ = fmt.Sscan(after, &d.pid)
	}
	if d.pid > 0 && strings.Contains(line, d.text) {
		_ = syscall.Kill(d.pid, syscall.SIGKILL)
		d.pid = 0
		d.text = "\x00" // once
	}
}

func TestASuccessorThatIsKilledIsNone(t *testing.T) {
	for _, said := range []string{"this generation serves", "upgrade: moved"} {
		t.Run(said, func(t *testing.T) {
			r := startReal(t, nil)
			at, before := r.address(), r.newest()
			r.mu.Lock()
			r.deadly = &deadly{text: said}
			r.mu.Unlock()
			_, errs, code := command(t, "--api", r.api, "upgrade")
			if code != exitNo || !strings.Contains(errs, "killed") || !strings.Contains(errs, "serves again") {
				t.Errorf("%d %s", code, errs)
			}
			if all := r.generations(); len(all) != 1 || all[0].PID != before.PID || all[0].State != console.GenerationServing {
				t.Errorf("%+v", all)
			}
			if out, errs, code := command(t, "ping", at); code != exitDone {
				t.Errorf("ping: %d %s %s", code, out, errs)
			}
			says(t, []string{"--api", r.api, "events"}, "upgrade_failed", "serves again")
			says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
			if code := r.ends(); code != exitDone {
				t.Errorf("the old process ended with %d", code)
			}
			says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
		})
	}
}
