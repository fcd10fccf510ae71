package journal

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// connect is an explanation as a connect through two instances leaves it.
func connect() *Explanation {
	return &Explanation{
		Client: "192.0.2.50:40123", Program: "sqlplus", Machine: "app1", User: "scott", ConnectionID: "kFvP2LZkQ5mJ3w==",
		Query: Query{Service: "sales", Descriptor: "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"}, Version: 12, Rule: "(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))",
		Policy: "adaptive", Outcome: Relay, Chosen: "sales1@db1/DEDICATED", Text: "sales1@db1 has the lowest score", Took: 3 * time.Millisecond,
		Candidates: []Candidate{
			{Key: "sales1@db1/DEDICATED", Score: 0.1, Inputs: Inputs{Status: "READY", Measure: "sessions", Capacity: 150, Weight: 100}},
			{Key: "sales2@db2/DEDICATED", Score: 0.2, Inputs: Inputs{Status: "READY", Measure: "sessions", Capacity: 150, Weight: 100}},
		},
		Attempts: []Attempt{{Key: "sales1@db1/DEDICATED", Took: 2 * time.Millisecond}},
	}
}

func TestKeepAndByRef(t *testing.T) {
	j := Journal{Now: noon}
	if j.ByRef("K7M2QX4P") != nil || j.Recent(5) != nil {
		t.Error("something from nothing")
	}
	e := connect()
	j.Keep(e)
	if len(e.Ref) != RefSize || !e.Time.Equal(noon()) {
		t.Errorf("kept as %q at %v", e.Ref, e.Time)
	}
	for _, typed := range []string{e.Ref, strings.ToLower(e.Ref), " " + e.Ref + "\n", "REF=" + e.Ref, "(REF=" + e.Ref + ")", "(ref=" + strings.ToLower(e.Ref) + ")"} {
		if diff := cmp.Diff(e, j.ByRef(typed)); diff != "" {
			t.Errorf("by %q (-given +kept):\n%s", typed, diff)
		}
	}
	for _, typed := range []string{"", "K", e.Ref + "X", "REF="} {
		if j.ByRef(typed) != nil {
			t.Errorf("found by %q", typed)
		}
	}
	later := noon().Add(time.Second)
	given := &Explanation{Ref: "GIVENREF", Time: later}
	if j.Keep(given); !cmp.Equal(j.ByRef("givenref"), given) || !given.Time.Equal(later) {
		t.Errorf("a given Ref or time was changed: %v, kept as %v", given, j.ByRef("givenref"))
	}
}

func TestKeepUnderTheSameRefReplaces(t *testing.T) {
	j := Journal{MaxExplanations: 3}
	waiting := &Explanation{Ref: "AAAAAAAA", Outcome: Hold}
	other := &Explanation{Ref: "BBBBBBBB"}
	answered := &Explanation{Ref: "AAAAAAAA", Outcome: Relay}
	j.Keep(waiting)
	j.Keep(other)
	j.Keep(answered)
	if !cmp.Equal(j.ByRef("AAAAAAAA"), answered) {
		t.Error("the old one is found")
	}
	if diff := cmp.Diff([]*Explanation{answered, other}, j.Recent(10)); diff != "" {
		t.Error(diff)
	}
	j.Keep(&Explanation{}) // pushes the old one out, which must not take the new one with it
	if !cmp.Equal(j.ByRef("AAAAAAAA"), answered) {
		t.Error("the new one went with the old one")
	}
}

