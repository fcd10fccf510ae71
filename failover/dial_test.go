package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"servicebroker/servicetable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// candidate builds one by the name of its instance.
func candidate(instance string) servicetable.Candidate {
	return servicetable.Candidate{
		Registration: &servicetable.Registration{ID: servicetable.ID("c-" + instance), Instance: instance, Host: "h", RegisteredAt: time.Unix(1, 0)},
		Service:      &servicetable.Service{Name: "s"},
		Handler:      &servicetable.Handler{Name: "DEDICATED", Host: "h-" + instance, Port: 1521},
	}
}

func routeOf(instances string) []servicetable.Candidate {
	var route []servicetable.Candidate
	for _, name := range strings.Fields(instances) {
		route = append(route, candidate(name))
	}
	return route
}

// world is what attempts meet: what each instance does, and who was tried.
type world struct {
	does  map[string]func(context.Context) error
	mu    sync.Mutex
	tried []string
}

// attempt succeeds with the name of the instance unless the world says otherwise.
func (w *world) attempt(ctx context.Context, c servicetable.Candidate, commit func() error) (string, error) {
	name := c.Registration.Instance
	w.mu.Lock()
	w.tried = append(w.tried, name)
	w.mu.Unlock()
	if does := w.does[name]; does != nil {
		if err := does(ctx); err != nil {
			return "", err
		}
	}
	return name, nil
}

// wantTried compares who was tried since the last call.
func (w *world) wantTried(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(w.tried, " "); got != want {
		t.Errorf("tried %q, want %q", got, want)
	}
	w.tried = nil
}

func errRefused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func refuses(context.Context) error { return errRefused() }

// silent answers nothing until the caller gives up.
func silent(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// answer is a refusal by an instance that lives.
type answer struct{ moveOn bool }

func (a answer) Error() string { return fmt.Sprintf("refused, move on %v", a.moveOn) }
func (a answer) MoveOn() bool  { return a.moveOn }

func answers(moveOn bool) func(context.Context) error {
	return func(context.Context) error { return fmt.Errorf("instance says: %w", answer{moveOn}) }
}

func TestDialMovesOnInOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		does  map[string]func(context.Context) error
		got   string
		tried string
		took  time.Duration
	}{
		{"first answers", nil, "a", "a", 0},
		{"refused", map[string]func(context.Context) error{"a": refuses}, "b", "a b", 0},
		{"silent", map[string]func(context.Context) error{"a": silent}, "b", "a b", 3 * time.Second},
		{"refusal that another could avoid", map[string]func(context.Context) error{"a": answers(true), "b": refuses}, "c", "a b c", 0},
		{"two silent", map[string]func(context.Context) error{"a": silent, "b": silent}, "c", "a b c", 6 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := world{does: c.does}
			d := Dialer{Hedge: -1}
			begun := time.Now()
			got, who, err := Dial(t.Context(), &d, routeOf("a b c"), w.attempt)
			if err != nil || got != c.got || who.Registration.Instance != c.got {
				t.Errorf("%s: %q, %v, want %s", c.name, got, err, c.got)
			}
			if took := time.Since(begun); took != c.took {
				t.Errorf("%s: took %v, want %v", c.name, took, c.took)
			}
			w.wantTried(t, c.tried)
		})
	}
}

func TestDialEndsWhereNobodyCouldDoBetter(t *testing.T) {
	w := world{does: map[string]func(context.Context) error{"a": refuses, "b": answers(false)}}
	_, _, err := Dial(t.Context(), &Dialer{}, routeOf("a b c"), w.attempt)
	w.wantTried(t, "a b")
	var final answer
	if !errors.As(err, &final) || final.moveOn {
		t.Errorf("error %v does not unwrap to the final answer", err)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v does not unwrap to the first failure", err)
	}
}

func TestDialErrorListsEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{does: map[string]func(context.Context) error{"a": refuses, "b": silent, "c": answers(true)}}
		d := Dialer{AttemptTimeout: 2 * time.Second, Hedge: -1}
		_, none, err := Dial(t.Context(), &d, routeOf("a b c"), w.attempt)
		var failed *DialError
		if !errors.As(err, &failed) || none.Registration != nil {
			t.Fatalf("%T %v with candidate %+v", err, err, none)
		}
		var took []time.Duration
		for _, a := range failed.Attempts {
			took = append(took, a.Took)
		}
		if !slices.Equal(took, []time.Duration{0, 2 * time.Second, 0}) {
			t.Errorf("attempts took %v", took)
		}
		for _, want := range []error{syscall.ECONNREFUSED, ErrNoAnswer, context.DeadlineExceeded, answer{true}} {
			if !errors.Is(err, want) {
				t.Errorf("the error does not unwrap to %v", want)
			}
		}
		if failed.Stopped != nil {
			t.Errorf("stopped by %v although all were tried", failed.Stopped)
		}
		const want = "all 3 attempts failed: a@h (DEDICATED at h-a:1521): dial tcp: connection refused, after 0s; " +
			"b@h (DEDICATED at h-b:1521): no answer within 2s, after 2s; " +
			"c@h (DEDICATED at h-c:1521): instance says: refused, move on true, after 0s; check that these addresses can be reached from this host"
		if got := err.Error(); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	})
}

