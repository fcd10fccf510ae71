package failover

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
	"servicebroker/servicetable"
)

// behaviour is what one candidate does when it is dialled.
type behaviour struct {
	Connect time.Duration // until the transport connection is open
	Answer  time.Duration // from leave to the answer
	Linger  time.Duration // from the end of the context to the attempt's return
	Does    deed
}

type deed uint8

const (
	accepts deed = iota
	refusesMovably
	refusesFinally
	hangsBefore
	hangsAfter
	resets
	breaksOff // hangs up after it had leave
	deeds
)

func (b behaviour) takes() time.Duration { return b.Connect + b.Answer }

// scenario is a race to be run: what each candidate does, and how the dialer is set.
type scenario struct {
	Route []behaviour
	Hedge time.Duration
	Dials int // one after another begun, with the same dialer
	Apart time.Duration
}

func scenarios() *rapid.Generator[scenario] {
	ms := func(from, to int) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.IntRange(from, to), func(n int) time.Duration { return time.Duration(n) * time.Millisecond })
	}
	one := rapid.Custom(func(t *rapid.T) behaviour {
		b := behaviour{Does: deed(rapid.IntRange(0, int(deeds)-1).Draw(t, "does")), Linger: ms(0, 5).Draw(t, "linger")}
		quick := rapid.Bool().Draw(t, "quick")
		b.Connect, b.Answer = ms(0, 50).Draw(t, "connect"), ms(0, 100).Draw(t, "answer")
		if !quick {
			b.Connect, b.Answer = ms(0, 1600).Draw(t, "connect"), ms(0, 1600).Draw(t, "answer")
		}
		return b
	})
	return rapid.Custom(func(t *rapid.T) scenario {
		if rapid.IntRange(0, 3).Draw(t, "special") == 0 {
			return oneSilent(t, rapid.SliceOfN(one, 2, 6).Draw(t, "route"))
		}
		return scenario{
			Route: rapid.SliceOfN(one, 1, 6).Draw(t, "route"),
			Hedge: rapid.SampledFrom([]time.Duration{0, -1, 200 * time.Millisecond, 400 * time.Millisecond}).Draw(t, "hedge"),
			Dials: rapid.IntRange(1, 3).Draw(t, "dials"),
			Apart: ms(0, 4000).Draw(t, "apart"),
		}
	})
}

// oneSilent makes all of a route accept quickly but one candidate, which hangs.
func oneSilent(t *rapid.T, route []behaviour) scenario {
	for i := range route {
		route[i].Does = accepts
		route[i].Connect, route[i].Answer = route[i].Connect%(90*time.Millisecond), route[i].Answer%(90*time.Millisecond)
	}
	hangs := rapid.SampledFrom([]deed{hangsBefore, hangsAfter}).Draw(t, "hangs")
	route[rapid.IntRange(0, len(route)-1).Draw(t, "silent")].Does = hangs
	return scenario{Route: route, Dials: 1, Hedge: rapid.SampledFrom([]time.Duration{0, 200 * time.Millisecond}).Draw(t, "hedge")}
}

// play runs a scenario and returns what was wrong with it.
func (s scenario) play(f faults) error {
	d := &Dialer{Hedge: s.Hedge, faults: f}
	verdicts := make(chan error, s.Dials)
	for i := range s.Dials {
		go func() {
			pass(time.Duration(i) * s.Apart)
			verdicts <- s.dial(d)
		}()
	}
	var all []error
	for range s.Dials {
		all = append(all, <-verdicts)
	}
	return errors.Join(all...)
}

// meeting is what one Dial met.
type meeting struct {
	scenario scenario
	running  int // attempts
	past     int // those past their leave
	most     int // at a time
	tries    []int
	sessions int // accepted and returned
	lock     chan struct{}
}

func (s scenario) dial(d *Dialer) error {
	m := &meeting{scenario: s, tries: make([]int, len(s.Route)), lock: make(chan struct{}, 1)}
	route := make([]servicetable.Candidate, len(s.Route))
	for i := range route {
		route[i] = candidate(fmt.Sprint(i))
	}
	begun := time.Now()
	got, who, err := Dial(context.Background(), d, route, m.attempt)
	var verdict error
	m.change(func() { verdict = m.judge(got, who, err, time.Since(begun)) })
	return verdict
}

func (m *meeting) change(f func()) {
	m.lock <- struct{}{}
	f()
	<-m.lock
}

