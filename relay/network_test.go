package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// onNetwork registers an instance on an address of a network.
func (w *world) onNetwork(name, network, service string) {
	w.table.Apply(servicetable.Registration{
		ID: servicetable.ID(name), Instance: name, Host: name, Network: network,
		Services: []servicetable.Service{{Name: service, Flags: servicetable.FlagUnblocked}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: name, Port: 1521, Services: []int{0}}},
	})
	w.listeners[name+":1521"] = accepts
}

// What databases register on the address of a network is for clients of that network, all else for everyone.
func TestServicesAreForTheirNetwork(t *testing.T) {
	w := newWorld(t)
	w.onNetwork("a1", "blue", "sales")
	w.onNetwork("b1", "red", "sales")
	w.onNetwork("o1", "", "open")
	w.onNetwork("a2", "Blue", "hr")
	for _, c := range []struct{ network, service, chosen string }{
		{"blue", "sales", "a1@a1/DEDICATED"}, {"RED", "sales", "b1@b1/DEDICATED"}, {"", "sales", ""}, {"green", "sales", ""},
		{"blue", "open", "o1@o1/DEDICATED"}, {"", "open", "o1@o1/DEDICATED"}, {"blue", "hr", "a2@a2/DEDICATED"}, {"red", "hr", ""},
	} {
		e := w.Explain(t.Context(), Inquiry{Descriptor: strings.Replace(sales, "=sales", "="+c.service, 1), From: addr("10.0.0.7"), Network: c.network})
		if e.Chosen != c.chosen || c.chosen == "" && e.Code != int(tns.CodeUnknownService) {
			t.Errorf("%s on %q: %+v", c.service, c.network, e)
		}
		if c.chosen == "" && (len(e.Candidates) == 0 || !strings.Contains(e.Candidates[0].PassedOver, "NETWORK")) {
			t.Errorf("%s on %q passes over %+v", c.service, c.network, e.Candidates)
		}
	}
	w.wantCode(sales, tns.CodeUnknownService) // in on an address of none
	if len(w.asked) > 0 {
		t.Errorf("dialled %v", w.asked)
	}
}

// An ejected instance of the client's network will do where only another network has a good one.
func TestAnEjectedInstanceOfTheNetworkIsTaken(t *testing.T) {
	w := newWorld(t)
	w.onNetwork("a1", "blue", "sales")
	w.onNetwork("b1", "red", "sales")
	w.table.Mark("a1@a1/DEDICATED", servicetable.Mark{Kind: servicetable.Ejected})
	e := w.Explain(t.Context(), Inquiry{Descriptor: sales, From: addr("10.0.0.7"), Network: "blue"})
	if e.Outcome != journal.Relay || e.Chosen != "a1@a1/DEDICATED" {
		t.Errorf("%+v", e)
	}
}

// Clients are sent where they can reach an instance; it is dialled where the broker reaches it.
func TestViews(t *testing.T) {
	w := redirecting(t)
	w.View = func(client netip.Addr, host string, port int) (string, int) {
		if client == addr("10.0.0.7") && host == "db2-vip" && port == 1521 {
			return "198.51.100.5", 1601
		}
		return host, port
	}
	if e := w.inquire(sales); e.Outcome != journal.Redirect || !strings.Contains(e.Text, "(HOST=198.51.100.5)(PORT=1601)") {
		t.Errorf("%+v", e)
	}
	if e := w.Explain(t.Context(), Inquiry{Descriptor: sales, From: addr("10.0.0.8")}); !strings.Contains(e.Text, "(HOST=db2-vip)(PORT=1521)") {
		t.Errorf("%+v", e)
	}
	w.Own = func(host string, _ int) bool { return host == "198.51.100.5" }
	if e := w.inquire(sales); e.Outcome != journal.Relay {
		t.Errorf("sent to an address of the broker's own: %+v", e)
	}
	w.mode(ModeRelay)
	w.wantAccepted(sales)
	if !slices.Equal(w.asked, []string{"db2-vip:1521"}) {
		t.Errorf("dialled %v", w.asked)
	}
}

