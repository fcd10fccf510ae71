package hardened

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// nobodys are numbers of a user and a group that no system has names for.
const nobodys = 64321

// runAs has the broker give up root.
var runAs = fmt.Sprintf("(RUN_AS_USER=%d)(RUN_AS_GROUP=%[1]d)", nobodys)

// noRights is what every thread of a process shows once it has given up everything.
func noRights() map[string]string {
	four := strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d\t", nobodys), 4))
	none := strings.Repeat("0", 16)
	return map[string]string{
		"Uid": four, "Gid": four, "Groups": fmt.Sprint(nobodys), "NoNewPrivs": "1",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
	}
}

// judgeThreads compares what the kernel says of each thread.
func judgeThreads(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	must(t, err)
	if len(threads) == 0 {
		t.Fatalf("process %d is not there", pid)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if os.IsNotExist(err) { // it has ended meanwhile
			continue
		}
		must(t, err)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			if wanted, known := want[name]; known && strings.TrimSpace(value) != wanted {
				t.Errorf("%s: %s is %q, want %q", thread, name, strings.TrimSpace(value), wanted)
			}
		}
	}
}

// judgeMemory tells whether others than root may look into the memory of a process, or get an image of it.
func judgeMemory(t *testing.T, pid int, private bool) {
	t.Helper()
	if uid, _ := owner(t, fmt.Sprintf("/proc/%d/mem", pid)); (uid == 0) != private {
		t.Errorf("the memory of process %d belongs to user %d", pid, uid)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	must(t, err)
	if none := regexp.MustCompile(`(?m)^Max core file size +0 `).Match(limits); none != private {
		t.Errorf("limits of process %d:\n%s", pid, limits)
	}
}

// ask asks the zone a question.
func ask(t *testing.T, at string) {
	t.Helper()
	client := &dns.Client{Timeout: patience}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion("db.example.com.", dns.TypeSOA), at)
	if err != nil || len(answer.Answer) != 1 {
		t.Errorf("the zone at %s: %v %v", at, answer, err)
	}
}

// A broker that root starts binds its ports, and is nobody in particular from then on, for good, its successors included; all that
// it does later it does as that user.
func TestRootIsGivenUp(t *testing.T) {
	asRoot(t)
	i := newInstance(t)
	for _, own := range []string{"state", "logs"} {
		must(t, os.Mkdir(i.path(own), 0o700))
		must(t, os.Chown(i.path(own), nobodys, nobodys))
	}
	rest := []string{runAs, "(DNS_ADDRESS=" + i.host + ":53)(DNS_ZONE=db.example.com)(LOG_DIRECTORY=" + i.path("logs") + ")"}
	i.configure([]string{"tcp 521"}, rest...)
	i.start(`msg="broker started"`)
	for generation := range 2 {
		pid := i.newest()
		judgeThreads(t, pid, noRights())
		judgeMemory(t, pid, true)
		i.does("ping", i.host+":521")
		ask(t, i.host+":53")
		if said := i.does("reload"); !strings.Contains(said, "Reloaded") {
			t.Error(said)
		}
		if generation == 0 {
			i.does("upgrade")
		}
	}
	for _, file := range []string{"state/admin.sock", "state/lock", "state/table.db", "logs/listener.log"} {
		if uid, mode := owner(t, i.path(file)); uid != nobodys || mode&0o007 != 0 {
			t.Errorf("%s belongs to %d and has the mode %v", file, uid, mode)
		}
	}
	i.configure([]string{"tcp 521", "tcp 522"}, rest...)
	if said, ok := i.admin("upgrade"); ok || !strings.Contains(said, "RUN_AS_LOW_PORTS") {
		t.Errorf("a port that only root may bind: %s", said)
	}
	i.does("ping", i.host+":521")
	must(t, os.Chmod(i.path("cman.ora"), 0o600))
	if said, ok := i.admin("reload"); ok || !strings.Contains(said, "permission denied") {
		t.Errorf("a configuration that only root may read: %s", said)
	}
}

