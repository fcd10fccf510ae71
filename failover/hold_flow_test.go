package failover

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// questions returns how often Ready was asked since the last call.
func (h *hall) questions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.asked = 0 }()
	return h.asked
}

// client is one that is served as soon as it may try, in a time of its own.
func (h *hall) client(t *testing.T, service, name string, takes time.Duration) <-chan time.Time {
	t.Helper()
	p := h.enter(t, h.request(service, name))
	done := make(chan time.Time, 1)
	h.going.Go(func() {
		if p.Await(t.Context()) == nil {
			pass(takes)
			p.Leave(true)
			done <- time.Now()
		}
	})
	return done
}

func (h *hall) clients(t *testing.T, service string, n int) []<-chan time.Time {
	t.Helper()
	var done []<-chan time.Time
	for i := range n {
		done = append(done, h.client(t, service, fmt.Sprint(service, i), 10*time.Millisecond))
	}
	return done
}

// A thousand that waited are let go at the rate, in order.
func TestRate(t *testing.T) {
	inBubble(t, HoldSettings{Rate: 200}, func(t *testing.T, h *hall) {
		clients := h.clients(t, "sales", 1000)
		pass(20 * time.Second)
		h.set("sales", true)
		begun := time.Now()
		for i, c := range clients {
			// the first few also wait for the scouts
			least, most := time.Duration(max(0, i-4))*time.Second/200, time.Duration(i)*time.Second/200+150*time.Millisecond
			if at := (<-c).Sub(begun); at < least || at > most {
				t.Fatalf("client %d served after %v, want %v to %v", i, at, least, most)
			}
		}
	})
}

// Services share the rate evenly, whatever the length of their lines and however many each has.
func TestRateIsSharedFairly(t *testing.T) {
	inBubble(t, HoldSettings{Rate: 100}, func(t *testing.T, h *hall) {
		for i := range 600 {
			r := h.request("sales", "sales")
			r.Queue = fmt.Sprint("sales|", i%20)
			p := h.enter(t, r)
			h.going.Go(func() {
				_ = p.Await(t.Context())
				p.Leave(true)
			})
		}
		hr := h.clients(t, "hr", 100)
		h.set("sales", true)
		h.set("hr", true)
		begun := time.Now()
		var last time.Time
		for _, c := range hr {
			last = <-c
		}
		if took := last.Sub(begun); took < 1900*time.Millisecond || took > 2200*time.Millisecond {
			t.Errorf("100 of hr took %v, want 2 s: half of 100 a second", took)
		}
	})
}

// A line that does not get on holds up no other.
func TestLinesAreIndependent(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		for i := range 1000 {
			p := h.enter(t, h.request("sales", fmt.Sprint(i)))
			h.going.Go(func() { // its tries take 700 ms each, in vain
				for p.Await(t.Context()) == nil {
					pass(700 * time.Millisecond)
					if p.Again("no answer", 0) != Waiting {
						return
					}
				}
			})
		}
		h.set("sales", true)
		pass(5 * time.Second)
		h.set("hr", true)
		begun := time.Now()
		for _, c := range h.clients(t, "hr", 50) {
			if took := (<-c).Sub(begun); took > 200*time.Millisecond {
				t.Fatalf("held up for %v", took)
			}
		}
		if c := h.Counters(); c.Released-c.Connected > 10 {
			t.Errorf("%d tries in vain, want the scout's only", c.Released-c.Connected)
		}
	})
}

// Clients of little patience that give up one after the other do not each try a host that is down.
func TestHeadsThatGiveUpDoNotHurryTheLine(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		h.set("sales", true) // so the table says
		for i := range 2000 {
			r := h.request("sales", "c")
			r.Limit = 3 * time.Second
			if i == 0 {
				r.Retry = time.Second
			}
			h.persist(t, h.enter(t, r))
			pass(10 * time.Millisecond)
		}
		if c := h.Counters(); c.Released < 15 || c.Released > 25 {
			t.Errorf("%d tries in 20 s, want one a second", c.Released)
		}
	})
}

// A service that gets more new connects than the rate allows still empties its line: newcomers bring no more load than
// they would without it.
func TestNewcomersDoNotKeepALineForEver(t *testing.T) {
	inBubble(t, HoldSettings{Rate: 100}, func(t *testing.T, h *hall) {
		h.clients(t, "sales", 200)
		pass(time.Second)
		h.set("sales", true)
		begun := time.Now()
		direct, n := 0, 0
		for range 4000 { // 1,000 a second for 4 s
			if n++; h.Waiting("sales") {
				h.client(t, "sales", "new", 10*time.Millisecond)
			} else {
				direct++
			}
			pass(time.Millisecond)
		}
		if took := time.Since(begun) - time.Duration(direct)*time.Millisecond; took > 2500*time.Millisecond {
			t.Errorf("there was a line for %v, want 2 s for 200 at 100 a second", took)
		}
		if direct == 0 {
			t.Error("the line never ended")
		}
	})
}

