package console

import (
	"bytes"
	"testing"
)

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
