package drivers

import (
	"cmp"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tool is the broker by the name of another program.
type tool struct {
	t           *testing.T
	folder      string
	environment []string
}

func (b *broker) tools(t *testing.T) tool {
	t.Helper()
	folder := t.TempDir()
	program, err := filepath.Abs(programs.broker)
	must(t, err)
	for _, name := range []string{"cmctl", "lsnrctl", "tnsping"} {
		must(t, os.Symlink(program, filepath.Join(folder, name)))
	}
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BROKER_API=") })
	return tool{t, folder, append(environment, "TNS_ADMIN="+filepath.Dir(b.ConfigFile()), "GORACE=atexit_sleep_ms=0")}
}

// run gives the lines that a tool prints, and its exit code. Errors are printed there too.
func (x tool) run(input, name string, arguments ...string) (lines []string, code int) {
	x.t.Helper()
	c := exec.CommandContext(x.t.Context(), filepath.Join(x.folder, name), arguments...)
	c.Env, c.Stdin = x.environment, strings.NewReader(input)
	var complaints strings.Builder
	c.Stderr = &complaints
	said, _ := c.Output() // the exit code is what counts
	if complaints.Len() > 0 {
		x.t.Errorf("%s %s: on standard error: %s", name, strings.Join(arguments, " "), complaints.String())
	}
	return strings.Split(strings.TrimSuffix(string(said), "\n"), "\n"), c.ProcessState.ExitCode()
}

// good is run of what is to end well, with the tool's own last line.
func (x tool) good(name string, arguments ...string) []string {
	x.t.Helper()
	last := map[string]string{"cmctl": "The command completed successfully.", "lsnrctl": "The command completed successfully"}[name]
	lines, code := x.run("", name, arguments...)
	if code != 0 || lines[len(lines)-1] != last {
		x.t.Errorf("%s %s: exit code %d, the last line is %q", name, strings.Join(arguments, " "), code, lines[len(lines)-1])
	}
	return lines
}

// first gives what the first line that fits captures.
func first(lines []string, pattern string) []string {
	expression := regexp.MustCompile(pattern)
	for _, line := range lines {
		if m := expression.FindStringSubmatch(line); m != nil {
			return m
		}
	}
	return nil
}

// Checks written for Connection Manager and listeners read what the program says by their tools' names, of a broker that
// runs, with a session open. They are written from the outputs as they are published.
func TestChecksReadTheTools(t *testing.T) {
	b := startBroker(t, brokerOptions{rules: []string{"RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept)", "RULE=(SRC=*)(DST=127.0.0.1)(SRV=*)(ACT=accept)"}})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales", "hr"}, brokers: []string{b.address}})
	b.awaitService(t, "hr", "READY", 1)
	x := b.tools(t)
	work(t, GoOra{}, visit(b.descriptor("(SERVICE_NAME=sales)")), func(i int, _ Result) {
		if i == 1 { // while the session is open
			x.checkManager()
			x.checkListener()
		}
	})
	b.awaitNoSessions(t)
	x.checkConversations(b)
	x.checkEnd(b)
}

// checkManager reads cmctl as monitoring does: how many connections, how full, how many were refused, what is offered.
func (x tool) checkManager() {
	x.t.Helper()
	if m := first(x.good("cmctl", "show", "connections", "count"), `^Number of connections: (\d+)\.?$`); m == nil || m[1] != "1" {
		x.t.Errorf("connections: %q", m)
	}
	gateways := map[string]string{}
	for _, line := range x.good("cmctl", "show", "gateways") {
		if m := regexp.MustCompile(`^(Gateway ID|Gateway state|Number of active connections|Peak active connections|Total connections|Total connections refused)\s+(\S+)$`).FindStringSubmatch(line); m != nil {
			gateways[m[1]] = m[2]
		}
	}
	want := map[string]string{"Gateway ID": "0", "Gateway state": "READY", "Number of active connections": "1", "Peak active connections": "1", "Total connections": "1", "Total connections refused": "0"}
	if !maps.Equal(gateways, want) {
		x.t.Errorf("gateways: %v", gateways)
	}
	services := x.good("cmctl", "show", "services")
	handler := first(services, `^ {6}"(cmgw\d+)" established:(\d+) refused:(\d+) current:(\d+) max:(\d+) state:(\w+)$`)
	if handler == nil || handler[2] != "1" || handler[4] != "1" || handler[6] != "ready" {
		x.t.Errorf("gateway's handler: %q", handler)
	} else if most, err := strconv.ParseInt(handler[5], 10, 32); err != nil || most < 1 {
		x.t.Errorf("its maximum: %q, %v", handler[5], err)
	}
	for _, pattern := range []string{
		`^Services Summary\.\.\.$`, `^Proxy service "cmgw" has 1 instance\(s\)\.$`, `^  Instance "cman", status READY, has 1 handler\(s\) for this service\.\.\.$`, `^    Handler\(s\):$`,
		`^         <machine: \S+, pid: \d+>$`, `^Service "cmon" has 1 instance\(s\)\.$`, `^Service "sales" has 1 instance\(s\)\.$`, `^  Instance "sales1", status READY, has 1 handler\(s\) for this service\.\.\.$`,
		`^ {6}"DEDICATED" established:1 refused:0 state:ready$`, `^ {9}REMOTE SERVER$`, `^ {9}\(ADDRESS=\(PROTOCOL=TCP\)\(HOST=127\.0\.0\.1\)\(PORT=\d+\)\)$`,
	} {
		if first(services, pattern) == nil {
			x.t.Errorf("show services has no %s:\n%s", pattern, strings.Join(services, "\n"))
		}
	}
	status := x.good("cmctl", "show", "status")
	for _, pattern := range []string{
		`^CMCTL for Linux: Version \d+\.\d+\.\d+\.\d+\.\d+ - Production on \d\d-[A-Z]{3}-\d{4} \d\d:\d\d:\d\d$`, `^Current instance CMAN1 is already started$`,
		`^Connecting to \(DESCRIPTION=\(address=\(protocol=tcp\)\(host=[^)]+\)\(port=\d+\)\)\)$`, `^Status of the Instance$`, `^-{22}$`, `^Instance name {13}cman1$`,
		`^Version {19}CMAN for Linux: Version [\d.]+ - Production$`, `^Start date {16}\d\d-[A-Z]{3}-\d{4} \d\d:\d\d:\d\d$`, `^Uptime {20}\d+ days \d+ hr\. \d+ min\. \d+ sec$`,
		`^Num of gateways started {3}1$`, `^Average Load level {8}\d+$`, `^Log Level {17}[A-Z]+$`, `^Trace Level {15}[A-Z]+$`, `^Instance Config file {6}/.+/cman\.ora$`, `^Instance Log directory {4}\S.*$`, `^Instance Trace directory {2}\S.*$`,
	} {
		if first(status, pattern) == nil {
			x.t.Errorf("show status has no %s:\n%s", pattern, strings.Join(status, "\n"))
		}
	}
}

// checkListener reads lsnrctl.
func (x tool) checkListener() {
	x.t.Helper()
	for command, patterns := range map[string][]string{
		"status": {`^LSNRCTL for Linux: Version [\d.]+ - Production on `, `^Connecting to \(DESCRIPTION=\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=[^)]+\)\(PORT=\d+\)\)\)$`, `^STATUS of the LISTENER$`, `^-{24}$`, `^Alias {21}\S+$`,
			`^Version {19}TNSLSNR for Linux: Version [\d.]+ - Production$`, `^Start Date {16}\d\d-[A-Z]{3}-\d{4} `, `^Uptime {20}\d+ days \d+ hr\. \d+ min\. \d+ sec$`, `^Trace Level {15}off$`, `^Security {18}ON: Local OS Authentication$`,
			`^SNMP {22}OFF$`, `^Listener Parameter File {3}/.+$`, `^Listener Log File {9}\S`, `^Listening Endpoints Summary\.\.\.$`, `^  \(DESCRIPTION=\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=[^)]+\)\(PORT=\d+\)\)\)$`, `^Services Summary\.\.\.$`,
			`^Service "hr" has 1 instance\(s\)\.$`, `^  Instance "sales1", status READY, has 1 handler\(s\) for this service\.\.\.$`},
		"services": {`^Services Summary\.\.\.$`, `^Service "sales" has 1 instance\(s\)\.$`, `^    Handler\(s\):$`, `^ {6}"DEDICATED" established:1 refused:0 state:ready$`, `^ {9}REMOTE SERVER$`},
		"version":  {`^TNSLSNR for Linux: Version [\d.]+ - Production$`},
	} {
		lines := x.good("lsnrctl", command)
		for _, pattern := range patterns {
			if first(lines, pattern) == nil {
				x.t.Errorf("lsnrctl %s has no %s:\n%s", command, pattern, strings.Join(lines, "\n"))
			}
		}
	}
}

// checkConversations holds them as scripts do that pipe commands in.
func (x tool) checkConversations(b *broker) {
	x.t.Helper()
	lines, code := x.run("administer CMAN1\nshow connections count\nshow gateways\nexit\n", "cmctl")
	for _, pattern := range []string{`^CMCTL> Current instance CMAN1 is already started$`, `^Connections refer to \(DESCRIPTION=.*\)\.$`, `^CMCTL:CMAN1> Number of connections: 0$`, `^CMCTL:CMAN1> Gateway ID {25}0$`} {
		if code != 0 || first(lines, pattern) == nil {
			x.t.Errorf("cmctl in conversation, exit code %d, has no %s:\n%s", code, pattern, strings.Join(lines, "\n"))
		}
	}
	lines, code = x.run("status\nquit\n", "lsnrctl")
	if code != 0 || first(lines, `^Service "hr" has 1 instance\(s\)\.$`) == nil {
		x.t.Errorf("lsnrctl in conversation, exit code %d:\n%s", code, strings.Join(lines, "\n"))
	}
	if lines, code = x.run("", "tnsping", b.address, "2"); code != 0 || first(lines, `^OK \(\d+ msec\)$`) == nil {
		x.t.Errorf("tnsping, exit code %d:\n%s", code, strings.Join(lines, "\n"))
	}
}

// checkEnd ends the broker, and reads what is said of one that is not there.
func (x tool) checkEnd(b *broker) {
	x.t.Helper()
	x.good("cmctl", "shutdown", "-c", "CMAN1")
	b.waitExit(x.t, patience)
	for _, c := range []struct {
		name      string
		arguments []string
		want      string
	}{
		{"cmctl", []string{"show", "status"}, `^TNS-04011: Oracle Connection Manager instance not yet started\.$`},
		{"cmctl", []string{"show", "connections", "count", "-c", "CMAN1"}, `^TNS-04011: `},
		{"cmctl", []string{"frobnicate"}, `^NL-00853: undefined command "frobnicate"\.  Try "help"$`},
		{"lsnrctl", []string{"status"}, `^TNS-12541: `},
		{"tnsping", []string{b.address}, `^TNS-12541: `},
	} {
		if lines, code := x.run("", c.name, c.arguments...); code != 1 || first(lines, c.want) == nil {
			x.t.Errorf("%s: exit code %d, want 1 and %s:\n%s", cmp.Or(strings.Join(c.arguments, " "), c.name), code, c.want, strings.Join(lines, "\n"))
		}
	}
}
