package console

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
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

// What a generation from before an upgrade keeps is told of.
func TestSessionsOfOlderGenerationsAsText(t *testing.T) {
	until := noon()
	older := []Generation{{Number: 2, Sessions: 1, Until: &until}, {Number: 3, Sessions: 2}}
	for name, c := range map[string]struct {
		list SessionList
		want string
	}{
		"none here": {SessionList{Older: older}, "No sessions.\nNot listed: 1 session in generation 2 until " + until.Local().Format(time.TimeOnly) + " (broker generations)\n"},
		"some here": {SessionList{Sessions: openSessions(), Older: older}, "\nNot listed: 1 session in generation 2"},
		"no bound":  {SessionList{Older: older}, "\nNot listed: 2 sessions in generation 3 (broker generations)\n"},
	} {
		var b bytes.Buffer
		if err := WriteSessions(&b, c.list, noon()); err != nil || !strings.Contains(b.String(), c.want) {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
}

// Sessions are answered with the generations that keep others, for those who have to do with all services.
func TestOlderGenerationsOfSessions(t *testing.T) {
	o := newOperated(t)
	generations := append(twoGenerations(), Generation{Number: 2, State: GenerationEnding}, Generation{Number: 5, PID: os.Getpid(), State: GenerationMoving, Sessions: 9})
	o.Generations = func() []Generation { return generations }
	list, err := overSocket(t, o).Sessions(t.Context(), SessionFilter{Service: "none"})
	if err != nil || len(list.Sessions) != 0 || len(list.Older) != 1 || list.Older[0].Number != 3 || list.Older[0].Sessions != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	logins := loginsOf(t, people()...)
	if list := answer[SessionList](t, o.as(logins, "hrviewer", "GET /api/v1/sessions", ""), 200); list.Older != nil {
		t.Errorf("whoever has to do with some services is told of %+v", list.Older)
	}
	o.Generations = nil
	if list, err := overSocket(t, o).Sessions(t.Context(), SessionFilter{}); err != nil || list.Older != nil {
		t.Errorf("%+v, %v", list, err)
	}
}
