package console

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// view is what the server answers about the test broker's table.
func view() ServiceList {
	s := testServer(tableOf(registrations()))
	snapshot := s.snapshot()
	return s.all().serviceList(snapshot, snapshot.Services())
}

func TestServicesAsListenersPrintThem(t *testing.T) {
	var b bytes.Buffer
	if err := WriteServices(&b, view()); err != nil {
		t.Fatal(err)
	}
	golden(t, "services.txt", b.String())
}

func TestNoServices(t *testing.T) {
	var b bytes.Buffer
	if err := WriteServices(&b, ServiceList{}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "The listener supports no services\nThe command completed successfully\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestInstanceWithoutHandlers(t *testing.T) {
	var b bytes.Buffer
	list := ServiceList{Services: []Service{{Name: "s", Instances: []Instance{{Name: "i", Status: "READY"}}}}}
	if err := WriteServices(&b, list); err != nil {
		t.Fatal(err)
	}
	const want = "Services Summary...\nService \"s\" has 1 instance(s).\n  Instance \"i\", status READY, has 0 handler(s) for this service...\nThe command completed successfully\n"
	if got := b.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestInstancesFromDisk(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b bytes.Buffer
	list := ServiceList{Services: []Service{{Name: "s", Instances: []Instance{{Name: "i", Status: "STALE", StoredAt: &at}}}}}
	if err := WriteServices(&b, list); err != nil {
		t.Fatal(err)
	}
	if want := "    Known from before the start, by the table on disk; heard of last 2026-01-02T03:04:05Z\n"; !strings.Contains(b.String(), want) {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
}

// Every kind of handler as listeners show it: the load of all but dedicated ones, and what the database says of each.
func TestHandlersAsListenersPrintThem(t *testing.T) {
	list := ServiceList{Services: []Service{{Name: "s", Instances: []Instance{{Name: "i", Status: "RESTRICTED", Handlers: []Handler{
		{Name: "DEDICATED", Kind: "dedicated", State: "ready", Load: 7, Max: 9, Established: 1, Refused: 2, Info: "LOCAL SERVER"},
		{Name: "D001", Kind: "dispatcher", State: "blocked", Load: 9, Max: 9, Info: "DISPATCHER <machine: h, pid: 1>", Address: "(ADDRESS=(PORT=1))"},
		{Name: "N000", Kind: "pooled", State: "ready", Load: 3, Max: 4, Address: "(ADDRESS=(PORT=2))"},
	}}}}}}
	const want = `Services Summary...
Service "s" has 1 instance(s).
  Instance "i", status RESTRICTED, has 3 handler(s) for this service...
    Handler(s):
      "DEDICATED" established:1 refused:2 state:ready
         LOCAL SERVER
      "D001" established:0 refused:0 current:9 max:9 state:blocked
         DISPATCHER <machine: h, pid: 1>
         (ADDRESS=(PORT=1))
      "N000" established:0 refused:0 current:3 max:4 state:ready
         REMOTE SERVER
         (ADDRESS=(PORT=2))
The command completed successfully
`
	var b bytes.Buffer
	if err := WriteServices(&b, list); err != nil || b.String() != want {
		t.Errorf("%v, got\n%s", err, b.String())
	}
}
