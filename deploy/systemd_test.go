package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const units = "systemd"

// machine is the root of a machine on which the units are installed.
func machine(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	const folder = "/usr/lib/systemd/system"
	must(t, os.CopyFS(root+folder, os.DirFS("/lib/systemd/system")))
	must(t, os.Symlink("usr/lib", root+"/lib"))
	for _, name := range []string{"servicebroker.service", "servicebroker@.service", "servicebroker.socket"} {
		place(t, filepath.Join(units, name), root+folder+"/"+name, 0o644)
	}
	for _, program := range []string{"/usr/bin/broker", "/usr/bin/systemctl", "/usr/bin/true"} {
		must(t, os.MkdirAll(filepath.Dir(root+program), 0o755))
		must(t, os.WriteFile(root+program, []byte("#!/bin/sh\n"), 0o755))
	}
	return root
}

// systemd itself finds nothing wrong with the units.
func TestUnitsAreVerified(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "run scripts/testdeps as root, or apt-get install systemd")
	root := machine(t)
	said := output(t, analyze, "verify", "--man=no", "--recursive-errors=no", "--root="+root,
		"servicebroker.service", "servicebroker@CMAN1.service", "servicebroker.socket")
	if strings.Contains(said, "servicebroker") {
		t.Errorf("systemd-analyze verify says:\n%s", said)
	}
	broken := root + "/usr/lib/systemd/system/servicebroker.service"
	text, err := os.ReadFile(broken)
	must(t, err)
	must(t, os.WriteFile(broken, []byte(strings.Replace(string(text), "NoNewPrivileges=yes", "NoNewPrivilege=yes", 1)), 0o644))
	if said, err := run(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", "--root="+root, "servicebroker.service"); err == nil {
		t.Errorf("a misspelt line is not found: %q", said)
	}
}

// What the service could do to the machine is little. systemd's own measure goes from 0, nothing, to 10.
func TestUnitsAreHardened(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "run scripts/testdeps as root, or apt-get install systemd")
	root := machine(t)
	for _, unit := range []string{"servicebroker.service", "servicebroker@CMAN1.service"} {
		said := output(t, analyze, "security", "--offline=true", "--no-pager", "--root="+root, "--threshold=25", unit)
		found := regexp.MustCompile(`Overall exposure level for \S+: ([\d.]+)`).FindStringSubmatch(said)
		if found == nil {
			t.Fatalf("no measure in\n%s", said)
		}
		if level, err := strconv.ParseFloat(found[1], 64); err != nil || level > 2.5 {
			t.Errorf("%s: exposure %s, want at most 2.5\n%s", unit, found[1], said)
		}
		t.Logf("%s: exposure %s of 10", unit, found[1])
	}
}

// settings are the lines of a unit, without what differs between one instance and several.
func settings(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units, name))
	must(t, err)
	var all []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, _, _ := strings.Cut(line, "=")
		if line != "" && !strings.HasPrefix(line, "#") && !slices.Contains([]string{"Description", "ExecStart", "ExecReload", "StateDirectory", "LogsDirectory"}, key) {
			all = append(all, line)
		}
	}
	return all
}

// The unit for several instances is the unit for one, but for its names.
func TestUnitsAreAlike(t *testing.T) {
	one, several := settings(t, "servicebroker.service"), settings(t, "servicebroker@.service")
	if !slices.Equal(one, several) {
		t.Errorf("the units differ:\n%s\n\n%s", strings.Join(one, "\n"), strings.Join(several, "\n"))
	}
}

// systemd gives the broker longer to end than the broker takes by its own defaults.
func TestUnitsWaitForDrains(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	must(t, err)
	defaults := 0
	for _, parameter := range []string{"SHUTDOWN_GRACE", "DRAIN_TIMEOUT"} {
		row := regexp.MustCompile("(?m)^\\| `?" + parameter + "`? \\| *(\\d+)").FindStringSubmatch(string(text))
		if row == nil {
			t.Fatalf("docs/configuration.md has no default of %s", parameter)
		}
		n, err := strconv.Atoi(row[1])
		must(t, err)
		defaults += n
	}
	unit, err := os.ReadFile(filepath.Join(units, "servicebroker.service"))
	must(t, err)
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(string(unit))
	if stop == nil {
		t.Fatal("the unit has no TimeoutStopSec in seconds")
	}
	if given, err := strconv.Atoi(stop[1]); err != nil || given <= defaults {
		t.Errorf("TimeoutStopSec=%s, but a stop takes up to %d s by default", stop[1], defaults)
	}
}

// The user that units and packages name is made as they name it.
func TestUserIsMade(t *testing.T) {
	sysusers := tool(t, "systemd-sysusers", "run scripts/testdeps as root, or apt-get install systemd")
	asRoot(t, "making a user in another root")
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/etc", 0o755))
	file, err := filepath.Abs(filepath.Join(units, "servicebroker.sysusers"))
	must(t, err)
	output(t, sysusers, "--root="+root, "--replace=/usr/lib/sysusers.d/servicebroker.conf", file)
	passwd, err := os.ReadFile(root + "/etc/passwd")
	must(t, err)
	if !regexp.MustCompile(`(?m)^servicebroker:x:\d+:\d+:[^:]*:/var/lib/servicebroker:/usr/sbin/nologin$`).Match(passwd) {
		t.Errorf("users are\n%s", passwd)
	}
}
