package stage

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell starts a script that ends with the test.
func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start("sh", "/bin/sh", "-c", script)
	must(t, err)
	t.Cleanup(p.Kill)
	return p
}

func TestProcessLog(t *testing.T) {
	p := shell(t, "echo one; echo 'two 2' >&2; exec sleep 60")
	found, err := p.AwaitLine(soon(t), regexp.MustCompile(`(?m)^two (\d)$`))
	if err != nil || len(found) != 2 || found[1] != "2" {
		t.Errorf("found %q, %v", found, err)
	}
	if !p.Running() || p.State() != nil || p.PID() == 0 {
		t.Error("it is said to have ended")
	}
	if kb, err := p.ResidentKB(); err != nil || kb == 0 {
		t.Errorf("%d KiB, %v", kb, err)
	}
	if n, err := p.OpenFiles(); err != nil || n < 3 {
		t.Errorf("%d descriptors, %v", n, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.AwaitLine(ctx, regexp.MustCompile("three")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a line that never comes: %v", err)
	}
	p.Kill()
	if p.Running() || p.State().ExitCode() != -1 {
		t.Errorf("killed and %v", p.State())
	}
	if err := p.Signal(syscall.SIGTERM); err == nil {
		t.Error("a process that has ended took a signal")
	}
	if _, err := p.ResidentKB(); err == nil {
		t.Error("a process that has ended occupies memory")
	}
}

func TestProcessEnds(t *testing.T) {
	p := shell(t, "echo last words; exit 3")
	<-p.Exited()
	if p.State().ExitCode() != 3 {
		t.Errorf("ended with %v", p.State())
	}
	if _, err := p.AwaitLine(soon(t), regexp.MustCompile("last words")); err != nil {
		t.Error(err)
	}
	if _, err := p.AwaitLine(soon(t), regexp.MustCompile("more")); err == nil || !strings.Contains(err.Error(), "ended before it said more") {
		t.Errorf("a line of a process that has ended: %v", err)
	}
	if _, err := Start("nothing", filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestTrouble(t *testing.T) {
	for text, want := range map[string]string{
		"all is well":                             "",
		"a client said panic: no":                 "",
		"panic: index out of range":               "panic: index out of range",
		"WARNING: DATA RACE":                      "WARNING: DATA RACE",
		"fatal error: all goroutines are asleep!": "fatal error: all goroutines are asleep!",
	} {
		p := shell(t, "echo begin; echo '"+text+"'; echo end")
		<-p.Exited()
		if got := p.Trouble(); got != want {
			t.Errorf("%q: trouble is %q", text, got)
		}
	}
}

func TestEventually(t *testing.T) {
	tries := 0
	must(t, Eventually(soon(t), func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	}))
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("no time"))
	defer cancel()
	if err := Eventually(ctx, func() error { return errors.New("never") }); err == nil || err.Error() != "no time: never" {
		t.Errorf("it ends with %v", err)
	}
	if err := Pause(ctx, time.Hour); err == nil || err.Error() != "no time" {
		t.Errorf("a pause ends with %v", err)
	}
	must(t, Pause(t.Context(), time.Millisecond))
}

func TestConfiguration(t *testing.T) {
	text := string(BrokerOptions{Listen: "0.0.0.0:1521", Parameters: []string{"ROUTE=redirect", "PROBE_INTERVAL=1"}}.CMANOra("/state"))
	for _, want := range []string{"(HOST=0.0.0.0)(PORT=1521)", "(ROUTE=redirect)", "(PROBE_INTERVAL=1)", "(STATE_DIRECTORY=/state)", "(CONSOLE_ADDRESS=127.0.0.1:0)", "(RULE=(SRC=*)"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s: %s", want, text)
		}
	}
	if opened, closed := strings.Count(text, "("), strings.Count(text, ")"); opened != closed {
		t.Errorf("%d parentheses are opened and %d closed: %s", opened, closed, text)
	}
}

// A network of its own can be reached, falls silent and comes back, and nothing is left of it.
func TestNetwork(t *testing.T) {
	var networks Networks
	n, err := networks.New()
	if errors.Is(err, ErrNoNetwork) {
		t.Skip(err)
	}
	must(t, err)
	defer func() {
		must(t, n.Close())
		if _, err := os.Stat("/run/netns/" + n.Namespace); err == nil {
			t.Error("the namespace is still there")
		}
	}()
	other, err := networks.New()
	must(t, err)
	defer func() { must(t, other.Close()) }()
	if other.Here == n.Here || other.Namespace == n.Namespace {
		t.Errorf("two networks are the same: %+v", other)
	}
	address, err := n.freeAddress(n.There)
	must(t, err)
	host, _, _ := strings.Cut(address, ":")
	if host != n.There {
		t.Errorf("a free address there is %s", address)
	}
	program, arguments := n.command("sleep", []string{"60"})
	p, err := Start("sleep", program, arguments...)
	must(t, err)
	defer p.Kill()
	dial := func(within time.Duration) error { return reach(n.There, within) }
	must(t, dial(10*time.Second))
	must(t, n.Drop())
	if err := dial(300 * time.Millisecond); err == nil {
		t.Error("packets go through that are dropped")
	}
	must(t, n.Pass())
	must(t, dial(10*time.Second))
}

// reach tells whether a host answers, if only by refusing: nobody listens there.
func reach(host string, within time.Duration) error {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(host, "9"), within)
	if err == nil {
		return c.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

// Those who took over are found by the argument that they got, in the order in which they came, as long as they live.
func TestLineage(t *testing.T) {
	mark := Lineage(filepath.Join(t.TempDir(), "cman.ora"))
	if all, err := mark.Alive(); err != nil || len(all) != 0 {
		t.Errorf("nobody was started, and %v are alive: %v", all, err)
	}
	if _, err := mark.Newest(); err == nil {
		t.Error("there is a newest of none")
	}
	first, err := Start("first", "/bin/sh", "-c", `sh -c 'echo two; while :; do read x; done' second "$1" </dev/zero & echo one; wait; echo over`, "sh", string(mark))
	must(t, err)
	t.Cleanup(mark.Kill)
	for _, line := range []string{"one", "two"} {
		_, err := first.AwaitLine(soon(t), regexp.MustCompile(line))
		must(t, err)
	}
	all, err := mark.Alive()
	if err != nil || len(all) != 2 || all[0] != first.PID() {
		t.Fatalf("%v, %v", all, err)
	}
	if newest, err := mark.Newest(); err != nil || newest != all[1] {
		t.Errorf("the newest is %d, %v", newest, err)
	}
	must(t, first.Signal(syscall.SIGKILL))
	must(t, Eventually(soon(t), func() error {
		if left, err := mark.Alive(); err != nil || len(left) != 1 || left[0] != all[1] {
			return errors.New("the first is still there")
		}
		return nil
	}))
	mark.Kill()
	if left, err := mark.Alive(); err != nil || len(left) != 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	<-first.Exited()
}
