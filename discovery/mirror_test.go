package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// place is a destination that can fail in all ways. Its fields are to be used under do while a mirror runs.
type place struct {
	mu      sync.Mutex
	has     string // the copy
	syncs   []time.Time
	outcome func() error  // nil: success; after an error the copy is broken
	takes   time.Duration // how long a Sync lasts, at most until its context ends
}

func (p *place) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *place) Sync(ctx context.Context, desired string) (err error) {
	var takes time.Duration
	p.do(func() {
		p.syncs = append(p.syncs, time.Now())
		p.has = "half of " + desired
		takes = p.takes
	})
	if takes > 0 { // see CONTRIBUTING.md, "Time in tests"
		timer := time.NewTimer(takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.do(func() {
		if p.outcome != nil {
			err = p.outcome()
		}
		if err == nil {
			p.has = desired
		}
	})
	return err
}

func newMirror(table *servicetable.Table, p *place) *Mirror[string] {
	return &Mirror[string]{
		Name: "test", Snapshot: table.Snapshot, Destination: p,
		Desire: func(s *servicetable.Snapshot) string { return summary(Offers(s)) },
		Equal:  func(a, b string) bool { return a == b },
	}
}

// running runs m for the time that f takes, in a bubble of its own.
func running(t *testing.T, m *Mirror[string], f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	f()
	cancel()
	<-done
}

func TestWhateverHappensTheCopyEndsEqualToTheTable(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { interleave(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func interleave(t *testing.T, random *rand.Rand) {
	table := &servicetable.Table{}
	failing := true
	p := &place{takes: rand.N(200 * time.Millisecond)}
	p.outcome = func() error {
		switch n := random.IntN(6); {
		case !failing:
			return nil
		case n < 2:
			return errors.New("connection refused")
		case n == 2:
			return fmt.Errorf("not us: %w", ErrStandby)
		}
		return nil
	}
	m := newMirror(table, p)
	m.Timeout, m.Resync = 150*time.Millisecond, time.Duration(1+random.IntN(60))*time.Second
	running(t, m, func() {
		for range 60 {
			var pause time.Duration
			p.do(func() {
				change(table, random)
				if random.IntN(3) == 0 {
					pause = time.Duration(random.IntN(2000)) * time.Millisecond
				}
			})
			if pause > 0 {
				<-time.After(pause)
			}
		}
		p.do(func() { failing, p.takes = false, 0 })
		<-time.After(2 * time.Minute)
		p.do(func() {
			if want := summary(Offers(table.Snapshot())); p.has != want {
				t.Errorf("the copy is\n%swant\n%s", p.has, want)
			}
		})
		s := m.Status()
		if s.Lag != 0 || s.Error != "" || s.Failures != 0 || s.Standby || s.Applied != table.Snapshot().Version() {
			t.Errorf("status is %+v", s)
		}
	})
}

func change(table *servicetable.Table, random *rand.Rand) {
	name := "i" + strconv.Itoa(random.IntN(4))
	switch random.IntN(4) {
	case 0:
		table.Drop(servicetable.ID(name + "@db"))
	case 1:
		table.Mark(name+"@db", servicetable.Mark{Kind: servicetable.Draining})
	case 2:
		table.Unmark(name+"@db", servicetable.Draining)
	default:
		table.Apply(instance(name, "db", "s"+strconv.Itoa(random.IntN(3)), "t"))
	}
}

func TestABurstIsFewSyncsAndAChangeIsSoonThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, p := &servicetable.Table{}, &place{}
		m := newMirror(table, p)
		running(t, m, func() {
			<-time.After(time.Second)
			p.do(func() { p.syncs = nil })
			start := time.Now()
			for i := range 1000 { // a change each millisecond
				table.Apply(instance("i"+strconv.Itoa(i), "db", "sales"))
				<-time.After(time.Millisecond)
			}
			p.do(func() {
				if n := len(p.syncs); n < 10 || n > 21 {
					t.Errorf("%d syncs in a second of changes, want one each 50 to 100 ms", n)
				}
				if first := p.syncs[0].Sub(start); first > 51*time.Millisecond {
					t.Errorf("the first change waited %v", first)
				}
			})
			<-time.After(time.Second)
			p.do(func() { p.syncs, start = nil, time.Now() })
			table.Drop("i1@db")
			<-time.After(time.Second)
			p.do(func() {
				if len(p.syncs) != 1 || p.syncs[0].Sub(start) > 11*time.Millisecond {
					t.Errorf("a single change was synced at %v after %v", p.syncs, start)
				}
			})
		})
	})
}

func TestADestinationThatFailsIsAskedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, p := &servicetable.Table{}, &place{outcome: func() error { return errors.New("refused") }}
		m := newMirror(table, p)
		running(t, m, func() {
			for i := range 600 { // changes do not hasten it
				table.Apply(instance("i"+strconv.Itoa(i), "db", "sales"))
				<-time.After(time.Second)
			}
			p.do(func() {
				if n := len(p.syncs); n < 20 || n > 40 {
					t.Errorf("%d attempts in ten minutes", n)
				}
				for i := 8; i < len(p.syncs); i++ {
					if gap := p.syncs[i].Sub(p.syncs[i-1]); gap < 20*time.Second || gap > 31*time.Second {
						t.Errorf("attempt %d came after %v", i, gap)
					}
				}
			})
			if s := m.Status(); s.Error != "refused" || s.Lag != 600 || s.Failures < 20 || s.LastError.IsZero() || !s.LastSuccess.IsZero() {
				t.Errorf("status is %+v", s)
			}
			p.do(func() { p.outcome = nil })
			<-time.After(31 * time.Second)
			synctest.Wait()
			if s := m.Status(); s.Error != "" || s.Lag != 0 || s.LastSuccess.IsZero() {
				t.Errorf("status afterwards is %+v", s)
			}
		})
	})
}

