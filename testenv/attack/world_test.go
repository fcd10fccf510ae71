package attack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/broker"
	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/authority"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that has no bound of its own.
const patience = 20 * time.Second

// Bounds of all that is done to a broker.
const (
	silenceLimit = 20 * time.Second // INBOUND_CONNECT_TIMEOUT of the broker, which nobody is to reach by being slow
	silenceShort = 3 * time.Second  // the same where somebody is silent
	answerLimit  = 15 * time.Second // until a hostile connection is over, on a machine that has other things to do
	heapLimit    = 24 << 20         // bytes that a class of attacks may leave behind, most of it what the journal keeps
	sales        = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"
	stranger     = "192.0.2.77" // who comes by the proxy's address
	proxyHeader  = "PROXY TCP4 " + stranger + " 192.0.2.1 40001 1521\r\n"
)

// Numbers of the listening addresses.
const (
	plain    = iota // for clients and databases of this host
	proxied         // behind a proxy: those who come there are from elsewhere
	overTLS         // TLS
	mutual          // TLS with certificates of clients
	tlsKinds        // how many there are
)

// world is a broker in this process with one registered instance, which answers.
type world struct {
	*broker.Broker
	t   *testing.T
	log *output
	ca  *authority.Authority

	database   string // where the instance is
	table      string // what was registered at the beginning
	goroutines int
	files      int
	heap       uint64
}

// output keeps what was logged, of much the beginning.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// mostLogged is how much is kept, at least: it counts as memory.
const mostLogged = 4 << 20

// Write appends.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < mostLogged {
		o.text.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a broker with all its doors to the end of the test.
func start(t *testing.T, change func(*broker.Config)) *world {
	t.Helper()
	w := &world{t: t, log: &output{}, ca: authority.New(t)}
	c := broker.DefaultConfig()
	loopback := descriptor.Address{Protocol: "tcp", Host: "127.0.0.1"}
	secure := descriptor.Address{Protocol: "tcps", Host: "127.0.0.1"}
	c.Addresses = []descriptor.Address{loopback, loopback, secure, secure}
	c.Listening = make([]broker.ListenSettings, tlsKinds)
	c.Listening[proxied].ProxyProtocol = &broker.ProxyProtocol{In: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	c.TLS.Certificate = w.ca.File("host.pem", w.ca.Host())
	c.Listening[mutual].TLS = &broker.TLSSettings{ClientCA: w.ca.CA()}
	c.UpstreamTLS.CA = w.ca.CA()
	c.ConsoleAddress, c.StateDirectory, c.LogDirectory = "127.0.0.1:0", filepath.Join(t.TempDir(), "s"), t.TempDir()
	c.DNS.Address, c.DNS.Zone = "127.0.0.1:0", "db.example"
	c.InboundTimeout, c.ShutdownGrace, c.HoldTimeout, c.Verbose = silenceLimit, 0, 0, true
	if change != nil {
		change(c)
	}
	b, err := broker.New(c, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	w.Broker = b
	first, stop := context.WithCancel(context.Background())
	second, abort := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(first, second) }()
	t.Cleanup(func() {
		stop()
		abort()
		must(t, <-ended)
	})
	w.database = w.instance(acceptAll)
	w.register(offer{instance: "sales1", services: []string{"sales"}, at: []string{w.database}})
	for range 2 * runtime.NumCPU() { // each of what carries sessions begins with its first
		w.good()
	}
	w.remember()
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check is satisfied.
func (w *world) eventually(t *testing.T, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := stage.Eventually(ctx, check); err != nil {
		t.Error(err)
	}
}

// offer is what a database registers.
type offer struct {
	instance string
	services []string
	at       []string // host:port of its handlers
}

func (o offer) registration() servicetable.Registration {
	r := servicetable.Registration{Instance: o.instance, Host: "dbhost", HostRaw: "(HOST=dbhost)", NodeLoad: 10, NodeMax: 100, Load: 1, Max: 247}
	var all []int
	for i, name := range o.services {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked, Goodness: 1, Delta: 1})
		all = append(all, i)
	}
	for i, at := range o.at {
		to, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			panic(err)
		}
		address := descriptor.Address{Protocol: "TCP", Host: to.IP.String(), Port: to.Port}
		r.Handlers = append(r.Handlers, servicetable.Handler{
			Name: fmt.Sprintf("H%d", i), Protocol: "TCP", Host: address.Host, Port: to.Port, Address: address.String(),
			Info: "REMOTE SERVER", Load: 5, Max: 149, Flags: 2, Services: all,
		})
	}
	return r
}

// register keeps an instance registered until what it returns is called, or the test ends.
func (w *world) register(o offer) (withdraw func()) {
	w.t.Helper()
	return w.registerAs(o.registration())
}

// registerAs is register of a registration that is there.
func (w *world) registerAs(r servicetable.Registration) (withdraw func()) {
	w.t.Helper()
	agent := &registration.Agent{Brokers: w.Addresses()[:1], Describe: func() servicetable.Registration { return r }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = agent.Run(ctx) }()
	withdraw = func() { cancel(); <-ended }
	w.t.Cleanup(withdraw)
	w.eventually(w.t, func() error {
		_, err := w.Snapshot().Service(r.Services[0].Name)
		return err
	})
	return withdraw
}

