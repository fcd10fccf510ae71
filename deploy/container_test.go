package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// anybody is a user that no image knows, as OpenShift gives each namespace one.
const anybody = "1234567"

// environment is that of the image.
var environment = []string{"PATH=/usr/local/bin:/ko-app", "HOME=/var/lib/servicebroker", "TNS_ADMIN=/etc/servicebroker", "STATE_DIRECTORY=/var/lib/servicebroker"}

// contain is what a container engine does, as far as it matters: mounts and processes of its own, the root read-only,
// state in memory, no privileges, and the program as process 1.
const contain = `
set -e
mount --bind "$1" "$1"
mkdir -p "$1/proc" "$1/dev"
touch "$1/dev/null"
mount --bind /dev/null "$1/dev/null"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=1777 tmpfs "$1/var/lib/servicebroker"
mount -o remount,bind,ro "$1"
exec setpriv --no-new-privs chroot --userspec="$2:$2" "$1" /ko-app/broker serve
`

// container is a running image.
type container struct {
	*stage.Process
	pid     int // of the program, as seen from here
	address string
}

var serving = regexp.MustCompile(`msg="broker started".* addresses="?\[(\S+?:\d+)`)

// startContainer runs an image whose files are in a folder by a cman.ora.
func startContainer(t *testing.T, root, cman string) *container {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(root, "etc/servicebroker/cman.ora"), []byte(cman), 0o644))
	arguments := append([]string{"-i"}, environment...)
	arguments = append(arguments, "PATH="+os.Getenv("PATH"), "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
		"sh", "-c", strings.Replace(contain, "exec setpriv", "export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\nexec setpriv", 1), "contain", root, anybody)
	process, err := stage.Start("container", "env", arguments...)
	must(t, err)
	t.Cleanup(process.Kill)
	c := &container{Process: process}
	said, err := process.AwaitLine(patiently(t), serving)
	if err != nil {
		log, _ := process.Log.Read()
		t.Fatalf("%v\n%s", err, log)
	}
	c.address = said[1]
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", process.PID(), process.PID()))
	must(t, err)
	c.pid, err = strconv.Atoi(strings.TrimSpace(string(children)))
	must(t, err)
	return c
}

func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("it took too long"))
	t.Cleanup(cancel)
	return ctx
}

// exec runs a command in the container, as kubectl exec does: no shell, the image's environment and user.
func (c *container) exec(t *testing.T, words ...string) (string, error) {
	t.Helper()
	arguments := append([]string{"--target", strconv.Itoa(c.pid), "--mount", "--pid", "--ipc", "--uts", "--root", "--wd=/",
		"--setuid", anybody, "--setgid", anybody}, words...)
	enter, err := exec.LookPath("nsenter")
	must(t, err)
	command := exec.CommandContext(patiently(t), enter, arguments...)
	command.Env = environment
	said, err := command.CombinedOutput()
	return string(said), err
}

const containedFile = `# by Connection Manager's rules
CMAN_POD = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))
  (RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))
  (PARAMETER_LIST=(CONSOLE_ADDRESS=off)(METRICS_ADDRESS=127.0.0.1:0)(SHUTDOWN_GRACE=1)(DRAIN_TIMEOUT=5)(REGISTRATION_INVITED_NODES=*)))
`

