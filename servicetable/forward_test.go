package servicetable

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// at builds a dedicated handler at an address for some services.
func at(host string, port int, services ...int) Handler {
	return Handler{Name: "DEDICATED", Kind: Dedicated, Protocol: "tcp", Host: host, Port: port, Services: services}
}

func TestForwards(t *testing.T) {
	three := []Service{{Name: "cdb"}, {Name: "pdb1"}, {Name: "pdb2"}}
	moved := at("scan2", 1521, 2)
	for _, c := range []struct {
		name     string
		handlers []Handler
		want     string // one letter a handler: f forwards, - does not
	}{
		{"a database that moved away", []Handler{at("db1", 1521, 0, 1), moved}, "-f"},
		{"to the three addresses of a SCAN", []Handler{at("db1", 1521, 0, 1), at("10.9.0.1", 1521, 2), at("10.9.0.2", 1521, 2), at("10.9.0.3", 1521, 2)}, "-fff"},
		{"listed first", []Handler{moved, at("db1", 1521, 0, 1)}, "f-"},
		{"moved with more services than are left", []Handler{at("scan2", 1521, 1, 2), at("DB1.example.com", 1521, 0)}, "f-"},
		{"at home by the registrant's address", []Handler{at("scan2", 1521, 1, 2), at("192.0.2.7", 1521, 0)}, "f-"},
		{"nothing at home: the most services", []Handler{at("other", 1521, 2), at("vip", 1521, 0, 1)}, "f-"},
		{"nothing at home, as many: the first", []Handler{at("vip", 1521, 0), at("other", 1521, 2)}, "-f"},
		{"another port of this host", []Handler{at("db1", 1521, 0, 1), at("db1", 1522, 2)}, "-f"},
		{"two networks", []Handler{at("db1", 1521, 0, 1, 2), at("db1-priv", 1521, 0, 1, 2)}, "--"},
		{"two networks, not all services on both", []Handler{at("db1", 1521, 0, 1, 2), at("db1-priv", 1521, 2, 1)}, "--"},
		{"alone, elsewhere", []Handler{at("scan2", 1521, 0, 1, 2)}, "-"},
		{"same address", []Handler{at("db1", 1521, 0, 1), at("DB1", 1521, 2)}, "--"},
		{"no services", []Handler{at("db1", 1521, 0, 1), at("scan2", 1521)}, "--"},
		{"no port", []Handler{at("db1", 1521, 0, 1), at("scan2", 0, 2)}, "--"},
		{"main handler without a port", []Handler{at("db1", 0, 0, 1), at("scan2", 1521, 2)}, "--"},
		{"services that are not there", []Handler{at("db1", 1521, 0, 9, -1), at("scan2", 1521, -1, 9, 2)}, "-f"},
	} {
		r := Registration{Instance: "i", Host: "db1", Peer: netip.MustParseAddr("192.0.2.7"), Services: three, Handlers: c.handlers}
		if got := forwarding(&r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if r.Static = true; len(c.handlers) > 1 && forwarding(&r) != "----"[:len(c.handlers)] {
			t.Errorf("%s, static: %s", c.name, forwarding(&r))
		}
	}
	r := Registration{Host: "db1", Services: three, Handlers: []Handler{at("db1", 1521, 0), {Kind: Dispatcher, Host: "x", Port: 1, Services: []int{1}}, {Kind: Pooled, Host: "x", Port: 2, Services: []int{2}}}}
	if got := forwarding(&r); got != "---" {
		t.Errorf("dispatchers and pools: %s", got)
	}
}

func forwarding(r *Registration) string {
	text := ""
	for i := range r.Handlers {
		if r.Forwards(&r.Handlers[i]) {
			text += "f"
		} else {
			text += "-"
		}
	}
	return text
}

// Not every handler of an instance can lead away, and those that share a service with one that does not lead away do not either.
func TestSomeHandlerIsTheInstancesOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Registration{Host: "h1", Services: make([]Service, 4)}
		for range rapid.IntRange(1, 5).Draw(t, "handlers") {
			r.Handlers = append(r.Handlers, at(genHost.Draw(t, "host"), rapid.IntRange(0, 2).Draw(t, "port"), rapid.SliceOfN(rapid.IntRange(-1, 4), 0, 3).Draw(t, "served")...))
		}
		own, leading := 0, 0
		for i := range r.Handlers {
			h := &r.Handlers[i]
			if !r.Forwards(h) {
				own++
				continue
			}
			leading++
			if main := r.mainHandler(); r.Forwards(main) || sameAddress(main, h) || shareService(main, h, len(r.Services)) {
				t.Fatalf("%+v forwards, but the main handler is %+v", h, main)
			}
		}
		if own == 0 {
			t.Fatalf("all %d handlers forward: %+v", leading, r.Handlers)
		}
	})
}

func TestForwardingHandlersComeBehindDirectOnes(t *testing.T) {
	old := database("old", "h1", "cdb", "pdb")
	old.Handlers = []Handler{at("h1", 1521, 0), at("scan2", 1521, 1)}
	old.Handlers[1].Name = "MOVED"
	full := database("full", "h3", "pdb")
	full.Handlers[0].Load = full.Handlers[0].Max
	table := tableOf(old)
	wantMatch(t, table.Snapshot(), Query{Service: "pdb"}, "old/MOVED=pdb")
	wantMatch(t, table.Apply(full), Query{Service: "pdb"}, "old/MOVED=pdb full/DEDICATED=pdb")
	s := table.Apply(database("new", "h2", "pdb"))
	wantMatch(t, s, Query{Service: "pdb"}, "new/DEDICATED=pdb old/MOVED=pdb full/DEDICATED=pdb")
	found, err := s.Match(Query{Service: "pdb"})
	if err != nil || found[0].Forwards || !found[1].Forwards || found[2].Forwards {
		t.Errorf("%+v, %v", found, err)
	}
	wantMatch(t, s, Query{Service: "cdb"}, "old/DEDICATED=cdb")
	old.Handlers[1].Load, old.Handlers[1].Max = 9, 9
	wantMatch(t, table.Apply(old), Query{Service: "pdb"}, "new/DEDICATED=pdb full/DEDICATED=pdb old/MOVED=pdb")
	wantMatch(t, table.Mark("full@h3", Mark{Kind: Ejected}), Query{Service: "pdb"}, "new/DEDICATED=pdb old/MOVED=pdb")
}
