package main

import (
	"strings"
	"testing"

	"servicebroker/servicetable"
)

func TestCompat(t *testing.T) {
	o, api, _ := started(t)
	o.table.Apply(servicetable.Registration{
		ID: "1", Instance: "sales1", Host: "db1", Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked}, {Name: "hr", Flags: servicetable.FlagUnblocked}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: "db1", Port: 1521, Address: "(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))", Services: []int{0, 1}}},
	})
	for line, want := range map[string]string{
		"--compat status":           "STATUS of the LISTENER\n------------------------\nAlias                     CMAN1\n",
		"status --compat=cmctl":     "Status of the Instance\n----------------------\nInstance name             cman1\n",
		"status --compat=lsnrctl":   "Service \"sales\" has 1 instance(s).\n  Instance \"sales1\", status READY, has 1 handler(s) for this service...\n",
		"services --compat":         "Service \"sales\" has 1 instance(s).\n  Instance \"sales1\", status READY, has 1 handler(s) for this service...\n    Handler(s):\n      \"DEDICATED\" established:0 refused:0 state:ready\n         REMOTE SERVER\n",
		"services sales --compat":   "Service \"sales\" has 1 instance(s).\n",
		"services --compat=cmctl":   "Services Summary...\nProxy service \"cmgw\" has 1 instance(s).\n",
		"sessions --compat":         "Number of connections: 3\n",
		"rules --compat":            "Number of filtering rules currently in effect: 1\n",
		"parameters --compat":       "hold_timeout              | 30\n",
		"version --compat":          "CMAN for Linux: Version 19.0.0.0.0 - Production\n",
		"version --compat=lsnrctl":  "TNSLSNR for Linux: Version 19.0.0.0.0 - Production\n",
		"events --compat --limit 1": "",
	} {
		if line == "events --compat --limit 1" { // what has no such layout is shown as ever
			out, _, _ := command(t, "--api", api, "events", "--compat")
			if !strings.Contains(out, "No events") {
				t.Errorf("%s: %q", line, out)
			}
			continue
		}
		says(t, append([]string{"--api", api}, strings.Fields(line)...), want, "The command completed successfully")
	}
	if out, _, _ := command(t, "--api", api, "services", "sales", "--compat"); strings.Contains(out, `"hr"`) {
		t.Errorf("more than what was asked for: %s", out)
	}
	fails(t, []string{"--api", api, "--compat=sqlplus", "status"}, exitUsage, "use lsnrctl or cmctl")
	fails(t, []string{"--api", api, "--compat", "--output", "json", "status"}, exitUsage, "--compat is for text")
	for _, what := range []string{"status", "services", "version"} {
		fails(t, []string{"--api", "http://127.0.0.1:1", "--compat", what}, exitUnreachable, "cannot reach")
	}
}
