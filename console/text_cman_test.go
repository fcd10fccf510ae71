package console

import (
	"io"
	"strings"
	"testing"
	"time"

	"servicebroker/intent"
)

// text is what a rendering writes.
func text(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sameText compares byte for byte.
func sameText(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Errorf("line %d is missing: %q", i+1, w[i])
		case i >= len(w):
			t.Errorf("line %d is too many: %q", i+1, g[i])
		case g[i] != w[i]:
			t.Errorf("line %d: %q, want %q", i+1, g[i], w[i])
		}
	}
}

// published is the broker that would print what is published of an instance of Connection Manager.
func published() Status {
	east := time.FixedZone("", 9*3600) // the time is that of the broker's host, whoever prints it
	return Status{
		Instance: "CMAN_cman1.example.com", Release: "19.0.0.0.0", Started: time.Date(2020, 3, 18, 1, 8, 48, 0, east), Uptime: 502_000,
		LogLevel: "user", Config: "/u01/app/oracle/product/19.3.0/client_1/network/admin/cman.ora",
		LogDir:  "/u01/app/oracle/diag/netcman/db-cman1/cman_cman1.example.com/alert",
		Machine: "localhost", PID: 1936, Socket: "/var/tmp/.oracle_327000/admin.sock", AdminRequests: 2, AdminOpen: 1,
		Listening: []Endpoint{{Protocol: "tcp", Host: "cman1.example.com", Port: 1521}},
	}
}

// features.md 2.6, apart from what differs from host to host: there is one gateway, traces go where logs go, and are off.
const publishedStatus = `Status of the Instance
----------------------
Instance name             cman_cman1.example.com
Version                   CMAN for Linux: Version 19.0.0.0.0 - Production
Start date                18-MAR-2020 01:08:48
Uptime                    0 days 0 hr. 8 min. 22 sec
Num of gateways started   1
Average Load level        0
Log Level                 USER
Trace Level               OFF
Instance Config file      /u01/app/oracle/product/19.3.0/client_1/network/admin/cman.ora
Instance Log directory    /u01/app/oracle/diag/netcman/db-cman1/cman_cman1.example.com/alert
Instance Trace directory  /u01/app/oracle/diag/netcman/db-cman1/cman_cman1.example.com/alert
The command completed successfully.
`

func TestStatusAsConnectionManagerPrintsIt(t *testing.T) {
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANStatus(w, published(), Gateway{}) }), publishedStatus)
	full := text(t, func(w io.Writer) error {
		return WriteCMANStatus(w, Status{Instance: "I"}, Gateway{Stats: Stats{Sessions: 30, Max: 120}})
	})
	for _, want := range []string{"Average Load level        25\n", "Instance Config file      built-in default\n", "Instance Log directory    standard output\n"} {
		if !strings.Contains(full, want) {
			t.Errorf("%q is not in %s", want, full)
		}
	}
}

// features.md 2.6: two transcripts together. The maximum is the broker's.
const publishedServices = `Services Summary...
Proxy service "cmgw" has 1 instance(s).
  Instance "cman", status READY, has 1 handler(s) for this service...
    Handler(s):
      "cmgw001" established:16 refused:0 current:1 max:256 state:ready
         <machine: localhost, pid: 1936>
         (ADDRESS=(PROTOCOL=ipc)(KEY=#1936.1)(KEYPATH=/var/tmp/.oracle_327000))
Service "cmon" has 1 instance(s).
  Instance "cman", status READY, has 1 handler(s) for this service...
    Handler(s):
      "cmon" established:2 refused:0 current:1 max:2147483647 state:ready
         <machine: localhost, pid: 1936>
         (ADDRESS=(PROTOCOL=ipc)(KEY=#1936.1)(KEYPATH=/var/tmp/.oracle_327000))
Service "db0416_pdb1" has 1 instance(s).
  Instance "DB0416", status READY, has 1 handler(s) for this service...
    Handler(s):
      "DEDICATED" established:1 refused:0 state:ready
         REMOTE SERVER
         (ADDRESS=(PROTOCOL=TCP)(HOST=testdb1)(PORT=1521))
The command completed successfully.
`

func publishedTable() ServiceList {
	return ServiceList{Services: []Service{{Name: "db0416_pdb1", Instances: []Instance{{
		Name: "DB0416", Status: "READY", Marks: []Mark{{Mark: "draining"}},
		Handlers: []Handler{{Name: "DEDICATED", Kind: "dedicated", State: "ready", Established: 1, Info: "REMOTE SERVER",
			Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=testdb1)(PORT=1521))", Marks: []Mark{{Mark: "ejected"}}}},
	}}}}}
}

func TestServicesAsConnectionManagerPrintsThem(t *testing.T) {
	g := Gateway{Stats: Stats{Sessions: 1, Total: 16, Max: 256}}
	list := publishedTable()
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANServices(w, list, published(), g) }), publishedServices)
	if len(list.Services[0].Instances[0].Marks) != 1 || len(list.Services[0].Instances[0].Handlers[0].Marks) != 1 {
		t.Error("the table that was handed in has changed")
	}
	g.Suspended, g.Stats.Max = true, 0
	got := text(t, func(w io.Writer) error { return WriteCMANServices(w, ServiceList{}, published(), g) })
	if !strings.Contains(got, `"cmgw001" established:16 refused:0 current:1 max:2147483647 state:blocked`+"\n") || strings.Contains(got, "no services") {
		t.Errorf("suspended: %s", got)
	}
}

