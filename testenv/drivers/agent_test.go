package drivers

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"servicebroker/registration/nsgr"
	"servicebroker/testenv/stage"
)

// runBroker runs a command of the broker's program and returns what it printed and
// its exit code.
func runBroker(t *testing.T, arguments ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.broker, arguments...)
	cmd.Env = stage.QuickExit()
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(said), exit.ExitCode()
	case err != nil:
		t.Fatalf("broker %v: %v", arguments, err)
	}
	return string(said), 0
}

// A database that does not register by itself is registered by the agent beside it:
// for as long as its listener answers, and no longer than the agent runs.
func TestAgent(t *testing.T) {
	b := startBroker(t, withoutProbes)
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales", "reports"}})
	agent := startProcess(t, "agent", programs.broker, "register", "--broker", b.address, "--instance", "sales1",
		"--service", "sales", "--service", "reports", "--address", d.address, "--interval", "200ms", "--timeout", "5s")
	b.awaitService(t, "sales", "READY", 1)
	b.awaitService(t, "reports", "READY", 1)
	instances, err := b.instancesOf("reports")
	if err != nil || len(instances) != 1 {
		t.Fatalf("reports: %+v, %v", instances, err)
	}
	if i := instances[0]; i.NodeMax == 0 || len(i.Handlers) != 1 || !strings.Contains(i.Handlers[0].Address, strings.Split(d.address, ":")[1]) {
		t.Errorf("registered as %+v", i)
	}
	if at, err := visited(work(t, GoOra{}, visit(b.descriptor("(SERVICE_NAME=sales)")), nil)); err != nil || at != "sales1" {
		t.Errorf("at %q, %v", at, err)
	}
	d.tell(t, "/listener", listenerSetting{Mode: "hang"})
	b.awaitService(t, "sales", "READY", 0)
	d.tell(t, "/listener", listenerSetting{Mode: "accept"})
	b.awaitService(t, "sales", "READY", 1)
	agent.signal(t, syscall.SIGTERM)
	b.measureGone(t, "sales", 0)
	if code, _ := agent.waitExit(t, patience); code != 0 {
		t.Errorf("the agent ended with code %d", code)
	}
}

// With a tap, a registration goes on to the listener named upstream, and shows in both.
func TestRegistrationTap(t *testing.T) {
	upstream := startBroker(t, brokerOptions{parameters: []string{"REGISTRATION_ANSWER=mirror"}})
	tap := startBroker(t, brokerOptions{parameters: []string{"REGISTRATION_UPSTREAM=" + upstream.address, "PROBE_INTERVAL=0"}})
	c := register(t, tap.address, registerConnect())
	message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})
	writeAll(t, c, rawData(message))
	tap.awaitTable(t, tableOf(t, message))
	upstream.awaitTable(t, tableOf(t, message))
	if answer, err := readRaw(c, patience); err != nil || answer.kind != typeData || !strings.Contains(answer.text(), "sales") {
		t.Errorf("the listener's own answer did not come through: type %d, %q, %v", answer.kind, answer.text(), err)
	}
	c.Close()
	tap.measureGone(t, "sales", 0)
	upstream.awaitTable(t, nil)
}

// The answer to a registration is a setting.
func TestRegistrationAnswer(t *testing.T) {
	for _, mode := range []string{"ids", "mirror"} {
		t.Run(mode, func(t *testing.T) {
			b := startBroker(t, brokerOptions{parameters: []string{"REGISTRATION_ANSWER=" + mode}})
			c := register(t, b.address, registerConnect())
			message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})
			for range 2 {
				writeAll(t, c, rawData(message))
				answer, err := readRaw(c, patience)
				if err != nil || answer.kind != typeData {
					t.Fatalf("type %d, %v", answer.kind, err)
				}
				if _, err := nsgr.Decode([]byte(answer.text()), nsgr.Linux64()); err != nil {
					t.Errorf("the answer cannot be decoded: %v", err)
				}
				if !strings.Contains(answer.text(), "sales") {
					t.Errorf("the answer does not name the service: %q", answer.text())
				}
			}
		})
	}
}

