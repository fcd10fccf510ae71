package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// soonEnough is within which a broker must serve after its start, whoever has registered until then.
const soonEnough = time.Second

// A broker is killed and started again while its databases come back after a minute only: what they said is on disk, and
// clients are served by it at once.
func TestRestartBeforeDatabasesReturn(t *testing.T) {
	for _, mode := range []string{"relay", "redirect"} {
		t.Run(mode, func(t *testing.T) {
			b := startBroker(t, "ROUTE="+mode)
			var databases []*stage.Database
			for i := range 2 {
				databases = append(databases, startDatabase(t, stage.DatabaseOptions{Instance: fmt.Sprint("sales", i+1), Services: []string{"sales"}, Retry: time.Minute}, b))
			}
			must(t, b.AwaitInstances(within(t, patience), "sales", 2))
			unrest(t, b)
			made := registrations(t, databases...)
			out := &strings.Builder{}
			table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "driver\tfirst connect after the start: p50 / p99 / max\trefused after the start")
			callers := call(t, b)
			for i := range *restarts {
				comeBack(t, b, callers)
				if again := registrations(t, databases...); again != made {
					t.Logf("after %d restarts databases registered anew", i+1)
					made = again
				}
			}
			for _, c := range callers {
				fmt.Fprintf(table, "%s\t%v\t%d\n", c.name, c.took, len(c.refused))
				if worst := c.took.percentile(100); worst > soonEnough {
					t.Errorf("%s was served %v after a start", c.name, worst)
				}
				complain(t, b, c.name, c.refused)
				must(t, c.talk.End())
			}
			_ = table.Flush()
			t.Logf("%d restarts\n%s", *restarts, out)
		})
	}
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
func comeBack(t testing.TB, b *stage.Broker, callers []*caller) {
	t.Helper()
	ctx := within(t, patience)
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

// unrest is instances that come, go and change all the time, so that a kill comes in the middle of a change.
func unrest(t testing.TB, b *stage.Broker) {
	ctx, cancel := context.WithCancel(t.Context())
	refresh := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() {
		ticks := time.NewTicker(2 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
			select {
			case refresh <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	})
	turn := 0 // of the one link alone
	agent := &registration.Agent{Brokers: []string{b.Address}, Retry: 50 * time.Millisecond, Refresh: refresh, Describe: func() servicetable.Registration {
		turn++
		r := servicetable.Registration{Instance: "restless1", Host: "127.0.0.1", HostRaw: "(HOST=127.0.0.1)", NodeMax: 100, Max: 100, Load: uint32(turn)}
		h := servicetable.Handler{Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: "127.0.0.1", Port: 1, Max: 100, Flags: registration.FlagDedicated,
			Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))", Info: "REMOTE SERVER"}
		for i := range turn % 40 {
			r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("restless%d", i), Flags: servicetable.FlagUnblocked, Delta: 1})
			h.Services = append(h.Services, i)
		}
		r.Handlers = []servicetable.Handler{h}
		return r
	}}
	running.Go(func() { _ = agent.Run(ctx) })
}
