package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// soonEnough is within which a broker must serve after its start, whoever has registered until then.
const soonEnough = time.Second

// A broker is killed at random moments, under connects and changes of its table, and started again while its databases come
// back after a minute only: what they said is on disk, and clients are served by it at once.
func TestRestartBeforeDatabasesReturn(t *testing.T) {
	for _, mode := range []string{"relay", "redirect"} {
		t.Run(mode, func(t *testing.T) {
			b := startBroker(t, "ROUTE="+mode)
			var databases []*stage.Database
			for i := range 2 {
				databases = append(databases, startDatabase(t, stage.DatabaseOptions{Instance: fmt.Sprint("sales", i+1), Services: []string{"sales"}, Retry: time.Minute}, b))
			}
			must(t, b.AwaitInstances(within(t, patience), "sales", 2))
			made, began := registrations(t, databases...), time.Now()
			callers, u := call(t, b), newUnrest(t, b, *restarts)
			var refused []string
			for range *restarts {
				u.begin(t)
				load := arrive(t.Context(), b.Address, "(SERVICE_NAME=sales)", *real)
				must(t, stage.Pause(t.Context(), rand.N(2*time.Second)))
				comeBack(t, b, callers, u.cut)
				u.judge(t)
				load.depart()
				refused = append(refused, refusals(load)...)
			}
			anew := registrations(t, databases...) - made
			if most := len(databases) * int(time.Since(began)/(45*time.Second)); anew > most {
				t.Errorf("databases registered %d times meanwhile, so what is measured is not what was on disk", anew)
			}
			t.Logf("%d restarts in %v; databases registered anew %d times meanwhile\n%s\n%s", *restarts, time.Since(began).Round(time.Second), anew, servedAfterStart(t, b, callers), u)
			complain(t, b, "arrivals", refused)
			if *restarts >= manyKills {
				u.settle(t, databases)
			}
		})
	}
}

// manyKills is from how many on it is waited for databases to come back, and times are what is measured: few of them are part of a
// run of all tests, whose processors are busy.
const manyKills = 10

// allowed is how long something may take in a test of so many kills.
func allowed(d time.Duration, kills int) time.Duration {
	if kills < manyKills {
		return max(d, patience/2)
	}
	return d
}

// refusals are the answers that clients should not have got; that a connection ends as its broker does is none.
func refusals(load *arrivals) (refused []string) {
	_, _, _, failed := load.result()
	for _, f := range failed {
		if strings.Contains(f, "refused: ") {
			refused = append(refused, f)
		}
	}
	return refused
}

// servedAfterStart sums up how long callers waited, and complains if that was too long.
func servedAfterStart(t testing.TB, b *stage.Broker, callers []*caller) string {
	out := &strings.Builder{}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "driver\tfirst connect after the start: p50 / p99 / max\trefused after the start")
	for _, c := range callers {
		fmt.Fprintf(table, "%s\t%v\t%d\n", c.name, c.took, len(c.refused))
		if worst := c.took.percentile(100); worst > allowed(soonEnough, *restarts) {
			t.Errorf("%s was served %v after a start", c.name, worst)
		}
		complain(t, b, c.name, c.refused)
		must(t, c.talk.End())
	}
	_ = table.Flush()
	return out.String()
}

// caller is a driver that connects until it is served.
type caller struct {
	name, target string
	talk         drivers.Conversation
	took         times
	refused      []string
}

// call has every driver ready.
func call(t testing.TB, b *stage.Broker) (all []*caller) {
	for _, d := range realDrivers(t) {
		talk, err := conversationWith(t.Context(), d)
		must(t, err)
		c := &caller{name: d.Name(), talk: talk, target: "(DESCRIPTION=" + addressText(b.Address) + "(CONNECT_DATA=(SERVICE_NAME=sales)))"}
		if err := c.visit(t.Context()); err != "" { // its code is loaded now
			t.Fatalf("%s: %s", c.name, explain(t, b, err))
		}
		all = append(all, c)
	}
	return all
}

// visit connects, asks, and goes.
func (c *caller) visit(ctx context.Context) (failure string) {
	if r := c.talk.Do(ctx, drivers.Step{Do: drivers.Connect, On: "c", User: stage.User, Password: stage.Password, Target: c.target}); r.Error != "" {
		return r.Error
	}
	r := c.talk.Do(ctx, drivers.Step{Do: drivers.Query, On: "c", SQL: drivers.WhereAmI})
	if closed := c.talk.Do(ctx, drivers.Step{Do: drivers.Close, On: "c"}); r.Error == "" {
		return closed.Error
	}
	return r.Error
}

// comeBack kills the broker and starts it, and has all drivers connect until they are served.
func comeBack(t testing.TB, b *stage.Broker, callers []*caller, killed func()) {
	t.Helper()
	ctx := within(t, patience)
	must(t, b.Signal(syscall.SIGSTOP)) // so that it is known what it can have heard of
	killed()
	b.Kill()
	began := time.Now()
	var all sync.WaitGroup
	for _, c := range callers {
		all.Go(func() { c.persist(ctx, began) })
	}
	must(t, b.Restart(ctx))
	all.Wait()
}

// persist tries until it is served; that nobody listens yet is no refusal.
func (c *caller) persist(ctx context.Context, began time.Time) {
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for ctx.Err() == nil {
		failure := c.visit(ctx)
		if failure == "" {
			c.took = append(c.took, time.Since(began))
			return
		}
		if strings.Contains(failure, "ORA-") || strings.Contains(failure, "NJS-5") && !strings.Contains(failure, "NJS-503") || strings.Contains(failure, "DPY-6001") {
			c.refused = append(c.refused, fmt.Sprintf("%v after the start: %.300s", time.Since(began).Round(time.Millisecond), failure))
		}
		<-ticks.C
	}
	c.refused = append(c.refused, fmt.Sprintf("not served within %v", time.Since(began)))
}
