package relay

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestRulesFirstMatchWinsNoneRefuses(t *testing.T) {
	any := HostPattern{Any: true}
	network := func(text string) HostPattern { return HostPattern{Network: netip.MustParsePrefix(text)} }
	name := func(text string) HostPattern { return HostPattern{Name: text} }
	resolve := func(_ context.Context, host string) []netip.Addr {
		switch host {
		case "apphost":
			return []netip.Addr{addr("10.0.0.7")}
		case "db1":
			return []netip.Addr{addr("10.1.0.1")}
		case "db1-alias":
			return []netip.Addr{addr("10.1.0.1")}
		}
		return nil
	}
	for _, c := range []struct {
		name    string
		rules   Rules
		client  string
		service string
		hosts   []string // of the candidates
		granted []string
		err     error
	}{
		{"no rule", Rules{}, "10.0.0.7", "sales", []string{"db1"}, nil, errRejected},
		{"everything", Rules{{any, any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "db2"}, []string{"db1", "db2"}, nil},
		{"first one rejects", Rules{{any, any, "sales", Reject, Treatment{}, "", ""}, {any, any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, nil, errRejected},
		{"another service", Rules{{any, any, "sales", Reject, Treatment{}, "", ""}, {any, any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "hr", []string{"db1"}, []string{"db1"}, nil},
		{"drop", Rules{{any, any, "*", Drop, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, nil, errDropped},
		{"service without case", Rules{{any, any, "SALES", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, []string{"db1"}, nil},
		{"service pattern", Rules{{any, any, "sa*s", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, []string{"db1"}, nil},
		{"a pattern is no regular expression", Rules{{any, any, "s?les[*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, nil, errRejected},
		{"registered name", Rules{{any, any, "registered", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, []string{"db1"}, nil},
		{"client's network", Rules{{network("10.0.0.0/8"), any, "*", Accept, Treatment{}, "", ""}}, "10.9.9.9", "sales", []string{"db1"}, []string{"db1"}, nil},
		{"other network", Rules{{network("10.0.0.0/8"), any, "*", Accept, Treatment{}, "", ""}}, "11.0.0.1", "sales", []string{"db1"}, nil, errRejected},
		{"IPv6 network", Rules{{network("2001:db8::/32"), any, "*", Accept, Treatment{}, "", ""}}, "2001:db8::7", "sales", []string{"db1"}, []string{"db1"}, nil},
		{"client by name", Rules{{name("apphost"), any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1"}, []string{"db1"}, nil},
		{"client by a name that has other addresses", Rules{{name("apphost"), any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.8", "sales", []string{"db1"}, nil, errRejected},
		{"destination judged for each", Rules{{any, name("db1"), "*", Reject, Treatment{}, "", ""}, {any, any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "db2"}, []string{"db2"}, nil},
		{"destination by text", Rules{{any, name("DB2"), "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "db2"}, []string{"db2"}, nil},
		{"destination by another name of it", Rules{{any, name("db1-alias"), "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "db2"}, []string{"db1"}, nil},
		{"destination by network", Rules{{any, network("10.1.0.0/24"), "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "10.1.0.9", "10.2.0.1"}, []string{"db1", "10.1.0.9"}, nil},
		{"one dropped, one granted", Rules{{any, name("db1"), "*", Drop, Treatment{}, "", ""}, {any, any, "*", Accept, Treatment{}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "db2"}, []string{"db2"}, nil},
		{"modes do not keep candidates apart", Rules{{any, name("db1"), "*", Accept, Treatment{Mode: ModeRedirect}, "", ""}, {any, any, "*", Accept, Treatment{Mode: ModeRelay}, "", ""}}, "10.0.0.7", "sales", []string{"db1", "db2"}, []string{"db1", "db2"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var candidates []servicetable.Candidate
			for _, h := range c.hosts {
				candidates = append(candidates, servicetable.Candidate{Service: &servicetable.Service{Name: "registered"}, Handler: &servicetable.Handler{Host: h}})
			}
			v := &verdict{ctx: t.Context(), client: addr(c.client), service: c.service, resolve: resolve}
			granted, _, err := c.rules.admit(v, candidates)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			var hosts []string
			for _, g := range granted {
				hosts = append(hosts, g.Handler.Host)
			}
			if len(hosts) != len(c.granted) {
				t.Fatalf("granted %v, want %v", hosts, c.granted)
			}
			for i := range hosts {
				if hosts[i] != c.granted[i] {
					t.Fatalf("granted %v, want %v", hosts, c.granted)
				}
			}
		})
	}
}

func TestRulesOnTheWire(t *testing.T) {
	any := HostPattern{Any: true}
	rules := Rules{}
	w := newWorld(t)
	w.Rules = func() Rules { return rules }
	w.instance("s1", accepts, "sales")
	w.wantCode(sales, tns.CodeRuleRejects)

	w.wantCode("(DESCRIPTION=(CONNECT_DATA=(SID=s1)))", tns.CodeRuleRejects)
	rules = Rules{{any, any, "sales", Accept, Treatment{}, "", ""}}
	w.wantCode("(DESCRIPTION=(CONNECT_DATA=(SID=s1)))", tns.CodeRuleRejects) // a rule for a service is none for a SID

	rules = Rules{{any, any, "*", Drop, Treatment{}, "", ""}}
	client := w.client(sales)
	if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
		t.Error("a dropped client got an answer")
	}

	rules = Rules{{any, any, "sales", Accept, Treatment{Mode: ModeRedirect}, "(RULE=)", ""}}
	if _, ok := w.reply(w.client(sales)).(*tns.Redirect); !ok {
		t.Error("the rule's ROUTE=redirect did not apply")
	}
}
