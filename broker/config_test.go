package broker

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"servicebroker/registration"
	"servicebroker/relay"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cman.ora")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const whole = `# a whole file; the name is the instance's
CMAN1 = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))
  (address_list = (address=(protocol=TCP)(host=::1)(port=1630)))
  (RULE_LIST=
    (RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))
    (RULE=(SRC=10.0.0.0/8)(DST=db1)(SRV=sales*)(ACT=accept)(ACTION_LIST=(ROUTE=redirect)(MIT=60)))
    (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=reject)))
  (PARAMETER_LIST=
    (REGISTRATION_INVITED_NODES=(10.1.0.0/16, dbhost))
    (VALID_NODE_CHECKING_REGISTRATION=subnet)
    (ROUTE=relay)                             # ours
    (ATTEMPT_TIMEOUT=500ms)(OUTBOUND_CONNECT_TIMEOUT=20)(INBOUND_CONNECT_TIMEOUT=2min)
    (IDLE_TIMEOUT=1h)(SESSION_TIMEOUT=0)(DRAIN_TIMEOUT=10)
    (REGISTRATION_ANSWER=ids)(REGISTRATION_UPSTREAM=db1:1521)(REGISTRATION_TRANSPORTS=tcps)
    (MAX_REG_CONNECTIONS=7)(VSNNUM=0)(STATE_DIRECTORY=/var/lib/b)(ADMIN_SOCKET=/run/b.sock)
    (CONSOLE_ADDRESS=off)))
