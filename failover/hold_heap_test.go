package failover

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type item struct {
	rank     int
	position int32
}

type byRank struct{}

func (byRank) before(a, b *item) bool  { return a.rank < b.rank }
func (byRank) position(i *item) *int32 { return &i.position }

// A heap gives the same as sorting would, whatever is put in, taken out and changed.
func TestRanked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var heap, other ranked[*item, byRank]
		var in, out []*item
		pick := func(items []*item) (*item, []*item) {
			i := rapid.IntRange(0, len(items)-1).Draw(t, "index")
			v := items[i]
			return v, slices.Delete(items, i, i+1)
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				v := &item{rank: rapid.IntRange(0, 20).Draw(t, "rank")}
				heap.push(v)
				in = append(in, v)
			},
			"remove": func(t *rapid.T) {
				if len(in) > 0 {
					var v *item
					v, in = pick(in)
					heap.remove(v)
					heap.remove(v)
					out = append(out, v)
				}
			},
			"move": func(t *rapid.T) {
				if len(in) > 0 {
					var v *item
					v, in = pick(in)
					heap.remove(v)
					other.push(v)
					heap.remove(v) // it is in another one: nothing happens
					other.remove(v)
					heap.push(v)
					in = append(in, v)
				}
			},
			"change": func(t *rapid.T) {
				for _, v := range in {
					v.rank = rapid.IntRange(0, 20).Draw(t, "rank")
				}
				heap.reorder()
			},
			"": func(t *rapid.T) {
				if heap.len() != len(in) {
					t.Fatalf("%d members, want %d", heap.len(), len(in))
				}
				for i, v := range heap.items {
					if int(v.position) != i+1 {
						t.Fatalf("member %d thinks it is %d", i, v.position-1)
					}
				}
				for _, v := range out {
					if v.position != 0 {
						t.Fatalf("position %d outside", v.position)
					}
				}
				if len(in) == 0 {
					if heap.first() != nil {
						t.Fatal("empty, yet has a first")
					}
					return
				}
				least := slices.MinFunc(in, func(a, b *item) int { return cmp.Compare(a.rank, b.rank) })
				if heap.first().rank != least.rank {
					t.Fatalf("first %d, want %d", heap.first().rank, least.rank)
				}
			},
		})
	})
}

func TestFifo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fifo[int]
		var want []int
		n := 0
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(want) > 0 && rapid.Bool().Draw(t, "pop") {
				if got := f.pop(); got != want[0] {
					t.Fatalf("got %d, want %d", got, want[0])
				}
				want = want[1:]
			} else {
				n++
				f.push(n)
				want = append(want, n)
			}
			if f.len() != len(want) {
				t.Fatalf("length %d, want %d", f.len(), len(want))
			}
		}
	})
}

// A queue that never runs empty takes no more room than it needs.
func TestFifoReusesRoom(t *testing.T) {
	var f fifo[int]
	for i := range 100 {
		f.push(i)
	}
	for i := range 100_000 {
		f.push(f.pop() + i)
	}
	if cap(f.items) > 400 {
		t.Errorf("room for %d to hold 100", cap(f.items))
	}
}
