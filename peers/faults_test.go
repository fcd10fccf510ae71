package peers

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guarded is an API in front of a broker's that lets in whoever has the password of the moment, and counts those it does not.
type guarded struct {
	*httptest.Server
	password atomic.Value
	refused  atomic.Int32
}

func guard(t *testing.T, b *broker, password string) *guarded {
	g := &guarded{}
	g.password.Store(password)
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); given != g.password.Load() {
			g.refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// access writes what lets somebody in, and the authority of its certificate, into files.
func (g *guarded) access(t *testing.T, password string) Access {
	folder := t.TempDir()
	a := Access{Credentials: filepath.Join(folder, "credentials"), CA: filepath.Join(folder, "ca.pem")}
	for path, text := range map[string]string{a.Credentials: "b1:" + password, a.CA: string(pemOf(g.Certificate().Raw))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Load(); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthoritiesOfPeersAreReadWhole(t *testing.T) {
	g := guard(t, newBroker(t, "b2"), "secret")
	a := g.access(t, "secret")
	one := pemOf(g.Certificate().Raw)
	for _, cut := range []int{len(one), len(one) + 20, len(one) * 3 / 2, 2*len(one) - 5, 2 * len(one)} {
		if err := os.WriteFile(a.CA, append(slices.Clone(one), one...)[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		err := a.Load()
		if whole := cut%len(one) == 0; whole != (err == nil) || !whole && !strings.Contains(err.Error(), "ca.pem is cut off") {
			t.Errorf("after %d of %d bytes: %v", cut, 2*len(one), err)
		}
	}
}

func TestCredentialsAreReadAgainAsTheyChange(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	g := guard(t, there, "new")
	a := g.access(t, "old one")
	here.watcher.Pace.Shut = time.Hour // it is not by trying again that they help
	here.watch(t, Settings{APIs: []string{g.URL}, Access: a})
	until(t, func() bool {
		all := here.watcher.Peers()
		return len(all) == 1 && all[0].Known && strings.Contains(all[0].Cause, "PEER_CREDENTIALS")
	})
	if n := g.refused.Load(); n > 3 {
		t.Errorf("wrong credentials were brought %d times", n)
	}
	if err := os.WriteFile(a.Credentials, []byte("b1:new"), 0o600); err != nil {
		t.Fatal(err)
	}
	here.await(t, Came)
}

func TestPeersThatAreTakenFromTheListAreMissedAtOnce(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	here.watch(t, Settings{APIs: []string{there.api, here.api}})
	here.await(t, Came)
	here.watcher.Configure(Settings{APIs: []string{here.api}})
	if e := here.await(t, Went); !strings.Contains(e.Peer.Cause, "PEERS") || here.watcher.Alive() != 0 {
		t.Errorf("%+v", e.Peer)
	}
}

// until looks until it is as wanted.
func until(t *testing.T, done func() bool) {
	t.Helper()
	limit, look := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatal("it did not come to be so")
		}
	}
}

// Time without an answer counts from when one was due: a host that is silent is not known for longer than one that refuses.
func TestWhenAPeerIsTakenForGone(t *testing.T) {
	pace := Pace{}.withDefaults()
	for _, one := range []struct {
		err  error
		ago  time.Duration // since the first failure
		left time.Duration
	}{
		{errors.New("refused"), 0, pace.Gone}, {errSilent, 0, pace.Gone - pace.Timeout},
		{errors.New("refused"), pace.Gone, 0}, {errSilent, pace.Gone, 0},
	} {
		w := &Watcher{}
		p := &peer{watcher: w, pace: pace, state: State{Alive: true, Known: true}}
		left := p.failed(one.err)
		if one.ago > 0 {
			p.failingSince = time.Now().Add(-one.ago)
			left = p.failed(one.err)
		}
		if left > one.left || left < one.left-time.Second || p.state.Alive != (left > 0) {
			t.Errorf("%v, %v ago: %v left, alive %v", one.err, one.ago, left, p.state.Alive)
		}
	}
}

func TestOutcomesOfQuestions(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "B1") // the same name, and another broker
	there.Self = func() Summary { return Summary{ID: "another", Name: "B1"} }
	there.table.Apply(database("sales1", "db1", "sales"))
	dead := httptest.NewServer(nil)
	dead.Close()
	// Nobody looks, so that nobody is known to be gone.
	here.watcher.settings.AskTimeout = 10 * time.Second
	adopted := func(apis ...string) (all []*peer) {
		for _, api := range apis {
			p := &peer{watcher: &here.watcher, pace: here.watcher.Pace.withDefaults(), state: State{API: api}}
			p.reach(Access{})
			t.Cleanup(p.client.close)
			all = append(all, p)
		}
		return all
	}
	for _, one := range []struct {
		service string
		of      []*peer
		want    outcome
	}{
		{"sales", adopted(dead.URL, there.api), found}, {"hr", adopted(dead.URL, there.api), none}, {"hr", adopted(there.api, dead.URL), none},
		{"sales", adopted(dead.URL), unanswered}, {"sales", adopted(dead.URL, dead.URL), unanswered},
	} {
		offers, came := here.watcher.put(Question{Service: one.service}, one.of, 10*time.Second)
		if came != one.want || (len(offers) > 0) != (one.want == found) {
			t.Errorf("%s of %d: %d, %+v", one.service, len(one.of), came, offers)
		}
		if one.want == found && "http://"+offers[0].Peer != there.api {
			t.Errorf("a peer of this broker's own name is called %q", offers[0].Peer)
		}
	}
}

// Where no peer can know it, nobody is asked and nothing is kept of it.
func TestNobodyIsAskedWhereNobodyCanKnow(t *testing.T) {
	here, there := newBroker(t, "b1"), newBroker(t, "b2")
	here.watch(t, Settings{APIs: []string{there.api}})
	here.await(t, Came)
	until(t, func() bool { return here.watcher.Peers()[0].Same })
	if _, asked := here.watcher.Ask(t.Context(), Question{Service: "made-up"}); !asked {
		t.Error("a peer may know later")
	}
	if c := here.watcher.Asked(); c != (AskCounts{}) {
		t.Errorf("%+v", c)
	}
	if len(here.watcher.asking.flights) > 0 {
		t.Error("it is kept that nobody was asked")
	}
}

func pemOf(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

func TestHowLongAPeerIsToWait(t *testing.T) {
	here := newBroker(t, "b1")
	here.watcher.Pace = Pace{}
	own, _ := here.entry()
	pace, now := Pace{}.withDefaults(), time.Now()
	for name, one := range map[string]struct {
		p     peer
		wait  time.Duration
		first bool
	}{
		"nothing is known":        {peer{}, 0, true},
		"it does not answer":      {peer{digest: own.digest, failingSince: now}, 0, true},
		"the tables are the same": {peer{digest: own.digest, detailAt: now}, pace.Wait, false},
		"figures are to be seen":  {peer{digest: own.digest, detailAt: now.Add(-2 * pace.Compare)}, pace.Retry / 4, false},
		"they began to differ":    {peer{digest: "other", state: State{DiffersSince: now}}, pace.Settle, false},
		"it is known in what":     {peer{digest: "other", detailAt: now, detailOf: [3]string{own.digest, "other", ""}, state: State{DiffersSince: now}}, pace.Wait, false},
		"it ended its wait":       {peer{digest: own.digest, curt: true, detailAt: now}, 0, false},
		"it is this broker":       {peer{digest: "other", state: State{Self: true, DiffersSince: now}}, pace.Wait, false},
	} {
		p := &one.p
		p.watcher, p.pace = &here.watcher, pace
		if wait, first := p.patience(); wait > one.wait || wait < one.wait-time.Second/2 || first != one.first {
			t.Errorf("%s: %v, first %v", name, wait, first)
		}
	}
}

// Other credentials want other connections; the same settings again do not, and none of the earlier ones is left.
func TestEarlierConnectionsEnd(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			here, there := newBroker(t, "b1"), newBroker(t, "b2")
			var open, ever atomic.Int32
			g := &guarded{Server: httptest.NewUnstartedServer(&there.Publisher)}
			g.EnableHTTP2 = version == "HTTP/2"
			g.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				switch s {
				case http.StateNew:
					open.Add(1)
					ever.Add(1)
				case http.StateClosed:
					open.Add(-1)
				}
			}
			g.StartTLS()
			t.Cleanup(g.Close)
			one, other := g.access(t, "one"), g.access(t, "another")
			here.watch(t, Settings{APIs: []string{g.URL}, Access: one})
			here.await(t, Came)
			for range 20 {
				here.watcher.Configure(Settings{APIs: []string{g.URL}, Access: one})
			}
			if n := ever.Load(); n > 2 {
				t.Errorf("%d connections, with the same settings", n)
			}
			for i := range 10 {
				before := ever.Load()
				here.watcher.Configure(Settings{APIs: []string{g.URL}, Access: []Access{other, one}[i%2]})
				until(t, func() bool { return ever.Load() > before })
			}
			until(t, func() bool { return open.Load() <= 2 })
		})
	}
}

