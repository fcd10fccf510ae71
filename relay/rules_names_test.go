package relay

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// nameService answers slowly, and what it is told to.
type nameService struct {
	mu      sync.Mutex
	delay   time.Duration
	answers map[string]string
	asked   []string
}

func (n *nameService) lookup(ctx context.Context, name string) []netip.Addr {
	n.mu.Lock()
	delay, answer := n.delay, n.answers[name]
	n.asked = append(n.asked, name)
	n.mu.Unlock()
	if delay > 0 { // see CONTRIBUTING.md, "Time in tests"
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil
		}
	}
	if answer == "" {
		return nil
	}
	return []netip.Addr{netip.MustParseAddr(answer)}
}

func (n *nameService) now(name, answer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[name] = answer
}

func TestNamesOfRulesFollowTheNameService(t *testing.T) {
	n := &nameService{answers: map[string]string{"apphost": "::ffff:10.1.2.3", "dbhost": "10.9.0.1"}}
	set := CompileRules(rulesOf(t, "AppHost dbhost * accept", "apphost dbhost. hr accept"), nil)
	if got := set.Names(); !slices.Equal(got, []string{"apphost", "dbhost"}) {
		t.Fatalf("names %q", got)
	}
	set.Refresh(t.Context(), n.lookup)
	connect := connectOf{hosts: "10.9.0.1"}
	if got, _ := connect.judged(t, set); got != "10.9.0.1" {
		t.Error(got)
	}
	n.now("apphost", "10.1.2.4")
	set.Refresh(t.Context(), n.lookup)
	if got, _ := connect.judged(t, set); got != "rejected" {
		t.Errorf("%s: the name means another address now", got)
	}
	n.now("dbhost", "")
	set.Refresh(t.Context(), n.lookup)
	if got, _ := (connectOf{from: "10.1.2.4", hosts: "10.9.0.1"}).judged(t, set); got != "rejected" {
		t.Errorf("%s: the name means nothing now", got)
	}
	if before := set.index.Load(); len(n.asked) != 6 {
		t.Errorf("asked for %q", n.asked)
	} else if set.Refresh(t.Context(), n.lookup); set.index.Load() != before {
		t.Error("the same answers were put to use again")
	}
}

// A connect waits for names that nobody has looked up yet, though not for long.
func TestConnectsWaitForNewNames(t *testing.T) {
	for _, c := range []struct {
		delay, waits time.Duration
		want         string
	}{{0, 0, "db1"}, {time.Second, time.Second, "db1"}, {time.Minute, resolveBudget, "rejected"}} {
		synctest.Test(t, func(t *testing.T) {
			n := &nameService{delay: c.delay, answers: map[string]string{"newhost": "10.1.2.3"}}
			set := CompileRules(rulesOf(t, "newhost * * accept"), nil)
			var refreshing sync.WaitGroup
			refreshing.Go(func() { set.Refresh(t.Context(), n.lookup) })
			began := time.Now()
			if got, _ := (connectOf{}).judged(t, set); got != c.want || time.Since(began) != c.waits {
				t.Errorf("names take %v: %s after %v, want %s after %v", c.delay, got, time.Since(began), c.want, c.waits)
			}
			began = time.Now()
			if (connectOf{}).judged(t, set); time.Since(began) != 0 {
				t.Errorf("the next one waited %v", time.Since(began))
			}
			refreshing.Wait()
		})
	}
}

// Rules that change keep what is known of names, and slow ones do not keep back the rest.
func TestNamesSurviveAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := compiled(t, rulesOf(t, "apphost * * accept"))
		second := CompileRules(rulesOf(t, "* * hr reject", "apphost * * accept"), first)
		began := time.Now()
		if got, _ := (connectOf{}).judged(t, second); got != "db1" || time.Since(began) != 0 {
			t.Errorf("%s after %v", got, time.Since(began))
		}
		third := CompileRules(rulesOf(t, "quick * * accept", "slow * * accept"), second)
		var refreshing sync.WaitGroup
		refreshing.Go(func() {
			third.Refresh(t.Context(), func(ctx context.Context, name string) []netip.Addr {
				n := nameService{delay: 1100 * time.Millisecond, answers: map[string]string{"quick": "10.1.2.3"}}
				if name == "slow" {
					n.delay = time.Minute
				}
				return n.lookup(ctx, name)
			})
		})
		if got, _ := (connectOf{}).judged(t, third); got != "db1" || time.Since(began) != resolveBudget {
			t.Errorf("%s after %v", got, time.Since(began))
		}
		refreshing.Wait()
	})
}

// What hosts of candidates mean keeps a connect waiting so long and no longer, however
// many there are.
func TestCandidatesHostsDoNotKeepAConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := CompileRules(rulesOf(t, "* 10.9.0.0/16 * accept"), nil)
		candidates := candidatesAt("a", "b", "c", "10.9.0.1", "d")
		began, asked := time.Now(), 0
		j := set.judge(t.Context(), connectOf{from: "10.1.2.3", service: "sales"}.subject(), candidates, func(ctx context.Context, _ *servicetable.Candidate) []netip.Addr {
			asked++
			select {
			case <-ctx.Done():
			case <-time.After(resolveBudget): // as broker.hosts does
			}
			return nil
		})
		if len(j.admitted) != 1 || j.admitted[0].Handler.Host != "10.9.0.1" || asked != 4 {
			t.Errorf("admitted %+v, asked %d", j.admitted, asked)
		}
		if took := time.Since(began); took != resolveBudget {
			t.Errorf("took %v", took)
		}
	})
}

// Who needs no address is not asked for one.
func TestNobodyIsResolvedInVain(t *testing.T) {
	set := compiled(t, rulesOf(t, "* 10.0.0.0/8 hr reject", "10.2.0.0/16 10.0.0.0/8 * reject", "* db1 * accept", "* 10.0.0.0/8 * reject"))
	j := set.judge(t.Context(), connectOf{from: "10.1.2.3", service: "sales"}.subject(), candidatesAt("db1"), func(_ context.Context, c *servicetable.Candidate) []netip.Addr {
		t.Errorf("%s was resolved", c.Handler.Host)
		return nil
	})
	if len(j.admitted) != 1 {
		t.Error("refused")
	}
}

func TestRefreshEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		set := CompileRules(rulesOf(t, "a b * accept"), nil)
		var refreshing sync.WaitGroup
		refreshing.Go(func() { set.Refresh(ctx, (&nameService{delay: time.Hour}).lookup) })
		synctest.Wait()
		cancel()
		began := time.Now()
		refreshing.Wait()
		if time.Since(began) != 0 {
			t.Error("it went on")
		}
	})
}