func TestFind(t *testing.T) {
	var j Journal
	names := map[string]string{} // by Ref
	for i, e := range []*Explanation{
		{Client: "192.0.2.50:40123", ConnectionID: "abc", Query: Query{Service: "sales.example.com"}, Outcome: Relay},
		{Client: "192.0.2.50:40124", ConnectionID: "def", Query: Query{Service: "hr"}, Outcome: Refuse},
		{Client: "[2001:db8::1]:40123", ConnectionID: "abc", Query: Query{Service: "SALES"}, Outcome: Refuse},
		{Client: "[::ffff:192.0.2.51]:40123", Outcome: Drop},
		{Client: "@admin", Outcome: Gone},
	} {
		j.Keep(e)
		names[e.Ref] = fmt.Sprint(i)
	}
	for _, c := range []struct {
		query FindQuery
		want  string
	}{
		{FindQuery{}, "4 3 2 1 0"},
		{FindQuery{Limit: 2}, "4 3"},
		{FindQuery{ConnectionID: "abc"}, "2 0"},
		{FindQuery{ConnectionID: "ABC"}, ""},
		{FindQuery{Client: "192.0.2.50"}, "1 0"},
		{FindQuery{Client: " 192.0.2.50:40123 "}, "0"},
		{FindQuery{Client: "::ffff:192.0.2.50"}, "1 0"},
		{FindQuery{Client: "192.0.2.5"}, ""},
		{FindQuery{Client: "2001:0db8::1"}, "2"},
		{FindQuery{Client: "[2001:db8::1]"}, "2"},
		{FindQuery{Client: "[2001:db8::1]:40123"}, "2"},
		{FindQuery{Client: "[2001:db8::1]:1"}, ""},
		{FindQuery{Client: "192.0.2.51"}, "3"},
		{FindQuery{Client: "@admin"}, "4"},
		{FindQuery{Client: "app1"}, ""},
		{FindQuery{Service: "sales"}, "2 0"},
		{FindQuery{Service: "s*s"}, "2 0"},
		{FindQuery{Outcome: Refuse}, "2 1"},
		{FindQuery{Outcome: Refuse, Client: "192.0.2.50"}, "1"},
		{FindQuery{Outcome: Refuse, Limit: 1}, "2"},
	} {
		var got []string
		for _, e := range j.Find(c.query) {
			got = append(got, names[e.Ref])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %q, want %q", c.query, got, c.want)
		}
	}
	if j.Recent(0) != nil || j.Recent(-1) != nil || len(j.Recent(2)) != 2 {
		t.Error("Recent gives another number")
	}
}

// TestExplanationsAreTheModel compares with a list.
func TestExplanationsAreTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := Journal{Now: noon, MaxExplanations: rapid.IntRange(1, 600).Draw(t, "size")}
		var kept []*Explanation // as many as were added last; nil where replaced
		keep := func(t *rapid.T) {
			for range rapid.IntRange(1, 200).Draw(t, "n") {
				e := &Explanation{Query: Query{Service: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "service")}}
				if len(kept) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
					if at := rapid.IntRange(0, len(kept)-1).Draw(t, "at"); kept[at] != nil {
						e.Ref, kept[at] = kept[at].Ref, nil
					}
				}
				j.Keep(e)
				kept = append(kept, e)
				kept = kept[max(0, len(kept)-j.MaxExplanations):]
			}
		}
		look := func(t *rapid.T) {
			q := FindQuery{Service: rapid.SampledFrom([]string{"", "a", "B"}).Draw(t, "wanted"), Limit: rapid.IntRange(0, 500).Draw(t, "limit")}
			var want []*Explanation
			for _, e := range slices.Backward(kept) {
				if e != nil && (q.Service == "" || strings.EqualFold(q.Service, e.Query.Service)) && (q.Limit == 0 || len(want) < q.Limit) {
					want = append(want, e)
				}
			}
			if got := j.Find(q); !slices.EqualFunc(got, want, func(a, b *Explanation) bool { return cmp.Equal(a, b) }) {
				t.Fatalf("%+v: got %d, want %d", q, len(got), len(want))
			}
		}
		refs := func(t *rapid.T) {
			found := 0
			for _, e := range kept {
				if e != nil {
					found++
					if !cmp.Equal(j.ByRef(e.Ref), e) {
						t.Fatalf("%s is not found", e.Ref)
					}
				}
			}
			if len(j.byRef) != found {
				t.Fatalf("%d references for %d explanations", len(j.byRef), found)
			}
		}
		t.Repeat(map[string]func(*rapid.T){"keep": keep, "look": look, "refs": refs})
	})
}

func TestManyAtOnce(t *testing.T) {
	j := Journal{MaxExplanations: 100}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				e := connect()
				e.Ref = j.NewRef()
				j.Keep(e)
				if found := j.ByRef(e.Ref); found != nil && !cmp.Equal(found, e) {
					t.Errorf("%s is another's", e.Ref)
				}
				if n := len(j.Find(FindQuery{Client: "192.0.2.50"})); n == 0 || n > 100 {
					t.Errorf("%d found", n)
				}
			}
		})
	}
	all.Wait()
	if n := len(j.Recent(1000)); n != 100 {
		t.Errorf("%d kept", n)
	}
}

