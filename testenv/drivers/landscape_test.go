package drivers

import (
	"context"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// landscape is what clients find: a broker that relays and one that redirects, and
// the same databases registered with both.
type landscape struct {
	brokers          map[string]*broker // by mode
	sales1, sales2   *database
	closed, patching *database // whose service is blocked, restricted
}

// The modes of a broker.
const (
	relaying    = "relay"
	redirecting = "redirect"
)

// startLandscape starts two instances of sales, the first of which alone has ledger, and one each of a service that is
// blocked and one that is restricted.
func startLandscape(t *testing.T) *landscape {
	t.Helper()
	l := &landscape{brokers: map[string]*broker{}}
	var addresses []string
	for _, mode := range []string{relaying, redirecting} {
		l.brokers[mode] = startBroker(t, brokerOptions{parameters: []string{"ROUTE=" + mode, "HOLD_TIMEOUT=0"}}) // refusals are looked at here, waiting elsewhere
		addresses = append(addresses, l.brokers[mode].address)
	}
	sales := []string{"sales", "orders.example.com", "MixedCase"}
	l.sales1 = startDatabase(t, databaseOptions{instance: "sales1", services: append(sales, "ledger"), brokers: addresses})
	l.sales2 = startDatabase(t, databaseOptions{instance: "sales2", services: sales, brokers: addresses})
	l.closed = startDatabase(t, databaseOptions{instance: "closed1", services: []string{"closed"}, brokers: addresses})
	l.patching = startDatabase(t, databaseOptions{instance: "patching1", services: []string{"patching"}, brokers: addresses})
	l.closed.tell(t, "/status", statusSetting{Status: "blocked"})
	l.patching.tell(t, "/status", statusSetting{Status: "restricted"})
	for _, b := range l.brokers {
		b.awaitService(t, "sales", "READY", 2)
		b.awaitService(t, "ledger", "READY", 1)
		b.awaitService(t, "closed", "BLOCKED", 1)
		b.awaitService(t, "patching", "RESTRICTED", 1)
	}
	return l
}

// eachMode runs a subtest against each broker of a landscape.
func (l *landscape) eachMode(t *testing.T, test func(*testing.T, *broker)) {
	t.Helper()
	for _, mode := range []string{relaying, redirecting} {
		t.Run(mode, func(t *testing.T) { test(t, l.brokers[mode]) })
	}
}

// whereAmI tells the instance one is connected to.
const whereAmI = WhereAmI

// open is the step that connects with the account of the test databases.
func open(on, target string) Step {
	return Step{Do: Connect, On: on, User: appUser, Password: appPassword, Target: target}
}

// visit connects, asks where it is, and leaves.
func visit(target string) []Step {
	return []Step{open("c", target), {Do: Query, On: "c", SQL: whereAmI}, {Do: Close, On: "c"}}
}

// visited judges the results of a visit and returns the instance.
func visited(results []Result) (string, error) {
	for _, r := range results {
		if r.Error != "" {
			return "", fmt.Errorf("%s", r.Error)
		}
	}
	if len(results) != 3 || len(results[1].Rows) != 1 || len(results[1].Rows[0]) != 1 || results[1].Rows[0][0] == nil {
		return "", fmt.Errorf("the instance's name did not come: %+v", results)
	}
	return *results[1].Rows[0][0], nil
}

// jobTime is how long one job of a driver may take.
const jobTime = 2 * time.Minute

// work does a job and fails the test if the driver cannot.
func work(t *testing.T, d Driver, steps []Step, each func(int, Result)) []Result {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), jobTime, fmt.Errorf("not done within %v", jobTime))
	defer cancel()
	results, err := d.Run(ctx, steps, each)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// sameValue compares a value that came back with the one sent. Numbers are equal
// however they are written.
func sameValue(want Value, got *string) bool {
	if want.Text == nil || got == nil {
		return want.Text == nil && got == nil
	}
	switch want.Kind {
	case KindNumber:
		a, ok := new(big.Rat).SetString(*want.Text)
		b, ok2 := new(big.Rat).SetString(*got)
		return ok && ok2 && a.Cmp(b) == 0
	case KindDate, KindTimestamp:
		return withMilliseconds(*want.Text) == *got
	}
	return *want.Text == *got
}

func withMilliseconds(text string) string {
	if !strings.Contains(text, ".") {
		return text + ".000"
	}
	return text
}

// recorder stands between a client and a broker and notes how much connect data
// each CONNECT announces.
type recorder struct {
	address string
	mu      sync.Mutex
	lengths []int
	clients []net.Conn
}

func startRecorder(t *testing.T, b *broker) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{address: l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.carry(client, b.address) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return r
}

func (r *recorder) carry(client net.Conn, address string) {
	defer client.Close()
	r.mu.Lock()
	r.clients = append(r.clients, client)
	r.mu.Unlock()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		copyHalf(client, server)
	}()
	copyHalf(server, &noting{Conn: client, r: r})
	<-back
}

// copyHalf copies until the source ends and passes the end on.
func copyHalf(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	if half, ok := from.(*net.TCPConn); ok {
		_ = half.CloseRead()
	}
}

// noting reads the announced length out of the first bytes of a connection.
type noting struct {
	net.Conn
	r     *recorder
	begin []byte
}

// announcedAt is where a CONNECT has the length of its connect data, tns.md 1.2.
const announcedAt = 24

func (n *noting) Read(p []byte) (int, error) {
	count, err := n.Conn.Read(p)
	if len(n.begin) < announcedAt+2 {
		n.begin = append(n.begin, p[:count]...)
		if len(n.begin) >= announcedAt+2 {
			n.r.mu.Lock()
			n.r.lengths = append(n.r.lengths, int(n.begin[announcedAt])<<8|int(n.begin[announcedAt+1]))
			n.r.mu.Unlock()
		}
	}
	return count, err
}

// cut breaks all connections, as the crash of a client does.
func (r *recorder) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// longest is the most connect data any CONNECT announced.
func (r *recorder) longest() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	longest := 0
	for _, n := range r.lengths {
		longest = max(longest, n)
	}
	return longest
}
