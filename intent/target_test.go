package intent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTargetMatches(t *testing.T) {
	subject := Subject{Database: "prod", Service: "sales.example.com", Instance: "sales1", Host: "db1"}
	whole := Subject{Database: "prod", Instance: "sales1", Host: "db1"}
	for _, c := range []struct {
		target      Target
		ofIt, ofAll bool
		explanation string
	}{
		{target: Target{Service: "sales"}, ofIt: true, explanation: "a service is not its instance"},
		{target: Target{Instance: "SALES1"}, ofIt: true, ofAll: true},
		{target: Target{Instance: "sales1@DB1"}, ofIt: true, ofAll: true},
		{target: Target{Instance: "sales1@db2"}},
		{target: Target{Instance: "sales*@db*"}, ofIt: true, ofAll: true},
		{target: Target{Node: "db1"}, ofIt: true, ofAll: true},
		{target: Target{Node: "db"}},
		{target: Target{Database: "prod"}, ofIt: true, ofAll: true},
		{target: Target{Database: "test"}},
		{target: Target{Service: "sales", Instance: "sales1", Node: "db1", Database: "prod"}, ofIt: true},
		{target: Target{Service: "sales", Instance: "sales2"}},
		{target: Target{Network: "192.0.2.0/24"}, ofIt: true, ofAll: true, explanation: "the network is looked at elsewhere"},
		{target: Target{Quarantine: "abc123"}, explanation: "trust is no treatment"},
		{target: Target{Service: "*"}, ofIt: true, explanation: "any service, but not none"},
	} {
		if got := c.target.Matches(subject); got != c.ofIt {
			t.Errorf("%v about %+v: %v; %s", c.target, subject, got, c.explanation)
		}
		if got := c.target.Matches(whole); got != c.ofAll {
			t.Errorf("%v about the whole instance: %v; %s", c.target, got, c.explanation)
		}
	}
	if (Target{Database: "*"}).Matches(Subject{Instance: "sales1"}) {
		t.Error("an instance of no database fits every database")
	}
}

func TestTargetMatchesClient(t *testing.T) {
	for _, c := range []struct {
		network, client string
		want            bool
	}{
		{"", "192.0.2.1", true},
		{"192.0.2.0/24", "192.0.2.1", true},
		{"192.0.2.0/24", "::ffff:192.0.2.1", true},
		{"192.0.2.0/24", "192.0.3.1", false},
		{"192.0.2.7", "192.0.2.7", true},
		{"192.0.2.7", "192.0.2.8", false},
		{"2001:db8::/32", "2001:db8::5", true},
		{"fe80::/10", "fe80::1%eth0", true},
		{"2001:db8::/32", "192.0.2.1", false},
		{"nonsense", "192.0.2.1", false},
	} {
		if got := (Target{Network: c.network}).MatchesClient(netip.MustParseAddr(c.client)); got != c.want {
			t.Errorf("client %s, network %q: %v", c.client, c.network, got)
		}
	}
}

func TestMatchesClientTakesNoMemory(t *testing.T) {
	target, addr := Target{Network: "192.0.2.0/24"}, netip.MustParseAddr("192.0.2.9")
	if n := testing.AllocsPerRun(100, func() { target.MatchesClient(addr) }); n != 0 {
		t.Errorf("%v allocations at every connect", n)
	}
}

func TestTargetString(t *testing.T) {
	for _, c := range []struct {
		target Target
		want   string
	}{
		{Target{Service: "sales", Instance: "sales1@db1"}, "service=sales instance=sales1@db1"},
		{Target{Database: "prod", Node: "db1", Network: "192.0.2.0/24"}, "database=prod node=db1 network=192.0.2.0/24"},
		{Target{Service: "a b"}, `service="a b"`},
		{Target{Service: "a=b"}, `service="a=b"`},
		{Target{Service: "a\nb"}, `service="a\nb"`},
		{Target{Quarantine: "k7"}, "quarantine=k7"},
	} {
		if got := c.target.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestEffects(t *testing.T) {
	list := []Intent{
		{ID: "d1", Kind: Drain, Target: Target{Service: "sales", Instance: "sales1"}},
		{ID: "d2", Kind: Drain, Target: Target{Service: "hr"}},
		{ID: "m3", Kind: Maintenance, Target: Target{Node: "db1"}},
		{ID: "h4", Kind: Hold, Target: Target{Service: "sales", Network: "192.0.2.0/24"}},
		{ID: "a5", Kind: Approve, Target: Target{Quarantine: "abc", Service: "sales"}},
		{ID: "w6", Kind: Weight, Value: 20, Target: Target{Service: "s*"}},
	}
	var got []string
	for _, i := range Effects(list, Subject{Service: "sales", Instance: "sales1", Host: "db1"}) {
		got = append(got, i.ID)
	}
	if diff := cmp.Diff([]string{"d1", "m3", "w6"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWeightOf(t *testing.T) {
	weight := func(value uint32, target Target) Intent { return Intent{Kind: Weight, Value: value, Target: target} }
	one, two := Target{Service: "sales"}, Target{Service: "sales", Instance: "sales1"}
	for _, c := range []struct {
		name    string
		effects []Intent
		want    uint32
		set     bool
	}{
		{"none", []Intent{{Kind: Drain, Target: one}}, 0, false},
		{"one", []Intent{weight(30, one)}, 30, true},
		{"zero is a weight", []Intent{weight(0, one)}, 0, true},
		{"narrower first", []Intent{weight(30, two), weight(40, one)}, 30, true},
		{"narrower last", []Intent{weight(40, one), weight(30, two)}, 30, true},
		{"the later of equals", []Intent{weight(40, one), weight(50, Target{Node: "db1"})}, 50, true},
		{"a drain is narrower", []Intent{weight(40, one), {Kind: Drain, Target: two}}, 40, true},
	} {
		if got, set := WeightOf(c.effects); got != c.want || set != c.set {
			t.Errorf("%s: %d, %v", c.name, got, set)
		}
	}
}

func TestDecided(t *testing.T) {
	list := []Intent{
		{Kind: Approve, Target: Target{Quarantine: "abc"}},
		{Kind: Reject, Target: Target{Quarantine: "def"}},
		{Kind: Drain, Target: Target{Service: "sales"}},
	}
	for _, c := range []struct {
		id                 string
		approved, rejected bool
	}{{"abc", true, false}, {"def", false, true}, {"ghi", false, false}, {"", false, false}} {
		if approved, rejected := Decided(list, c.id); approved != c.approved || rejected != c.rejected {
			t.Errorf("%q: approved %v, rejected %v", c.id, approved, rejected)
		}
	}
}
