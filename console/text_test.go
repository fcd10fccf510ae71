package console

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// view is what the server answers about the test broker's table.
func view() ServiceList {
	s := testServer(tableOf(registrations()))
	snapshot := s.snapshot()
	return s.serviceList(snapshot, snapshot.Services())
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

func TestSessionsAsText(t *testing.T) {
	var b bytes.Buffer
	if err := WriteSessions(&b, SessionList{Sessions: openSessions()}, noon()); err != nil {
		t.Fatal(err)
	}
	golden(t, "sessions.txt", b.String())
	b.Reset()
	if err := WriteSessions(&b, SessionList{}, noon()); err != nil || b.String() != "No sessions.\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestStatusAndVersionAsText(t *testing.T) {
	s := testServer(tableOf(registrations()))
	st := s.status()
	var b bytes.Buffer
	if err := WriteStatus(&b, st); err != nil {
		t.Fatal(err)
	}
	st.Config, st.Ready, st.Reasons = "", false, []string{"one", "two"}
	if err := WriteStatus(&b, st); err != nil {
		t.Fatal(err)
	}
	v := s.identity().Version
	if err := WriteVersion(&b, v); err != nil {
		t.Fatal(err)
	}
	v.Commit = ""
	if err := WriteVersion(&b, v); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.txt", b.String())
}

// Names come from the network: none may move a terminal's cursor or look like another line.
func TestTextIsHarmlessToTerminals(t *testing.T) {
	const hostile = "a\x1b[2Jb\nc\u202ed\x00"
	list := ServiceList{Services: []Service{{Name: hostile, Instances: []Instance{{
		Name: hostile, Status: hostile, Marks: []Mark{{Mark: hostile, Cause: hostile}},
		Handlers: []Handler{{Name: hostile, Info: hostile, Address: hostile, State: hostile, Marks: []Mark{{Cause: hostile}}}},
	}}}}}
	session := Session{ID: hostile, Client: hostile, CID: CID{hostile, hostile, hostile}, Service: hostile, Instance: hostile, Rule: hostile, Ref: hostile}
	var b bytes.Buffer
	for _, err := range []error{
		WriteServices(&b, list), WriteSessions(&b, SessionList{Sessions: []Session{session}}, noon()),
		WriteStatus(&b, Status{Instance: hostile, Version: hostile, Config: hostile, Reasons: []string{hostile}}), WriteVersion(&b, Version{Version: hostile}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.ContainsAny(b.String(), "\x1b\x00\u202e") || strings.Contains(b.String(), "\nc") {
		t.Errorf("%q", b.String())
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 9999: "9999 B", 10_000: "10 kB", 9_999_400: "9999 kB", 123_456_789: "123 MB", 1 << 63: "9223 PB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteErrorsAreReturned(t *testing.T) {
	for name, err := range map[string]error{
		"services": WriteServices(full{}, view()), "sessions": WriteSessions(full{}, SessionList{Sessions: openSessions()}, noon()),
		"no sessions": WriteSessions(full{}, SessionList{}, noon()), "status": WriteStatus(full{}, Status{}), "version": WriteVersion(full{}, Version{}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