func TestGatewaysAsConnectionManagerPrintsThem(t *testing.T) {
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANGateways(w, Gateway{}) }), `Gateway ID                         0
Gateway state                      READY
Number of active connections       0
Peak active connections            0
Total connections                  0
Total connections refused          0
The command completed successfully.
`)
	got := text(t, func(w io.Writer) error {
		return WriteCMANGateways(w, Gateway{Suspended: true, Stats: Stats{Sessions: 7, Total: 99, Refused: 3}})
	})
	if !strings.Contains(got, "SUSPENDED\nNumber of active connections       7\nPeak active connections            7\nTotal connections                  99\n") {
		t.Error(got)
	}
}

func TestRulesAndParametersAsConnectionManagerPrintsThem(t *testing.T) {
	rules := RuleList{Rules: []RuleView{{Text: "(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))"}, {Text: "(RULE=(SRC=10.0.0.0/8)(DST=*)(SRV=*)(ACT=reject))"}}}
	const wantRules = `Number of filtering rules currently in effect: 2
(rule_list=
  (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))
  (RULE=(SRC=10.0.0.0/8)(DST=*)(SRV=*)(ACT=reject))
)
`
	const wantParameters = `idle_timeout              | 60
max_connections           | 256
registration_invited_nodes| 
`
	settings := ParameterList{Parameters: []Parameter{{Name: "MAX_CONNECTIONS", Value: "256", Default: "512"}, {Name: "IDLE_TIMEOUT", Value: "60", Default: "0"}, {Name: "REGISTRATION_INVITED_NODES"}}}
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANRules(w, rules) }), wantRules+cmanDone)
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANParameters(w, settings, false) }), wantParameters+cmanDone)
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANAll(w, settings, rules) }), wantParameters+wantRules+cmanDone)
	if got := text(t, func(w io.Writer) error { return WriteCMANParameters(w, settings, true) }); !strings.Contains(got, "max_connections           | 512\n") {
		t.Errorf("defaults: %s", got)
	}
	if settings.Parameters[0].Name != "MAX_CONNECTIONS" {
		t.Error("the list that was handed in has been sorted")
	}
}

func TestVersionEventsAndStatsAsConnectionManagerPrintsThem(t *testing.T) {
	sameText(t, text(t, func(w io.Writer) error { return WriteCMANVersion(w, published()) }), "CMAN for Linux: Version 19.0.0.0.0 - Production\n"+cmanDone)
	if got := text(t, WriteCMANEvents); !strings.HasPrefix(got, "Event Groups:\nregistered\n") || !strings.HasSuffix(got, cmanDone) {
		t.Error(got)
	}
	got := text(t, func(w io.Writer) error {
		return WriteCMANStats(w, Stats{Sessions: 2, Peak: 5, Redirected: 6, FromClient: 7})
	})
	for _, want := range []string{"Peak active connections            5\n", "Total connections redirected       6\n", "Bytes received from clients        7\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}

func TestBanner(t *testing.T) {
	got := text(t, func(w io.Writer) error {
		return WriteBanner(w, "CMCTL", Version{Version: "1.2.3", Release: "19.0.0.0.0"}, time.Date(2020, 3, 18, 1, 16, 51, 0, time.UTC))
	})
	sameText(t, got, "\nCMCTL for Linux: Version 19.0.0.0.0 - Production on 18-MAR-2020 01:16:51\n\nService broker 1.2.3 answers as this tool does.\n\n")
}

func TestAddressesThatToolsName(t *testing.T) {
	s := published()
	for at, want := range map[string]string{
		"cman1.example.com": "(DESCRIPTION=(address=(protocol=tcp)(host=cman1.example.com)(port=1521)))",
		"0.0.0.0":           "(DESCRIPTION=(address=(protocol=tcp)(host=localhost)(port=1521)))",
		"::":                "(DESCRIPTION=(address=(protocol=tcp)(host=localhost)(port=1521)))",
		"192.0.2.1":         "(DESCRIPTION=(address=(protocol=tcp)(host=192.0.2.1)(port=1521)))",
	} {
		s.Listening[0].Host = at
		if got := CMANAddress(s); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	if got := ListenerAddress(Status{Machine: "h"}); got != "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521)))" {
		t.Error(got)
	}
}

func TestWhatSuspendsTheGateway(t *testing.T) {
	for want, i := range map[bool]intent.Intent{
		true:  {Kind: intent.Drain, Target: intent.Target{Service: "*"}},
		false: {Kind: intent.Drain, Target: intent.Target{Service: "*", Node: "db1"}},
	} {
		if Suspends(i) != want {
			t.Errorf("%v: %v", i, !want)
		}
	}
	if Suspends(intent.Intent{Kind: intent.Hold, Target: SuspendTarget()}) {
		t.Error("a hold suspends")
	}
}