`

func TestReadsAWholeFile(t *testing.T) {
	c, messages := ReadConfig(write(t, whole), "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Name != "CMAN1" || len(c.Addresses) != 2 || c.Addresses[1].Host != "::1" || c.Addresses[1].Port != 1630 {
		t.Errorf("name %q, addresses %v", c.Name, c.Addresses)
	}
	if len(c.Rules) != 2 || c.Rules[0].Mode != relay.ModeRedirect || c.Rules[0].Destination.Name != "db1" || c.Rules[0].Source.Network.String() != "10.0.0.0/8" || c.Rules[1].Action != relay.Reject {
		t.Errorf("rules %+v", c.Rules)
	}
	if !reflect.DeepEqual(c.Admission.Invited, []string{"10.1.0.0/16", "dbhost"}) || c.Admission.Mode != registration.CheckSubnet || !reflect.DeepEqual(c.Admission.Transports, []string{"TCPS"}) {
		t.Errorf("admission %+v", c.Admission)
	}
	for name, pair := range map[string][2]time.Duration{
		"attempt": {c.AttemptTimeout, 500 * time.Millisecond}, "outbound": {c.DialTimeout, 20 * time.Second},
		"inbound": {c.InboundTimeout, 2 * time.Minute}, "idle": {c.IdleTimeout, time.Hour}, "session": {c.SessionTimeout, 0}, "drain": {c.DrainTimeout, 10 * time.Second},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s time-out %v, want %v", name, pair[0], pair[1])
		}
	}
	if c.Answer != registration.AnswerIDs || c.Upstream != "db1:1521" || c.MaxRegistrations != 7 || c.VSNNUM != 0 || c.ConsoleAddress != "" || c.StateDirectory != "/var/lib/b" || c.AdminSocket != "/run/b.sock" {
		t.Errorf("config %+v", c)
	}
	if c.Rules[0].IdleTimeout != relay.TimeoutOf(time.Minute) || len(c.AdminRules) != 1 || len(messages) != 0 {
		t.Errorf("rules %+v, for cmon %+v, messages:\n%s", c.Rules, c.AdminRules, join(messages))
	}
}

func join(messages Messages) string {
	var lines []string
	for _, m := range messages {
		lines = append(lines, m.String())
	}
	return strings.Join(lines, "\n")
}

const address = "(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))"

func TestSaysWhatIsWrongWhereAndWhatToDo(t *testing.T) {
	rule := func(text string) string {
		return "A=(CONFIGURATION=" + address + "\n(RULE_LIST=\n" + text + "))"
	}
	parameter := func(text string) string {
		return "A=(CONFIGURATION=" + address + "(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))\n(PARAMETER_LIST=" + text + "))"
	}
	for _, c := range []struct{ name, file, want string }{
		{"deny", rule("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=deny))"), `:3:29: error: ACT="deny" is not one of accept, reject, drop, log: did you mean reject?`},
		{"typing mistake", rule("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=acept))"), `:3:29: error: ACT="acept" is not one of accept, reject, drop, log: did you mean accept?`},
		{"no SRC", rule("(RULE=(DST=*)(SRV=*)(ACT=accept))"), ":3:2: error: the rule has no SRC: name a host or network, or write (SRC=*)"},
		{"no ACT", rule("(RULE=(SRC=*)(DST=*)(SRV=*))"), ":3:2: error: the rule has no ACT"},
		{"half an address", rule("(RULE=(SRC=10.1.*.5)(DST=*)(SRV=*)(ACT=accept))"), "* stands for a whole address only: write the network in /nn form"},
		{"no network", rule("(RULE=(SRC=10.1/99)(DST=*)(SRV=*)(ACT=accept))"), "SRC=10.1/99 is not a network"},
		{"field of another name", rule("(RULE=(SRC=*)(DTS=*)(DST=*)(SRV=*)(ACT=accept))"), "DTS in a RULE: did you mean DST?"},
		{"not a rule", rule("(ROLE=(SRC=*))"), ":3:2: error: ROLE in a RULE_LIST: only RULE belongs there"},
		{"no client rule", "A=(CONFIGURATION=" + address + "(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=cmon)(ACT=accept))))", "warning: no rule is about clients, so every client is refused"},
		{"unknown parameter", parameter("(ATTEMPT_TIMEUOT=3)"), ":2:18: notice: parameter ATTEMPT_TIMEUOT is not known to this version and has no effect: did you mean ATTEMPT_TIMEOUT?"},
		{"bad time", parameter("(IDLE_TIMEOUT=soon)"), `:2:18: error: IDLE_TIMEOUT: "soon" is not a time`},
		{"bad route", parameter("(ROUTE=proxy)"), `ROUTE: "proxy" is not one of relay, redirect: did you mean relay?`},
		{"bad console", parameter("(CONSOLE_ADDRESS=8521)"), `"8521" is not host:port`},
		{"bad nodes", parameter("(REGISTRATION_INVITED_NODES=10.0.0.0/99)"), "10.0.0.0/99"},
		{"bad number", parameter("(MAX_REG_CONNECTIONS=many)"), `"many" is not a number from 1`},
		{"no address", "A=(CONFIGURATION=(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))))", "error: no ADDRESS to listen on"},
		{"no port", "A=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)))", "ADDRESS:"},
		{"unbalanced", "A=(CONFIGURATION=\n(ADDRESS=(PROTOCOL=tcp)", ":2:"},
		{"empty", "# nothing\n", "no instance in the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, messages := ReadConfig(write(t, c.file), "")
			text := join(messages)
			if !strings.Contains(text, c.want) {
				t.Errorf("messages:\n%s\nwant one with\n%s", text, c.want)
			}
			if failed := messages.Err() != nil; failed != strings.Contains(text, ": error: ") || failed != (config == nil) {
				t.Errorf("Err %v, config %v", messages.Err(), config)
			}
		})
	}
	if _, messages := ReadConfig("/nonexistent/cman.ora", ""); messages.Err() == nil {
		t.Error("a file that is not there was read")
	}
}

func TestChoosesAmongInstances(t *testing.T) {
	host, _ := os.Hostname()
	one := func(name string) string { return name + "=(CONFIGURATION=" + address + ")\n" }
	for _, c := range []struct{ name, file, asked, want, err string }{
		{"the only one", one("any"), "", "any", ""},
		{"the one named", one("a") + one("B"), "b", "B", ""},
		{"this host's", one("a") + one("cman_"+strings.ToUpper(host)), "", "cman_" + strings.ToUpper(host), ""},
		{"none fits", one("a") + one("b"), "", "", "name one of a, b after the file"},
		{"the one named is not there", one("alpha") + one("beta"), "bata", "", `no instance "bata" in the file, which has alpha, beta: did you mean beta?`},
		{"other entries do not count", "SDU=8192\nWALLET_LOCATION=(SOURCE=(METHOD=File)(METHOD_DATA=(DIRECTORY=/w)))\n" + one("only"), "", "only", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, messages := ReadConfig(write(t, c.file), c.asked)
			if c.err != "" {
				if text := join(messages); !strings.Contains(text, c.err) {
					t.Errorf("messages:\n%s", text)
				}
				return
			}
			if config == nil || config.Name != c.want {
				t.Errorf("config %+v, %s", config, join(messages))
			}
		})
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "3": 3 * time.Second, " 1.5 ": 1500 * time.Millisecond, "500ms": 500 * time.Millisecond, "2 min": 2 * time.Minute,
		"1H": time.Hour, "5s": 5 * time.Second, "5 sec": 5 * time.Second,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1d", "NaN", "1e300", "ms", "Inf"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q = %v, want an error", text, got)
		}
	}
}
