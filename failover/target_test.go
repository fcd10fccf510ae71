package failover

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"servicebroker/servicetable"
)

func TestAddressesOfTargets(t *testing.T) {
	for want, h := range map[string]*servicetable.Handler{
		"":                       nil,
		"tcp/db1:1521":           {Protocol: "TCP", Host: "DB1", Port: 1521},
		"tcps/[2001:db8::a]:1":   {Protocol: "tcps", Host: "2001:DB8::A", Port: 1},
		"tcp/[fe80::1%eth0]:2":   {Protocol: "tcp", Host: "fe80::1%eth0", Port: 2},
		"tcp/ärger.example:1521": {Protocol: "tcp", Host: "ÄRGER.example", Port: 1521},
	} {
		if got := addressOf(h); got != want {
			t.Errorf("%+v is at %q, want %q", h, got, want)
		}
	}
	if got := addressOf(&servicetable.Handler{Protocol: "tcp", Host: "db1"}); got != "" {
		t.Errorf("a handler without a port is at %q", got)
	}
}

// Whatever a database calls its host, it is one address whichever case it is written in, and none is mistaken for another.
func TestAnyAddressOfATarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &servicetable.Handler{
			Protocol: rapid.SampledFrom([]string{"tcp", "TCPS", ""}).Draw(t, "protocol"),
			Host:     rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9:.%-]*`), rapid.StringN(100, 300, -1)).Draw(t, "host"),
			Port:     rapid.IntRange(1, 65535).Draw(t, "port"),
		}
		if rapid.Bool().Draw(t, "not UTF-8") {
			h.Host += "\xc4"
		}
		want := strings.ToLower(h.Protocol + "/" + net.JoinHostPort(h.Host, strconv.Itoa(h.Port)))
		if got := string(appendAddress([]byte("before "), h)); got != "before "+want {
			t.Errorf("%+v is at %q, want %q", h, got, want)
		}
	})
}

func TestTargetsAreLookedUpForNothing(t *testing.T) {
	p := new(Prober)
	h := &servicetable.Handler{Name: "DEDICATED", Protocol: "tcp", Host: "db1.example.com", Port: 1521}
	c := servicetable.Candidate{Registration: &servicetable.Registration{ID: "db1", Handlers: []servicetable.Handler{*h}}, Handler: h}
	of := p.targetOf(&c)
	if of == nil || of.key != addressOf(h) {
		t.Fatalf("%+v", of)
	}
	if n := testing.AllocsPerRun(100, func() {
		if p.targetOf(&c) != of || p.staleOf(&c) != nil {
			t.Error("another target")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
