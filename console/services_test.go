package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"servicebroker/servicetable"
)

// genRegistration makes one with any numbers and printable names.
func genRegistration(t *rapid.T) servicetable.Registration {
	word := rapid.StringMatching(`[A-Za-z0-9 .$#<>&"/%_()=-]{1,20}`)
	number := rapid.Uint32()
	r := servicetable.Registration{
		ID: "c", Instance: word.Draw(t, "instance"), Host: word.Draw(t, "host"), HostRaw: word.Draw(t, "raw"), Load: number.Draw(t, "load"), Max: number.Draw(t, "max"),
		NodeLoad: number.Draw(t, "node load"), NodeMax: number.Draw(t, "node max"), LoadSource: "agent",
		RegisteredAt: noon(), LoadAt: noon().Add(-time.Duration(rapid.Uint32().Draw(t, "age")) * time.Millisecond),
	}
	for i, name := range rapid.SliceOfNDistinct(word, 1, 4, strings.ToLower).Draw(t, "services") {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: number.Draw(t, "flags"), Goodness: number.Draw(t, "goodness"), Delta: number.Draw(t, "delta")})
		r.Handlers = append(r.Handlers, servicetable.Handler{
			Name: word.Draw(t, "handler"), Kind: servicetable.Kind(i % 3), Load: number.Draw(t, "handler load"), Max: number.Draw(t, "handler max"),
			Flags: number.Draw(t, "handler flags"), Address: word.Draw(t, "address"), Info: word.Draw(t, "info"), Services: []int{i},
		})
	}
	return r
}

// What a database registered comes out of the API exactly as it went in.
func TestEveryFigureIsShownAsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRegistration(t)
		var table servicetable.Table
		table.Apply(r)
		var list ServiceList
		if err := json.Unmarshal(ask(testServer(&table), "GET", "/api/v1/services").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		shown := map[string]Instance{}
		for _, s := range list.Services {
			shown[s.Name] = s.Instances[0]
		}
		for i, s := range r.Services {
			at, age := r.RegisteredAt, noon().Sub(r.LoadAt).Milliseconds()
			h := r.Handlers[i]
			state := "ready"
			if h.Blocked() || r.Status(&s) == servicetable.Blocked {
				state = "blocked"
			}
			want := Instance{
				Name: r.Instance, Key: r.Instance + "@" + r.Host, Host: r.Host, HostRaw: r.HostRaw, Status: r.Status(&s).String(),
				NodeLoad: r.NodeLoad, NodeMax: r.NodeMax, Load: r.Load, Max: r.Max, Goodness: s.Goodness, Delta: s.Delta, ServiceFlags: s.Flags,
				RegisteredAt: &at, LoadAge: &age, LoadSource: "agent", Marks: []Mark{},
				Handlers: []Handler{{Name: h.Name, Kind: h.Kind.String(), State: state, Load: h.Load, Max: h.Max, Flags: h.Flags, Address: h.Address, Info: h.Info, Marks: []Mark{}}},
			}
			if r.Instance == "legacy" {
				want.Database = "old"
			}
			if diff := cmp.Diff(want, shown[s.Name]); diff != "" {
				t.Fatalf("service %q (-want +got):\n%s", s.Name, diff)
			}
		}
	})
}

// Names reach the server whole, whatever characters they have.
func TestServiceNamesInAddresses(t *testing.T) {
	names := []string{"a b", "a/b", "a%2Fb", "a?b=c", "a#b", "größe", "+ASM", "a;b", "a&b", `a"b`, "sales.example.com"}
	var r servicetable.Registration
	for _, name := range names {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked})
	}
	var table servicetable.Table
	table.Apply(r)
	c := Client{API: serve(t, testServer(&table).Handler())}
	for _, name := range names {
		list, err := c.Service(t.Context(), name)
		if err != nil || len(list.Services) != 1 || list.Services[0].Name != name {
			t.Errorf("%q: %+v, %v", name, list, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/../b", "../services"} {
		var answer *APIError
		if list, err := c.Service(t.Context(), name); !errors.As(err, &answer) || answer.Status != 404 {
			t.Errorf("%q: %d services, %v", name, len(list.Services), err)
		}
	}
}

func TestPeerAndStaticService(t *testing.T) {
	all := registrations()
	all[0].Peer = netip.MustParseAddr("2001:db8::7")
	var list ServiceList
	if err := json.Unmarshal(ask(testServer(tableOf(all)), "GET", "/api/v1/services").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	legacy, sales := list.Services[0].Instances[0], list.Services[1].Instances[0]
	if legacy.Status != "UNKNOWN" || legacy.Peer != "" || legacy.RegisteredAt != nil || legacy.LoadAge != nil || legacy.Database != "old" {
		t.Errorf("static service: %+v", legacy)
	}
	if sales.Peer != "2001:db8::7" {
		t.Errorf("peer %q", sales.Peer)
	}
}

// Each answer is one version of the table, however fast it changes.
func TestAnswersAreOneVersion(t *testing.T) {
	var table servicetable.Table
	s := testServer(&table)
	handler := s.Handler()
	const rounds = 100
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			r := registrations()[0]
			r.Load = uint32(i)
			table.Apply(r)
		}
	})
	for range 3 {
		wg.Go(func() {
			var last uint64
			for range rounds {
				var list ServiceList
				if err := json.Unmarshal(askHandler(handler, "/api/v1/services"), &list); err != nil {
					t.Error(err)
					return
				}
				if list.Version < last {
					t.Errorf("version %d after %d", list.Version, last)
				}
				last = list.Version
				for _, service := range list.Services {
					if got := uint64(service.Instances[0].Load); got+1 != list.Version {
						t.Errorf("version %d shows load %d", list.Version, got)
					}
				}
				askHandler(handler, "/")
			}
		})
	}
	wg.Wait()
}

func TestLargeTable(t *testing.T) {
	const services = 3000
	var table servicetable.Table
	for d := range 3 {
		r := servicetable.Registration{ID: servicetable.ID(fmt.Sprint(d)), Instance: fmt.Sprintf("i%d", d), Host: "h"}
		h := servicetable.Handler{Name: "DEDICATED", Port: 1521}
		for i := range services {
			r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("s%05d", i), Flags: servicetable.FlagUnblocked})
			h.Services = append(h.Services, i)
		}
		r.Handlers = []servicetable.Handler{h}
		table.Apply(r)
	}
	c := Client{API: serve(t, testServer(&table).Handler())}
	list, err := c.Services(t.Context())
	if err != nil || len(list.Services) != services || len(list.Services[services-1].Instances) != 3 {
		t.Fatalf("%d services, %v", len(list.Services), err)
	}
	if n := len(pageText(t, testServer(&table), "/")); n > 500_000 {
		t.Errorf("a page of %d bytes", n)
	}
}
