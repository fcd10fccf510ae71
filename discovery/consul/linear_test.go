package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// cable is a connection to Consul that can be cut.
type cable struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu     sync.Mutex
	isCut  bool
	silent bool // cut, it swallows what is sent rather than to refuse
	open   map[net.Conn]bool
}

func newCable(t testing.TB, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, to: to, open: map[net.Conn]bool{}}
	c.all.Go(c.serve)
	t.Cleanup(func() {
		l.Close()
		c.cut(false)
		c.all.Wait()
	})
	return c
}

func (c *cable) serve() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.all.Go(func() { c.carry(in) })
	}
}

func (c *cable) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer out.Close()
	c.mu.Lock()
	if c.isCut && !c.silent {
		c.mu.Unlock()
		return
	}
	c.open[in], c.open[out] = true, true
	c.mu.Unlock()
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		ways.Go(func() {
			_, _ = io.Copy(swallowing{way[0], c}, way[1])
			in.Close()
			out.Close()
		})
	}
	ways.Wait()
	c.mu.Lock()
	delete(c.open, in)
	delete(c.open, out)
	c.mu.Unlock()
}

// swallowing writes, unless its cable is cut silently.
type swallowing struct {
	net.Conn
	c *cable
}

func (s swallowing) Write(p []byte) (int, error) {
	s.c.mu.Lock()
	lost := s.c.isCut && s.c.silent
	s.c.mu.Unlock()
	if lost {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

func (c *cable) cut(silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut, c.silent = true, silent
	if !silent {
		for conn := range c.open {
			conn.Close()
		}
	}
}

// mend has what was swallowed noticed, too.
func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = false
	for conn := range c.open {
		conn.Close()
	}
}

// step is what a broker's operator did, or saw, of one ID.
type step struct {
	id    string
	write bool
	value string // written
}

// register is a value that is written and read, one for each ID.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, o := range history {
			by[o.Input.(step).id] = append(by[o.Input.(step).id], o)
		}
		var all [][]porcupine.Operation
		for _, one := range by {
			all = append(all, one)
		}
		return all
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if s := input.(step); s.write {
			return true, s.value
		}
		return output == state, state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, output) },
}

// look reads what holds of an ID once this broker has exchanged all it has with Consul.
func (s *Intents) look(ctx context.Context, id string) (string, bool) {
	client, err := s.Client.open()
	if err != nil || s.writeOne(ctx, client, id) != nil {
		return "", false
	}
	s.exchanging.Lock()
	defer s.exchanging.Unlock()
	if s.overtaken(ctx, client) != nil {
		return "", false
	}
	got, _ := s.Get(id)
	return string(got.Value), !got.Pending
}

// Each broker's operator sets, removes and reads the same few intents while cables are cut and clocks differ by hours. What was answered
// as known to all is in one order that all who read agree on; what was not may come later, or never.
func TestIntentsAreSharedLinearly(t *testing.T) {
	a := startAgent(t)
	const brokers, steps = 3, 60
	var history []porcupine.Operation
	var mu sync.Mutex
	begun := time.Now()
	var stores []*Intents
	var cables []*cable
	var stops []func()
	for n := range brokers {
		c := newCable(t, a.address())
		client := &Client{Address: c.listener.Addr().String(), Timeout: 300 * time.Millisecond}
		t.Cleanup(client.Close)
		skew := time.Duration(n-1) * 3 * time.Hour
		s := &Intents{Client: client, Origin: "broker" + strconv.Itoa(n), clock: func() time.Time { return time.Now().Add(skew) }}
		stores, cables, stops = append(stores, s), append(cables, c), append(stops, background(t, s.Run))
	}
	unknown, read := 0, 0
	note := func(broker int, s step, call time.Duration, output string, known bool) {
		mu.Lock()
		defer mu.Unlock()
		end := int64(time.Since(begun))
		switch {
		case !known && !s.write:
			return
		case !known:
			end = math.MaxInt64
			unknown++
		case !s.write:
			read++
		}
		history = append(history, porcupine.Operation{ClientId: broker, Input: s, Call: int64(call), Output: output, Return: end})
	}
	act := func(broker, number int, random *rand.Rand) {
		s, id, call := stores[broker], "x"+strconv.Itoa(random.IntN(3)), time.Since(begun)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		switch random.IntN(4) {
		case 0, 1:
			value, known := s.look(ctx, id)
			note(broker, step{id: id}, call, value, known)
		case 2:
			if err := s.Remove(id); err != nil {
				t.Error(err)
			}
			note(broker, step{id, true, ""}, call, "", s.Settled(ctx, id))
		default:
			value := strconv.Itoa(broker*1000 + number)
			if err := s.Put(id, json.RawMessage(value), time.Time{}); err != nil {
				t.Error(err)
			}
			note(broker, step{id, true, value}, call, "", s.Settled(ctx, id))
		}
	}
	fewRead := func() bool { // as where Consul often does not answer in time
		mu.Lock()
		defer mu.Unlock()
		return read < 20
	}
	var operators sync.WaitGroup
	for n := range brokers {
		operators.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(n)))
			for number := 0; number < steps || number < 3*steps && fewRead(); number++ {
				if random.IntN(12) == 0 {
					cables[n].cut(random.IntN(2) == 0)
				} else if random.IntN(4) == 0 {
					cables[n].mend()
				}
				act(n, number, random)
			}
			cables[n].mend()
		})
	}
	operators.Wait()
	for n, s := range stores { // nothing is cut any more: from here on it is not to matter how long an answer takes
		stops[n]()
		s.Client.Timeout = 10 * time.Second
		background(t, s.Run)
		s.wakeUp()
	}
	eventually(t, time.Minute, "all to agree", func() string {
		for _, s := range stores {
			if s.Pending() > 0 || text(s.All()) != text(stores[0].All()) {
				return fmt.Sprint(text(s.All()), " and ", text(stores[0].All()), " ", s.Pending(), " ", s.Failure())
			}
		}
		return ""
	})
	for n := range brokers { // and this is what they agree on
		for id := range 3 {
			eventually(t, time.Minute, fmt.Sprintf("broker %d to read after all is mended", n), func() string {
				call := time.Since(begun)
				value, known := stores[n].look(t.Context(), "x"+strconv.Itoa(id))
				if !known {
					return "it cannot: " + stores[n].Failure()
				}
				note(n, step{id: "x" + strconv.Itoa(id)}, call, value, known)
				return ""
			})
		}
	}
	result := porcupine.CheckOperationsTimeout(register, history, 30*time.Second)
	t.Logf("%d operations, %d of them read, %d were answered as not yet shared: %s", len(history), read, unknown, result)
	if result == porcupine.Illegal {
		t.Errorf("%s after %d operations", result, len(history))
		for _, o := range history {
			t.Log(o)
		}
	}
}
