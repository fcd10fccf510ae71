package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/servicetable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is a registration as a database makes it.
func database(instance, host string, services ...string) servicetable.Registration {
	r := servicetable.Registration{
		ID: servicetable.ID(instance + host), Instance: instance, Host: host, RegisteredAt: time.Now(), LoadAt: time.Now(), Peer: netip.MustParseAddr("192.0.2.1"),
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: host, Port: 1521}},
	}
	for i, name := range services {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked})
		r.Handlers[0].Services = append(r.Handlers[0].Services, i)
	}
	return r
}

// broker is one whose API is at api.
type broker struct {
	Publisher
	table   servicetable.Table
	watcher Watcher
	events  chan Event
	api     string
}

func newBroker(t *testing.T, name string) *broker {
	b := &broker{events: make(chan Event, 100)}
	b.Publisher = Publisher{Snapshot: b.table.Snapshot, Self: func() Summary { return Summary{ID: "id of " + name, Name: name, Version: "1"} }, Pause: time.Nanosecond}
	server := httptest.NewServer(&b.Publisher)
	t.Cleanup(server.Close)
	b.api = server.URL
	fast := 20 * time.Millisecond
	b.watcher = Watcher{Own: &b.Publisher, Report: func(e Event) { b.events <- e }, Pace: Pace{
		Wait: fast, Timeout: 5 * time.Second, Retry: fast, Gone: fast, Discover: fast, Settle: fast, Differs: 3 * fast, Detail: fast, Compare: fast,
	}}
	return b
}

// watch has the broker look at peers to the end of the test.
func (b *broker) watch(t *testing.T, s Settings) {
	if s.AskTimeout == 0 {
		s.AskTimeout = 10 * time.Second
	}
	b.watcher.Configure(s)
	ended := make(chan struct{})
	ctx := t.Context()
	go func() { defer close(ended); b.watcher.Run(ctx) }()
	t.Cleanup(func() { <-ended })
}

