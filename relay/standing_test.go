package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// plainStanding is what a standing means: of the rules that could decide about some
// instance, which they are, the first that accepts, and else how clients are refused.
func plainStanding(rules Rules, c connectOf) (could []int, accepts int, refusal error) {
	accepts, refusal = -1, errRejected
	for i, r := range rules {
		fits := len(r.Services) == 0
		for _, pattern := range r.Services {
			fits = fits || plainText(pattern, c.service) || !c.sid && plainDomainless(pattern, c.service)
		}
		if !fits || r.Action == Log || !plainlyTakes(r.Source, "", []netip.Addr{netip.MustParseAddr(c.from)}) ||
			!plainText(r.User, c.user) || !plainText(r.Program, c.program) {
			continue
		}
		could = append(could, i)
		switch {
		case r.Action == Accept && accepts < 0:
			accepts, refusal = i, nil
		case r.Action == Drop && accepts < 0:
			refusal = errDropped
		}
		if r.Destination.Any {
			break
		}
	}
	return could, accepts, refusal
}

func TestStandingIsWhatTheListSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawing{t}
		rules := d.rules(rapid.SampledFrom([]int{5, 150}).Draw(t, "most"))
		for i := range rules {
			rules[i].MaxSessions = i + 1 // tells which rule a treatment is of
		}
		set := compiledAnyhow(rules)
		known := map[string]string{}
		for range 6 {
			c := d.connect()
			could, accepts, refusal := plainStanding(rules, c)
			got := set.standing(t.Context(), c.subject())
			if !errors.Is(got.refusal, refusal) || got.treatment.MaxSessions != accepts+1 {
				t.Fatalf("%+v: %v by rule %d, want %v by rule %d, of\n%s", c, got.refusal, got.treatment.MaxSessions-1, refusal, accepts, listed(rules))
			}
			if key := fmt.Sprint(could); known[got.rules] == "" {
				known[got.rules] = key
			} else if known[got.rules] != key {
				t.Fatalf("%s and %s are one standing", known[got.rules], key)
			}
		}
		keys := map[string]bool{}
		for _, key := range known {
			if keys[key] {
				t.Fatalf("%s has two standings", key)
			}
			keys[key] = true
		}
	})
}

func BenchmarkStandingAmongTenThousand(b *testing.B) {
	for _, kind := range kindsOfMany {
		rules, c, _ := manyRules(b, kind)
		set, who := compiled(b, rules), c.subject()
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				set.standing(b.Context(), who)
			}
		})
	}
}
