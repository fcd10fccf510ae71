package limits

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var (
	guesserA = netip.MustParseAddr("192.0.2.7")
	otherA   = netip.MustParseAddr("192.0.2.8")
)

func TestWhoGuessesIsToldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		g := &Guesses{Began: func(source netip.Prefix, names int) {
			if told++; source.String() != "192.0.2.7/32" || names != 4 {
				t.Errorf("told of %v, %d names", source, names)
			}
		}}
		g.Configure(3, time.Minute)
		there := time.Now()
		<-time.After(time.Second)
		known := func() (time.Time, bool) { return there, true }
		unknown := func() (time.Time, bool) { return time.Time{}, false }
		withholds := func(a netip.Addr, since func() (time.Time, bool), name string, want bool) {
			t.Helper()
			if got := g.Withholds(a, since, name, ""); got != want {
				t.Errorf("%v, %s: withheld %v, want %v", a, name, got, want)
			}
		}
		g.Found(guesserA, "SALES", "")
		for range 100 { // one who is mistaken again and again does not guess
			g.Missed(guesserA, "wrong", "")
		}
		g.Missed(guesserA, "a", "")
		g.Missed(guesserA, "b", "")
		withholds(guesserA, known, "hr", false)
		g.Missed(guesserA, "c", "")
		if told != 1 || g.Counts() != (GuessCounts{Now: 1, Episodes: 1}) {
			t.Fatalf("told %d times, %+v", told, g.Counts())
		}
		withholds(guesserA, known, "hr", true)
		withholds(otherA, known, "hr", false)
		withholds(guesserA, known, "sales", false) // was served
		withholds(guesserA, known, "B", false)     // it was told of that already
		withholds(guesserA, unknown, "d", true)
		withholds(guesserA, func() (time.Time, bool) { return time.Now().Add(time.Second), true }, "new", false)

		<-time.After(40 * time.Second)
		withholds(guesserA, known, "hr", true) // which makes it no longer
		<-time.After(21 * time.Second)
		withholds(guesserA, known, "hr", false)
		if c := g.Counts(); c != (GuessCounts{Episodes: 1, Withheld: 3}) {
			t.Errorf("%+v", c)
		}
		for i := range 5 {
			g.Missed(guesserA, fmt.Sprint("e", i), "")
			<-time.After(50 * time.Second)
		}
		if c := g.Counts(); c.Episodes != 2 || told != 2 {
			t.Errorf("slow ones are not noticed: %+v, told %d times", c, told)
		}
		g.Configure(0, time.Minute)
		withholds(guesserA, known, "hr", false)
	})
}

func TestGuessersAreBounded(t *testing.T) {
	g := &Guesses{}
	g.Configure(1, time.Hour)
	at := guesserA
	for range mostGuessers + 100 {
		g.Missed(at, "a")
		g.Missed(at, "b")
		at = at.Next()
	}
	if c := g.Counts(); c.Now != mostGuessers || len(g.known) != mostGuessers || g.order.n != mostGuessers {
		t.Errorf("%+v, %d are known", c, len(g.known))
	}
}

// What is served all the time costs nothing to speak of.
func TestNotingWhatIsServedAllocatesNothing(t *testing.T) {
	g := &Guesses{}
	g.Configure(30, time.Minute)
	if n := testing.AllocsPerRun(100, func() {
		g.Found(guesserA, "sales.example.com", "", "")
		if g.Withholds(guesserA, nil, "sales.example.com", "", "") {
			t.Error("withheld")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGuessesOfTheZeroValue(t *testing.T) {
	var g Guesses
	for i := range 1000 {
		g.Missed(guesserA, fmt.Sprint(i))
	}
	if g.Withholds(guesserA, nil, "x") || g.Counts() != (GuessCounts{}) {
		t.Error("somebody is bounded")
	}
}