// instance listens, and answers each connection by a function that owns it.
func (w *world) instance(answer func(net.Conn)) (address string) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			served.Go(func() {
				defer func() {
					c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}()
				_ = c.SetDeadline(time.Now().Add(patience))
				answer(c)
			})
		}
	})
	w.t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		served.Wait()
	})
	return l.Addr().String()
}

// acceptAll accepts whatever is asked, and echoes.
func acceptAll(c net.Conn) {
	conn := tns.NewConn(c)
	connect, err := conn.ReadConnect()
	if err != nil || conn.Send(tns.AnswerConnect(connect, 318, nil)) != nil {
		return
	}
	_, _ = io.Copy(c, c)
}

func (w *world) dial(at int) net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.Addresses()[at])
	must(w.t, err)
	_ = c.SetDeadline(time.Now().Add(patience))
	if at == proxied {
		_, err = io.WriteString(c, proxyHeader)
		must(w.t, err)
	}
	return c
}

// good is a client that gets its session and finds its bytes come back.
func (w *world) good() {
	w.t.Helper()
	if err := w.session(plain); err != nil {
		w.t.Errorf("a good client: %v", err)
	}
}

func (w *world) session(at int) error {
	c, err := net.Dial("tcp", w.Addresses()[at])
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	conn := tns.NewConn(c)
	if err := conn.Send(tns.NewConnect([]byte(sales))); err != nil {
		return err
	}
	reply, err := conn.ReadReply()
	if err != nil {
		return err
	}
	if _, ok := reply.(*tns.Accept); !ok {
		return fmt.Errorf("answered with %#v", reply)
	}
	said, back := []byte("select 1 from dual"), make([]byte, 18)
	if _, err := c.Write(said); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(said, back) {
		return fmt.Errorf("%q came back, %v", back, err)
	}
	return nil
}

// state is what the table says, without figures that move.
func (w *world) state() string {
	var all []string
	for _, r := range w.Snapshot().Registrations() {
		for _, s := range r.Services {
			line := fmt.Sprintf("%q@%q %q status %v marks %d:", r.Instance, r.Host, s.Name, r.Status(&s), len(r.Marks)+len(s.Marks))
			for _, h := range r.Handlers {
				line += " " + h.Address
			}
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// remember notes how things are before an attack.
func (w *world) remember() {
	w.t.Helper()
	w.table = w.state()
	w.settle()
	steady := 0
	w.eventually(w.t, func() error { // until all that starts has started
		goroutines, files := busy(), openFiles(w.t)
		if steady++; goroutines != w.goroutines || files != w.files {
			w.goroutines, w.files, steady = goroutines, files, 0
		}
		if steady < 50 {
			return errors.New("things go on changing")
		}
		return nil
	})
	w.heap = heapNow()
}

// settle waits until nothing is served but registrations.
func (w *world) settle() {
	w.t.Helper()
	w.eventually(w.t, func() error {
		m := w.metrics()
		for _, phase := range []string{"reading", "client"} {
			if n := m[`connections_open{phase="`+phase+`"}`]; n != 0 {
				return fmt.Errorf("%v connections are still %s", n, phase)
			}
		}
		return nil
	})
}

// unharmed fails the test unless all is as remember found it, and good clients are served.
func (w *world) unharmed() {
	w.t.Helper()
	w.good()
	w.settle()
	w.eventually(w.t, func() error {
		if now := w.state(); now != w.table {
			return fmt.Errorf("the table was\n%s\nand is\n%s", w.table, now)
		}
		if now := busy(); now > w.goroutines+2 {
			return fmt.Errorf("%d goroutines were there, and %d are:\n%s", w.goroutines, now, stacks())
		}
		if now := openFiles(w.t); now > w.files {
			return fmt.Errorf("%d descriptors were open, and %d are", w.files, now)
		}
		return nil
	})
	if now := heapNow(); now > w.heap+heapLimit {
		w.t.Errorf("the heap had %d bytes, and has %d", w.heap, now)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(all)
}

// idleCrew finds the goroutines that the broker keeps for connects to come.
var idleCrew = regexp.MustCompile(`(?m)^(\d+) @ .*\n#\t\S+\tservicebroker/broker\.\(\*crew\)\.work\+`)

// busy counts the goroutines, but those.
func busy() int {
	n := runtime.NumGoroutine()
	for _, found := range idleCrew.FindAllStringSubmatch(stacks(), -1) {
		idle, _ := strconv.Atoi(found[1])
		n -= idle
	}
	return n
}

func stacks() string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	return all.String()
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC() // pools let go of what they have in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// metrics are those that /metrics shows: values by name and labels, without our prefix.
type metrics map[string]float64

func (w *world) get(path string) (status int, body []byte) {
	w.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + w.ConsoleAddress() + path)
	must(w.t, err)
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	must(w.t, err)
	return answer.StatusCode, body
}

// sample is a line of /metrics.
var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})?) ([-+0-9.eInfNa]+)$`)

func (w *world) metrics() metrics {
	w.t.Helper()
	_, body := w.get("/metrics")
	all := metrics{}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := sample.FindStringSubmatch(line)
		if parts == nil {
			w.t.Fatalf("/metrics has the line %q", line)
		}
		value, err := strconv.ParseFloat(parts[2], 64)
		must(w.t, err)
		all[strings.TrimPrefix(parts[1], "servicebroker_")] = value
	}
	return all
}

// rejected is the count of one class.
func (m metrics) rejected(class string) float64 { return m[`rejected_input_total{class="`+class+`"}`] }