// Who goes on where another one was tells of nothing that is as it was, and of what is not.
func TestPeersThatArePassedOn(t *testing.T) {
	here, there, third := newBroker(t, "b1"), newBroker(t, "b2"), newBroker(t, "b3")
	there.table.Apply(database("sales1", "db1", "sales"))
	here.watch(t, Settings{APIs: []string{there.api, here.api, third.api}})
	kinds := map[EventKind]int{}
	for range 3 {
		select {
		case e := <-here.events:
			kinds[e.Kind]++
		case <-time.After(20 * time.Second):
			t.Fatalf("only %v", kinds)
		}
	}
	if kinds[Came] != 2 || kinds[Differs] != 1 {
		t.Fatal(kinds)
	}
	var passed []Passed
	text, err := json.Marshal(here.watcher.Pass())
	if err == nil {
		err = json.Unmarshal(text, &passed)
	}
	if err != nil || len(passed) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	for name, c := range map[string]struct {
		apis     []string
		discover func(context.Context) ([]Found, error)
	}{
		"by a list": {apis: []string{there.api}},
		"found":     {discover: func(context.Context) ([]Found, error) { return nil, errors.New("it is away") }},
	} {
		t.Run(name, func(t *testing.T) {
			next := newBroker(t, "b1")
			next.watcher.Discover = c.discover
			next.watcher.GoOn(passed)
			if n := next.watcher.Alive(); n != 2 {
				t.Errorf("%d are alive", n)
			}
			next.watch(t, Settings{APIs: c.apis})
			if c.discover == nil { // the third is on the list no more
				if e := next.await(t, Went); e.Peer.API != third.api {
					t.Errorf("%+v", e.Peer)
				}
			}
			next.table.Apply(database("sales1", "db1", "sales"))
			for e := range next.events { // the third may come to differ meanwhile
				if e.Peer.API == there.api {
					if e.Kind != Agrees || e.Peer.ID != "id of b2" || !e.Peer.At.IsLoopback() {
						t.Errorf("event %d of %+v", e.Kind, e.Peer)
					}
					break
				}
			}
		})
	}
}