func TestDialErrorWording(t *testing.T) {
	one := Attempt{Candidate: candidate("a"), Err: answer{false}}
	for _, c := range []struct {
		e    DialError
		want string
	}{
		{DialError{}, "no candidate to try; check that the service is registered with a handler that has an address"},
		{DialError{Stopped: context.Canceled}, "no candidate was tried; then stopped: context canceled"},
		{DialError{Attempts: []Attempt{one}}, "the only candidate tried failed: a@h (DEDICATED at h-a:1521): refused, move on false, after 0s"},
		{DialError{Attempts: []Attempt{{Err: io.EOF}}}, "the only candidate tried failed: candidate (an unknown address): EOF, after 0s; check that these addresses can be reached from this host"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}

func TestDialErrorIsBounded(t *testing.T) {
	e := DialError{Attempts: slices.Repeat([]Attempt{{Err: io.EOF}}, 100)}
	if got := e.Error(); strings.Count(got, "EOF") != maxWorded || !strings.Contains(got, "; and 84 more; check") {
		t.Errorf("%s", got)
	}
}

func TestDialWithoutCandidates(t *testing.T) {
	w := world{}
	_, _, err := Dial(t.Context(), nil, nil, w.attempt)
	var failed *DialError
	if !errors.As(err, &failed) || len(failed.Attempts) != 0 {
		t.Errorf("%v", err)
	}
}

func TestTotalTimeoutBoundsAllAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		does := map[string]func(context.Context) error{}
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprintf("i%d", i))
			does[names[i]] = silent
		}
		w := world{does: does}
		begun := time.Now()
		_, _, err := Dial(t.Context(), &Dialer{AttemptTimeout: 7 * time.Second, Hedge: -1}, routeOf(strings.Join(names, " ")), w.attempt)
		var failed *DialError
		if !errors.As(err, &failed) || !errors.Is(failed.Stopped, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(begun); took != time.Minute || len(w.tried) != 9 {
			t.Errorf("%d attempts in %v, want 9 in a minute", len(w.tried), took)
		}
	})
}

func TestDialStopsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		w := world{does: map[string]func(context.Context) error{"a": silent}}
		d := Dialer{Hedge: -1}
		begun := time.Now()
		_, _, err := Dial(ctx, &d, routeOf("a b"), w.attempt)
		if took := time.Since(begun); took != time.Second || !errors.Is(err, gone) {
			t.Errorf("after %v: %v", took, err)
		}
		w.wantTried(t, "a")
		if _, _, err := Dial(ctx, &d, routeOf("a"), w.attempt); !errors.Is(err, gone) {
			t.Errorf("with a context that is over: %v", err)
		}
		w.wantTried(t, "")
		w.does = nil
		if got, _, err := Dial(t.Context(), &d, routeOf("a b"), w.attempt); got != "a" {
			t.Errorf("an attempt cut short was held against its candidate: %s, %v", got, err)
		}
	})
}

func TestResultOutlivesTheAttemptContext(t *testing.T) {
	var given context.Context
	_, _, err := Dial(t.Context(), nil, routeOf("a"), func(ctx context.Context, _ servicetable.Candidate, _ func() error) (int, error) {
		given = ctx
		return 1, nil
	})
	if err != nil || given.Err() == nil {
		t.Errorf("%v; the attempt's context is to end with the attempt: %v", err, given.Err())
	}
}

func TestObserveSeesEveryAttempt(t *testing.T) {
	var seen []string
	d := Dialer{Observe: func(a Attempt) { seen = append(seen, fmt.Sprint(a.Candidate.Registration.Instance, " ", a.Err == nil)) }}
	w := world{does: map[string]func(context.Context) error{"a": refuses}}
	if _, _, err := Dial(t.Context(), &d, routeOf("a b"), w.attempt); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, ", "); got != "a false, b true" {
		t.Errorf("observed %s", got)
	}
}
