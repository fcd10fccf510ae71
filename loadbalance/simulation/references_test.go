package simulation

import (
	"math"
	"math/rand/v2"
	"testing"
)

// viewOf returns what brokers of a policy see of idle servers with such cores.
func viewOf(r Reference, cores ...float64) *view {
	w := &world{scenario: &Scenario{Work: 30, Interval: 60}, brokers: 2, rate: 1}
	for _, c := range cores {
		w.servers = append(w.servers, newServer(c))
	}
	return r.dispatcher(w, rand.New(rand.NewPCG(1, 1))).(*view)
}

// shares returns which part of many connects each server is given.
func shares(v *view, connects int) []float64 {
	all := make([]float64, len(v.w.servers))
	for range connects {
		i, _ := v.choose(0)
		all[i] += 1 / float64(connects)
	}
	return all
}

func near(got []float64, want ...float64) bool {
	for i := range want {
		if math.Abs(got[i]-want[i]) > 0.02 {
			return false
		}
	}
	return len(got) == len(want)
}

func TestReferencesShare(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Reference
		want []float64
	}{
		{"random by capacity", Reference{}, []float64{0.25, 0.75}},
		{"in turn by capacity", Reference{Turns: true}, []float64{0.25, 0.75}},
		{"levelling of equal reports", Reference{Fill: true}, []float64{0.25, 0.75}},
		{"least own", Reference{Score: ownOpen}, []float64{0.25, 0.75}},
		{"report and own", Reference{Score: reportedAndSent}, []float64{0.25, 0.75}},
		{"raw report", Reference{Score: reported}, []float64{0.5, 0.5}},
	} {
		if got := shares(viewOf(c.r, 8, 24), 4000); !near(got, c.want...) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Sixty arrivals are expected; they fill up the emptier servers, to one level.
func TestLevelling(t *testing.T) {
	v := viewOf(Reference{Fill: true}, 10, 10, 20)
	v.report(0, 50)
	v.report(1, 10)
	v.report(2, 20)
	if level := v.levelFor(60); math.Abs(level-3) > 1e-6 {
		t.Errorf("level %g, want 3: 20 more on 10 cores and 40 more on 20", level)
	}
	if got := shares(v, 4000); !near(got, 0, 1.0/3, 2.0/3) {
		t.Errorf("shares %v", got)
	}
}

func TestAgedScores(t *testing.T) {
	v := viewOf(Reference{Score: aged}, 10, 10)
	v.report(0, 40)
	v.w.now = 30
	own := &v.brokers[0]
	own.faded[0], own.asOf[0] = 3, 0
	want := (40/math.E + 2*3/math.E + 1) / 10
	if got := aged(v, 0, 0); math.Abs(got-want) > 1e-9 {
		t.Errorf("aged %g, want %g", got, want)
	}
	// As much as the report exceeds an even share is left of it; own connects count by what they exceed theirs.
	share := 20.0
	want = (share + (40-share)/math.E + 2*(3-1.5)/math.E + 1) / 10
	if got := deviation(v, 0, 0); math.Abs(got-want) > 1e-9 {
		t.Errorf("deviation %g, want %g", got, want)
	}
	v.report(0, 7)
	if own.faded[0] != 0 || aged(v, 0, 0) != 0.8 {
		t.Errorf("after a report: %g", aged(v, 0, 0))
	}
}

func TestNobodyIsSentToAServerThatIsAway(t *testing.T) {
	for _, p := range references() {
		v := viewOf(*p.Reference, 8, 8, 8)
		v.w.servers[1].away = true
		if got := shares(v, 300); got[1] != 0 {
			t.Errorf("%s: %.2f of all to a server that is away", p.Name, got[1])
		}
	}
}

func TestLengths(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, s := range []Scenario{{Work: 30}, {Work: 30, Skewed: true}} {
		var sum, long float64
		const n = 2_000_000
		for range n {
			l := s.draw(random)
			if sum += l / n; l > 150 {
				long += 1.0 / n
			}
		}
		if math.Abs(sum-30) > 0.3 {
			t.Errorf("skewed %v: mean length %g, want 30", s.Skewed, sum)
		}
		want := math.Exp(-5)
		if s.Skewed { // the normal distribution beyond (ln 5 + sigma²/2) / sigma
			want = math.Erfc((math.Log(5)+skew*skew/2)/skew/math.Sqrt2) / 2
		}
		if math.Abs(long-want) > 0.001 {
			t.Errorf("skewed %v: %g are longer than five times the mean, want %g", s.Skewed, long, want)
		}
	}
}

func TestSilence(t *testing.T) {
	s := Scenario{Cycle: 1800, Silence: [2]float64{600, 1200}}
	for now, want := range map[float64]bool{0: false, 599: false, 600: true, 1199: true, 1200: false, 2400: true, 3600: false} {
		if s.silent(now) != want {
			t.Errorf("silent at %g: %v", now, !want)
		}
	}
}

// The reports that are lost are lost, and those of a server that is away are not made.
func TestReportsInTheWorld(t *testing.T) {
	s := Disturbed()[2]
	w := newWorld(&s, &Select(Policies(), "minimum of raw report")[0], 1)
	v := w.dispatch.(*view)
	w.servers[0].begin(session{work: 1e9})
	for now, want := range map[float64]int{700: 0, 1300: 1} {
		v.reports[0], w.now = 0, now
		w.report(0)
		if v.reports[0] != want {
			t.Errorf("at %g: %d sessions reported, want %d", now, v.reports[0], want)
		}
	}
	v.reports[0], w.servers[0].away = 0, true
	if w.report(0); v.reports[0] != 0 {
		t.Error("a server that is away reports")
	}
}

// The sessions of a server that dies begin anew elsewhere, and count from when they began first.
func TestDeathMovesSessions(t *testing.T) {
	s := Disturbed()[0]
	w := newWorld(&s, &Select(Policies(), Relaying)[0], 1)
	for range 400 {
		w.connect(100, 0)
	}
	lost := len(w.servers[1].sessions)
	w.now = 500
	w.kill(1)
	open := 0
	for i := range w.servers {
		open += len(w.servers[i].sessions)
		for _, n := range w.servers[i].sessions {
			if n.started != 0 {
				t.Errorf("a session counts from %g", n.started)
			}
		}
	}
	if lost == 0 || len(w.servers[1].sessions) != 0 || open != 400 {
		t.Errorf("%d sessions lost by the dead, %d left there, %d in all", lost, len(w.servers[1].sessions), open)
	}
	w.servers[1].away = false
	w.dispatch.came(1)
	for range 100 {
		w.connect(100, 500)
	}
	if n := len(w.servers[1].sessions); n == 0 || n > 30 {
		t.Errorf("back again it got %d of 100 connects at once", n)
	}
}