func (b *broker) await(t *testing.T, kind EventKind) Event {
	t.Helper()
	select {
	case e := <-b.events:
		if e.Kind != kind {
			t.Fatalf("event %d of %s, wanted %d", e.Kind, e.Peer.Label(), kind)
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatalf("no event %d: %+v", kind, b.watcher.Peers())
		return Event{}
	}
}

func TestAPeerComesDiffersAgreesAndGoes(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	server := httptest.NewServer(&there.Publisher)
	defer server.Close()
	here.watch(t, Settings{APIs: []string{server.URL}})
	if e := here.await(t, Came); e.Peer.Name != "b2" || !e.Peer.Alive || here.watcher.Alive() != 1 {
		t.Errorf("came %+v", e.Peer)
	}
	there.table.Apply(database("sales1", "db1", "sales"))
	if e := here.await(t, Differs); len(e.Peer.Differences) != 1 || e.Peer.Differences[0].Instance != "sales1@db1" {
		t.Errorf("differs in %+v", e.Peer.Differences)
	}
	here.table.Apply(database("sales1", "db1", "sales"))
	if e := here.await(t, Agrees); len(e.Peer.Differences) != 0 {
		t.Errorf("agrees but for %+v", e.Peer.Differences)
	}
	server.CloseClientConnections()
	server.Listener.Close()
	if e := here.await(t, Went); e.Peer.Cause == "" || here.watcher.Alive() != 0 {
		t.Errorf("went %+v", e.Peer)
	}
}

// One that ends answers until its sessions have; one that is started anew at once was never missed, and yet comes again.
func TestAPeerThatEndsSaysSo(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	var leaving atomic.Bool
	there.Self = func() Summary { return Summary{ID: "id of b2", Name: "b2", Version: "1", Leaving: leaving.Load()} }
	here.watch(t, Settings{APIs: []string{there.api}})
	here.await(t, Came)
	leaving.Store(true)
	if e := here.await(t, Leaves); !e.Peer.Leaving || !e.Peer.Alive || !e.Peer.At.IsLoopback() {
		t.Errorf("leaves %+v", e.Peer)
	}
	leaving.Store(false)
	if e := here.await(t, Came); e.Peer.Leaving || !e.Peer.Alive {
		t.Errorf("came again %+v", e.Peer)
	}
}

func TestAskedPeersAnswerByTheirOwnTables(t *testing.T) {
	here, there, third := newBroker(t, "b1"), newBroker(t, "b2"), newBroker(t, "b3")
	there.watch(t, Settings{APIs: []string{third.api}})
	here.watch(t, Settings{APIs: []string{there.api, here.api}})
	here.await(t, Came)
	third.table.Apply(database("sales3", "db3", "sales"))
	there.table.Apply(database("sales2", "db2", "sales", "hr"))
	offers, asked := here.watcher.Ask(t.Context(), Question{Service: "SALES", Lately: true})
	if !asked || len(offers) != 1 || offers[0].Peer != "b2" || offers[0].Registration.Instance != "sales2" || !offers[0].At.IsLoopback() {
		t.Fatalf("%v: %+v", asked, offers)
	}
	there.table.Drop("sales2db2")
	if again, _ := here.watcher.Ask(t.Context(), Question{Service: "sales", Lately: true}); len(again) != 1 {
		t.Error("the answer of a moment ago is not used")
	}
	if offers, _ := here.watcher.Ask(t.Context(), Question{SID: "sales2", Lately: true}); len(offers) != 0 {
		t.Errorf("what is gone is offered: %+v", offers)
	}
	if c := here.watcher.Asked(); c.Found != 1 || c.None != 1 || c.Kept != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestNamesThatAreMadeUpHaveLittleRoom(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	there.table.Apply(database("sales1", "db1", "sales"))
	here.watch(t, Settings{APIs: []string{there.api}})
	here.await(t, Came)
	for i := range 10 * madeUpRate {
		here.watcher.Ask(t.Context(), Question{Service: fmt.Sprint("x", i)})
	}
	c := here.watcher.Asked()
	if c.Limited == 0 || c.None > 3*madeUpRate {
		t.Errorf("counts %+v", c)
	}
	if offers, _ := here.watcher.Ask(t.Context(), Question{Service: "sales", Lately: true}); len(offers) != 1 {
		t.Error("they took the room of what was here")
	}
}

func TestBrokersThatAreFoundAreLookedAt(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	var asked atomic.Int32
	here.watcher.Discover = func(context.Context) ([]Found, error) {
		switch asked.Add(1) {
		case 1:
			return []Found{{Name: "b1", API: here.api, Self: true}, {Name: "b2", API: there.api}, {Name: "odd"}}, nil
		case 2:
			return nil, errors.New("it is away")
		}
		return nil, nil // and then it says that nobody is alive
	}
	here.watch(t, Settings{})
	if e := here.await(t, Came); e.Peer.Name != "b2" {
		t.Errorf("%+v", e.Peer)
	}
	for asked.Load() < 5 {
		runtime.Gosched()
	}
	if here.watcher.Alive() != 1 {
		t.Error("a peer that answers is given up since somebody else does not know it")
	}
	here.watcher.Configure(Settings{Off: true})
	for len(here.watcher.Peers()) > 0 {
		runtime.Gosched()
	}
}

func TestDigestsAreOfTablesWithoutLoad(t *testing.T) {
	b := newBroker(t, "b1")
	summary := func(rows bool) *Summary {
		b.ledger.lookAt = time.Time{} // else it is not looked at so soon again
		return b.Summary(rows)
	}
	before := summary(false)
	b.table.Apply(database("sales1", "db1", "sales"))
	after := summary(true)
	if before.Digest == after.Digest || len(after.Rows) != 1 || before.Rows != nil {
		t.Errorf("%+v, then %+v", before, after)
	}
	again := database("sales1", "db1", "sales")
	again.Load, again.LoadAt = 77, time.Now().Add(time.Second)
	b.table.Apply(again)
	if summary(false).Digest != after.Digest {
		t.Error("load makes another table")
	}
	b.table.Mark("sales1@db1", servicetable.Mark{Kind: servicetable.Ejected})
	if summary(false).Digest == after.Digest {
		t.Error("marks do not")
	}
}

// What is stale since a start, and was not lost, is said to be that; brokers of before that say it of none.
func TestInstancesKnownFromDiskAreNotCalledLost(t *testing.T) {
	stale := database("sales1", "db1", "sales")
	stale.Stale = true
	restarted, lives := newBroker(t, "b1"), newBroker(t, "b2")
	restarted.table.Apply(stale)
	lives.table.Apply(database("sales1", "db1", "sales"))
	lost := restarted.Summary(true).Rows
	restarted.Stored = func(r *servicetable.Registration) bool { return r.ID == stale.ID }
	restarted.table.Apply(stale)
	restarted.ledger.lookAt = time.Time{}
	text, err := json.Marshal(restarted.Summary(true))
	if err != nil {
		t.Fatal(err)
	}
	read, err := decodeSummary(text)
	if err != nil {
		t.Fatal(err)
	}
	ready := lives.Summary(true).Rows
	for _, c := range []struct {
		here, there []Row
		want        string
	}{
		{lost, ready, "sales1@db1 sales: STALE here, READY there: one of them has lost the registration"},
		{read.Rows, ready, "sales1@db1 sales: STALE here, READY there: known from disk here since the start, not registered again yet"},
		{ready, read.Rows, "sales1@db1 sales: READY here, STALE there: known from disk there since that broker's start, not registered again yet"},
	} {
		if all, _ := compare(c.here, c.there); len(all) != 1 || !strings.HasPrefix(all[0].String(), c.want) {
			t.Errorf("%v, want %s", all, c.want)
		}
	}
	if digestOf(lost) != digestOf(read.Rows) {
		t.Error("it makes another table")
	}
}

func TestWhatOthersAreTold(t *testing.T) {
	b := newBroker(t, "b1")
	many := make([]string, 2*mostTold)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	r := database("big1", "db1", many...)
	r.Marks, r.Tier, r.Database = nil, 3, "prod"
	b.table.Apply(r)
	static := database("st1", "db2", "s5")
	static.Static = true
	b.table.Apply(static)
	drained := database("dr1", "db3", "s5")
	drained.Marks = []servicetable.Mark{{Kind: servicetable.Draining}}
	b.table.Apply(drained)
	stale := database("old1", "db4", "s5")
	stale.Stale = true
	b.table.Apply(stale)
	text, err := json.Marshal(b.Offers(url.Values{"service": {"S5"}}))
	if err != nil {
		t.Fatal(err)
	}
	_, all, unread, err := decodeAnswer(text)
	if err != nil || unread != 0 || len(all) != 1 {
		t.Fatalf("%v, %d unread, %d registrations: %s", err, unread, len(all), text)
	}
	got := all[0]
	if got.Instance != "big1" || len(got.Services) != 1 || got.Services[0].Name != "s5" || !slices.Equal(got.Handlers[0].Services, []int{0}) || got.Tier != 0 || got.Database != "" {
		t.Errorf("told %+v", got)
	}
	if len(r.Handlers[0].Services) != 2*mostTold {
		t.Error("the table was changed by telling")
	}
}

func TestCompare(t *testing.T) {
	age := func(d time.Duration) *int64 { ms := d.Milliseconds(); return &ms }
	offers := func(pairs ...string) map[string]listed[string] {
		all := map[string]listed[string]{}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = strings.Fields(pairs[i+1])
		}
		return all
	}
	here := []Row{
		{Key: "a@1", Offers: offers("READY", "s")}, {Key: "b@1", Offers: offers("READY", "s t u v w x"), LoadAge: age(time.Second)},
		{Key: "c@1", Offers: offers("READY", "s"), LoadAge: age(time.Second)}, {Key: "e@1", Offers: offers("READY quarantined", "s", "READY", "only")},
	}
	there := []Row{
		{Key: "b@1", Offers: offers("BLOCKED", "s t u v w", "READY draining", "x"), LoadAge: age(time.Minute)},
		{Key: "c@1", Offers: offers("READY", "s"), LoadAge: age(time.Hour)}, {Key: "d@1", Offers: offers("STALE", "s")}, {Key: "e@1", Offers: offers("READY", "s")},
	}
	all, count := compare(here, there)
	var text []string
	for _, d := range all {
		text = append(text, d.String())
	}
	for i, want := range []string{
		"a@1: READY here, absent there: the database is not registered there", "b@1 s, t, u, v and 1 more: READY here, BLOCKED there: the database's last word",
		"b@1 x: READY here, READY draining there: marks differ", "c@1: load 1s old here, load 1h0m0s old there: older load", "d@1: absent here, STALE there: the database is not registered here",
		"e@1 only: READY here, absent there: the database does not offer it there", "e@1 s: READY quarantined here, READY there: it is quarantined",
	} {
		if i >= len(text) || !strings.HasPrefix(text[i], want) {
			t.Errorf("difference %d is not %q:\n%s", i, want, strings.Join(text, "\n"))
		}
	}
	if count != 7 {
		t.Errorf("%d differences", count)
	}
	if all, count := compare(here, here); count != 0 {
		t.Errorf("a table differs from itself in %v", all)
	}
	many := make([]Row, 500)
	for i := range many {
		many[i].Key = fmt.Sprintf("%04d@1", i)
	}
	if all, count := compare(many, nil); len(all) != mostDifferences || count != 500 {
		t.Errorf("%d differences of %d", len(all), count)
	}
}

func TestDifferingSettings(t *testing.T) {
	if got := differingSettings(map[string]string{"A": "1", "B": "1", "C": "1"}, map[string]string{"A": "1", "B": "2", "D": "1"}); strings.Join(got, " ") != "B C D" {
		t.Errorf("%v", got)
	}
}

func TestAccess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, one := range []struct {
		text, problem, header string
		mode                  os.FileMode
	}{
		{"a:b\nmore", "", "Basic YTpi", 0o600}, {"token", "", "Bearer token", 0o400}, {"", "empty", "", 0o600}, {"a:b", "", "Basic YTpi", 0o440}, {"a:b", "chmod 600", "", 0o644}, {"a:b", "chmod 600", "", 0o660},
	} {
		_ = os.Remove(file)
		if err := errors.Join(os.WriteFile(file, []byte(one.text), 0o600), os.Chmod(file, one.mode)); err != nil {
			t.Fatal(err)
		}
		a := Access{Credentials: file}
		err := a.Load()
		if one.problem == "" && err != nil || one.problem != "" && (err == nil || !strings.Contains(err.Error(), one.problem)) || a.header != one.header {
			t.Errorf("%q: %v, %q", one.text, err, a.header)
		}
	}
	none := Access{Credentials: file + "x"}
	if err := none.Load(); err == nil {
		t.Error("a file that is not there is read")
	}
}

