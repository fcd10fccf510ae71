package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// machine drives a Holder at random and compares it with a simple model after each step.
type machine struct {
	hall   *hall
	end    func()
	lines  []*modelLine
	guests []*guest // all that have not left
	gone   []*guest
	rate   float64
	begun  time.Time
	joined int // who entered while their line was flowing

	before map[string]bool // the table before this step
	hook   func()          // called once, in the midst of the next look at the table

	mu   sync.Mutex
	seqs int
	want HoldCounters
}

const (
	modelMax   = 12
	modelShare = 8
)

func newMachine(t *testing.T, rate float64) *machine {
	m := &machine{rate: rate, begun: time.Now(), before: map[string]bool{}}
	m.hall = &hall{Holder: &Holder{}, back: map[string]bool{}, next: make(chan struct{})}
	m.hall.Configure(HoldSettings{Timeout: 5 * time.Second, Memory: 1e6 * time.Second, Max: modelMax, ServiceShare: 0.7, Rate: rate})
	m.hall.Seen("sales", "hr")
	for _, l := range []modelLine{{queue: "sales", service: "sales"}, {queue: "sales|1", service: "sales"}, {queue: "hr", service: "hr"}} {
		l.window = 1
		m.lines = append(m.lines, &l)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.hall.Run(ctx, m.hall.changed)
	}()
	m.end = func() { cancel(); <-done }
	return m
}

func (m *machine) ready(service string) bool {
	m.hall.mu.Lock()
	back, hook := m.hall.back[service], m.hook
	m.hook = nil
	m.hall.mu.Unlock()
	if hook != nil {
		hook()
	}
	return back
}

func (m *machine) woken(g *guest) {
	m.mu.Lock()
	m.seqs++
	seq := m.seqs
	m.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wakes++
	g.seq, g.at = seq, time.Now()
}

// publish makes a new table.
func (m *machine) publish(service string, back bool) {
	m.hall.set(service, back)
	for _, l := range m.lines {
		l.failed.changed, l.strayed.changed = true, true
	}
}

// abandoned reports whether only strays are left of a line that flows.
func (m *machine) abandoned(l *modelLine) bool {
	return l.flowing && !slices.ContainsFunc(m.guests, func(g *guest) bool { return g.line == l && (g.waiting || g.trying()) && !g.stray })
}

func (m *machine) enter(t *rapid.T) {
	l := rapid.SampledFrom(m.lines).Draw(t, "line")
	limit := rapid.SampledFrom([]time.Duration{0, 0, time.Second, 3 * time.Second, 20 * time.Second}).Draw(t, "limit")
	retry := rapid.SampledFrom([]time.Duration{0, 0, 500 * time.Millisecond, 2 * time.Second}).Draw(t, "retry")
	all, of := len(m.guests), 0
	for _, g := range m.guests {
		if g.line.service == l.service {
			of++
		}
	}
	g := &guest{n: int(m.want.Held), line: l, retry: retry, waiting: true}
	p, err := m.hall.Enter(HoldRequest{
		Service: l.service, Queue: l.queue, Client: fmt.Sprint(g.n), Limit: limit, Retry: retry,
		Ready: func() bool { return m.ready(l.service) },
		Wake:  func() { m.woken(g) },
	})
	if full := all >= modelMax || of >= modelShare; full || err != nil {
		if !full || !errors.Is(err, ErrHoldFull) {
			t.Fatalf("%d held, %d of them of %s: %v", all, of, l.service, err)
		}
		m.want.Full++
		return
	}
	if limit == 0 {
		limit = 5 * time.Second
	}
	g.Place, g.until = p, time.Now().Add(limit)
	if l.flowing && (retry == 0 || !m.abandoned(l)) {
		m.joined++
	} else if retry > 0 {
		if g.tried = time.Now(); l.failed.at.IsZero() {
			l.fail(retry)
		}
	}
	m.want.Held++
	m.guests = append(m.guests, g)
}

// pick draws one of those held for which may says yes; nil if there is none.
func (m *machine) pick(t *rapid.T, may func(*guest) bool) *guest {
	var some []*guest
	for _, g := range m.guests {
		if may(g) {
			some = append(some, g)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return rapid.SampledFrom(some).Draw(t, "guest")
}

func (m *machine) leave(g *guest, connected bool) {
	g.Leave(connected)
	g.left = true
	switch {
	case connected:
		m.want.Connected++
		g.line.window++
		g.line.flowing, g.line.failed = true, modelTry{}
	case g.waiting:
		m.want.Left++
	case g.state == Go:
		m.want.Failed++
	}
	m.guests = slices.DeleteFunc(m.guests, func(o *guest) bool { return o == g })
	m.gone = append(m.gone, g)
}

func (m *machine) again(t *rapid.T, g *guest) {
	retry := rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 2 * time.Second}).Draw(t, "retry")
	want := Waiting
	if !time.Now().Before(g.until) {
		want = Expired
		m.want.Expired++
	}
	if got := g.Again("in vain", retry); got != want {
		t.Fatalf("%d came back: %v, want %v", g.n, got, want)
	}
	g.waiting, g.state = want == Waiting, want
	g.retry = retry
	g.line.failedBy(g, retry)
}