// attempt returns the candidate's number plus one.
func (m *meeting) attempt(ctx context.Context, c servicetable.Candidate, commit func() error) (int, error) {
	var i int
	_, _ = fmt.Sscan(c.Registration.Instance, &i)
	b := m.scenario.Route[i]
	m.change(func() { m.running++; m.tries[i]++ })
	defer m.change(func() { m.running-- })
	if err := lasts(ctx, b.Connect, b.Does == hangsBefore); err != nil {
		return 0, err
	}
	if b.Does == resets {
		return 0, errRefused()
	}
	if err := commit(); err != nil {
		return 0, err
	}
	m.change(func() { m.past++; m.most = max(m.most, m.past) })
	defer m.change(func() { m.past-- })
	if err := lasts(ctx, b.Answer, b.Does == hangsAfter); err != nil {
		pass(b.Linger)
		return 0, err
	}
	switch b.Does {
	case refusesMovably, refusesFinally:
		return 0, answer{moveOn: b.Does == refusesMovably}
	case breaksOff:
		return 0, fmt.Errorf("reading: %w", context.Canceled) // the worst it could say
	}
	m.change(func() { m.sessions++ })
	return i + 1, nil
}

// lasts lets d go by, or all the time there is.
func lasts(ctx context.Context, d time.Duration, ever bool) error {
	var over <-chan time.Time
	switch {
	case ever:
	case d <= 0: // see CONTRIBUTING.md, "Time in tests"
		return nil
	default:
		over = time.After(d)
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// judge checks what came of a Dial.
func (m *meeting) judge(got int, who servicetable.Candidate, err error, took time.Duration) error {
	route := m.scenario.Route
	switch {
	case m.running > 0:
		return fmt.Errorf("%d attempts are still running", m.running)
	case m.most > 1:
		return fmt.Errorf("%d attempts could open a session at a time", m.most)
	case m.sessions > 1:
		return fmt.Errorf("%d sessions opened", m.sessions)
	}
	for i, n := range m.tries {
		if n > 2 {
			return fmt.Errorf("candidate %d was tried %d times", i, n)
		}
	}
	if err == nil {
		if m.sessions != 1 || got < 1 || route[got-1].Does != accepts || who.Registration.Instance != fmt.Sprint(got-1) {
			return fmt.Errorf("result %d of %s, with %d sessions", got, who.Registration.Instance, m.sessions)
		}
		return m.judgeTime(took)
	}
	if m.sessions > 0 {
		return fmt.Errorf("a session was opened and lost: %w", err)
	}
	var last answer
	if errors.As(lastError(err), &last) && !last.moveOn {
		return nil
	}
	for i, b := range route {
		if b.Does == accepts && b.takes() < 3*time.Second {
			return fmt.Errorf("failed although candidate %d would have accepted: %w", i, err)
		}
	}
	return nil
}

// lastError finds the final answer among the attempts, which is not always the last to return.
func lastError(err error) error {
	var failed *DialError
	if !errors.As(err, &failed) {
		return err
	}
	for _, a := range failed.Attempts {
		var said answer
		if errors.As(a.Err, &said) && !said.moveOn {
			return a.Err
		}
	}
	return nil
}

// judgeTime checks that one silent candidate among quick ones costs no more than the hedge delay.
func (m *meeting) judgeTime(took time.Duration) error {
	s := m.scenario
	hedge := s.Hedge
	if hedge == 0 {
		hedge = maxHedge
	}
	if s.Dials > 1 || hedge < 0 {
		return nil
	}
	silent, slowest, linger := 0, time.Duration(0), time.Duration(0)
	for _, b := range s.Route {
		switch {
		case b.Does == hangsBefore, b.Does == hangsAfter:
			silent++
			linger = max(linger, b.Linger)
		case b.Does == accepts && b.takes() < hedge:
			slowest = max(slowest, b.takes())
		default:
			return nil
		}
	}
	if silent == 1 && took > hedge+slowest+linger {
		return fmt.Errorf("took %v with one silent candidate, a hedge delay of %v and others that accept within %v", took, hedge, slowest)
	}
	return nil
}

func TestDialStateMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := scenarios().Draw(rt, "scenario")
		var err error
		synctest.Test(t, func(*testing.T) { err = s.play(faults{}) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// Each known mistake must be noticed within scenarios in which nothing is wrong without it.
func TestDialStateMachineNoticesMistakes(t *testing.T) {
	for name, f := range map[string]faults{
		"leave given before it was returned": {grantAtOnce: true},
		"abandoned candidates forgotten":     {forgetAbandoned: true},
		"losers left running":                {leaveLosers: true},
		"silence ignored":                    {ignoreSilence: true},
		"waiting attempt forgotten":          {neverGrantWaiter: true},
	} {
		t.Run(name, func(t *testing.T) {
			all := scenarios()
			for seed := range 3000 {
				s := all.Example(seed)
				var right, wrong error
				synctest.Test(t, func(*testing.T) { right, wrong = s.play(faults{}), s.play(f) })
				if right != nil {
					t.Fatalf("scenario %d without the mistake: %v", seed, right)
				}
				if wrong != nil {
					t.Logf("noticed in scenario %d: %v", seed, wrong)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
