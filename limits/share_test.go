package limits

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSharesKeepTheirCountsThroughNewLimits(t *testing.T) {
	most := 1
	s := &Shares{LimitOf: func(kind Kind, name string) Limit {
		if kind != OfService || name != "sales" {
			return Limit{}
		}
		return Limit{Sessions: most, By: Names{Sessions: "MAX_SESSIONS of SERVICE"}}
	}}
	sales := s.Of(OfService, "sales")
	if !sales.Sessions.Take() || sales.Sessions.Take() || !sales.Sessions.Full() {
		t.Fatal("one session may be open")
	}
	if err := sales.TooMany(); !errors.Is(err, ErrSessions) || !strings.Contains(err.Error(), "service sales: MAX_SESSIONS of SERVICE is 1") {
		t.Error(err)
	}
	most = 3
	s.Reconfigure()
	second, third, fourth := sales.Sessions.Take(), sales.Sessions.Take(), sales.Sessions.Take()
	if !second || !third || fourth {
		t.Error("three may be open now, the one from before among them")
	}
	if c := s.Of(OfService, "sales").Sessions.Counts(); c != (Counted{Most: 3, Now: 3, Peak: 3, Refused: 2}) {
		t.Errorf("%+v", c)
	}
	s.Of(OfAll, "")
	s.Of(OfTenant, "a")
	s.Of(OfRule, "r")
	if got := fmt.Sprint(s.All()); got != "[all services tenant a service sales rule r]" {
		t.Error(got)
	}
}

func TestSharesAreBounded(t *testing.T) {
	var s Shares
	used := s.Of(OfService, "used")
	used.Sessions.Take()
	for i := range 3 * maxShares {
		s.Of(OfService, fmt.Sprint(i))
	}
	if n := len(s.All()); n > maxShares {
		t.Errorf("%d are known", n)
	}
	if s.Of(OfService, "used") != used {
		t.Error("one in use was forgotten")
	}
}

func TestASharesRate(t *testing.T) {
	s := &Shares{LimitOf: func(Kind, string) Limit { return Limit{Rate: 1, By: Names{Rate: "RATE of TENANT"}} }}
	a := s.Of(OfTenant, "a")
	if turn, err := a.Enter("x", nil); turn != nil || err != nil {
		t.Fatal(turn, err)
	}
	if !a.Rate.Full("x") {
		t.Error("a second one may come at once")
	}
	for _, err := range []error{a.Refuse(), func() error { _, err := a.Enter("x", nil); return err }()} {
		if !errors.Is(err, ErrRate) || !strings.Contains(err.Error(), "tenant a: RATE of TENANT is 1 connects a second") {
			t.Error(err)
		}
	}
	if n := a.Rate.Counts().Refused; n != 2 {
		t.Errorf("%d refused", n)
	}
}

func TestWhatRepeatsIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := &Repeats{Told: func(key string, first any, more uint64) { told = append(told, fmt.Sprint(key, " ", first, " ", more)) }}
		for i := range 5 {
			first, again := r.Note("a", func() any { return i })
			if first != 0 || again != (i > 0) {
				t.Errorf("%d: %v, %v", i, first, again)
			}
		}
		r.Note("b", func() any { return "only once" })
		<-time.After(11 * time.Second)
		synctest.Wait()
		if fmt.Sprint(told) != "[a 0 4]" {
			t.Error(told)
		}
		for i := range 3 * maxRepeats {
			r.Note(fmt.Sprint(i), func() any { return i })
		}
		if n := len(r.known); n > maxRepeats+1 {
			t.Errorf("%d are told apart", n)
		}
		told = nil
		r.Flush()
		if len(told) != 1 || !strings.HasPrefix(told[0], "others ") {
			t.Error(told)
		}
	})
}

func TestRatesAsPeopleWriteThem(t *testing.T) {
	for rate, want := range map[float64]string{100: "100 connects a second", 2.5: "2.5 connects a second", 1.0 / 60: "1 connects a minute", 0.5: "30 connects a minute", 5.0 / 3600: "5 connects a hour"} {
		if got := figure(rate); got != want {
			t.Errorf("%v is %q, want %q", rate, got, want)
		}
	}
}

// Names that somebody makes up do not give a service its turns back.
func TestWhatIsUsedUpIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Shares{LimitOf: func(Kind, string) Limit { return Limit{Rate: 1} }}
		if _, err := s.Of(OfService, "pay").Enter("c", nil); err != nil {
			t.Fatal(err)
		}
		for i := range maxShares + 10 {
			s.Of(OfService, fmt.Sprint("made up ", i))
		}
		if n := len(s.All()); n > maxShares {
			t.Errorf("%d are known", n)
		}
		if _, err := s.Of(OfService, "pay").Enter("c", nil); !errors.Is(err, ErrRate) {
			t.Errorf("a second one: %v", err)
		}
		for i := range maxShares + 10 { // all of them in use: there is room all the same
			_, _ = s.Of(OfService, fmt.Sprint("used ", i)).Enter("c", nil)
		}
		if n := len(s.All()); n > maxShares {
			t.Errorf("%d are known", n)
		}
	})
}
