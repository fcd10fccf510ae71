package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hall is a Holder with a table of services beside it that are back or not.
type hall struct {
	*Holder
	ctx   context.Context
	stop  func() // ends Run and waits for it
	mu    sync.Mutex
	back  map[string]bool
	next  chan struct{}
	woken []string // names of clients, in the order in which Wake was called
	asked int      // calls of Ready
	going sync.WaitGroup
}

// newHall starts Run, ended with the test. The services sales and hr were available until now.
func newHall(t testing.TB, s HoldSettings) *hall {
	h := &hall{Holder: &Holder{}, back: map[string]bool{}, next: make(chan struct{})}
	h.Configure(s)
	h.Departed("sales", "hr")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx, h.changed)
	}()
	h.ctx = ctx
	h.stop = func() { cancel(); <-done }
	t.Cleanup(func() { h.stop(); h.going.Wait() })
	return h
}

func (h *hall) changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

// set publishes a table in which a service is there or not.
func (h *hall) set(service string, back bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.back[service] = back
	close(h.next)
	h.next = make(chan struct{})
}

// request is one for a service that waits in a line of its own.
func (h *hall) request(service, client string) HoldRequest {
	return HoldRequest{
		Service: service, Queue: service, Client: client, Cause: "gone",
		Ready: func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.asked++
			return h.back[service]
		},
		Wake: func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.woken = append(h.woken, client)
		},
	}
}

// enter takes a place, left at the end of the test at the latest.
func (h *hall) enter(t testing.TB, r HoldRequest) *Place {
	t.Helper()
	p, err := h.Enter(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Leave(false) })
	return p
}

// crowd lets n clients called c0, c1 … enter.
func (h *hall) crowd(t testing.TB, service string, n int) []*Place {
	t.Helper()
	var places []*Place
	for i := range n {
		places = append(places, h.enter(t, h.request(service, fmt.Sprint("c", i))))
	}
	return places
}

// wantWoken compares who was woken since the last call.
func (h *hall) wantWoken(t testing.TB, want ...string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.woken, want) {
		t.Errorf("woken %q, want %q", h.woken, want)
	}
	h.woken = nil
}

func wantState(t testing.TB, p *Place, want HoldState) {
	t.Helper()
	if got := p.State(); got != want {
		t.Errorf("state %v, want %v", got, want)
	}
}

// served lets every place that is let go be served at once, until none is left of those given.
func served(t testing.TB, places []*Place) {
	t.Helper()
	for _, p := range places {
		if err := p.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Leave(true)
	}
}

func inBubble(t *testing.T, s HoldSettings, f func(*testing.T, *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newHall(t, s)) })
}

func TestHeldInOrderBehindAScout(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		places := h.crowd(t, "sales", 8)
		h.wantWoken(t)
		h.set("sales", true)
		h.wantWoken(t, "c0")
		places[0].Leave(true)
		h.wantWoken(t, "c1", "c2")
		places[2].Leave(true)
		h.wantWoken(t, "c3", "c4")
		places[1].Leave(true)
		h.wantWoken(t, "c5", "c6")
		places[5].Leave(false) // its own fault: neither good nor bad news
		h.wantWoken(t, "c7")
	})
}

// A try in vain stops the line behind it, and keeps its own position and deadline.
func TestTriedInVain(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		places := h.crowd(t, "sales", 5)
		h.set("sales", true)
		h.wantWoken(t, "c0")
		places[0].Leave(true)
		h.wantWoken(t, "c1", "c2")
		pass(20 * time.Second)
		h.wantWoken(t, "c3", "c4") // after a second each: those before them do not say what became of them
		h.set("sales", false)
		for _, i := range []int{4, 2, 1, 3} {
			if got := places[i].Again("no listener", 0); got != Waiting {
				t.Fatalf("c%d: %v", i, got)
			}
		}
		pass(5 * time.Second)
		h.wantWoken(t)
		if got := h.Held()[0]; got.Client != "c1" || got.Cause != "no listener" || got.Position != 1 {
			t.Errorf("first is %+v", got)
		}
		h.set("sales", true)
		h.wantWoken(t, "c1")
		places[1].Leave(true)
		h.wantWoken(t, "c2", "c3")
		if got := places[3].Again("", 0); got != Waiting {
			t.Errorf("in time: %v", got)
		}
		h.set("sales", false)
		pass(5 * time.Second)
		h.wantWoken(t, "c3", "c4")
		wantState(t, places[4], Expired)
		if got := places[2].Again("", 0); got != Expired {
			t.Errorf("after its 30 s: %v", got)
		}
	})
}

