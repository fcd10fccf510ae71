package failover

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// bugEnv names the switch that is on in a test binary with switches.
const bugEnv = "HOLD_BUG"

// foundByMachine is how TestHoldMachine says that the Holder differs from the model. Flaky is what depends on which
// goroutine runs first.
var foundByMachine = regexp.MustCompile(`\[rapid\] (failed after|flaky test).*|Original traceback .*`)

// edit replaces a piece of a source file that occurs in it once.
type edit struct{ file, old, new string }

// bugSwitches put known bugs of such queues back into the code. They exist in a test binary built for this purpose only.
var bugSwitches = []struct {
	name  string
	edits []edit
}{
	{"none", nil},
	{"lost wake-up: looks first, then asks for changes", []edit{
		{"hold_run.go", "if change == nil && changed != nil {", `if holdBug("lost wake-up: looks first, then asks for changes") {
			h.pass()
		}
		if change == nil && changed != nil {`},
		{"hold_run.go", "timer.Reset(h.pass())", `if holdBug("lost wake-up: looks first, then asks for changes") {
			timer.Reset(h.idleLocked())
		} else {
			timer.Reset(h.pass())
		}`},
	}},
	{"lost wake-up: newcomer not looked at", []edit{
		{"hold_place.go", "if p.line.head() == p ||", `if !holdBug("lost wake-up: newcomer not looked at") && p.line.head() == p ||`},
	}},
	{"lost wake-up: client exit keeps the next one waiting", []edit{
		{"hold_place.go", "if p.state == Go || next == p {", `if (p.state == Go || next == p) && !holdBug("lost wake-up: client exit keeps the next one waiting") {`},
	}},
	{"double release: expired but still in line", []edit{
		{"hold_run.go", "\t\th.take(p)\n\t\th.end(p, Expired)", `if holdBug("double release: expired but still in line") {
			h.deadlines.remove(p)
		} else {
			h.take(p)
		}
		h.end(p, Expired)`},
	}},
	{"double release: let go and expired", []edit{
		{"hold_run.go", "\th.take(p)\n\tl.fit = false", `if holdBug("double release: let go and expired") {
			p.line.waiting.remove(p)
		} else {
			h.take(p)
		}
		l.fit = false`},
	}},
	{"leak: client exit keeps its place in line", []edit{
		{"hold_place.go", "l.waiting.remove(p)", `if !holdBug("leak: client exit keeps its place in line") {
		l.waiting.remove(p)
	}`},
	}},
	{"leak: client exit is not counted out", []edit{
		{"hold_place.go", "h.count(p, -1)", `if !holdBug("leak: client exit is not counted out") {
		h.count(p, -1)
	}`},
	}},
	{"overtaking: back at the end of the line", []edit{
		{"hold_place.go", "p.line.failedBy(p, vainTry{now, p.retry, h.changes})", `p.line.failedBy(p, vainTry{now, p.retry, h.changes})
	if holdBug("overtaking: back at the end of the line") {
		h.arrivals++
		p.arrival = h.arrivals
	}`},
	}},
	{"overtaking: newcomers need not enter", []edit{
		{"hold.go", "l.waiting.len() > 0 ||", `l.waiting.len() > 0 && !holdBug("overtaking: newcomers need not enter") ||`},
	}},
	{"stampede: no scout", []edit{
		{"hold_line.go", "l.trying.len() >= l.window", `l.trying.len() >= l.window && !holdBug("stampede: no scout")`},
	}},
	{"stampede: no rate", []edit{
		{"hold_run.go", "h.bucket.left--", `if !holdBug("stampede: no rate") {
				h.bucket.left--
			}`},
	}},
	{"new deadline after a try in vain", []edit{
		{"hold_place.go", "p.line.failedBy(p, vainTry{now, p.retry, h.changes})", `p.line.failedBy(p, vainTry{now, p.retry, h.changes})
	if holdBug("new deadline after a try in vain") {
		p.until = now + h.settings.timeout()
	}`},
	}},
}

// switchesSource is the further file of the test binary with switches.
const switchesSource = `package failover

import (
	"os"
	"time"
)

func holdBug(name string) bool { return os.Getenv("` + bugEnv + `") == name }

func (h *Holder) idleLocked() time.Duration {
	h.lock()
	defer h.unlock()
	return h.idle()
}
`

// sourcesWithSwitches returns the files of this package that have switches, by name.
func sourcesWithSwitches(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{"hold_switches.go": switchesSource}
	for _, s := range bugSwitches {
		for _, e := range s.edits {
			if sources[e.file] == "" {
				text, err := os.ReadFile(e.file)
				if err != nil {
					t.Fatal(err)
				}
				sources[e.file] = string(text)
			}
			// Counted in what other switches have changed already: an edit keeps what it replaces findable.
			if n := strings.Count(sources[e.file], e.old); n != 1 {
				t.Fatalf("switch %q: %s has %d times %q, want once: fit the switch to the code", s.name, e.file, n, e.old)
			}
			sources[e.file] = strings.Replace(sources[e.file], e.old, e.new, 1)
		}
	}
	return sources
}

// buildWithSwitches builds this package's tests with all the switches in its code, and returns the binary.
func buildWithSwitches(t *testing.T) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command to build the tests with switches: ", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	must(err)
	dir := t.TempDir()
	replace := map[string]string{}
	for file, text := range sourcesWithSwitches(t) {
		copied := filepath.Join(dir, file)
		must(os.WriteFile(copied, []byte(text), 0o600))
		replace[filepath.Join(here, file)] = copied
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	must(err)
	file, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "switches.test")
	must(os.WriteFile(file, overlay, 0o600))
	if out, err := exec.CommandContext(t.Context(), goTool, "test", "-c", "-overlay", file, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build with switches: %v\n%s", err, out)
	}
	return binary
}

// Each known bug, put back, makes TestHoldMachine fail; without any of them it does not.
func TestHoldMachineFindsKnownBugs(t *testing.T) {
	binary := buildWithSwitches(t)
	for _, s := range bugSwitches {
		t.Run(s.name, func(t *testing.T) {
			run := exec.CommandContext(t.Context(), binary, "-test.run=^TestHoldMachine$", "-test.timeout=60s",
				"-rapid.checks=2000", "-rapid.nofailfile", "-rapid.shrinktime=0s")
			run.Env = append(os.Environ(), bugEnv+"="+s.name)
			out, err := run.CombinedOutput()
			found := foundByMachine.FindString(string(out))
			switch {
			case s.edits == nil && err != nil:
				t.Errorf("fails without a bug: %v\n%s", err, out)
			case s.edits != nil && (err == nil || found == ""):
				t.Errorf("not found: %v\n%s", err, out)
			}
			t.Log(found)
		})
	}
}
