package main

import (
	"strings"
	"testing"

	"servicebroker/console"
	"servicebroker/servicetable"
)

// reachable is a broker that others reach on loopback.
func reachable(t *testing.T) (o *operated, api string) {
	t.Helper()
	o, api, _ = runOperated(t)
	o.server.Identity = func() console.Identity {
		return console.Identity{Machine: "localhost", Listening: []console.Endpoint{{Protocol: "tcps", Host: "0.0.0.0", Port: 2484}, {Protocol: "tcp", Host: "0.0.0.0", Port: 1521}}}
	}
	o.table.Apply(servicetable.Registration{
		ID: "1", Instance: "sales1", Host: "db1", Services: []servicetable.Service{{Name: "sales.example.com", Flags: servicetable.FlagUnblocked}},
	})
	return o, api
}

func TestSetupDatabase(t *testing.T) {
	o, api := reachable(t)
	says(t, []string{"--api", api, "setup", "database"}, "getent hosts localhost", "broker ping localhost:1521", "REGISTRATION_INVITED_NODES", "ORA-00132",
		"ALTER SYSTEM SET REMOTE_LISTENER='localhost:1521' SCOPE=BOTH SID='*';", "ALTER SYSTEM RESET REMOTE_LISTENER SCOPE=BOTH SID='*';", "give it here with --remote-listener")
	out, _, _ := command(t, "--api", api, "setup", "database", "--remote-listener", "scan:1521", "--port", "1999", "--host", "::1")
	for _, want := range []string{"SET REMOTE_LISTENER='scan:1521,[::1]:1999'", "SET REMOTE_LISTENER='scan:1521' SCOPE"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	if strings.Index(out, "1. The name") > strings.Index(out, "ALTER SYSTEM") {
		t.Error("the database comes before the name")
	}
	fails(t, []string{"--api", api, "setup", "database", "--host", "no-such-host.invalid"}, exitNo, "does not resolve")
	says(t, []string{"--api", "http://127.0.0.1:1", "setup", "database", "--host", "localhost", "--port", "1521"}, "localhost:1521")
	fails(t, []string{"--api", "http://127.0.0.1:1", "setup", "database"}, exitUnreachable, "give --host and --port")
	o.server.Identity = nil
	fails(t, []string{"--api", api, "setup", "database"}, exitNo, "does not listen")
}

func TestSetupClient(t *testing.T) {
	o, api := reachable(t)
	says(t, []string{"--api", api, "setup", "client", "SALES"}, "  localhost:1521/sales.example.com\n", "jdbc:oracle:thin:@//localhost:1521/sales.example.com\n", "  SALES =\n    (DESCRIPTION =\n",
		"  SALES_TLS =\n", "(ADDRESS = (PROTOCOL = TCPS)(HOST = localhost)(PORT = 2484))", "broker ping tcps://localhost:2484/sales.example.com\n",
		"(ADDRESS = (PROTOCOL = TCP)(HOST = localhost)(PORT = 1521))", "(CONNECT_DATA = (SERVICE_NAME = sales.example.com))")
	out, errs, code := command(t, "--api", api, "setup", "client", "hr")
	if code != exitNo || !strings.Contains(out, "localhost:1521/hr\n") || !strings.Contains(errs, "hr") {
		t.Errorf("unknown service: exit %d, %q, %q", code, out, errs)
	}
	says(t, []string{"--api", "http://127.0.0.1:1", "setup", "client", "hr", "--host", "b", "--port", "1522"}, "b:1522/hr\n")
	fails(t, []string{"--api", "http://127.0.0.1:1", "setup", "client", "hr"}, exitUnreachable, "cannot reach")
	o.server.Identity = func() console.Identity {
		return console.Identity{Machine: "localhost", Listening: []console.Endpoint{{Protocol: "tcps", Host: "192.0.2.1", Port: 2484}}}
	}
	says(t, []string{"--api", api, "setup", "client", "sales"}, "tcps://192.0.2.1:2484/sales.example.com\n")
	if out, _, _ := command(t, "--api", api, "setup", "client", "sales"); strings.Contains(out, "jdbc:oracle:thin:@//") {
		t.Errorf("without TLS there is nothing: %s", out)
	}
	says(t, []string{"--api", api, "setup", "database"}, "REMOTE_LISTENER='(ADDRESS=(PROTOCOL=tcps)(HOST=192.0.2.1)(PORT=2484))'", "broker ping tcps://192.0.2.1:2484")
}
