package console

import (
	"io"
	"strings"
	"testing"
	"time"
)

// features.md 1.8. The parameter file and the log file have the broker's names.
const publishedListenerStatus = `Connecting to (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))
STATUS of the LISTENER
------------------------
Alias                     LISTENER
Version                   TNSLSNR for Linux: Version 19.0.0.0.0 - Production
Start Date                16-JUL-2023 03:06:28
Uptime                    0 days 0 hr. 0 min. 5 sec
Trace Level               off
Security                  ON: Local OS Authentication
SNMP                      OFF
Listener Parameter File   /network/admin/cman.ora
Listener Log File         /diag/tnslsnr/listener.log
Listening Endpoints Summary...
  (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521)))
Services Summary...
Service "ORCLCDB" has 1 instance(s).
  Instance "ORCLCDB", status BLOCKED, has 1 handler(s) for this service...
The command completed successfully
`

func listenerBroker() Status {
	return Status{
		Instance: "LISTENER", Release: "19.0.0.0.0", Started: time.Date(2023, 7, 16, 3, 6, 28, 0, time.UTC), Uptime: 5999,
		Config: "/network/admin/cman.ora", LogDir: "/diag/tnslsnr/", Machine: "db1", Listening: []Endpoint{{Protocol: "tcp", Host: "0.0.0.0", Port: 1521}},
		Summary: []ServiceSummary{{Name: "ORCLCDB", Instances: []InstanceSummary{{Name: "ORCLCDB", Status: "BLOCKED", Handlers: 1}}}},
	}
}

func TestStatusAsListenersPrintIt(t *testing.T) {
	sameText(t, text(t, func(w io.Writer) error { return WriteListenerStatus(w, listenerBroker()) }), publishedListenerStatus)
	empty := listenerBroker()
	empty.Config, empty.LogDir, empty.Summary = "", "", nil
	got := text(t, func(w io.Writer) error { return WriteListenerStatus(w, empty) })
	if strings.Contains(got, "Parameter File") || !strings.Contains(got, "Listener Log File         standard output\n") || !strings.HasSuffix(got, "(PORT=1521)))\nThe listener supports no services\nThe command completed successfully\n") {
		t.Error(got)
	}
}

const publishedListenerServices = `Connecting to (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))
Services Summary...
Service "sales.us.example.com" has 1 instance(s).
  Instance "sales", status READY, has 2 handler(s) for this service...
    Handler(s):
      "DEDICATED" established:0 refused:0 state:ready
         REMOTE SERVER
         (DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=tc1.example.com)(PORT=1521)))
      "D000" established:0 refused:0 current:0 max:10000 state:ready
         DISPATCHER <machine: sales-server, pid: 1689>
         (ADDRESS=(PROTOCOL=tcp)(HOST=sales-server)(PORT=52414))
The command completed successfully
`

func listenerTable() ServiceList {
	return ServiceList{Services: []Service{{Name: "sales.us.example.com", Instances: []Instance{{
		Name: "sales", Key: "sales@tc1", Status: "READY", Marks: []Mark{{Mark: "draining"}}, Load: 3, Max: 100,
		Handlers: []Handler{
			{Name: "DEDICATED", Kind: "dedicated", State: "ready", Info: "REMOTE SERVER", Address: "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=tc1.example.com)(PORT=1521)))"},
			{Name: "D000", Kind: "dispatcher", State: "ready", Max: 10000, Info: "DISPATCHER <machine: sales-server, pid: 1689>", Address: "(ADDRESS=(PROTOCOL=tcp)(HOST=sales-server)(PORT=52414))"},
		},
	}}}}}
}

func TestServicesAsListenersShowThemInEachMode(t *testing.T) {
	in := func(mode DisplayMode, list ServiceList) string {
		return text(t, func(w io.Writer) error { return WriteListenerServices(w, list, listenerBroker(), mode) })
	}
	sameText(t, in(Normal, listenerTable()), publishedListenerServices)
	sameText(t, in("", listenerTable()), publishedListenerServices)
	compact := listenerTable()
	compact.Services[0].Instances[0].Status = "STALE"
	got := in(Compact, compact)
	if !strings.Contains(got, "status UNKNOWN, has 2 handler(s) for this service...\nThe command") {
		t.Errorf("compact: %s", got)
	}
	if len(compact.Services[0].Instances[0].Handlers) != 2 {
		t.Error("the table that was handed in has changed")
	}
	if got := in(Verbose, listenerTable()); !strings.Contains(got, "Mark: draining") || !strings.Contains(got, `on "sales@tc1": node load 0 of 0, instance load 3 of 100`) {
		t.Errorf("verbose: %s", got)
	}
	if got := in(Raw, listenerTable()); !strings.Contains(got, "\n(SERVICE=(SERVICE_NAME=sales.us.example.com)(INSTANCE=(INSTANCE_NAME=sales)(NUM=1)(INSTANCE_STATUS=READY)(NUMREL=2)(HANDLER=(HANDLER_DISPLAY=DEDICATED)(STA=ready)") {
		t.Errorf("raw: %s", got)
	}
	if got := in(Normal, ServiceList{}); !strings.HasSuffix(got, ")))\nThe listener supports no services\nThe command completed successfully\n") {
		t.Errorf("empty: %s", got)
	}
}

func TestDisplayModes(t *testing.T) {
	for word, want := range map[string]DisplayMode{"raw": Raw, "Compact": Compact, "NORMAL": Normal, "verbose": Verbose} {
		if got, err := ParseDisplayMode(word); err != nil || got != want {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
	if _, err := ParseDisplayMode("loud"); err == nil || !strings.Contains(err.Error(), "raw, compact, normal or verbose") {
		t.Error(err)
	}
}

func TestListenerVersion(t *testing.T) {
	sameText(t, text(t, func(w io.Writer) error { return WriteListenerVersion(w, listenerBroker()) }),
		"Connecting to (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))\nTNSLSNR for Linux: Version 19.0.0.0.0 - Production\nThe command completed successfully\n")
}