func TestWhatIsNoChangeIsNotSyncedButRepairedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, p := &servicetable.Table{}, &place{}
		m := newMirror(table, p)
		running(t, m, func() {
			<-time.After(time.Second)
			table.Mark("nobody@nowhere", servicetable.Mark{Kind: servicetable.Draining}) // which changes no offer
			<-time.After(time.Second)
			synctest.Wait()
			if s := m.Status(); s.Syncs != 1 || s.Lag != 0 || s.Applied != 1 {
				t.Errorf("status is %+v", s)
			}
			p.do(func() { p.has = "what somebody else did to it" })
			<-time.After(time.Minute)
			synctest.Wait()
			p.do(func() {
				if s := m.Status(); s.Syncs != 2 || p.has != "" {
					t.Errorf("the copy is %q after %d syncs", p.has, s.Syncs)
				}
			})
		})
	})
}

func TestACopyThatIsDoubtedIsMadeEqualAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, p := &servicetable.Table{}, &place{}
		m := newMirror(table, p)
		doubt := make(chan struct{}, 1)
		m.Doubt = doubt
		doubted := func(why string, want uint64) {
			doubt <- struct{}{}
			<-time.After(100 * time.Millisecond)
			synctest.Wait()
			if s := m.Status(); s.Syncs != want {
				t.Errorf("%s: %d syncs, want %d", why, s.Syncs, want)
			}
		}
		running(t, m, func() {
			<-time.After(time.Second)
			p.do(func() {
				p.has, p.outcome = "what somebody else did to it", func() error { return errors.New("refused") }
			})
			doubted("nothing changed", 2)
			<-time.After(10 * time.Minute) // of failures, further and further apart
			before := m.Status().Syncs
			p.do(func() { p.outcome = nil })
			doubted("after a failure", before+1)
			p.do(func() {
				if p.has != "" {
					t.Errorf("the copy is %q", p.has)
				}
			})
		})
	})
}

func TestAStandbyAsksAgainEachSecondAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &servicetable.Table{}
		p := &place{outcome: func() error { return ErrStandby }}
		m := newMirror(table, p)
		running(t, m, func() {
			table.Apply(instance("s1", "db1", "sales"))
			<-time.After(10 * time.Second)
			if s := m.Status(); !s.Standby || s.Error != "" || s.Lag != 0 || s.Syncs < 10 || s.Syncs > 15 {
				t.Errorf("status is %+v", s)
			}
			p.do(func() { p.outcome = nil })
			<-time.After(1100 * time.Millisecond)
			synctest.Wait()
			if s := m.Status(); s.Standby || s.Lag != 0 {
				t.Errorf("status afterwards is %+v", s)
			}
		})
	})
}