// steps are what may happen.
func (m *machine) steps() map[string]func(*rapid.T) {
	with := func(may func(*guest) bool, do func(*rapid.T, *guest)) func(*rapid.T) {
		return func(t *rapid.T) {
			if g := m.pick(t, may); g != nil {
				do(t, g)
			}
		}
	}
	anybody := func(*guest) bool { return true }
	services := rapid.SampledFrom([]string{"sales", "hr"})
	return map[string]func(*rapid.T){
		"":        m.check,
		"enter":   m.enter,
		"enter 2": m.enter,
		"serve":   with((*guest).trying, func(_ *rapid.T, g *guest) { m.leave(g, true) }),
		"in vain": with((*guest).trying, m.again),
		"refuse":  with((*guest).trying, func(_ *rapid.T, g *guest) { m.leave(g, false) }),
		"hang up": with(anybody, func(_ *rapid.T, g *guest) { m.leave(g, false) }),
		"change": func(t *rapid.T) {
			m.publish(services.Draw(t, "service"), rapid.Bool().Draw(t, "back"))
		},
		"change while looking": func(t *rapid.T) {
			service, back := services.Draw(t, "service"), rapid.Bool().Draw(t, "back")
			m.hall.mu.Lock()
			m.hook = func() { m.hall.set(service, back) } // on the goroutine of Run
			m.hall.mu.Unlock()
			m.publish("erp", true)
		},
		"pass": func(t *rapid.T) {
			pass(rapid.SampledFrom([]time.Duration{1, 50, 100, 400, 1000, 3000}).Draw(t, "ms") * time.Millisecond)
		},
	}
}

// check compares the Holder with the model once nothing more happens by itself.
func (m *machine) check(t *rapid.T) {
	synctest.Wait()
	m.hall.mu.Lock()
	m.hook = nil // nobody looked
	m.hall.mu.Unlock()
	wasWaiting := map[*guest]bool{}
	for _, g := range m.guests {
		wasWaiting[g] = g.waiting
	}
	released := m.checkAnswers(t)
	for _, l := range m.lines {
		m.checkLine(t, l, wasWaiting, released)
	}
	m.checkCounts(t)
	m.before = maps.Clone(m.hall.back)
}

// checkAnswers takes in who was answered, each exactly once and in time, and returns those let go.
func (m *machine) checkAnswers(t *rapid.T) (released []*guest) {
	now := time.Now()
	for _, g := range append(m.gone, m.guests...) {
		if !g.left {
			if state := g.State(); g.waiting && state != Waiting {
				g.waiting, g.state = false, state
				g.answers++
				switch state {
				case Go:
					released = append(released, g)
					m.want.Released++
				case Expired:
					m.want.Expired++
				}
			} else if !g.waiting && state != g.state {
				t.Fatalf("%d: %v became %v", g.n, g.state, state)
			}
		}
		if wakes, _, _ := g.woken(); wakes != g.answers {
			t.Fatalf("%d woken %d times for %d answers", g.n, wakes, g.answers)
		}
		late := !now.Before(g.until)
		if !g.left && (g.waiting && late || g.state == Expired && !late) {
			t.Fatalf("%d is %v at %v, until %v", g.n, g.State(), now, g.until)
		}
	}
	slices.SortFunc(released, func(a, b *guest) int { return a.seq - b.seq })
	return released
}

