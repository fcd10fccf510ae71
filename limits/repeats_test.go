package limits

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What is told singly some times is counted from then on, and told anew in the next while.
func TestRepeatsFromSomeTimesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []uint64
		r := Repeats{Every: time.Second, Told: func(_ string, last any, more uint64) {
			if last != 2 {
				t.Errorf("told of %v", last)
			}
			told = append(told, more)
		}}
		n := 0
		for range 2 {
			n = 0
			var singly, counted int
			for range 10 {
				last, again := r.NoteFrom(3, "a", func() any { n++; return n - 1 })
				if again {
					counted++
				} else {
					singly++
				}
				if last != n-1 {
					t.Errorf("the last one is %v of %d", last, n)
				}
			}
			if singly != 3 || counted != 7 || n != 3 {
				t.Errorf("%d singly, %d counted, %d made", singly, counted, n)
			}
			<-time.After(time.Second)
			synctest.Wait()
		}
		if !slices.Equal(told, []uint64{7, 7}) {
			t.Errorf("told of %v", told)
		}
		if _, again := r.Note("b", func() any { return 2 }); again {
			t.Error("once is again")
		}
		if _, again := r.Note("b", func() any { return 3 }); !again {
			t.Error("twice is not")
		}
		r.Flush()
		if told[len(told)-1] != 1 {
			t.Errorf("flushed %v", told)
		}
	})
}