// Where the table promises what does not come true, a client does not try all the time.
func TestTrialsArePaced(t *testing.T) {
	inBubble(t, HoldSettings{Rate: -1}, func(t *testing.T, h *hall) {
		p := h.enter(t, h.request("sales", "c"))
		h.set("sales", true)
		tries := 0
		for p.Await(t.Context()) == nil {
			tries++
			p.Again("refused", 0)
		}
		if tries != 300 {
			t.Errorf("%d tries in 30 s, want one each 100 ms", tries)
		}
	})
}

// Where dials fail the head of the line tries every so often, and one success moves all.
func TestRetry(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		h.set("sales", true) // the table is sure
		var places []*Place
		for i := range 4 {
			r := h.request("sales", fmt.Sprint("c", i))
			r.Retry = 2 * time.Second
			places = append(places, h.enter(t, r))
			pass(300 * time.Millisecond)
		}
		h.wantWoken(t)
		pass(800 * time.Millisecond)
		h.wantWoken(t, "c0")
		places[0].Again("refused", 2*time.Second)
		pass(time.Second)
		h.wantWoken(t)
		h.set("hr", true) // a change, whatever it is
		h.wantWoken(t, "c1")
		places[1].Again("refused", 2*time.Second)
		h.set("hr", true)
		h.wantWoken(t)
		pass(200 * time.Millisecond)
		h.wantWoken(t, "c2")
		places[2].Leave(true)
		h.wantWoken(t, "c0", "c1")
	})
}

func TestExpiry(t *testing.T) {
	inBubble(t, HoldSettings{Timeout: 10 * time.Second}, func(t *testing.T, h *hall) {
		begun := time.Now()
		own := h.request("sales", "own")
		own.Limit = 4 * time.Second
		longer := h.request("sales", "longer")
		longer.Limit = 15 * time.Second
		def := h.enter(t, h.request("sales", "default"))
		places := map[time.Duration]*Place{4 * time.Second: h.enter(t, own), 10 * time.Second: def, 15 * time.Second: h.enter(t, longer)}
		for limit, p := range places {
			if err := p.Await(t.Context()); !errors.Is(err, ErrHoldExpired) {
				t.Error(err)
			}
			if limit == 15*time.Second && time.Since(begun) != limit {
				t.Errorf("%v: after %v", limit, time.Since(begun))
			}
		}
		h.wantWoken(t, "own", "default", "longer")
		if c := h.Counters(); c.Expired != 3 || c.HeldNow != 3 {
			t.Errorf("%+v", c)
		}
	})
}

// A new time-out holds for those that wait under the old one, not for those with a limit of their own.
func TestTimeoutChangedLive(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.enter(t, h.request("sales", "default"))
		own := h.request("sales", "own")
		own.Limit = 20 * time.Second
		h.enter(t, own)
		pass(5 * time.Second)
		h.Configure(HoldSettings{Timeout: 8 * time.Second})
		h.wantWoken(t)
		pass(3 * time.Second)
		h.wantWoken(t, "default")
		h.enter(t, h.request("sales", "late"))
		h.Configure(HoldSettings{Timeout: -1})
		h.wantWoken(t, "late")
		h.Configure(HoldSettings{Timeout: time.Minute})
		pass(12 * time.Second)
		h.wantWoken(t, "own")
	})
}