func TestLagOfAStandbyThatCannotAskCountsFromWhenItCould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &servicetable.Table{}
		p := &place{outcome: func() error { return ErrStandby }}
		m := newMirror(table, p)
		running(t, m, func() {
			for i := range 30 {
				table.Apply(instance("s"+strconv.Itoa(i), "db1", "sales"))
			}
			<-time.After(3 * time.Second)
			p.do(func() { p.outcome = func() error { return errors.New("it is away") } })
			<-time.After(3 * time.Second)
			if s := m.Status(); s.Standby || s.Error == "" || s.Lag != 0 {
				t.Errorf("status is %+v: what changed before is in the copy", s)
			}
			table.Apply(instance("late", "db1", "sales"))
			if s := m.Status(); s.Lag != 1 {
				t.Errorf("status is %+v, want a lag of 1", s)
			}
		})
	})
}

// What people read says "again" and "another broker" only where that is so.
func TestTheLogSaysWhatHappened(t *testing.T) {
	away := errors.New("it is away")
	for name, c := range map[string]struct {
		outcomes []error // of Syncs in a row; the last is repeated
		writers  []string
		want     string
	}{
		"the first is good":         {[]error{nil}, nil, ""},
		"the first fails":           {[]error{away, nil}, nil, "could not be|a mirror is up to date\""},
		"a later one fails":         {[]error{nil, away, away, nil}, nil, "could not be|a mirror is up to date again"},
		"nobody, then this one":     {[]error{ErrStandby, ErrStandby, nil}, []string{"", ""}, "this broker keeps this mirror from now on"},
		"others, then this one":     {[]error{ErrStandby, ErrStandby, ErrStandby, nil}, []string{"one", "one", "two"}, "writer=one|writer=two|this broker keeps"},
		"another that has no name":  {[]error{ErrStandby, ErrStandby, nil}, nil, "another broker keeps this mirror|this broker keeps"},
		"another, and then a fault": {[]error{ErrStandby, away, nil}, []string{"one"}, "writer=one|could not be|a mirror is up to date\""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				p, n := &place{}, 0
				p.outcome = func() error { n++; return c.outcomes[min(n, len(c.outcomes))-1] }
				m := newMirror(&servicetable.Table{}, p)
				m.Log = slog.New(slog.NewTextHandler(&log, nil))
				if c.writers != nil {
					m.Writer = func() string { return c.writers[min(n, len(c.writers))-1] }
				}
				running(t, m, func() { <-time.After(5 * time.Minute) })
				lines := slices.Collect(strings.Lines(log.String()))
				want := strings.FieldsFunc(c.want, func(r rune) bool { return r == '|' })
				for i, line := range lines {
					if i >= len(want) || !strings.Contains(line, want[i]) {
						t.Errorf("line %d is %s", i, line)
					}
				}
				if len(lines) != len(want) {
					t.Errorf("%d lines, want %d:\n%s", len(lines), len(want), log.String())
				}
			})
		})
	}
}

func TestADestinationThatHangsIsGivenUpAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, p := &servicetable.Table{}, &place{takes: time.Hour}
		m := newMirror(table, p)
		var took []time.Duration
		m.Synced = func(d time.Duration, err error) {
			if errors.Is(err, context.DeadlineExceeded) {
				took = append(took, d)
			}
		}
		running(t, m, func() {
			<-time.After(2*time.Minute + 10*time.Second)
			synctest.Wait()
			if len(took) != 2 || took[0] != time.Minute {
				t.Errorf("gave up after %v", took)
			}
		})
	})
}

func TestADesireThatIsDearIsNotAskedAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, p := &servicetable.Table{}, &place{}
		m := newMirror(table, p)
		var asked atomic.Int64
		m.Desire = func(*servicetable.Snapshot) string {
			asked.Add(1)
			<-time.After(100 * time.Millisecond) // as if it computed so long
			return "the same"
		}
		running(t, m, func() {
			for i := range 10_000 {
				table.Apply(instance("i"+strconv.Itoa(i%3), "db", "s"+strconv.Itoa(i)))
				<-time.After(time.Millisecond)
			}
			if n := asked.Load(); n < 25 || n > 40 {
				t.Errorf("asked %d times in ten seconds, want a third of the time", n)
			}
		})
	})
}
