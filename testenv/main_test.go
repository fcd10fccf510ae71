package testenv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that is not itself measured.
const patience = 20 * time.Second

// running is a database under test.
type running struct {
	*Database
	end   context.CancelFunc
	ended chan struct{} // closed once err is set
	err   error
}

// start runs a database that ends with the test at the latest. Fields left empty
// get values that suit a test.
func start(t *testing.T, d *Database) *running {
	t.Helper()
	if d.Instance == "" {
		d.Instance = "sales1"
	}
	if d.Services == nil {
		d.Services = []string{"sales"}
	}
	d.Control, d.Host, d.Retry = "127.0.0.1:0", "db1", cmp.Or(d.Retry, 10*time.Millisecond)
	if err := d.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	r := &running{Database: d, end: end, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = d.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-r.ended
	})
	return r
}

// await returns what Run returned.
func (r *running) await(t *testing.T) error {
	t.Helper()
	select {
	case <-r.ended:
		return r.err
	case <-time.After(patience):
		t.Fatal("the database does not end")
		return nil
	}
}

// dial connects to the database's listener.
func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask sends a CONNECT and returns the reply and the connection it came on.
func (r *running) ask(t *testing.T, descriptor string) (tns.Message, *tns.Conn, error) {
	t.Helper()
	conn := tns.NewConn(r.dial(t))
	if err := conn.Send(tns.NewConnect([]byte(descriptor))); err != nil {
		t.Fatal(err)
	}
	reply, err := conn.ReadReply()
	return reply, conn, err
}

// code is the code of the refusal that answers a CONNECT, -1 if it is accepted.
func (r *running) code(t *testing.T, descriptor string) tns.Code {
	t.Helper()
	reply, conn, err := r.ask(t, descriptor)
	if err != nil {
		t.Fatalf("%s: %v", descriptor, err)
	}
	defer conn.NetConn().Close()
	switch reply := reply.(type) {
	case *tns.Refuse:
		return reply.Code()
	case *tns.Accept:
		return -1
	default:
		t.Fatalf("%s: answered by %T", descriptor, reply)
		return 0
	}
}

// control sends a request to the control address and returns status and body.
func (r *running) control(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+r.ControlAddr()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, said
}

// tell sends a command that must succeed and returns the state it answers with.
func (r *running) tell(t *testing.T, path, body string) State {
	t.Helper()
	status, said := r.control(t, http.MethodPost, path, body)
	if status != http.StatusOK {
		t.Fatalf("POST %s %s: %d %s", path, body, status, said)
	}
	var s State
	if err := json.Unmarshal(said, &s); err != nil {
		t.Fatalf("POST %s: %v: %s", path, err, said)
	}
	return s
}

// broker takes registrations into a table, as a listener would.
type broker struct {
	servicetable.Table
	listener net.Listener
	events   chan registration.Event
	end      func() // can be called before the test ends
}

// startBroker starts one that ends with the test.
func startBroker(t *testing.T, address string) *broker {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{listener: l, events: make(chan registration.Event, 1000)}
	server := &registration.Server{
		Apply:  func(r servicetable.Registration) { b.Apply(r) },
		Drop:   func(id servicetable.ID) { b.Drop(id) },
		Report: func(e registration.Event) { b.events <- e },
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.serve(ctx, server)
	}()
	b.end = func() {
		cancel()
		l.Close()
		<-ended
	}
	t.Cleanup(b.end)
	return b
}

func (b *broker) serve(ctx context.Context, server *registration.Server) {
	served := make(chan struct{})
	open := 0
	for {
		raw, err := b.listener.Accept()
		if err != nil {
			for range open {
				<-served
			}
			return
		}
		open++
		go func() {
			defer func() { served <- struct{}{} }()
			conn := tns.NewConn(raw)
			if connect, err := conn.ReadConnect(); err == nil {
				_ = server.Serve(ctx, conn, connect)
			}
			raw.Close()
		}()
	}
}

func (b *broker) addr() string { return b.listener.Addr().String() }

// await waits until the table is as wanted, and returns what it says of the
// instance then; nil if it is not registered.
func (b *broker) await(t *testing.T, what string, wanted func(*servicetable.Registration) bool) *servicetable.Registration {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s := b.Snapshot()
		var found *servicetable.Registration
		if all := s.Registrations(); len(all) > 0 {
			found = all[0]
		}
		if wanted(found) {
			return found
		}
		select {
		case <-s.Superseded():
		case <-deadline.C:
			t.Fatalf("%s: not seen; the table has %+v", what, found)
		}
	}
}

// registered and gone are what to wait for mostly.
func registered(r *servicetable.Registration) bool { return r != nil }
func gone(r *servicetable.Registration) bool       { return r == nil }
