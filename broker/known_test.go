package broker

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"servicebroker/servicetable"
)

// Registrations are found by ID and by instance, and what none of them offers is known, whatever came, went and changed its name.
func TestKnownRegistrations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k registrations
		want := map[servicetable.ID]*servicetable.Registration{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := servicetable.ID(rapid.StringMatching("[1-4]").Draw(t, "id"))
			if rapid.Bool().Draw(t, "put") {
				r := &servicetable.Registration{ID: id, Instance: rapid.StringMatching("[aAbB]").Draw(t, "instance"), Host: "h"}
				for _, name := range rapid.SliceOfN(rapid.StringMatching("[xXy]"), 0, 2).Draw(t, "services") {
					r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked * rapid.Uint32Range(0, 1).Draw(t, "open")})
				}
				want[id] = r
				k.put(r)
			} else {
				delete(want, id)
				k.remove(id)
			}
			for _, key := range []string{"a@h", "B@h", "c@h"} {
				var ids, found []string
				for _, r := range want {
					if strings.EqualFold(r.Key(), key) {
						ids = append(ids, string(r.ID))
					}
				}
				for _, r := range k.of(key) {
					found = append(found, string(r.ID))
				}
				slices.Sort(ids)
				slices.Sort(found)
				if !slices.Equal(ids, found) {
					t.Fatalf("%s: %v, want %v", key, found, ids)
				}
			}
			count := 0
			for r := range k.all() {
				if count++; want[r.ID] != r || k.get(r.ID) != r {
					t.Fatalf("%s is %v", r.ID, r)
				}
			}
			offered := map[string]bool{}
			for _, r := range want {
				maps.Copy(offered, offers(r))
			}
			for _, name := range []string{"x", "y", "(sid=a)", "(sid=b)"} {
				if none := len(k.unoffered([]string{name})) == 1; none == offered[name] {
					t.Fatalf("%s: offered %v, said to be by nobody %v", name, offered[name], none)
				}
			}
			if count != len(want) || len(k.offered) != len(offered) || len(k.byKey) > count {
				t.Fatalf("%d by ID and %d by instance, want %d", count, len(k.byKey), len(want))
			}
		}
	})
}
