package registration

import (
	"testing"
	"testing/synctest"
	"time"
)

// What another process has used of a rate was used at a time of day, and clocks are set back: nobody waits for the difference.
func TestARateWhoseClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket{rate: 2, burst: 3, used: 1, at: time.Now().Add(time.Hour).Round(0)}
		began := time.Now()
		for range 2 {
			if !b.take() {
				t.Fatal("the burst that is left is not let through")
			}
		}
		if b.take() {
			t.Error("more than the burst is let through")
		}
		if err := b.wait(t.Context()); err != nil || time.Since(began) != time.Second/2 {
			t.Errorf("%v, after %v", err, time.Since(began))
		}
	})
}
