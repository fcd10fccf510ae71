package drivers

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// heldList is what the API tells of connects that wait.
type heldList struct {
	Total    int `json:"total"`
	Services []struct {
		Service string `json:"service"`
		Waiting int    `json:"waiting"`
	} `json:"services"`
	Held []struct {
		Service string `json:"service"`
		Client  string `json:"client"`
		Ref     string `json:"ref"`
		Cause   string `json:"cause"`
	} `json:"held"`
}

// awaitHeld waits until so many connects wait. It asks for one of them only: long lists would be all that is measured.
func (b *broker) awaitHeld(t *testing.T, want int) {
	t.Helper()
	took := eventually(t, patience, func() error {
		var list heldList
		err := b.getJSON("/api/v1/held?limit=1", &list)
		if err == nil && list.Total != want {
			err = fmt.Errorf("%d connects wait instead of %d", list.Total, want)
		}
		return err
	})
	t.Logf("%d connects wait after %v", want, took)
}

func (b *broker) held(t *testing.T) heldList {
	t.Helper()
	var list heldList
	must(t, b.getJSON("/api/v1/held?limit=1000", &list))
	return list
}

// crowd is clients that wait for a service that has left.
type crowd struct {
	broker  *broker
	home    *standin // where it will be
	clients []net.Conn
	from    map[string]int // number of a client by its address
}

// startCrowd has a service registered, leave, and so many clients wait for it. The broker is built without the race
// detector if plain, which multiplies memory.
func startCrowd(t *testing.T, clients int, plain bool, parameters ...string) *crowd {
	t.Helper()
	o := brokerOptions{parameters: parameters}
	if plain {
		o.program = plainBroker(t)
	}
	c := &crowd{broker: startBroker(t, o), home: startStandin(t, "sales2"), from: map[string]int{}}
	old := startStandin(t, "sales1")
	link := old.register(t, c.broker, "sales")
	other := startStandin(t, "hr1")
	other.register(t, c.broker, "hr")
	c.broker.awaitService(t, "sales", "READY", 1)
	c.broker.awaitService(t, "hr", "READY", 1)
	if reply, err := readRaw(askFor(t, c.broker, "sales", "first", ""), patience); err != nil || reply.kind != typeAccept {
		t.Fatalf("before it left: type %d, %v", reply.kind, err)
	}
	old.die()
	link.Close()
	eventually(t, patience, func() error {
		instances, err := c.broker.instancesOf("sales")
		if err == nil && len(instances) > 0 {
			err = fmt.Errorf("still there: %+v", instances)
		}
		return err
	})
	c.join(t, clients)
	return c
}

// join adds clients and returns once all of them wait.
func (c *crowd) join(t *testing.T, clients int) {
	t.Helper()
	for range clients {
		n := len(c.clients)
		conn := askFor(t, c.broker, "sales", strconv.Itoa(n), "")
		c.from[conn.LocalAddr().String()] = n
		c.clients = append(c.clients, conn)
	}
	c.broker.awaitHeld(t, len(c.clients))
}

// atOnce is how soon a client must be answered who has nothing to wait for, whoever waits: sooner than those who do, for
// whom these brokers have holdLong.
const (
	atOnce   = 10 * time.Second
	holdLong = "HOLD_TIMEOUT=60"
)

func (c *crowd) otherService(t *testing.T) {
	t.Helper()
	began := time.Now()
	conn := askFor(t, c.broker, "hr", "other", "")
	defer conn.Close()
	reply, err := readRaw(conn, patience)
	if took := time.Since(began); err != nil || reply.kind != typeAccept || took > atOnce {
		t.Errorf("a client of another service got an answer of type %d after %v, %v", reply.kind, took, err)
	}
}

// Clients that wait through a relocation are all let in, in the order in which they came, each once, and nobody else is
// delayed by them.
func TestCrowdWaitsThroughARelocation(t *testing.T) {
	const clients = 200
	c := startCrowd(t, clients, false, holdLong)
	list := c.broker.held(t)
	c.otherService(t)
	c.home.register(t, c.broker, "sales")
	for i, conn := range c.clients {
		if reply, err := readRaw(conn, patience); err != nil || reply.kind != typeAccept {
			t.Fatalf("client %d was answered with type %d %q, %v", i, reply.kind, reply.text(), err)
		}
		if i == clients/4 {
			c.otherService(t)
		}
	}
	c.inOrder(t, list)
	c.broker.awaitHeld(t, 0)
}

