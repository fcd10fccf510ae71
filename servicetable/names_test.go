package servicetable

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Versions made by edits hold what a map would, and never change afterwards.
func TestNamesAgreeWithMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			n    names[int]
			want map[string]int
		}
		versions := []version{{want: map[string]int{}}}
		for range rapid.IntRange(1, 5).Draw(t, "versions") {
			last := versions[len(versions)-1]
			e, want := last.n.edit(), maps.Clone(last.want)
			for range rapid.IntRange(0, 20).Draw(t, "changes") {
				name := fmt.Sprintf("n%d", rapid.IntRange(0, 30).Draw(t, "name"))
				if rapid.Bool().Draw(t, "remove") {
					e.remove(name)
					delete(want, name)
				} else {
					v := rapid.IntRange(1, 99).Draw(t, "value")
					e.set(name, v)
					want[name] = v
				}
			}
			versions = append(versions, version{e.next, want})
		}
		for i := range versions {
			v := &versions[i]
			for k := range 31 {
				name := fmt.Sprintf("n%d", k)
				if got := v.n.get(name); got != v.want[name] || v.n.lookup([]byte(name)) != got {
					t.Fatalf("version %d: %s is %d, want %d", i, name, got, v.want[name])
				}
			}
		}
	})
}

func TestShardsFillEvenly(t *testing.T) {
	const perShard = 64
	var count [shardCount]int
	for i := range perShard * shardCount {
		count[shard(fmt.Sprintf("service%05d.example.com", i))]++
	}
	for i, n := range count {
		if n < perShard/4 || n > perShard*3 {
			t.Errorf("shard %d has %d of about %d names", i, n, perShard)
		}
	}
}

func TestFold(t *testing.T) {
	long := strings.Repeat("Ab", foldedSize)
	for _, c := range []struct{ name, want string }{
		{"", ""}, {"sales", "sales"}, {"SaLeS.EXAMPLE.com", "sales.example.com"}, {"[@Z]", "[@z]"}, {"ÄRGER", "ärger"},
		{"A\xffÄ", "a\xffÄ"}, {long, strings.ToLower(long)},
	} {
		if got := fold(c.name); got != c.want {
			t.Errorf("fold(%q) = %q, want %q", c.name, got, c.want)
		}
		if !sameName(c.name, c.want) || sameName(c.name, c.want+"x") {
			t.Errorf("sameName is wrong about %q", c.name)
		}
	}
	if n := testing.AllocsPerRun(50, func() { sameName("SALES.example.com", "sales.EXAMPLE.com") }); n != 0 {
		t.Errorf("sameName: %v allocations", n)
	}
}

func TestFoldIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9.$#]{0,40}`), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "name")
		once := fold(name)
		if twice := fold(once); twice != once {
			t.Fatalf("fold(%q) = %q, and folded again %q", name, once, twice)
		}
	})
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{"": "", "sales": "sales", "sales.example.com": "sales", ".x": ".x", ".x.y": ".x", "s.": "s"} {
		if got := name[:shortName(name)]; got != want {
			t.Errorf("short name of %q: %q, want %q", name, got, want)
		}
	}
}
