package attack

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"servicebroker/broker"
	"servicebroker/console"
	"servicebroker/tns"
)

// The corpus in the main suite is small; make attack has the large one.
var (
	inputs = flag.Uint64("inputs", 2000, "inputs that are made up and sent")
	seed   = flag.Uint64("seed", 1, "of what is made up")
	from   = flag.Uint64("from", 0, "number of the first input, to see one again that did harm")
)

const (
	atATime  = 24                   // inputs that are under way
	moment   = 5 * time.Millisecond // that somebody waits for an answer before he goes on
	mostTime = time.Minute          // that an input may take, with others beside it
)

// assault sends inputs of a corpus to a broker.
type assault struct {
	*world
	secure  *tls.Config
	dns     string
	rest    string
	socket  string
	answers chan Input // of the instance
	liar    string
}

func (w *world) assault(corpus map[Door][][][]byte) *assault {
	a := &assault{world: w, secure: &tls.Config{InsecureSkipVerify: true}, rest: w.RESTAddress(), socket: w.SocketPath(), answers: make(chan Input)}
	a.dns = w.dnsAt()
	a.liar = w.instance(a.lie)
	return a
}

// dnsAt is where the zone is served.
func (w *world) dnsAt() string {
	w.t.Helper()
	_, body := w.get("/api/v1/mirrors")
	_, rest, _ := strings.Cut(string(body), `zone db.example at `)
	at, _, found := strings.Cut(rest, `"`)
	if !found {
		w.t.Fatalf("the DNS is nowhere: %s", body)
	}
	return at
}

// lie answers a connect that came to the instance by the next input for it.
func (a *assault) lie(c net.Conn) {
	if _, err := tns.NewConn(c).ReadConnect(); err != nil {
		return
	}
	select {
	case in := <-a.answers:
		_, _ = converse(c, in)
	case <-time.After(time.Second): // as long as the broker waits
	}
}

// send does what an input says, and tells what the broker did wrong.
func (a *assault) send(in Input) error {
	c, err := a.enter(in)
	if err != nil {
		return err
	}
	defer c.Close()
	if in.Door == InstanceDoor {
		return a.through(c, in)
	}
	if ended, err := converse(c, in); err != nil || !ended {
		return err
	}
	return nil
}

// through has a client go to the instance, which answers by the input.
func (a *assault) through(c net.Conn, in Input) error {
	if _, err := c.Write(connect("(CONNECT_DATA=(SERVICE_NAME=liar))")); err != nil {
		return nil
	}
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		select {
		case a.answers <- in:
		case <-gone:
		}
	}()
	_ = c.SetDeadline(time.Now().Add(mostTime))
	b := make([]byte, 4096)
	if _, err := c.Read(b); err != nil && timedOut(err) {
		return fmt.Errorf("a client has no answer: %w", err)
	}
	return nil
}

// enter opens a door.
func (a *assault) enter(in Input) (c net.Conn, err error) {
	dialer := &net.Dialer{Timeout: mostTime}
	ctx, cancel := context.WithTimeout(context.Background(), mostTime)
	defer cancel()
	switch at := a.Addresses(); in.Door {
	case ClientDoor, RegistrantDoor, InstanceDoor:
		c, err = dialer.DialContext(ctx, "tcp", at[plain])
	case StrangerDoor:
		if c, err = dialer.DialContext(ctx, "tcp", at[proxied]); err == nil {
			_, err = io.WriteString(c, proxyHeader)
		}
	case ProxyDoor:
		c, err = dialer.DialContext(ctx, "tcp", at[proxied])
	case TLSDoor:
		c, err = dialer.DialContext(ctx, "tcp", at[overTLS])
	case SealedDoor:
		c, err = (&tls.Dialer{NetDialer: dialer, Config: a.secure}).DialContext(ctx, "tcp", at[overTLS])
	case RESTDoor:
		c, err = (&tls.Dialer{NetDialer: dialer, Config: a.secure}).DialContext(ctx, "tcp", a.rest)
	case SocketDoor:
		c, err = dialer.DialContext(ctx, "unix", a.socket)
	case ConsoleDoor:
		c, err = dialer.DialContext(ctx, "tcp", a.ConsoleAddress())
	case DNSDoor:
		c, err = dialer.DialContext(ctx, "udp", a.dns)
	default:
		c, err = dialer.DialContext(ctx, "tcp", a.dns)
	}
	if err != nil {
		return nil, fmt.Errorf("the door is closed: %w", err)
	}
	_ = c.SetDeadline(time.Now().Add(mostTime))
	return c, nil
}

