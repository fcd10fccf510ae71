package limits

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// passing makes a Rate without its first second's worth.
func passing(perSecond float64, wait time.Duration) *Rate {
	r := &Rate{}
	r.Configure(perSecond, wait)
	for range int(max(1, perSecond)) {
		if turn, err := r.Enter("first", nil); turn != nil || err != nil {
			panic(fmt.Sprint("the first second's worth: ", turn, err))
		}
	}
	return r
}

func TestWithoutALimitEverybodyPasses(t *testing.T) {
	var r Rate
	for range 1000 {
		if turn, err := r.Enter("a", nil); turn != nil || err != nil {
			t.Fatal(turn, err)
		}
	}
}

func TestOverTheRateOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := passing(10, time.Second)
		woken := make(chan struct{}, 1)
		began := time.Now()
		turn, err := r.Enter("a", func() { woken <- struct{}{} })
		if err != nil || turn == nil || turn.State() != Waiting {
			t.Fatalf("turn %v, %v", turn, err)
		}
		<-woken
		if turn.State() != Go {
			t.Errorf("state %v", turn.State())
		}
		if took := time.Since(began); took < 99*time.Millisecond || took > 110*time.Millisecond {
			t.Errorf("waited %v of 100ms", took)
		}
		turn.Leave() // does nothing
		if c := r.Counts(); c != (RateCounts{Passed: 10, Waited: 1}) {
			t.Errorf("%+v", c)
		}
	})
}

// A flood of one client does not keep another from the next turn but one.
func TestTurnsGoRoundAmongFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := passing(10, 5*time.Second)
		var mu sync.Mutex
		var order []string
		enter := func(flow string) error {
			_, err := r.Enter(flow, func() {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, flow)
			})
			return err
		}
		for i := range 1000 {
			if err := enter("flood"); err != nil {
				if i < 40 || i > 60 {
					t.Errorf("%d of one flow wait, want those of 5s", i)
				}
				break
			}
		}
		for range 3 {
			if err := enter("modest"); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(750 * time.Millisecond)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got, want := fmt.Sprint(order), "[flood modest flood modest flood modest flood]"; got != want {
			t.Errorf("order %s, want %s", got, want)
		}
	})
}

func TestWhoseTurnDoesNotComeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := passing(2, time.Second)
		var turns []*Turn
		for i := range 100 { // many flows: each may hope when it comes
			turn, err := r.Enter(fmt.Sprint(i), func() {})
			if err != nil {
				if !errors.Is(err, ErrRate) || len(turns) < 2 {
					t.Fatalf("after %d: %v", len(turns), err)
				}
				break
			}
			turns = append(turns, turn)
		}
		r.Configure(0.1, time.Second) // and now it cannot
		<-time.After(time.Second)
		synctest.Wait()
		expired := 0
		for _, turn := range turns {
			if turn.State() == Expired {
				expired++
			}
		}
		if expired != len(turns) {
			t.Errorf("%d of %d expired", expired, len(turns))
		}
		if c := r.Counts(); c.Waiting != 0 || c.Refused != uint64(expired)+1 {
			t.Errorf("%+v", c)
		}
	})
}

// Nobody is told later because somebody ahead of him might once wait for longer.
func TestAShorterWaitIsForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := passing(2, time.Minute)
		enter := func(flow string) *Turn {
			turn, err := r.Enter(flow, nil)
			if err != nil || turn == nil {
				t.Fatal(turn, err)
			}
			return turn
		}
		before := enter("before")
		r.Configure(2, time.Second)
		after := enter("after")
		r.Configure(0.1, time.Second)
		<-time.After(time.Second)
		synctest.Wait()
		if before.State() != Expired || after.State() != Expired {
			t.Errorf("after the wait, who came before it was shortened is %v, who came then %v", before.State(), after.State())
		}
	})
}

func TestWithoutALimitAllWhoWaitGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := passing(1, time.Minute)
		var turns []*Turn
		for i := range 50 {
			turn, err := r.Enter(fmt.Sprint(i%7), func() {})
			if err != nil {
				t.Fatal(err)
			}
			turns = append(turns, turn)
		}
		turns[3].Leave()
		r.Configure(0, 0)
		for i, turn := range turns {
			if want := i != 3; (turn.State() == Go) != want {
				t.Errorf("turn %d: %v", i, turn.State())
			}
		}
		r.Configure(5, time.Second)
		if turn, err := r.Enter("a", nil); turn != nil || err != nil {
			t.Errorf("a new limit begins with its first second's worth: %v, %v", turn, err)
		}
	})
}

func TestRoomBoundsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room Count
		room.Configure(2)
		r := passing(1, time.Hour)
		r.Room = &room
		a, err := r.Enter("a", func() {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enter("b", func() {}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enter("c", func() {}); !errors.Is(err, ErrRate) {
			t.Errorf("a third one: %v", err)
		}
		a.Leave()
		if _, err := r.Enter("c", func() {}); err != nil {
			t.Errorf("after one left: %v", err)
		}
		r.Configure(0, 0)
		if n := room.Counts().Now; n != 0 {
			t.Errorf("%d in the room after all went", n)
		}
	})
}

// Whatever comes and goes, no more pass than the rate allows, everybody gets an answer in
// time, and nothing is left behind.
func TestRateKeepsItsWord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perSecond := float64(rapid.IntRange(1, 200).Draw(rt, "per second"))
		wait := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "wait")) * time.Millisecond
		flows := rapid.IntRange(1, 20).Draw(rt, "flows")
		seed := rapid.Uint64().Draw(rt, "seed")
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			r := &Rate{}
			r.Configure(perSecond, wait)
			began, passed := time.Now(), 0
			var turns []*Turn
			for range 300 {
				turn, err := r.Enter(fmt.Sprint(random.IntN(flows)), func() {})
				switch {
				case err == nil && turn == nil:
					passed++
				case err == nil && random.IntN(10) == 0:
					turn.Leave()
				case err == nil:
					turns = append(turns, turn)
				}
				if pause := time.Duration(random.IntN(20)) * time.Millisecond; pause > 0 { // see CONTRIBUTING.md, "Time in tests"
					<-time.After(pause)
				}
			}
			<-time.After(wait + time.Nanosecond)
			synctest.Wait()
			for _, turn := range turns {
				switch turn.State() {
				case Go:
					passed++
				case Waiting:
					rt.Fatalf("one still waits after %v", wait)
				}
			}
			if most := burst(perSecond) + perSecond*time.Since(began).Seconds() + 1; float64(passed) > most {
				rt.Fatalf("%d passed, at most %v may", passed, most)
			}
			if c := r.Counts(); c.Waiting != 0 || len(r.flows) != 0 || r.next != nil {
				rt.Fatalf("left behind: %+v, %d flows", c, len(r.flows))
			}
		})
	})
}

func BenchmarkRatePasses(b *testing.B) {
	var r Rate
	r.Configure(1e9, time.Second)
	for b.Loop() {
		_, _ = r.Enter("a", nil)
	}
}

func BenchmarkRateRefuses(b *testing.B) {
	r := passing(10, 0)
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Full("a")
	}
}

func TestARateIsFreeWithoutALimit(t *testing.T) {
	var r Rate
	for _, perSecond := range []float64{0, 5, 0} {
		r.Configure(perSecond, time.Second)
		if r.Free() != (perSecond == 0) {
			t.Errorf("with %v a second Free is %v", perSecond, r.Free())
		}
	}
}
