package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// One of three brokers is killed again and again and started anew, while real drivers connect by lists of addresses to
// what five databases offer. No connect fails, but those that had their CONNECT at the very broker that was killed.
func TestBrokersKilled(t *testing.T) {
	for _, one := range []struct{ route, known string }{{"relay", "nothing"}, {"redirect", "peers"}} {
		known := cmp.Or(*knownBy, one.known)
		t.Run(one.route+", known by "+known, func(t *testing.T) {
			c := newCluster(t, 5, known, "ROUTE="+one.route)
			loops := c.connectByLists(t)
			must(t, stage.Pause(t.Context(), *every/3))
			for i := range *kills {
				began := time.Now()
				c.kill(t, i%len(c.brokers), *every/5)
				must(t, stage.Pause(t.Context(), *every-time.Since(began)))
			}
			c.judge(t, loops)
		})
	}
}

// brokers is how many there are.
const brokers = 3

// cluster is several brokers, each behind a tap that sees what its clients are answered, and databases that register
// with all of them.
type cluster struct {
	brokers   [brokers]*stage.Broker
	taps      [brokers]*stage.Tap
	databases []*stage.Database
	deaths    []death
}

// death is the end of a broker: whoever was with it between the times was with it when it ended.
type death struct {
	broker      int
	began, done time.Time
}

// newCluster starts brokers that know of each other by what known says, or do not.
func newCluster(t testing.TB, databases int, known string, parameters ...string) *cluster {
	t.Helper()
	c := &cluster{}
	var consoles, urls [brokers]string
	for i := range consoles {
		consoles[i] = free(t)
		urls[i] = "http://" + consoles[i]
	}
	switch known {
	case "peers":
		parameters = append(parameters, "PEERS="+strings.Join(urls[:], ","))
	case "consul":
		consul, err := stage.StartConsul(within(t, patience), "../..")
		if errors.Is(err, stage.ErrNoConsul) {
			t.Skip(err)
		}
		must(t, err)
		t.Cleanup(consul.Stop)
		parameters = append(parameters, "CONSUL_ADDRESS="+consul.Address)
	}
	for i := range c.brokers {
		c.brokers[i] = startBrokerAt(t, stage.BrokerOptions{Console: consoles[i], Parameters: parameters})
		tap, err := stage.StartTap(c.brokers[i].Address)
		must(t, err)
		t.Cleanup(tap.Close)
		c.taps[i] = tap
	}
	for i := range databases {
		c.databases = append(c.databases, startDatabase(t, stage.DatabaseOptions{Instance: fmt.Sprint("sales", i+1), Services: []string{"sales"},
			Retry: 3 * time.Second}, c.brokers[:]...))
	}
	for _, b := range c.brokers {
		must(t, b.AwaitInstances(within(t, patience), "sales", databases))
	}
	return c
}

// lists are the ways in which clients name several brokers; every connect goes to loopback addresses of its own.
func (c *cluster) lists() map[string]string {
	addresses, easy := "", []string{}
	for _, tap := range c.taps {
		addresses += addressText(fmt.Sprintf("{door}:%d", tap.Port))
		easy = append(easy, fmt.Sprintf("{door}:%d", tap.Port))
	}
	list := func(how string) string {
		return "(DESCRIPTION=(ADDRESS_LIST=" + how + addresses + ")(CONNECT_DATA=(SERVICE_NAME=sales)))"
	}
	return map[string]string{
		"ADDRESS_LIST":               list("(FAILOVER=on)(LOAD_BALANCE=off)"),
		"ADDRESS_LIST, LOAD_BALANCE": list("(FAILOVER=on)(LOAD_BALANCE=on)"),
		"addresses without a list":   "(DESCRIPTION=(LOAD_BALANCE=on)" + addresses + "(CONNECT_DATA=(SERVICE_NAME=sales)))",
		"//h:p1,h:p2,h:p3/sales":     "//" + strings.Join(easy, ",") + "/sales",
	}
}

// firstDoor leaves 127.0.x.x to others.
const firstDoor = 16

type listed struct {
	*loop
	list  string
	doors byte
}

// connectByLists has every driver connect by every list that it can read.
func (c *cluster) connectByLists(t testing.TB) (loops []listed) {
	all := c.lists()
	var jobs []listed
	found := realDrivers(t)
	for list := range all {
		for _, d := range found {
			if strings.HasPrefix(list, "//") && d.Name() != "node-oracledb" {
				continue // python-oracledb 1.2 and go-ora take one host in such a text
			}
			jobs = append(jobs, listed{loop: &loop{name: d.Name()}, list: list})
		}
	}
	slices.SortFunc(jobs, func(a, b listed) int { return strings.Compare(a.list+a.name, b.list+b.name) })
	for i, job := range jobs {
		d := found[slices.IndexFunc(found, func(d drivers.Looper) bool { return d.Name() == job.name })]
		job.doors = byte(firstDoor + i)
		job.loop = startLoop(t.Context(), d, drivers.LoopJob{Target: all[job.list], Rate: *real / float64(len(jobs)), Doors: job.doors})
		loops = append(loops, job)
	}
	return loops
}

