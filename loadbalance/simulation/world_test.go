package simulation

import (
	"math"
	"math/rand/v2"
	"testing"
)

// With many servers and fresh information, the mean time in system of the lesser of two has a known limit,
// the sum of load^(2^i-2); that of a random choice is 1/(1-load).
func TestKnownLimits(t *testing.T) {
	if withoutDetector(t) {
		return
	}
	board := Board()[0]
	limit := 0.0
	for i := 1; i < 8; i++ {
		limit += math.Pow(0.9, math.Pow(2, float64(i))-2)
	}
	for _, c := range []struct {
		policy string
		want   float64
		within float64
	}{
		{"least of two, perfect information", limit, 0.03},
		{"random by capacity", 10, 0.6},
	} {
		policy := Select(Policies(), c.policy)
		cells := Cells(policy, []Scenario{board})
		RunAll(cells, 600_000, 2)
		if got := cells[0].Result.Residence / board.Work; math.Abs(got-c.want) > c.within {
			t.Errorf("%s: %.3f in system, want %.3f ± %.2f", c.policy, got, c.want, c.within)
		}
	}
}

// stepped serves the same sessions in tiny steps of time, without any cleverness: what each server has left to do is
// shared out and counted down. It returns how long each session took.
func stepped(cores []float64, arrivals, work []float64, to []int) []float64 {
	const dt = 1e-4
	left := append([]float64(nil), work...)
	took := make([]float64, len(work))
	for n, now := 0, 0.0; n < len(work); now += dt {
		present := make([]float64, len(cores))
		for i := range work {
			if arrivals[i] <= now && left[i] > 0 {
				present[to[i]]++
			}
		}
		for i := range work {
			if arrivals[i] > now || left[i] <= 0 {
				continue
			}
			if left[i] -= dt * min(1, cores[to[i]]/present[to[i]]); left[i] <= 0 {
				took[i] = now + dt - arrivals[i]
				n++
			}
		}
	}
	return took
}

func TestServersAgreeWithTinySteps(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	cores := []float64{1, 2, 3.5}
	var arrivals, work []float64
	var to []int
	now := 0.0
	for range 60 {
		now += random.ExpFloat64() / 8
		arrivals, work, to = append(arrivals, now), append(work, random.ExpFloat64()), append(to, random.IntN(len(cores)))
	}
	want := stepped(cores, arrivals, work, to)
	got := make([]float64, len(work))
	for i, c := range cores {
		s := newServer(c)
		for j := 0; j < len(work) || len(s.sessions) > 0; {
			if j < len(work) && to[j] != i {
				j++
				continue
			}
			if j < len(work) && arrivals[j] <= s.next {
				s.advance(arrivals[j])
				s.begin(session{work: work[j], started: arrivals[j], ticket: int32(j)})
				j++
				continue
			}
			at := s.next
			s.advance(at)
			done := s.end()
			got[done.ticket] = at - done.started
		}
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 0.01 {
			t.Errorf("session %d took %.4f, in tiny steps %.4f", i, got[i], want[i])
		}
	}
}

// A server that becomes slower, or loses its sessions, goes on from where it was.
func TestServerChanges(t *testing.T) {
	s := newServer(1)
	s.begin(session{work: 10})
	s.turn(0.5, 4)
	if s.next != 16 {
		t.Errorf("with 6 of 10 left at half the speed it is done at %v, want 16", s.next)
	}
	s.turn(1, 8)
	if s.next != 12 {
		t.Errorf("with 4 left at full speed it is done at %v, want 12", s.next)
	}
	if lost := s.empty(9); len(lost) != 1 || !math.IsInf(s.next, 1) {
		t.Errorf("%d sessions lost, next done at %v", len(lost), s.next)
	}
}

func TestSameSeedSameResult(t *testing.T) {
	for _, s := range []Scenario{Steady()[1], Disturbed()[0]} {
		for _, p := range Policies() {
			a, b, c := Run(&s, &p, 1500, 3), Run(&s, &p, 1500, 3), Run(&s, &p, 1500, 4)
			if a != b {
				t.Errorf("%s in %s: %+v, then %+v", p.Name, s.Name, a, b)
			}
			if a == c {
				t.Errorf("%s in %s: another seed changed nothing", p.Name, s.Name)
			}
		}
	}
}

// No session is lost or served twice, whatever happens to servers.
func TestSessionsAreConserved(t *testing.T) {
	for _, s := range append(Steady(), Disturbed()...) {
		p := Select(Policies(), Relaying)[0]
		w := newWorld(&s, &p, 5)
		w.run(3000)
		open, free := 0, 0
		for i := range w.servers {
			open += len(w.servers[i].sessions)
		}
		b := w.dispatch.(*balanced)
		free = len(b.free)
		if open != len(b.open)-free {
			t.Errorf("%s: %d sessions at servers, %d known to brokers", s.Name, open, len(b.open)-free)
		}
	}
}
