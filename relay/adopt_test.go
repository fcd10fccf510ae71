package relay

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"servicebroker/relay/engine"
)

// frozenPair are two sockets as they come with a session.
func frozenPair(t *testing.T) []*os.File {
	t.Helper()
	var files []*os.File
	for range 2 {
		near, far := tcpPair(t)
		t.Cleanup(func() { far.Close() })
		f, err := near.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		near.Close()
		files = append(files, f)
	}
	return files
}

func TestSessionsThatCannotBeTaken(t *testing.T) {
	w := newTCPWorld(t)
	w.open() // number 1
	noSocket := func() []*os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		return []*os.File{f, frozenPair(t)[0]}
	}
	fine := MovedSession{Format: movedFormat, ID: 9}
	for name, c := range map[string]struct {
		change func(*MovedSession)
		files  []*os.File
		says   string
	}{
		"a later form":    {func(m *MovedSession) { m.Format++ }, frozenPair(t), "form 2, this process knows 1"},
		"no form":         {func(m *MovedSession) { m.Format = 0 }, frozenPair(t), "form 0"},
		"a need":          {func(m *MovedSession) { m.Needs = []string{"tls"} }, frozenPair(t), `"tls"`},
		"no number":       {func(m *MovedSession) { m.ID = 0 }, frozenPair(t), "without a number"},
		"here already":    {func(m *MovedSession) { m.ID = 1 }, frozenPair(t), "is here already"},
		"negative idle":   {func(m *MovedSession) { m.Timeouts.Idle = -1 }, frozenPair(t), "below zero"},
		"negative length": {func(m *MovedSession) { m.Timeouts.Session = -1 }, frozenPair(t), "below zero"},
		"too much":        {func(m *MovedSession) { m.State.Pending[1] = make([]byte, mostPending+1) }, frozenPair(t), "to client"},
		"one socket":      {func(*MovedSession) {}, frozenPair(t)[:1], "with 1 sockets"},
		"no sockets":      {func(*MovedSession) {}, nil, "with 0 sockets"},
		"a file":          {func(*MovedSession) {}, noSocket(), "socket"},
	} {
		m := fine
		c.change(&m)
		_, err := w.Adopt(&m, c.files)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.says)
		}
		if isFile := name == "a file"; errors.Is(err, ErrNotTaken) == isFile {
			t.Errorf("%s: %v", name, err)
		}
		for i, f := range c.files {
			if f.Close() == nil {
				t.Errorf("%s: file %d was left open", name, i)
			}
		}
	}
	if n := len(w.Sessions()); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// What could not be answered for goes on where it was.
func TestADiscardedSessionIsTheOthers(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	successor.Resumed = func(*MovedSession) Reservation { return &inOrder{successor, nil} }
	client := old.open()
	moved, stayed := old.Move(t.Context(), func(_ context.Context, m *MovedSession, files []*os.File) error {
		one, err := successor.Adopt(m, []*os.File{duplicate(t, files[0]), duplicate(t, files[1])})
		if err != nil {
			t.Error(err)
			return err
		}
		one.Discard()
		return errors.New("no answer could be given")
	})
	if moved != 0 || stayed != 1 || successor.released != 1 {
		t.Errorf("%d moved, %d stayed, %d released", moved, stayed, successor.released)
	}
	echo(t, client, "here")
	client.NetConn().Close()
}

func TestNumbersAreSkipped(t *testing.T) {
	w := newTCPWorld(t)
	w.SkipIDs(100)
	w.SkipIDs(50)
	w.open()
	if s := w.Sessions(); len(s) != 1 || s[0].ID != 101 || s[0].ServerID != 101 || w.LastID() != 101 {
		t.Errorf("%+v", s)
	}
}

// FuzzMovedSession: what comes from another version, or is damaged, is understood or declined.
func FuzzMovedSession(f *testing.F) {
	whole, err := json.Marshal(&MovedSession{
		Format: movedFormat, ID: 7, ServerID: 7, Client: "10.0.0.1:5000", Service: "sales", Instance: "s1@h", Handler: "DEDICATED", Ref: "k7m2qx4p",
		Started: time.Now(), At: counted{Instance: "s1", Host: "h", Service: "sales", Handler: "DEDICATED"}, Limited: "sales", Timeouts: timeouts{Idle: time.Hour},
		State:       engine.State{Pending: [2][]byte{[]byte("x")}, Ended: [2]bool{true}},
		Explanation: json.RawMessage(`{"ref":"k7m2qx4p"}`),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole))
	f.Add(`{"format":1,"id":18446744073709551615,"state":{"pending":["AA==","AA==","AA=="],"stats":{"to_server":1}},"explanation":[]}`)
	f.Add(`{"format":2,"needs":["x"],"network":"::1%eth0","later":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		m := new(MovedSession)
		if json.Unmarshal([]byte(text), m) != nil || m.check() != nil {
			return
		}
		if info := m.info(); info.ID != m.ID || info.Client != m.Client || info.Registration != m.Registration {
			t.Errorf("%+v of %+v", info, m)
		}
		c := m.Candidate()
		if c.Service.Name != m.At.Service || c.Handler.Name != m.At.Handler {
			t.Errorf("counts at %+v", c)
		}
		if e := m.explanation(); e != nil && (e.Ref != m.Ref || e.Ref == "") {
			t.Errorf("explained by %q, not %q", e.Ref, m.Ref)
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back := new(MovedSession)
		if err := json.Unmarshal(again, back); err != nil || back.check() != nil {
			t.Errorf("%v, %v after %s", err, back.check(), again)
		}
	})
}
