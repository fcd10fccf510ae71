package console

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFilterTravelsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := SessionFilter{
			Service: rapid.String().Draw(t, "service"), Instance: rapid.String().Draw(t, "instance"),
			Client: rapid.String().Draw(t, "client"), Upstream: rapid.String().Draw(t, "upstream"),
		}
		q, err := url.ParseQuery(f.query().Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseFilter(q)
		if diff := cmp.Diff(f, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// A filter made of a session's own words chooses it; a filter with one word changed does not.
func TestFilterChoosesItsOwn(t *testing.T) {
	for _, s := range openSessions() {
		f := SessionFilter{Service: s.Service, Instance: s.Instance, Client: s.Client, Upstream: s.Server.Local}
		if !f.matches(&s) {
			t.Errorf("%+v does not choose session %s", f, s.ID)
		}
		for name, change := range map[string]func(*SessionFilter){
			"service":  func(f *SessionFilter) { f.Service += "x" },
			"instance": func(f *SessionFilter) { f.Instance += "x" },
			"client":   func(f *SessionFilter) { f.Client += "1" },
			"upstream": func(f *SessionFilter) { f.Upstream += "1" },
		} {
			other := f
			if change(&other); other.matches(&s) {
				t.Errorf("with another %s it still chooses session %s", name, s.ID)
			}
		}
	}
}
