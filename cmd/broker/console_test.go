package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/servicetable"
)

// operated is a broker as far as operators see one: its console, with what was asked of it.
type operated struct {
	server   *console.Server
	listener net.Listener // of the admin socket
	journal  journal.Journal
	table    servicetable.Table
	store    *intent.Store

	mu         sync.Mutex
	progress   map[string][]console.Progress // by intent, one for each question; the last one stays
	closed     []uint64
	loads      []console.LoadReport
	loaded     chan struct{} // has one for each report
	explained  console.ExplainRequest
	quarantine []console.QuarantineEntry
	held       []console.Held
	broken     error // of reload
}

// runOperated starts one and returns it with its API on an admin socket and on a plain address.
func runOperated(t *testing.T) (o *operated, socket, plain string) {
	t.Helper()
	store, err := intent.Open("")
	if err != nil {
		t.Fatal(err)
	}
	o = &operated{store: store, progress: map[string][]console.Progress{}, loaded: make(chan struct{}, 100)}
	o.server = &console.Server{
		Snapshot: o.table.Snapshot, Sessions: o.sessions, Journal: &o.journal, Explain: o.explain,
		Intents: o.intents, SetIntent: o.setIntent, EndIntent: o.endIntent,
		Held: func() []console.Held { return o.held },
		Limits: func() []console.LimitView {
			return []console.LimitView{{Of: "service sales", Unit: "connects/s", Parameter: "SERVICE_RATE", Most: 2.5}}
		},
		Peers: func() console.PeerList {
			return console.PeerList{Brokers: 2, Peers: []console.PeerView{{Name: "b2", API: "https://b2:8522", State: console.PeerAlive, Same: true}}}
		},
		Mirrors: func() []console.MirrorView {
			return []console.MirrorView{{Name: "dns", Destination: "zone db.example at :53", State: console.MirrorCurrent, Version: 7, Applied: 7}}
		},
		Certificates: func() []console.Certificate {
			return []console.Certificate{{From: "/etc/cman.pem", Subject: "CN=cman", Expires: time.Now().Add(73 * time.Hour)}}
		},
		Quarantine:   func() []console.QuarantineEntry { return o.quarantine },
		SetLoad:      o.setLoad,
		CloseSession: o.closeSession,
		Reload: func(context.Context) (console.ReloadResult, error) {
			return console.ReloadResult{Config: "/etc/cman.ora", Changed: []string{"HOLD_TIMEOUT"}}, o.broken
		},
		Parameters: func() []console.Parameter {
			return []console.Parameter{{Name: "HOLD_TIMEOUT", Value: "30", Default: "30", Meaning: "how long a connect waits"}}
		},
		Rules: func() []console.RuleView { return []console.RuleView{{Name: "1", Text: "(RULE=(SRC=*))", Matched: 7}} },
	}
	path := filepath.Join(t.TempDir(), "admin.sock")
	o.server.Identity = func() console.Identity { return console.Identity{Socket: path} }
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	o.listener = listener
	startServer(t, o.server.AdminHandler(), listener)
	return o, "unix:" + path, startServer(t, o.server.Handler(), nil)
}

// startServer serves on a listener, or on loopback, and returns the address.
func startServer(t *testing.T, handler http.Handler, at net.Listener) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	if at != nil {
		server.Listener.Close()
		server.Listener = at
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func (o *operated) sessions() []console.Session {
	o.mu.Lock()
	defer o.mu.Unlock()
	var open []console.Session
	for id := uint64(1); id <= 3; id++ {
		if !slices.Contains(o.closed, id) {
			open = append(open, console.Session{
				ID: strconv.FormatUint(id, 10), Client: fmt.Sprintf("192.0.2.50:4000%d", id), Service: "sales", Instance: "sales1@db1", Started: time.Now(),
				CID: console.CID{Program: "python3", Host: "app1", User: "scott"}, Server: console.Upstream{Local: fmt.Sprintf("192.0.2.1:5100%d", id)},
			})
		}
	}
	return open
}

func (o *operated) closeSession(id uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id > 3 || slices.Contains(o.closed, id) {
		return fmt.Errorf("%w: no session %d is open", console.ErrNotFound, id)
	}
	o.closed = append(o.closed, id)
	return nil
}

func (o *operated) explain(_ context.Context, r console.ExplainRequest) (*journal.Explanation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.explained = r
	if r.Descriptor == "((" {
		return nil, fmt.Errorf("%q is no descriptor", r.Descriptor)
	}
	return &journal.Explanation{
		Client: r.From.String(), Query: journal.Query{Service: "sales"}, Rule: "(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))", Policy: "adaptive",
		Outcome: journal.Relay, Chosen: "sales1@db1/DEDICATED", Text: "it has the most room",
		Candidates: []journal.Candidate{
			{Key: "sales1@db1/DEDICATED", Score: 0.125, Inputs: journal.Inputs{Status: "READY", Measure: "sessions", Reported: 12, ReportAgeMS: 2500, Own: 1, Capacity: 100, Weight: 100}},
			{Key: "sales2@db2/DEDICATED", Score: 1, Inputs: journal.Inputs{Status: "BLOCKED", Weight: 50}, PassedOver: "all instances of it are blocking"},
		},
	}, nil
}

// intents answers each question how far an intent is with the next of its progress.
func (o *operated) intents() []console.IntentView {
	o.mu.Lock()
	defer o.mu.Unlock()
	var views []console.IntentView
	for _, in := range o.store.All() {
		views = append(views, console.IntentView{Intent: in, Progress: o.next(in.ID)})
	}
	return views
}

func (o *operated) next(id string) console.Progress {
	left := o.progress[id]
	if len(left) == 0 {
		return console.Progress{}
	}
	if len(left) > 1 {
		o.progress[id] = left[1:]
	}
	return left[0]
}

func (o *operated) setIntent(_ context.Context, in intent.Intent) (console.IntentView, error) {
	kept, err := o.store.Add(in)
	o.mu.Lock()
	defer o.mu.Unlock()
	return console.IntentView{Intent: kept, Progress: o.next(kept.ID)}, err
}

func (o *operated) endIntent(_ context.Context, id string) (console.IntentView, error) {
	removed, err := o.store.Remove(id)
	return console.IntentView{Intent: removed}, err
}

func (o *operated) setLoad(l console.LoadReport) error {
	o.mu.Lock()
	o.loads = append(o.loads, l)
	o.mu.Unlock()
	o.loaded <- struct{}{}
	return nil
}
