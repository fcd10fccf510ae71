package servicetable

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listing renders Services as text.
func listing(entries []ServiceEntry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s:", e.Name)
		for _, in := range e.Instances {
			fmt.Fprintf(&b, " %s(%s", in.Registration.Instance, in.Status)
			for _, h := range in.Handlers {
				fmt.Fprintf(&b, " %s", h.Name)
			}
			b.WriteString(")")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestServicesAreListedAsListenersDo(t *testing.T) {
	xdb := database("orcl", "h1", "orclXDB", "Orcl")
	xdb.Handlers[0].Services = []int{1}
	xdb = xdb.with(Handler{Name: "D000", Kind: Dispatcher, Services: []int{0, 1}})
	xdb.Handlers[1].Port = 0
	static := database("stat", "h3", "orcl", "app.example.com").withoutHandlers()
	static.Static = true
	table := tableOf(xdb, database("orcl2", "h2", "ORCL", "app").flagged(0), static)
	want := `app: orcl2(BLOCKED DEDICATED)
app.example.com: stat(UNKNOWN)
Orcl: orcl(READY DEDICATED D000) orcl2(BLOCKED DEDICATED) stat(UNKNOWN)
orclXDB: orcl(READY D000)
`
	if diff := cmp.Diff(want, listing(table.Snapshot().Services())); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	s := table.Drop("conn-orcl-h1")
	want = `app: orcl2(BLOCKED DEDICATED)
app.example.com: stat(UNKNOWN)
ORCL: orcl2(BLOCKED DEDICATED) stat(UNKNOWN)
`
	if diff := cmp.Diff(want, listing(s.Services())); diff != "" {
		t.Errorf("services after a drop (-want +got):\n%s", diff)
	}
}

func TestServiceByName(t *testing.T) {
	s := tableOf(database("a", "h1", "sales.example.com", "hr"), database("b", "h2", "SALES.example.com")).Snapshot()
	for _, name := range []string{"sales", "Sales.Example.com"} {
		e, err := s.Service(name)
		if got := listing([]ServiceEntry{e}); err != nil || got != "sales.example.com: a(READY DEDICATED) b(READY DEDICATED)\n" {
			t.Errorf("Service(%q): %s%v", name, got, err)
		}
	}
	if _, err := s.Service("none"); !errors.Is(err, ErrUnknownService) {
		t.Errorf("unknown service: %v", err)
	}
}

func TestRegistrationsAreSorted(t *testing.T) {
	b2 := database("b", "h", "s")
	b2.ID = "0"
	var got []string
	for _, r := range tableOf(database("c", "h", "s"), database("B", "h", "s"), b2, database("a", "h", "s")).Snapshot().Registrations() {
		got = append(got, string(r.ID)+" "+r.Key())
	}
	if diff := cmp.Diff([]string{"conn-a-h a@h", "0 b@h", "conn-B-h B@h", "conn-c-h c@h"}, got); diff != "" {
		t.Errorf("registrations (-want +got):\n%s", diff)
	}
}

func TestWords(t *testing.T) {
	var got []string
	for s := Ready; s <= Stale; s++ {
		got = append(got, s.String())
	}
	for k := Dedicated; k <= Pooled; k++ {
		got = append(got, k.String())
	}
	if diff := cmp.Diff(strings.Fields("READY BLOCKED RESTRICTED UNKNOWN STALE dedicated dispatcher pooled"), got); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
	r := database("Sales1", "DB1", "s")
	if got := r.HandlerKey(&r.Handlers[0]); got != "Sales1@DB1/DEDICATED" {
		t.Errorf("key %s", got)
	}
}

func TestHandlerBlocked(t *testing.T) {
	for _, c := range []struct {
		load, max uint32
		want      bool
	}{{0, 0, false}, {9, 0, false}, {148, 149, false}, {149, 149, true}, {150, 149, true}} {
		if h := (Handler{Load: c.load, Max: c.max}); h.Blocked() != c.want {
			t.Errorf("load %d of %d: %v", c.load, c.max, h.Blocked())
		}
	}
}

func TestWeight(t *testing.T) {
	for _, percent := range []uint32{0, 1, 100, 250} {
		if got := WeightOf(percent).Percent(); got != percent {
			t.Errorf("weight of %d: %d", percent, got)
		}
	}
	if whole := (Weight{}); whole.Percent() != 100 || whole != WeightOf(100) || !whole.Equal(WeightOf(100)) || whole.Equal(WeightOf(0)) {
		t.Error("no weight is not all of the capacity")
	}
}