// The one right that can be kept is kept by successors, too, and is the only one.
func TestLowPortsAreKept(t *testing.T) {
	asRoot(t)
	i := newInstance(t)
	must(t, os.Mkdir(i.path("state"), 0o700))
	must(t, os.Chown(i.path("state"), nobodys, nobodys))
	rest := []string{runAs, "(RUN_AS_LOW_PORTS=on)(CORE_DUMPS=on)"}
	i.configure([]string{"tcp 521"}, rest...)
	i.start(`msg="broker started"`)
	i.configure([]string{"tcp 521", "tcp 522"}, rest...)
	i.does("upgrade")
	i.does("ping", i.host+":522")
	want := noRights()
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		want[set] = "0000000000000400" // CAP_NET_BIND_SERVICE
	}
	judgeThreads(t, i.newest(), want)
	judgeMemory(t, i.newest(), false)
}

// What the user may not do is told before anybody is served, with what to do.
func TestWhatTheUserMayNot(t *testing.T) {
	asRoot(t)
	for name, c := range map[string]struct {
		parameters []string
		file       string // of root alone
		want       string
	}{
		"credentials": {[]string{runAs, "(PEER_CREDENTIALS=$/secret)"}, "secret", `secret: permission denied.*RUN_AS_USER`},
		"certificate": {[]string{runAs, "(TLS_CERTIFICATE=$/secret)(TLS_KEY=$/secret)"}, "secret", `secret: permission denied.*RUN_AS_USER`},
		"state":       {[]string{runAs}, "state/lock", `state folder: .*permission denied.*RUN_AS_USER`},
		"own file":    {[]string{runAs, "(TABLE_MEMORY=0)"}, "cman.ora", `read as root and cannot be read any more: reloads and upgrades will fail`},
		"no user":     {[]string{"(RUN_AS_USER=nosuchuser)"}, "", `this host has no user "nosuchuser"`},
		"no group":    {[]string{"(RUN_AS_USER=64321)"}, "", `name one in RUN_AS_GROUP`},
		"group alone": {[]string{"(RUN_AS_GROUP=64321)"}, "", `RUN_AS_GROUP goes with RUN_AS_USER`},
		"root":        {[]string{"(RUN_AS_USER=root)"}, "", `RUN_AS_USER is root`},
		"none":        {nil, "", `it runs as root: name a user`},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t)
			must(t, os.Mkdir(i.path("state"), 0o700))
			if c.file != "state/lock" {
				must(t, os.Chown(i.path("state"), nobodys, nobodys))
			}
			addresses := []string{"tcp 0"}
			if name == "certificate" {
				addresses = []string{"tcps 0"}
			}
			for at := range c.parameters {
				c.parameters[at] = strings.ReplaceAll(c.parameters[at], "$", i.folder)
			}
			i.configure(addresses, c.parameters...)
			if c.file != "" {
				if c.file != "cman.ora" {
					i.write(c.file, "name:password\n")
				}
				must(t, os.Chmod(i.path(c.file), 0o600))
			}
			i.start(c.want)
		})
	}
}

// Others than root lose nothing by the setting, and are told that it has no effect.
func TestUserWithoutRoot(t *testing.T) {
	asRoot(t) // to become another user first
	i := newInstance(t)
	must(t, os.Mkdir(i.path("state"), 0o700))
	must(t, os.Chown(i.path("state"), 64322, 64322))
	i.configure([]string{"tcp 0"}, runAs)
	i.start(`RUN_AS_USER=64321 has no effect: the process was not started by root, and goes on as user 64322`, "setpriv", "--reuid=64322", "--regid=64322", "--clear-groups")
	i.awaits(`msg="broker started"`)
	judgeThreads(t, i.newest(), map[string]string{"NoNewPrivs": "1"})
	judgeMemory(t, i.newest(), true)
}

// What the program says of itself is what docs/dependencies.md says of it.
func TestModulesAreListed(t *testing.T) {
	of, err := buildinfo.ReadFile(filepath.Join(bin, "broker"))
	must(t, err)
	page, err := os.ReadFile("../../docs/dependencies.md")
	must(t, err)
	listed := regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (\\S+) \\|").FindAllStringSubmatch(string(page), -1)
	if len(listed) != len(of.Deps) {
		t.Errorf("%d modules are listed, and %d are in it", len(listed), len(of.Deps))
	}
	for i, m := range of.Deps {
		if i < len(listed) && (listed[i][1] != m.Path || listed[i][2] != m.Version) {
			t.Errorf("%s %s is listed where %s %s is in it", listed[i][1], listed[i][2], m.Path, m.Version)
		}
	}
}