// kill ends a broker as the crash of its machine would, and starts it again after a while. It is stopped before, so that
// what it had not answered is known exactly.
func (c *cluster) kill(t testing.TB, i int, down time.Duration) {
	t.Helper()
	b, tap := c.brokers[i], c.taps[i]
	d := death{broker: i, began: time.Now()}
	must(t, b.Signal(syscall.SIGSTOP))
	tap.Refuse()
	b.Kill()
	d.done = time.Now()
	c.deaths = append(c.deaths, d)
	must(t, stage.Pause(t.Context(), down))
	must(t, b.Restart(within(t, patience)))
	must(t, tap.Reopen())
}

// fate is what became of a connect.
type fate string

const (
	well     fate = "well"
	failed   fate = "failed"
	inFlight fate = "lost in flight" // its CONNECT was at a broker that was killed, unanswered
	carried  fate = "lost later"     // it was accepted, and went through a broker that was killed
)

// caught tells where a connection to a broker was when that was killed: unanswered, or carried by it.
func (c *cluster) caught(broker int, s stage.Sighting) (fate, bool) {
	for _, d := range c.deaths {
		if d.broker != broker || s.Began.After(d.done) || !s.Ended.IsZero() && s.Ended.Before(d.began) {
			continue
		}
		switch s.Answer {
		case stage.NoAnswer:
			return inFlight, true
		case stage.Accepted:
			return carried, true
		}
	}
	return "", false
}

// row sums up one driver with one list.
type row struct {
	connects, failed, unanswered, inFlight, carried int
	took                                            times
}

func (c *cluster) judge(t *testing.T, loops []listed) {
	t.Helper()
	connects := map[int][]drivers.Connected{}
	for i, l := range loops {
		var err error
		connects[i], err = l.end()
		must(t, err)
	}
	seen := map[netip.Addr][brokers][]stage.Sighting{}
	for i, tap := range c.taps {
		for _, s := range tap.Sightings() {
			all := seen[s.Door]
			all[i] = append(all[i], s)
			seen[s.Door] = all
		}
	}
	out := &strings.Builder{}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "driver\tlist\tconnects\tfailed\tunanswered at a kill\tof them lost\tlost later\tp50 / p99 / max")
	for i, l := range loops {
		var r row
		for _, connect := range connects[i] {
			c.count(t, &r, l, connect, seen[connect.Door])
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%v\n", l.name, l.list, r.connects, r.failed, r.unanswered, r.inFlight, r.carried, r.took)
		if r.connects == 0 {
			t.Errorf("%s has made no connects by %s", l.name, l.list)
		}
	}
	_ = table.Flush()
	t.Logf("%d brokers killed\n%s", len(c.deaths), out)
}

// count judges a connect by what was seen of it at each of the brokers.
func (c *cluster) count(t *testing.T, r *row, l listed, connect drivers.Connected, seen [brokers][]stage.Sighting) {
	became := failed
	if connect.Error == "" {
		became = well
	}
	for broker, all := range seen {
		for _, s := range all {
			where, ok := c.caught(broker, s)
			if !ok {
				continue
			}
			if where == inFlight {
				r.unanswered++
			}
			if became == failed {
				became = where
			}
		}
	}
	r.connects++
	switch became {
	case well:
		r.took = append(r.took, connect.ConnectTime())
	case inFlight:
		r.inFlight++
	case carried:
		r.carried++
	case failed:
		if r.failed++; r.failed <= 3 {
			t.Errorf("%s by %s: connect %d at %s, after %.0f ms at %s: %s%s", l.name, l.list, connect.N, connect.Started().Format("15:04:05.000"),
				connect.TookMS, connect.Stage, connect.Error, c.seenOf(t, seen))
		}
	}
}

// seenOf is what there is to say about a connect that failed: the broker's own explanation where it was refused.
func (c *cluster) seenOf(t *testing.T, seen [brokers][]stage.Sighting) string {
	text := ""
	for i, all := range seen {
		for _, s := range all {
			text += fmt.Sprintf("\n  at broker %d %s: %v after %v", i, s.Began.Format("15:04:05.000"), s.Answer, s.Answered.Sub(s.Began).Round(time.Millisecond))
			if s.Answer == stage.Refused {
				text += " " + explain(t, c.brokers[i], s.Text)
			}
		}
	}
	for _, d := range c.deaths {
		text += fmt.Sprintf("\n  broker %d was killed %s", d.broker, d.done.Format("15:04:05.000"))
	}
	return text
}