// What a peer says is read within bounds, whatever it is, and what was read can be shown and compared.
func FuzzPeerAnswers(f *testing.F) {
	f.Add([]byte(`{"format":1,"id":"x","digest":"d","rows":[{"key":"a@1","load_age_ms":5,"offers":{"READY":["s"]}}],"settings":{"A":"1"}}`))
	f.Add([]byte(`{"format":1,"id":"x","registrations":[{"format":1,"id":"1","instance":"i","services":[{"name":"s","flags":4}],"handlers":[{"name":"D","kind":"dedicated","port":1,"services":[0]}]}]}`))
	f.Add([]byte(`{"format":2,"id":"x"}`))
	f.Add([]byte(`{"format":1,"id":"x","digest":"d","started":"2026-01-01T00:00:00+24:00","time":"9999-12-31T23:59:59-01:00"}`))
	f.Add([]byte(`{"format":1,"id":"x","digest":"d","started":"2026-01-01T00:00:00+24:00"}`))
	f.Add([]byte(`{"format":1,"id":"\u001b[2J","digest":"d","rows":[{"key":"b"},{"key":"a"},{"key":"a"}]}`))
	f.Add([]byte("[[[["))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := decodeSummary(data); err == nil {
			if _, err := json.Marshal(s); err != nil {
				t.Errorf("it is read, and cannot be shown: %v", err)
			}
			for _, d := range first(compare(s.Rows, []Row{{Key: "m@1", Offers: map[string]listed[string]{"READY": {"s"}}}})) {
				if text := d.String(); text != printable(text) {
					t.Errorf("%q", text)
				}
			}
			if !slices.IsSortedFunc(s.Rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) }) {
				t.Error("rows are not sorted")
			}
		}
		_, all, _, err := decodeAnswer(data)
		if err != nil {
			return
		}
		var table servicetable.Table
		for _, r := range all {
			table.Apply(r)
		}
		if len(all) > maxOffers {
			t.Errorf("%d registrations", len(all))
		}
	})
}

func first(all []Difference, _ int) []Difference { return all }