// The commands that look at a broker and its listener tell what there is, and exit
// by whether the answer was yes.
func TestCommandLine(t *testing.T) {
	b, databases := pair(t)
	api := "http://" + b.console
	nobody := freeAddress(t)
	for _, test := range []struct {
		arguments []string
		code      int
		want      []string
	}{
		{[]string{"--api", api, "services"}, 0, []string{`Service "sales" has 2 instance(s).`, `Instance "sales1", status READY, has 1 handler(s) for this service...`, `"DEDICATED" established:0 refused:0 state:ready`}},
		{[]string{"--api", api, "services", "nosuch"}, 1, []string{"nosuch"}},
		{[]string{"--api", api, "--output", "json", "services"}, 0, []string{`"sales2"`, `"goodness"`}},
		{[]string{"--api", api, "status"}, 0, []string{"sales"}},
		{[]string{"--api", api, "sessions"}, 0, nil},
		{[]string{"--api", api, "version"}, 0, nil},
		{[]string{"--api", "http://" + nobody, "services"}, 3, []string{nobody}},
		{[]string{"ping", b.address}, 0, []string{"OK"}},
		{[]string{"ping", databases[0].address}, 0, []string{"OK"}},
		{[]string{"ping", "--count", "3", b.address + "/sales"}, 0, []string{"OK"}},
		{[]string{"ping", b.address + "/nosuch"}, 1, []string{"ORA-12514"}},
		{[]string{"ping", nobody}, 1, []string{"refused"}},
		{[]string{"nonsense"}, 2, nil},
	} {
		said, code := runBroker(t, test.arguments...)
		if code != test.code {
			t.Errorf("broker %v: exit code %d instead of %d:\n%s", test.arguments, code, test.code, said)
		}
		for _, part := range test.want {
			if !strings.Contains(said, part) {
				t.Errorf("broker %v does not say %s:\n%s", test.arguments, part, said)
			}
		}
	}
}

// Rules decide who may have what and by which way, first match first.
func TestRules(t *testing.T) {
	b := startBroker(t, brokerOptions{rules: []string{
		"RULE=(SRC=192.0.2.0/24)(DST=*)(SRV=*)(ACT=drop)",
		"RULE=(SRC=127.0.0.1)(DST=*)(SRV=secret)(ACT=reject)",
		"RULE=(SRC=*)(DST=*)(SRV=quiet)(ACT=drop)",
		"RULE=(SRC=*)(DST=127.0.0.1)(SRV=direct)(ACT=accept)(ACTION_LIST=(ROUTE=redirect))",
		"RULE=(SRC=*)(DST=127.0.0.0/8)(SRV=sales)(ACT=accept)",
	}})
	services := []string{"sales", "secret", "quiet", "direct", "forgotten"}
	startDatabase(t, databaseOptions{instance: "sales1", services: services, brokers: []string{b.address}})
	b.awaitService(t, "forgotten", "READY", 1)
	eachDriver(t, func(t *testing.T, d Driver) {
		for service, want := range map[string][]string{"secret": {"12529"}, "forgotten": {"12529"}, "quiet": {"EOF", "NJS-500", "NJS-501", "NJS-511", "DPY-4011", "DPY-6005", "DPY-6000"}} {
			results := work(t, d, []Step{open("c", b.descriptor("(SERVICE_NAME="+service+")"))}, nil)
			if err := fails(want...)(d, results[0]); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
	})
	for service, sessions := range map[string]int{"sales": 1, "direct": 0} {
		b.awaitNoSessions(t)
		var seen sessionList
		results := work(t, GoOra{}, visit(b.descriptor("(SERVICE_NAME="+service+")")), func(i int, _ Result) {
			if i == 1 {
				if err := b.getJSON("/api/v1/sessions", &seen); err != nil {
					t.Error(err)
				}
			}
		})
		if at, err := visited(results); err != nil || at != "sales1" {
			t.Errorf("%s: at %q, %v", service, at, err)
		}
		if len(seen.Sessions) != sessions {
			t.Errorf("%s: %d sessions through the broker instead of %d", service, len(seen.Sessions), sessions)
		}
	}
}

// A configuration that cannot be used keeps the broker from starting and says where
// it is wrong.
func TestBrokenConfiguration(t *testing.T) {
	for name, test := range map[string]struct {
		options brokerOptions
		want    string
	}{
		"address taken":  {brokerOptions{listen: startBroker(t, brokerOptions{}).address}, "address already in use"},
		"no such action": {brokerOptions{rules: []string{"RULE=(SRC=*)(DST=*)(SRV=*)(ACT=deny)"}}, "cman.ora:"},
		"no such route":  {brokerOptions{parameters: []string{"ROUTE=teleport"}}, "ROUTE"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			file := folder + "/cman.ora"
			if err := os.WriteFile(file, test.options.stage().CMANOra(folder), 0o600); err != nil {
				t.Fatal(err)
			}
			said, code := runBroker(t, "serve", "-c", file)
			if code != 1 || !strings.Contains(said, test.want) {
				t.Errorf("exit code %d, it says %s", code, said)
			}
		})
	}
}