// checkLine looks for overtaking, for lost wake-ups, for tries that the table forbids, and for too many tries.
func (m *machine) checkLine(t *rapid.T, l *modelLine, wasWaiting map[*guest]bool, released []*guest) {
	var head, last *guest
	trying := 0
	for _, g := range m.guests {
		if g.line != l {
			continue
		}
		if g.trying() {
			trying++
		}
		if g.waiting && (head == nil || l.before(g, head)) {
			head = g
		}
	}
	anew, lastGo := 0, l.lastGo
	for _, g := range released {
		if g.line != l {
			continue
		}
		if last != nil && l.before(g, last) || head != nil && l.before(head, g) && wasWaiting[head] {
			t.Fatalf("%d let go before one whose turn it was", g.n)
		}
		retry := l.retryOf(g)
		due := retry > 0 && !g.at.Before(l.last(g).at.Add(retry))
		if !due && !m.before[l.service] && !m.hall.back[l.service] {
			t.Fatalf("%d let go although %s is not back", g.n, l.service)
		}
		last, lastGo = g, g.at
		anew++
	}
	if patience := int(time.Since(l.lastGo) / trialPatience); !l.lastGo.IsZero() && anew > 0 && trying > max(trying-anew, l.window)+patience || l.lastGo.IsZero() && anew > 1+int(time.Since(m.begun)/trialPatience) {
		t.Fatalf("%d of %s are trying, %d of them just let go: more than the %d that may", trying, l.queue, anew, l.window)
	}
	l.lastGo = lastGo
	if head != nil && m.rate < 0 && m.mustGo(head, trying) {
		t.Fatalf("%d of %s still waits: a lost wake-up", head.n, l.queue)
	}
	if head == nil && trying == 0 {
		*l = modelLine{queue: l.queue, service: l.service, window: 1}
	}
	if got, want := m.hall.Waiting(l.queue), head != nil && !(l.flowing && head.stray) || (head != nil || trying > 0) && !l.flowing; got != want {
		t.Fatalf("newcomers to %s have to enter: %v, want %v", l.queue, got, want)
	}
}

// mustGo reports whether nothing keeps the head of a line from trying.
func (m *machine) mustGo(g *guest, trying int) bool {
	now := time.Now()
	if trying >= g.line.window && now.Sub(g.line.lastGo) < trialPatience {
		return false
	}
	back := m.hall.back[g.line.service]
	last, retry := g.line.last(g), g.line.retryOf(g)
	since := now.Sub(last.at)
	switch {
	case retry == 0:
		return back && since >= trialPause
	case since >= retry:
		return true
	}
	return back && last.changed && since >= retry/retryPart
}

// checkCounts compares what is counted and what is kept.
func (m *machine) checkCounts(t *rapid.T) {
	waiting, trying := 0, 0
	lines := map[*modelLine]bool{}
	for _, g := range m.guests {
		if g.waiting {
			waiting++
		} else if g.state == Go {
			trying++
		}
		if g.waiting || g.state == Go {
			lines[g.line] = true
		}
	}
	m.want.HeldNow = len(m.guests)
	if got := m.hall.Counters(); got != m.want {
		t.Fatalf("counters\n got %+v\nwant %+v", got, m.want)
	}
	if n := len(m.hall.Held()); n != waiting+trying {
		t.Fatalf("%d listed, want %d", n, waiting+trying)
	}
	h := m.hall.Holder
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deadlines.len() != waiting || len(h.lines) != len(lines) || h.due.len() > len(lines) {
		t.Fatalf("%d deadlines, %d lines and %d of them due for %d that wait in %d", h.deadlines.len(), len(h.lines), h.due.len(), waiting, len(lines))
	}
	if most := 1 + m.rate*time.Since(m.begun).Seconds() + float64(m.joined); m.rate > 0 && float64(m.want.Released) > most {
		t.Fatalf("%d let go, want at most %v", m.want.Released, most)
	}
}

// finish stops the Holder: everyone is told, once, and nothing is left behind.
func (m *machine) finish(t *rapid.T) {
	m.end()
	for _, g := range slices.Clone(m.guests) {
		if g.waiting {
			g.answers++
			g.state = Stopped
		}
		if got := g.State(); got != g.state {
			t.Fatalf("%d is %v after the end, want %v", g.n, got, g.state)
		}
		if wakes, _, _ := g.woken(); wakes != g.answers {
			t.Fatalf("%d woken %d times for %d answers", g.n, wakes, g.answers)
		}
		g.Leave(false)
	}
	h := m.hall.Holder
	if h.Counters().HeldNow != 0 || len(h.lines)+h.deadlines.len()+h.due.len()+h.turns.len()+h.unjudged.len() != 0 {
		t.Fatalf("left behind: %+v, %d lines, %d deadlines", h.Counters(), len(h.lines), h.deadlines.len())
	}
	for _, s := range h.memory.names {
		if s.held != 0 {
			t.Fatalf("%s keeps %d places", s.name, s.held)
		}
	}
}

func TestHoldMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inBubble := struct{ testing.TB }{t} // without Deadline, which may not be asked here
		rapid.Check(inBubble, func(rt *rapid.T) {
			m := newMachine(t, rapid.SampledFrom([]float64{-1, -1, 5}).Draw(rt, "rate"))
			defer m.end()
			for range rapid.IntRange(0, 8).Draw(rt, "crowd") {
				m.enter(rt)
			}
			rt.Repeat(m.steps())
			m.check(rt)
			m.finish(rt)
		})
	})
}