func TestStopAnswersEveryone(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		places := h.crowd(t, "sales", 3)
		hr := h.enter(t, h.request("hr", "hr"))
		h.set("sales", true)
		h.wantWoken(t, "c0")
		h.stop()
		h.wantWoken(t, "c1", "c2", "hr")
		for _, p := range append(places[1:], hr) {
			if err := p.Await(t.Context()); !errors.Is(err, ErrHoldStopped) {
				t.Error(err)
			}
		}
		if got := places[0].Again("", 0); got != Stopped {
			t.Errorf("came back after the end: %v", got)
		}
		if _, err := h.Enter(h.request("sales", "late")); !errors.Is(err, ErrHoldStopped) {
			t.Errorf("came after the end: %v", err)
		}
		if h.Waiting("sales") {
			t.Error("sends connects into a line that is closed")
		}
		h.wantWoken(t)
		if c := h.Counters(); c.Stopped != 4 {
			t.Errorf("%+v", c)
		}
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		p := h.enter(t, h.request("sales", "c"))
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, gone)
		defer cancel()
		if err := p.Await(ctx); !errors.Is(err, gone) {
			t.Error(err)
		}
		wantState(t, p, Waiting)
	})
}

// The service comes back between the look at the table that failed and Enter: no change follows that would tell.
func TestBackBeforeEnter(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.set("sales", true)
		synctest.Wait()
		h.enter(t, h.request("sales", "c"))
		h.wantWoken(t, "c")
	})
}

// The table changes while Run looks at it.
func TestChangeWhileLooking(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		first := true
		r := h.request("sales", "c")
		ready := r.Ready
		r.Ready = func() bool {
			was := ready()
			if first {
				first = false
				h.set("sales", true)
			}
			return was
		}
		h.enter(t, r)
		h.wantWoken(t, "c")
	})
}

// Ready and Report may be slow; nobody else waits for the Holder meanwhile, and Ready may ask the Holder.
func TestReadyMayCallTheHolder(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		r := h.request("sales", "c")
		r.Ready = func() bool { return h.Waiting("sales") && len(h.Held()) == 1 }
		h.enter(t, r)
		h.wantWoken(t, "c")
	})
}

// What Wake does is over when State, Again or Leave returns, so that the caller can put it back.
func TestWakeIsOverBeforeTheCallerGoesOn(t *testing.T) {
	for name, call := range map[string]func(*Place){
		"State": func(p *Place) { p.State() },
		"Again": func(p *Place) { p.Again("", 0) },
		"Leave": func(p *Place) { p.Leave(true) },
		"Await": func(p *Place) { _ = p.Await(context.Background()) },
	} {
		inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
			over := false
			h.set("sales", true)
			entered := make(chan *Place, 1)
			waking := make(chan struct{})
			p := h.enter(t, HoldRequest{Service: "sales", Queue: "q", Wake: func() {
				close(waking)
				pass(time.Second) // Run is held up here, nobody else
				over = true
			}})
			entered <- p
			<-waking
			if h.Counters().Released != 1 {
				t.Error("not yet let go while being woken")
			}
			call(p)
			if !over {
				t.Errorf("%s returned while Wake was under way", name)
			}
			p.Leave(true)
		})
	}
}

func TestLeaveTwice(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		p, q := h.enter(t, h.request("sales", "c0")), h.enter(t, h.request("sales", "c1"))
		p.Leave(false)
		p.Leave(true)
		if got := p.Again("", 0); got != Waiting {
			t.Errorf("after it had left: %v", got)
		}
		if c := h.Counters(); c.HeldNow != 1 || c.Left != 1 || c.Connected != 0 {
			t.Errorf("%+v", c)
		}
		if got := q.Again("", 0); got != Waiting {
			t.Errorf("without having been let go: %v", got)
		}
		h.set("sales", true)
		h.wantWoken(t, "c1")
	})
}