// inOrder compares the order in which clients came to the database with that in which they waited. Two that are let go
// within a few milliseconds are dialled side by side and may overtake each other, and one that stands still for a moment
// is overtaken by many. So the mean tells: of 200 clients it is 67 places in any order, and 100 in the reverse one.
func (c *crowd) inOrder(t *testing.T, list heldList) {
	t.Helper()
	const overtaking = 20.0
	came := c.home.seen()
	if len(came) != len(c.clients) || len(slices.Compact(slices.Sorted(slices.Values(came)))) != len(came) {
		t.Fatalf("%d clients came to the database instead of %d, or some came twice: %v", len(came), len(c.clients), came)
	}
	place := map[string]int{}
	for i, w := range came {
		place[w] = i
	}
	furthest, sum := 0, 0
	for i, held := range list.Held {
		n, known := c.from[held.Client]
		if !known {
			t.Fatalf("%s waits and is none of the clients", held.Client)
		}
		displaced := abs(place[strconv.Itoa(n)] - i)
		furthest, sum = max(furthest, displaced), sum+displaced
	}
	mean := float64(sum) / float64(len(came))
	t.Logf("%d clients, displaced by %.1f places, at most %d", len(came), mean, furthest)
	if mean > overtaking {
		t.Errorf("clients were let in %.1f places away from their own: %v", mean, came)
	}
}

func abs(n int) int { return max(n, -n) }

// What each client that waits costs at most, in KiB: some 8, and what the garbage collector keeps in hand.
const heldKB = 10

// A thousand clients that wait cost little memory each, and those that give up cost nothing.
func TestCrowdIsCheap(t *testing.T) {
	const few, many = 100, 1000
	c := startCrowd(t, few, true, holdLong)
	before := c.broker.residentKB(t)
	c.join(t, many)
	eventually(t, patience, func() error { // what came with their asking is cleared up by then
		now := c.broker.residentKB(t)
		each := float64(now-before) / many
		t.Logf("%d KiB with %d clients, %d KiB with %d: %.1f KiB for each", before, few, now, few+many, each)
		if each > heldKB {
			return fmt.Errorf("a client that waits costs %.1f KiB, at most %d are allowed", each, heldKB)
		}
		return nil
	})
	c.otherService(t)
	for _, conn := range c.clients[few:] {
		conn.Close()
	}
	c.broker.awaitHeld(t, few)
	c.home.register(t, c.broker, "sales")
	for i, conn := range c.clients[:few] {
		if reply, err := readRaw(conn, patience); err != nil || reply.kind != typeAccept {
			t.Fatalf("client %d was answered with type %d %q, %v", i, reply.kind, reply.text(), err)
		}
	}
	if came := c.home.seen(); len(came) != few {
		t.Errorf("%d clients came to the database, of which only %d had not given up", len(came), few)
	}
}

// Who waits in vain is told why, by the state's own code, once the time is up, and not before.
func TestCrowdWaitsInVain(t *testing.T) {
	c := startCrowd(t, 0, false, "HOLD_TIMEOUT=1")
	began := time.Now()
	conn := askFor(t, c.broker, "sales", "0", "")
	reply, err := readRaw(conn, patience)
	took := time.Since(began)
	if err != nil || reply.kind != typeRefuse || !strings.Contains(reply.text(), "(ERR=12514)") {
		t.Errorf("answered with type %d %q, %v", reply.kind, reply.text(), err)
	}
	if took < time.Second || took > 20*time.Second {
		t.Errorf("answered after %v with HOLD_TIMEOUT=1", took)
	}
	c = startCrowd(t, 0, false, holdLong)
	for what, test := range map[string]struct{ service, more, code string }{
		"never seen":    {"nosuch", "", "(ERR=12514)"},
		"administrator": {"sales", "(UR=A)", "(ERR=12514)"},
	} {
		began := time.Now()
		reply, err := readRaw(askFor(t, c.broker, test.service, "x", test.more), patience)
		if err != nil || reply.kind != typeRefuse || !strings.Contains(reply.text(), test.code) || time.Since(began) > atOnce {
			t.Errorf("%s: type %d %q after %v, %v", what, reply.kind, reply.text(), time.Since(began), err)
		}
	}
}

// A broker that is told to stop answers those who wait.
func TestCrowdIsAnsweredAtTheEnd(t *testing.T) {
	const clients = 50
	c := startCrowd(t, clients, false, holdLong)
	c.broker.signal(t, syscall.SIGTERM)
	for i, conn := range c.clients {
		if reply, err := readRaw(conn, stopsWithin+patience/10); err != nil || reply.kind != typeRefuse {
			t.Fatalf("client %d was answered with type %d %q, %v", i, reply.kind, reply.text(), err)
		}
	}
}