// converse says the steps and waits a moment for an answer to each but the last. It tells whether the other side has ended
// where it had to.
func converse(c net.Conn, in Input) (ended bool, err error) {
	b := make([]byte, 64<<10)
	for i, step := range in.Steps {
		if _, err := c.Write(step); err != nil {
			return true, nil // it has had enough
		}
		if i < len(in.Steps)-1 {
			_ = c.SetReadDeadline(time.Now().Add(moment))
			if _, err := c.Read(b); err != nil && !timedOut(err) {
				return true, nil
			}
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(mostTime))
	switch _, datagrams := c.(*net.UDPConn); {
	case datagrams:
		_ = c.SetReadDeadline(time.Now().Add(moment))
		_, _ = c.Read(b)
		return true, nil
	case in.End == Reset:
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		return true, nil
	case in.End == Close:
		return true, nil
	}
	halfClose(c)
	for {
		if _, err := c.Read(b); timedOut(err) {
			return false, fmt.Errorf("it is still open: %w", err)
		} else if err != nil {
			break
		}
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // leaves no port waiting
	}
	return true, nil
}

func timedOut(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// resident is the memory of this process, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	must(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	must(t, err)
	return pages * os.Getpagesize()
}

// credentials let in whoever has the right ones, whom nobody has here.
func credentials(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	one := console.Credential{Name: "ci", Role: console.Viewer, Token: console.HashToken(console.NewToken())}
	must(t, os.WriteFile(path, []byte(one.String()+"\n"), 0o600))
	return path
}

// Whatever is sent in at any door, by many at a time, ends, leaves nothing behind and changes nothing; who is good is served
// beside it.
func TestMadeUpInputs(t *testing.T) {
	w := start(t, func(c *broker.Config) {
		c.ProbeInterval, c.Verbose = 0, false
		c.InboundTimeout, c.AttemptTimeout = mostTime, mostTime // nothing is to end because a busy machine made it wait
		c.RESTAddress, c.RESTCredentials = "127.0.0.1:0", credentials(t)
	})
	corpus := &Corpus{Seed: *seed, Conversations: w.conversations(t)}
	a := w.assault(corpus.Conversations)
	withdraw := w.register(offer{instance: "liar1", services: []string{"liar"}, at: []string{a.liar}})
	defer withdraw()
	round := func(first, n uint64) {
		began := time.Now()
		next, failed := atomic.Uint64{}, atomic.Int32{}
		var group sync.WaitGroup
		for range atATime {
			group.Go(func() {
				for failed.Load() < 5 {
					i := next.Add(1) - 1
					if i >= n {
						return
					}
					in := corpus.At(first + i)
					if err := a.send(in); err != nil {
						failed.Add(1)
						t.Errorf("%v: %v", in, err)
					}
				}
			})
		}
		finished := make(chan struct{})
		took := w.beside(finished)
		group.Wait()
		close(finished)
		all := <-took
		t.Logf("%d inputs in %v; beside them %d good clients, the slowest half a session took %v", n, time.Since(began).Round(time.Millisecond), len(all), half(all))
	}
	round(*from+1<<40, min(500, *inputs)) // which warms everything up
	w.settleAll(t)
	w.remember()
	before := resident(t)
	parts := max(1, min(10, *inputs/5000))
	for i := range parts {
		round(*from+i*(*inputs/parts), *inputs/parts)
		t.Logf("%d MiB resident", resident(t)>>20)
	}
	w.settleAll(t)
	w.unharmed()
	if grown := resident(t) - before; grown > 96<<20 {
		t.Errorf("%d MiB more are resident", grown>>20)
	}
}

// Messages of real databases, broken at any byte, are read or not, and leave nothing behind; a large suite breaks each byte.
func TestRegistrationsBrokenAtAnyByte(t *testing.T) {
	w := start(t, func(c *broker.Config) {
		c.ProbeInterval, c.Verbose, c.InboundTimeout = 0, false, mostTime
	})
	a := &assault{world: w}
	var all []Input
	for _, steps := range registrations(t) {
		for at, last := 0, steps[len(steps)-1]; at < len(last); at++ {
			for _, value := range []byte{0, 1, 0x7f, 0xff, last[at] ^ 0x20, last[at] + 1} {
				in := Input{Number: uint64(len(all)), Door: RegistrantDoor, Steps: clone(steps), End: Ending(at % int(endings))}
				in.Steps[len(steps)-1][at] = value
				all = append(all, in)
			}
		}
	}
	every := max(1, 2*len(all)/int(*inputs))
	half := func(some []Input) {
		next := atomic.Int64{}
		next.Store(int64(*seed%uint64(every)) - int64(every))
		var group sync.WaitGroup
		for range atATime {
			group.Go(func() {
				for i := next.Add(int64(every)); i < int64(len(some)); i = next.Add(int64(every)) {
					if err := a.send(some[i]); err != nil {
						t.Errorf("%v: %v", some[i], err)
					}
				}
			})
		}
		group.Wait()
		w.settleAll(t)
	}
	half(all[:len(all)/2]) // which fills what keeps a certain number of things
	w.remember()
	half(all[len(all)/2:])
	t.Logf("one of %d of %d messages", every, len(all))
	w.unharmed()
}

func half(all []time.Duration) time.Duration {
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)/2]
}

// beside has a good client come again and again until all is over, and sends how long each took.
func (w *world) beside(over <-chan struct{}) <-chan []time.Duration {
	result := make(chan []time.Duration, 1)
	go func() {
		var all []time.Duration
		for {
			select {
			case <-over:
				result <- all
				return
			default:
			}
			began := time.Now()
			if err := w.session(plain); err != nil {
				w.t.Errorf("a good client beside it: %v", err)
			}
			all = append(all, time.Since(began))
		}
	}()
	return result
}

// settleAll waits until nothing that was made up is registered any more.
func (w *world) settleAll(t *testing.T) {
	t.Helper()
	w.eventually(t, func() error {
		for line := range strings.Lines(w.state()) {
			if !strings.HasPrefix(line, `"sales1"`) && !strings.HasPrefix(line, `"liar1"`) {
				return fmt.Errorf("still registered: %s", line)
			}
		}
		return nil
	})
}
