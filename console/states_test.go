package console

import (
	"fmt"
	"strings"
	"testing"

	"servicebroker/servicetable"
)

// inEveryStatus offers one service from an instance in each status; the instance is named after it.
func inEveryStatus() *servicetable.Table {
	var table servicetable.Table
	for i, c := range []struct {
		name          string
		flags         uint32
		static, stale bool
	}{
		{"READY", servicetable.FlagUnblocked, false, false},
		{"BLOCKED", 0, false, false},
		{"RESTRICTED", servicetable.FlagUnblocked | servicetable.FlagRestricted, false, false},
		{"UNKNOWN", 0, true, false},
		{"STALE", servicetable.FlagUnblocked, false, true},
	} {
		table.Apply(servicetable.Registration{
			ID: servicetable.ID(fmt.Sprint(i)), Instance: c.name, Host: "h", Static: c.static, Stale: c.stale,
			Services: []servicetable.Service{{Name: "s", Flags: c.flags}},
			Handlers: []servicetable.Handler{
				{Name: "FREE", Kind: servicetable.Dedicated, Port: 1, Load: 4, Max: 5, Services: []int{0}},
				{Name: "FULL", Kind: servicetable.Dispatcher, Port: 2, Load: 5, Max: 5, Services: []int{0}},
				{Name: "UNBOUNDED", Kind: servicetable.Pooled, Port: 3, Load: 9, Services: []int{0}},
			},
		})
	}
	return &table
}

// A handler is blocked where it is full, and where its instance takes nobody at all.
func TestStatusAndStateOfEach(t *testing.T) {
	snapshot := inEveryStatus().Snapshot()
	list := (&Server{Now: noon}).all().serviceList(snapshot, snapshot.Services())
	if n := len(list.Services[0].Instances); n != 5 {
		t.Fatalf("%d instances", n)
	}
	for _, in := range list.Services[0].Instances {
		if in.Status != in.Name {
			t.Errorf("%s has status %s", in.Name, in.Status)
		}
		want := "dedicated:ready dispatcher:blocked pooled:ready"
		if in.Status == "BLOCKED" {
			want = "dedicated:blocked dispatcher:blocked pooled:blocked"
		}
		var got []string
		for _, h := range in.Handlers {
			got = append(got, h.Kind+":"+h.State)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", in.Name, got, want)
		}
	}
}

// Colour alone tells nothing: each status is there as a word too, and only READY counts as ready.
func TestPageShowsEachStatus(t *testing.T) {
	text := pageText(t, &Server{Snapshot: inEveryStatus().Snapshot, Now: noon, Hosts: consoleNames()}, "/")
	for _, status := range []string{"READY", "BLOCKED", "RESTRICTED", "UNKNOWN", "STALE"} {
		if want := fmt.Sprintf(`<span class="status %s">%s</span>`, strings.ToLower(status), status); strings.Count(text, want) != 1 {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for want, count := range map[string]int{"1 of 5 ready": 1, `<span class="status ready">ready</span>`: 4*2 + 1, `<span class="status blocked">blocked</span>`: 4 + 3} {
		if got := strings.Count(text, want); got != count {
			t.Errorf("%s is there %d times, want %d", want, got, count)
		}
	}
	for _, kind := range []string{"dedicated", "dispatcher", "pooled"} {
		if !strings.Contains(text, `<span class="quiet">`+kind+`</span>`) {
			t.Errorf("kind %s is not shown", kind)
		}
	}
}

// A dedicated handler's name says what it is; the page does not say it twice.
func TestPageNamesAKindOnce(t *testing.T) {
	text := pageText(t, testServer(tableOf(registrations())), "/")
	if strings.Contains(text, ">dedicated<") || !strings.Contains(text, ">dispatcher<") {
		t.Errorf("kinds of handlers in\n%s", text)
	}
}

func TestPageWithoutHandlers(t *testing.T) {
	var table servicetable.Table
	table.Apply(servicetable.Registration{ID: "1", Instance: "i", Services: []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked}}})
	if text := pageText(t, &Server{Snapshot: table.Snapshot, Hosts: consoleNames()}, "/"); !strings.Contains(text, "no handler serves it") || strings.Contains(text, "connect to") {
		t.Errorf("page:\n%s", text)
	}
}

func TestPageNamesWhyItIsNotReady(t *testing.T) {
	s := testServer(tableOf(nil))
	s.Unready = func() []string { return []string{"the first", "the second"} }
	text := pageText(t, s, "/")
	if !strings.Contains(text, `<span class="status blocked">not ready</span> <span class="reason">the first</span> <span class="reason">the second</span>`) {
		t.Errorf("page:\n%s", text)
	}
}