// A database registers with the contained broker, a driver connects through it, the tools answer in it, and SIGTERM to
// process 1 ends it in order.
func testContainer(t *testing.T, machines map[string]string) {
	asRoot(t, "running an image without an engine")
	for _, name := range []string{"unshare", "nsenter", "setpriv"} {
		tool(t, name, "install util-linux")
	}
	root := machines[runtime.GOARCH]
	if root == "" {
		t.Skipf("no image is made for %s machines", runtime.GOARCH)
	}
	c := startContainer(t, root, containedFile)
	testdb := built(t, "..", "./testenv/testdb")
	d, err := stage.StartDatabase(patiently(t), stage.DatabaseOptions{Program: testdb, Instance: "sales1", Services: []string{"sales"}, Brokers: []string{c.address}})
	must(t, err)
	t.Cleanup(d.Kill)
	c.awaitSales(t)
	steps := []drivers.Step{
		{Do: drivers.Connect, User: stage.User, Password: stage.Password, Target: c.address + "/sales"},
		{Do: drivers.Query, SQL: "select 6*7 from dual"},
		{Do: drivers.Close},
	}
	results, err := drivers.GoOra{}.Run(patiently(t), steps, nil)
	must(t, err)
	for i, r := range results {
		if r.Error != "" {
			t.Errorf("step %d: %s", i, r.Error)
		}
	}
	for _, words := range [][]string{{"lsnrctl", "status", c.address}, {"tnsping", c.address}, {"broker", "status"}, {"broker", "drain", "--service", "sales", "--timeout", "1h"}, {"broker", "resume", "--service", "sales"}} {
		if said, err := c.exec(t, words...); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(words, " "), err, said)
		}
	}
	c.judgeProcess(t)
	c.upgrade(t, d)
	if err := syscall.Kill(c.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.Exited()
	log, _ := c.Log.Read()
	if code := c.State().ExitCode(); code != 0 || c.Trouble() != "" {
		t.Errorf("it ended with code %d: %s\n%s", code, c.Trouble(), log)
	}
}

// upgrade puts a successor below process 1, which has all that there was: the database goes on by the connection that it has, and
// clients that come meanwhile are served.
func (c *container) upgrade(t *testing.T, d *stage.Database) {
	t.Helper()
	connect := []drivers.Step{{Do: drivers.Connect, User: stage.User, Password: stage.Password, Target: c.address + "/sales"}, {Do: drivers.Close}}
	done, served := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for over := false; !over; n++ {
			select {
			case <-done:
				over = true // and once more, afterwards
			default:
			}
			results, err := drivers.GoOra{}.Run(patiently(t), connect, nil)
			if err != nil || results[0].Error != "" {
				t.Errorf("a client that comes while the broker is upgraded: %v %+v", err, results)
				break
			}
		}
		served <- n
	}()
	said, err := c.exec(t, "broker", "upgrade")
	if err != nil {
		t.Errorf("broker upgrade: %v\n%s", err, said)
	}
	if said, err = c.exec(t, "cmctl", "show", "services"); err != nil || !strings.Contains(said, `Instance "sales1", status READY`) {
		t.Errorf("after the upgrade: %v\n%s", err, said)
	}
	close(done)
	t.Logf("%d clients were served", <-served)
	var state struct {
		Connections map[string]int `json:"broker_connections"`
	}
	if must(t, d.State(&state)); state.Connections[c.address] != 1 {
		t.Errorf("the database has connected to %v", state.Connections)
	}
}

// awaitSales waits until the database is registered, as Connection Manager's tool tells it.
func (c *container) awaitSales(t *testing.T) {
	t.Helper()
	must(t, stage.Eventually(patiently(t), func() error {
		said, err := c.exec(t, "cmctl", "show", "services")
		if err == nil && !strings.Contains(said, `Instance "sales1", status READY`) {
			err = errors.New("sales1 is not registered")
		}
		if err != nil {
			err = fmt.Errorf("%w: cmctl show services says\n%s", err, said)
		}
		return err
	}))
}

// judgeProcess looks at what the kernel lets the program do.
func (c *container) judgeProcess(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
	must(t, err)
	for _, want := range []string{`(?m)^Uid:\s+` + anybody + `\s`, `(?m)^CapEff:\s+0+$`, `(?m)^NoNewPrivs:\s+1$`, `(?m)^NSpid:.*\s1$`} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", c.pid))
	must(t, err)
	if !regexp.MustCompile(`(?m)^\S+ / \S+ ro`).Match(mounts) {
		t.Errorf("the root is not read-only:\n%s", mounts)
	}
	if command, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.pid)); err != nil || filepath.Base(command) != "broker" {
		t.Errorf("process 1 is %s: %v", command, err)
	}
}
