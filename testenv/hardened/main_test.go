// Package hardened is nothing but tests: what the real program gives up of its rights, what it keeps to itself, and what it asks of
// the system.
package hardened

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/testenv/stage"
)

// patience is how long anything may take that is not itself measured.
const patience = 30 * time.Second

// bin has the programs under test as they are handed out: without cgo.
var bin string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if list := os.Getenv(filterVariable); list != "" {
		_ = os.Unsetenv(filterVariable)
		fmt.Fprintln(os.Stderr, confined(list))
		return 1
	}
	var err error
	if bin, err = os.MkdirTemp("", "hardened-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/broker", "./testenv/testdb")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "broker and testdb cannot be built: %v\n%s", err, said)
		return 1
	}
	if err := os.Chmod(bin, 0o755); err != nil { // for other users, too
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// instance is a broker with a folder of its own, in which anybody may read but for what is said.
type instance struct {
	*stage.Process
	t      *testing.T
	folder string
	host   string // an address of this host that no other test has
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	folder, err := os.MkdirTemp("", "hardened-") // short, for the admin socket's sake
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755))
	return &instance{t: t, folder: folder, host: fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))}
}

func (i *instance) path(name string) string { return filepath.Join(i.folder, name) }

// write writes a file of the instance, which anybody may read.
func (i *instance) write(name, text string) string {
	i.t.Helper()
	must(i.t, os.WriteFile(i.path(name), []byte(text), 0o644))
	return i.path(name)
}

// configure writes its cman.ora.
func (i *instance) configure(addresses []string, parameters ...string) {
	i.t.Helper()
	var all strings.Builder
	for _, a := range addresses {
		protocol, port, _ := strings.Cut(a, " ")
		fmt.Fprintf(&all, "  (ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%s))\n", protocol, i.host, port)
	}
	i.write("cman.ora", fmt.Sprintf("CMAN = (CONFIGURATION=\n%s  (RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))\n"+
		"  (PARAMETER_LIST=(STATE_DIRECTORY=%s)(CONSOLE_ADDRESS=%s:0)(SHUTDOWN_GRACE=0)(DRAIN_TIMEOUT=5)%s))\n",
		all.String(), i.path("state"), i.host, strings.Join(parameters, "")))
}

// start starts it, by way of another program if there is one before, and waits for a line of its log.
func (i *instance) start(line string, before ...string) []string {
	i.t.Helper()
	command := append(before, filepath.Join(bin, "broker"), "serve", "-v", "-c", i.path("cman.ora"))
	process, err := stage.Start("broker", command[0], command[1:]...)
	must(i.t, err)
	i.Process = process
	i.t.Cleanup(func() {
		stage.Lineage(i.path("cman.ora")).Kill()
		i.Kill()
		if i.t.Failed() {
			i.t.Log(i.said())
		}
	})
	return i.awaits(line)
}

// awaits waits for a line of its log.
func (i *instance) awaits(line string) []string {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	found, err := i.AwaitLine(ctx, regexp.MustCompile(line))
	must(i.t, err)
	return found
}

func (i *instance) said() string {
	text, _ := i.Log.Read()
	return string(text)
}

// admin runs a command of the program against its admin socket.
func (i *instance) admin(arguments ...string) (said string, ok bool) {
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "broker"), append([]string{"--api", "unix:" + i.path("state/admin.sock")}, arguments...)...).CombinedOutput()
	return string(out), err == nil
}

// does is admin of what has to succeed.
func (i *instance) does(arguments ...string) string {
	i.t.Helper()
	said, ok := i.admin(arguments...)
	if !ok {
		i.t.Fatalf("%q: %s", arguments, said)
	}
	return said
}

// newest is the process that serves.
func (i *instance) newest() int {
	i.t.Helper()
	client := &console.Client{API: "unix:" + i.path("state/admin.sock")}
	list, err := client.Generations(i.t.Context())
	must(i.t, err)
	return list.Generations[len(list.Generations)-1].PID
}

// asRoot skips the test for others than root.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("who is not root has nothing to give up: run the tests as root")
	}
}

// owner is whose a file is, and its mode.
func owner(t *testing.T, path string) (uid int, mode os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return int(info.Sys().(*syscall.Stat_t).Uid), info.Mode().Perm()
}
