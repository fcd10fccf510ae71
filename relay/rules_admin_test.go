package relay

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAdministrationByRules(t *testing.T) {
	addresses := func(text string) []netip.Addr {
		var all []netip.Addr
		for _, one := range strings.Fields(text) {
			all = append(all, netip.MustParseAddr(one))
		}
		return all
	}
	const own = "127.0.0.1 ::1 10.1.2.3"
	for _, c := range []struct {
		name, from string
		rules      []string
		want       bool
		decides    string
	}{
		{"no rule allows nobody", own, nil, false, ""},
		{"loopback", own, []string{"127.0.0.1 127.0.0.1 cmon accept"}, true, "127.0.0.1 127.0.0.1 cmon accept"},
		{"by this host's name", own, []string{"apphost apphost cmon accept"}, true, "apphost apphost cmon accept"},
		{"this host's IPv6", own, []string{"::1 ::1 cmon accept"}, true, "::1 ::1 cmon accept"},
		{"first match wins", own, []string{"127.0.0.1 * cmon reject", "* * cmon accept"}, false, "127.0.0.1 * cmon reject"},
		{"drop is no", own, []string{"* * cmon drop"}, false, "* * cmon drop"},
		{"log decides nothing", own, []string{"* * cmon log", "* * cmon accept"}, true, "* * cmon accept"},
		{"only log", own, []string{"* * cmon log"}, false, ""},
		{"another host", "10.5.5.5", []string{"127.0.0.1 127.0.0.1 cmon accept"}, false, ""},
		{"another host's rule", "10.5.5.5", []string{"10.5.0.0/16 * cmon accept"}, true, "10.5.0.0/16 * cmon accept"},
		{"a rule about another broker", own, []string{"* 10.7.7.7 cmon accept"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := compiled(t, rulesOf(t, c.rules...))
			got, rule := set.Allows(t.Context(), addresses(c.from), addresses(own))
			decides := ""
			if rule != nil {
				decides = rule.Text
			}
			if got != c.want || decides != c.decides {
				t.Errorf("%v by %q, want %v by %q", got, decides, c.want, c.decides)
			}
			for _, s := range set.Status() {
				if counts := s.Rule.Text == c.decides || s.Rule.Action == Log; counts != (s.Matched == 1) {
					t.Errorf("%s: matched %d", s.Rule.Text, s.Matched)
				}
			}
		})
	}
}