func TestExplanationsAreBounded(t *testing.T) {
	long := strings.Repeat("\u20ac", 9999)
	e := &Explanation{Client: long, Program: long, Machine: long, User: long, ConnectionID: long, Rule: long, Policy: long, Chosen: long, Text: long, Omitted: 1,
		Query: Query{Service: long, SID: long, Instance: long, Server: long, ColocationTag: long, Descriptor: long}}
	for i := range 40 {
		e.Candidates = append(e.Candidates, Candidate{Key: fmt.Sprint(i, long), PassedOver: long, Inputs: Inputs{Zone: long, Status: "READY"}})
		e.Attempts = append(e.Attempts, Attempt{Key: fmt.Sprint(i, long), Error: long})
	}
	var j Journal
	j.Keep(e)
	asked := 0
	for _, text := range e.asked() {
		asked += len(*text.text)
	}
	if asked > 2048 {
		t.Errorf("a client can fill %d bytes", asked)
	}
	if e.Omitted != 1+40-maxCandidates || len(e.Candidates) != maxCandidates || !strings.HasPrefix(e.Candidates[0].Key, "0") {
		t.Errorf("%d candidates, %d omitted", len(e.Candidates), e.Omitted)
	}
	if len(e.Attempts) != maxAttempts || !strings.HasPrefix(e.Attempts[maxAttempts-1].Key, "39") {
		t.Errorf("%d attempts", len(e.Attempts))
	}
	content, err := json.Marshal(e)
	if err != nil || len(content) > 24<<10 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	if !strings.HasSuffix(e.Text, "\u20ac"+ellipsis) || !strings.HasSuffix(e.Program, "\u20ac"+ellipsis) {
		t.Errorf("cut to %q, %q", e.Text, e.Program)
	}
	if found := j.Find(FindQuery{ConnectionID: long}); len(found) != 1 {
		t.Error("not found by the connection ID that was too long")
	}
}

func TestShortTextsStayAsTheyAre(t *testing.T) {
	var j Journal
	e, want := connect(), connect()
	e.Ref, want.Ref, e.Time, want.Time = "AAAAAAAA", "AAAAAAAA", noon(), noon()
	j.Keep(e)
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-given +kept):\n%s", diff)
	}
}

func TestHead(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"a\u20acb", 3, "a"}, {"a\u20acb", 4, "a\u20ac"}, {"\xbf\xbf\xbf\xbf\xbf\xbf", 5, "\xbf\xbf\xbf\xbf\xbf"}, {"\u20ac", 1, "\u20ac"[:1]}} {
		if got := head(c.in, c.n); got != c.want {
			t.Errorf("head(%q, %d) = %q", c.in, c.n, got)
		}
	}
}

// TestNoPacketIsKeptAlive: a word that is part of a packet must not hold on to all of it.
func TestNoPacketIsKeptAlive(t *testing.T) {
	const connects, packet = 1000, 64 << 10
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var j Journal
	before := heap()
	for i := range connects {
		received := strings.Repeat(fmt.Sprint(i%10), packet)
		j.Keep(&Explanation{Program: received[:9], Query: Query{Service: received[10:15], Descriptor: received}, Text: received, Attempts: []Attempt{{Error: received}}})
	}
	if grown := heap() - before; grown > connects*4<<10 {
		t.Errorf("%d bytes for each explanation", grown/connects)
	}
	runtime.KeepAlive(&j)
}

func TestKeepAllocatesLittle(t *testing.T) {
	j := Journal{MaxExplanations: 50}
	all := make([]*Explanation, 0, 202)
	for range cap(all) {
		e := connect()
		e.Ref = j.NewRef()
		all = append(all, e)
	}
	for len(all) > 101 {
		j.Keep(all[0])
		all = all[1:]
	}
	if n := testing.AllocsPerRun(100, func() { j.Keep(all[0]); all = all[1:] }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKeep(b *testing.B) {
	var j Journal
	template := connect()
	template.Candidates = slices.Repeat(template.Candidates, 4)
	b.ReportAllocs()
	for b.Loop() {
		e := new(Explanation)
		*e = *template
		e.Ref = j.NewRef()
		j.Keep(e)
	}
}

func BenchmarkFindClient(b *testing.B) {
	var j Journal
	for i := range 10_000 {
		e := connect()
		e.Client = fmt.Sprintf("192.0.2.%d:%d", i%256, i)
		j.Keep(e)
	}
	for b.Loop() {
		j.Find(FindQuery{Client: "192.0.2.7:7"})
	}
}
