package main

import (
	"strings"
	"testing"

	"servicebroker/descriptor"
)

// What is printed is a route that the broker reads, through it and in the order given.
func TestSetupClientByRoute(t *testing.T) {
	out, errs, code := command(t, "setup", "client", "sales.example.com", "--host", "broker1", "--port", "1521", "--route", "hop:1522", "--route", "[::1]:1523")
	if code != 0 {
		t.Fatal(errs)
	}
	_, entry, _ := strings.Cut(out, "own listener:\n")
	entry, _, _ = strings.Cut(entry, "\nThe broker needs")
	file, err := descriptor.ParseFile(entry)
	if err != nil || len(file) != 1 || file[0].Name != "SALES" {
		t.Fatalf("%v: %s", err, out)
	}
	r, err := descriptor.ReadRoute(file[0])
	if err != nil || !r.Chained() || len(r.Ways) != 3 || r.Ways[0].Address.HostPort() != "broker1:1521" || r.Ways[1].Address.HostPort() != "hop:1522" || r.Ways[2].Address.HostPort() != "[::1]:1523" {
		t.Errorf("%+v, %v", r, err)
	}
	_, inquiry, _ := strings.Cut(out, "broker explain '")
	inquiry, _, _ = strings.Cut(inquiry, "'")
	n, err := descriptor.Parse(inquiry)
	if err != nil || !descriptor.SourceRoute(n) || descriptor.ConnectData(n).Text("SERVICE_NAME") != "sales.example.com" {
		t.Errorf("%s: %v", inquiry, err)
	}
	for _, bad := range []string{"db1", "db1:0", "db1:x", ":1521"} {
		fails(t, []string{"setup", "client", "sales", "--host", "b", "--port", "1", "--route", bad}, exitNo, "write HOST:PORT")
	}
}