// While a scout is out newcomers stay behind it; once the last one came back well they need not enter.
func TestWaiting(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		want := func(want bool) {
			t.Helper()
			synctest.Wait()
			if got := h.Waiting("sales"); got != want {
				t.Errorf("waiting %v, want %v", got, want)
			}
		}
		want(false)
		p := h.enter(t, h.request("sales", "c0"))
		want(true)
		if h.Waiting("hr") {
			t.Error("in another line")
		}
		h.set("sales", true)
		want(true)
		q := h.enter(t, h.request("sales", "c1"))
		synctest.Wait()
		wantState(t, q, Waiting)
		p.Leave(true)
		want(false) // q is trying, and the one before it succeeded
		wantState(t, q, Go)
		q.Again("", 0)
		want(true)
		q.Leave(false)
		want(false)
	})
}

// With ten thousand in line each wake-up looks at one.
func TestFewQuestions(t *testing.T) {
	inBubble(t, HoldSettings{Max: 20000, Rate: -1}, func(t *testing.T, h *hall) {
		h.crowd(t, "sales", 10000)
		synctest.Wait()
		h.questions()
		for range 100 {
			h.set("hr", true)
			synctest.Wait()
		}
		if n := h.questions(); n != 100 {
			t.Errorf("Ready asked %d times in 100 changes of the table", n)
		}
	})
}

// New settings are as good a reason to look again as a new table: others come with them.
func TestSettingsAreAChange(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		served := h.client(t, "sales", "c", 0)
		synctest.Wait()
		h.mu.Lock()
		h.back["sales"] = true // which nothing tells
		h.mu.Unlock()
		began := time.Now()
		h.Configure(HoldSettings{})
		if took := (<-served).Sub(began); took > time.Second {
			t.Errorf("served after %v", took)
		}
	})
}

// A table that changes all the time does not keep Run from its work, nor busy with judging all lines.
func TestManyLinesAndChanges(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		for i := range 100 {
			r := h.request("sales", "c")
			r.Queue = fmt.Sprint(i)
			ready := r.Ready
			r.Ready = func() bool {
				pass(time.Millisecond) // slow
				return ready()
			}
			h.enter(t, r)
		}
		synctest.Wait()
		h.questions()
		for range 1000 {
			h.set("hr", true)
			pass(10 * time.Millisecond)
		}
		if n := h.questions(); n < 700 || n > 1100 {
			t.Errorf("Ready asked %d times in 10 s, want about a tenth of the time for 1 ms each", n)
		}
	})
}

// One that is refused for what it asks itself, whatever is done for it, holds up nobody behind it, nor those who come later.
func TestOneThatIsAlwaysRefusedHoldsUpNobody(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		h.set("sales", true)
		h.stubborn(t, "odd")
		begun := time.Now()
		var good []<-chan time.Time
		for i := range 100 {
			apart(i)
			good = append(good, h.client(t, "sales", fmt.Sprint("c", i), 10*time.Millisecond))
		}
		pass(2*time.Second - time.Since(begun))
		wantServed(t, good)
		tries := h.Counters().Released
		for range 200 {
			pass(100 * time.Millisecond)
			if h.Waiting("sales") {
				t.Fatal("newcomers have to wait behind one that others were served in spite of")
			}
		}
		if tries = h.Counters().Released - tries; tries < 18 || tries > 22 {
			t.Errorf("%d tries of its own in 20 s, want one a second", tries)
		}
	})
}

// However many such there are, each costs the line a second at most.
func TestSeveralThatAreAlwaysRefused(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		h.set("sales", true)
		for i := range 5 {
			apart(i)
			h.stubborn(t, fmt.Sprint("odd", i))
		}
		apart(5)
		good := h.clients(t, "sales", 100)
		pass(6 * time.Second)
		wantServed(t, good)
		if h.Waiting("sales") {
			t.Error("newcomers have to wait")
		}
	})
}

// wantServed checks that clients have been served by now.
func wantServed(t *testing.T, clients []<-chan time.Time) {
	t.Helper()
	synctest.Wait()
	for i, c := range clients {
		select {
		case <-c:
		default:
			t.Fatalf("client %d of %d is not served yet", i, len(clients))
		}
	}
}

// stubborn enters a client that is refused each time it tries, until its time is up.
func (h *hall) stubborn(t *testing.T, name string) {
	t.Helper()
	r := h.request("sales", name)
	r.Retry = time.Second
	h.persist(t, h.enter(t, r))
}

// persist has whoever is at p try in vain each time it is let, until its time is up.
func (h *hall) persist(t *testing.T, p *Place) {
	h.going.Go(func() {
		for p.Await(t.Context()) == nil && p.Again("refused", time.Second) == Waiting {
			continue
		}
		p.Leave(false)
	})
}

// While a service is down each of those that wait has its turn; once one is served those go first that wait longest.
func TestTurnsOfThoseThatTryInVain(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		h.set("sales", true)
		var places []*Place
		for i := range 5 {
			apart(i)
			r := h.request("sales", fmt.Sprint("c", i))
			if i == 0 {
				r.Retry = time.Second
			}
			places = append(places, h.enter(t, r))
		}
		for i, next := range []int{1, 2, 3, 4, 0, 1} {
			pass(time.Second)
			h.wantWoken(t, fmt.Sprint("c", next))
			if i < 5 && places[next].Again("refused", time.Second) != Waiting {
				t.Fatal("it may not wait on")
			}
		}
		places[1].Leave(true)
		h.wantWoken(t, "c0", "c2")
		served(t, []*Place{places[0], places[2], places[3], places[4]})
	})
}
