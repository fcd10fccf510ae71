package console

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

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
		WriteStatus(&b, hostileStatus(hostile)), WriteVersion(&b, Version{Version: hostile}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.ContainsAny(b.String(), "\x1b\x00\u202e") || strings.Contains(b.String(), "\nc") {
		t.Errorf("%q", b.String())
	}
}

func hostileStatus(word string) Status {
	return Status{
		Instance: word, Version: word, Config: word, Route: word, Console: word, Reasons: []string{word}, Listening: []Endpoint{{Protocol: word, Host: word}},
		Summary: []ServiceSummary{{Name: word, Instances: []InstanceSummary{{Name: word, Status: word}}}},
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

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", 3*time.Hour + 59*time.Minute + time.Second: "3 h 59 min",
		50 * time.Hour: "2 d 2 h", 3 * time.Hour: "3 h", 48*time.Hour + time.Minute: "2 d", 60 * time.Second: "1 min", 1000 * 24 * time.Hour: "1000 d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
