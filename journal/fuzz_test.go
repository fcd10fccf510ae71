package journal

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"servicebroker/testenv/fuzzing"
)

// FuzzPassed goes on with what another process passed on, whatever that is: events are in order afterwards,
// and new ones come behind them.
func FuzzPassed(f *testing.F) {
	f.Add([]byte(`{"last":3,"events":[{"id":2,"kind":"started"},{"id":3,"kind":"registered","service":"s"}]}`))
	f.Add([]byte(`{"last":18446744073709551615,"events":[{"id":18446744073709551615}]}`))
	f.Add([]byte(`{"last":2,"events":[{"id":1},{"id":1},{"id":2}]}`))
	f.Add([]byte(`{"last":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Passed
		if json.Unmarshal(data, &p) != nil {
			return
		}
		j := Journal{FirstID: 10, MaxEvents: 5}
		j.Wait()
		j.Add(Event{Kind: Started, Detail: "new"})
		j.GoOn(p)
		all := j.Events(Filter{Limit: 100})
		if len(all) == 0 || len(all) > 5 || all[len(all)-1].Detail != "new" || j.Last() != all[len(all)-1].ID {
			t.Fatalf("after %+v there is %+v, the last %d", p, all, j.Last())
		}
		for i, e := range all {
			if i > 0 && e.ID != all[i-1].ID+1 {
				t.Fatalf("%+v", all)
			}
			if text := e.String(); strings.ContainsAny(text, "\n\r\x1b") || !utf8.ValidString(text) {
				t.Fatalf("%q is not one line", text)
			}
		}
		again := j.Pass(100, 1<<20)
		if again.Last != j.Last() || !inOrder(again.Events, again.Last) {
			t.Fatalf("%+v", again)
		}
	})
}

// FuzzLookUps: patterns of services mean what regular expressions of the same meaning do, ends of connections
// what they say, and summaries are one line whatever clients call themselves.
func FuzzLookUps(f *testing.F) {
	f.Add("sal*s", "sales.example.com", "[::1]:5")
	f.Add("*a*a", "a", "10.0.0.1")
	f.Add("", "\n", "::ffff:10.0.0.1")
	f.Fuzz(func(t *testing.T, pattern, name, client string) {
		if len(pattern) < 100 && len(name) < 1000 && utf8.ValidString(pattern) && utf8.ValidString(name) {
			parts := strings.Split(strings.ToLower(pattern), "*")
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			want := regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(strings.ToLower(name))
			if got := fits(pattern, name); got != want {
				t.Fatalf("%q and %q: %v", pattern, name, got)
			}
		}
		if e := parseEnd(client); !e.fits(client) && strings.TrimSpace(client) == client {
			t.Fatalf("%q is not itself", client)
		}
		x := &Explanation{Ref: "ABCD2345", Outcome: Refuse, Client: client, Text: name, Program: pattern, Query: Query{Service: name}}
		if text := x.Summary(); strings.ContainsAny(text, "\n\r\x1b") || !utf8.ValidString(text) {
			t.Fatalf("%q is not one line", text)
		}
		var j Journal
		j.Keep(x)
		fuzzing.Bounded(t, len(pattern)+len(name)+len(client), func() { j.Find(FindQuery{Service: pattern, Client: client, Limit: 5}) })
	})
}

// A dot at the beginning begins no domain, as in patterns elsewhere.
func TestDomains(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"a", "a.b", true}, {".a", ".a.b", true}, {".a", ".a", true}, {".*", ".a.b", true}, {"", ".a", false}, {"*.a", ".a.b", false}, {"a.b", "a.b.c", false}} {
		if got := serviceFits(c.pattern, c.name); got != c.want {
			t.Errorf("%q means %q: %v", c.pattern, c.name, got)
		}
	}
}
