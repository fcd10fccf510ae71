package journal

import (
	"hash/maphash"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestRefAlphabet(t *testing.T) {
	if len(refAlphabet) != 32 || strings.ContainsAny(refAlphabet, "0O1I") || refAlphabet != strings.ToUpper(refAlphabet) {
		t.Errorf("alphabet %q", refAlphabet)
	}
	for i, r := range refAlphabet {
		if strings.LastIndex(refAlphabet, string(r)) != i {
			t.Errorf("%c is in it twice", r)
		}
	}
}

func TestRefsNeverComeTwice(t *testing.T) {
	const goroutines, each = 4, 50_000
	var j Journal
	given := make([][]string, goroutines)
	var all sync.WaitGroup
	for i := range given {
		all.Go(func() {
			for range each {
				given[i] = append(given[i], j.NewRef())
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, refs := range given {
		for _, ref := range refs {
			if len(ref) != RefSize || strings.Trim(ref, refAlphabet) != "" || seen[ref] {
				t.Fatalf("%q, seen before: %v", ref, seen[ref])
			}
			seen[ref] = true
		}
	}
}

func TestScrambleIsOneToOne(t *testing.T) {
	seed := maphash.MakeSeed()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64Range(0, 1<<40-1).Draw(t, "a"), rapid.Uint64Range(0, 1<<40-1).Draw(t, "b")
		if x, y := scramble(seed, a), scramble(seed, b); (x == y) != (a == b) || x >= 1<<40 {
			t.Fatalf("%d, %d became %d, %d", a, b, x, y)
		}
	})
}

// TestRefsDoNotTellTheNext: one code and the next have no more in common than any two, and another journal gives others.
func TestRefsDoNotTellTheNext(t *testing.T) {
	var j, other Journal
	const n = 10_000
	last := j.NewRef()
	same, shared, counts := 0, 0, map[byte]int{}
	for range n {
		next := j.NewRef()
		if other.NewRef() == next {
			same++
		}
		for i := range next {
			counts[next[i]]++
			if next[i] == last[i] {
				shared++
			}
		}
		last = next
	}
	if same > 1 {
		t.Errorf("%d of %d codes of two journals are the same", same, n)
	}
	if expected := n * RefSize / 32; shared < expected*8/10 || shared > expected*12/10 {
		t.Errorf("codes in sequence have %d characters in common, chance makes that %d", shared, expected)
	}
	for c, count := range counts {
		if expected := n * RefSize / 32; count < expected*8/10 || count > expected*12/10 {
			t.Errorf("%c comes %d times, chance makes that %d", c, count, expected)
		}
	}
}

func BenchmarkNewRef(b *testing.B) {
	var j Journal
	b.ReportAllocs()
	for b.Loop() {
		j.NewRef()
	}
}