// A client is not sent to a number of the other family: its network may have none.
func TestNobodyIsSentToTheOtherFamily(t *testing.T) {
	for host, want := range map[string][2]journal.Outcome{ // by the client's family: 4, 6
		"10.1.1.1":        {journal.Redirect, journal.Relay},
		"2001:db8::1":     {journal.Relay, journal.Redirect},
		"::ffff:10.1.1.1": {journal.Redirect, journal.Relay},
		"db1.example.com": {journal.Redirect, journal.Redirect},
	} {
		w := newWorld(t)
		w.mode(ModeRedirect)
		w.instance(host, accepts, "sales")
		for i, from := range []string{"10.0.0.7", "2001:db8::7"} {
			e := w.Explain(t.Context(), Inquiry{Descriptor: sales, From: addr(from)})
			if e.Outcome != want[i] {
				t.Errorf("from %s to %s: %s", from, host, e.Outcome)
			}
		}
	}
}

// A handler whose host nobody knows is found where its database registered from: by rules, by the dial, by redirects.
func TestAHandlerIsFoundWhereItRegisteredFrom(t *testing.T) {
	w := routed(t, "* 10.9.0.0/16 * accept")
	w.instance("pod-0", accepts, "sales")
	w.instance("pod-1", accepts, "sales")
	w.StandIn = func(_ context.Context, c servicetable.Candidate) netip.Addr {
		if c.Handler.Host == "pod-0" {
			return addr("10.9.0.1")
		}
		return netip.Addr{}
	}
	w.hop("10.9.0.1:1521", accepts)
	w.wantAccepted(sales)
	if !slices.Equal(w.asked, []string{"10.9.0.1:1521"}) {
		t.Errorf("dialled %v", w.asked)
	}
	w.running.Wait()
	e := w.Journal.Recent(1)[0]
	if !strings.Contains(e.Route, "pod-0") || !strings.Contains(e.Route, "10.9.0.1") || e.Chosen != "pod-0@pod-0.host/DEDICATED" {
		t.Errorf("explained as %+v", e)
	}
	w.mode(ModeRedirect)
	if e := w.inquire(sales); e.Outcome != journal.Redirect || !strings.Contains(e.Text, "(HOST=10.9.0.1)(PORT=1521)") || !strings.Contains(e.Text, "no name service knows pod-0") {
		t.Errorf("foreseen as %+v", e)
	}
}

// Whom the rules let have nothing is treated as they say, though what there is belongs to another network.
func TestRulesComeBeforeNetworks(t *testing.T) {
	for action, want := range map[string]journal.Outcome{"drop": journal.Drop, "reject": journal.Refuse} {
		w := newWorld(t)
		rules := compiled(t, rulesOf(t, "* * * "+action))
		w.Rules = func() *RuleSet { return rules }
		w.onNetwork("a1", "blue", "sales")
		e := w.Explain(t.Context(), Inquiry{Descriptor: sales, From: addr("10.0.0.7"), Network: "red"})
		if e.Outcome != want || want == journal.Refuse && e.Code != int(tns.CodeRuleRejects) {
			t.Errorf("%s: %+v", action, e)
		}
		if e = w.Explain(t.Context(), Inquiry{Descriptor: sales, From: addr("10.0.0.7"), Sealed: true, Network: "blue"}); e.Outcome != want || want == journal.Refuse && e.Code != int(tns.CodeRuleRejects) {
			t.Errorf("%s of a sealed client: %+v", action, e)
		}
	}
}

func TestAddressesAreNamedAsNetNamesThem(t *testing.T) {
	for _, a := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1521},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1521},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1521},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1521},
		&net.TCPAddr{IP: net.IP{1, 2, 3}, Port: 1521},
		&net.TCPAddr{Port: 1521},
		&net.TCPAddr{},
		(*net.TCPAddr)(nil),
		&net.UnixAddr{Name: "/run/socket", Net: "unix"},
	} {
		if got := nameOf(a); got != a.String() {
			t.Errorf("%#v is %q, want %q", a, got, a.String())
		}
	}
}
