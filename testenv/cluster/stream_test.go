package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// streams are sessions with an instance of our own, in which large amounts go both ways without a pause. Whoever sends
// and whoever receives take the hash of it, so that not a byte can be missing, twice or in another's session.
type streams struct {
	instance net.Listener
	cancel   context.CancelFunc
	running  sync.WaitGroup
	stop     chan struct{}
	reply    chan struct{} // a client that has said its last is answered

	mu    sync.Mutex
	all   []*flow
	wrong []string
}

// flow is one direction of a session.
type flow struct {
	name           string
	sent, received hash.Hash
	bytes          int64 // received
}

// A flow carries so much at a time, and that in a second: much, and still not all that the machine can do.
const (
	maxPayload = 8000
	flowPause  = 5 * time.Millisecond
	flowBurst  = 4
)

// startStreams opens so many sessions through a broker.
func startStreams(t testing.TB, b *stage.Broker, count int) *streams {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	s := &streams{instance: listener, cancel: cancel, stop: make(chan struct{}), reply: make(chan struct{})}
	port := listener.Addr().(*net.TCPAddr).Port
	agent := &registration.Agent{Brokers: []string{b.Address}, Interval: time.Hour, Retry: 100 * time.Millisecond, Describe: func() servicetable.Registration {
		return servicetable.Registration{Instance: "flow1", Host: "127.0.0.1", HostRaw: "(HOST=127.0.0.1)", NodeMax: 100, Max: 100,
			Services: []servicetable.Service{{Name: "flow", Flags: servicetable.FlagUnblocked, Delta: 1}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: "127.0.0.1", Port: port, Max: 100, Flags: registration.FlagDedicated,
				Address: fmt.Sprintf("(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=%d))", port), Info: "REMOTE SERVER", Services: []int{0}}},
		}
	}}
	s.running.Go(func() { _ = agent.Run(ctx) })
	s.running.Go(func() { s.accept() })
	must(t, b.AwaitInstances(within(t, patience), "flow", 1))
	for i := range count {
		up, down := s.flow(fmt.Sprint("up ", i)), s.flow(fmt.Sprint("down ", i))
		v := &visitor{descriptor: flowDescriptor(b, i)}
		must(t, v.connect(t.Context(), b.Address))
		_ = v.conn.NetConn().SetDeadline(time.Time{})
		s.carry(v.conn, up, down)
	}
	return s
}

func (s *streams) flow(name string) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &flow{name: name, sent: sha256.New(), received: sha256.New()}
	s.all = append(s.all, f)
	return f
}

// accept takes sessions as the instance.
func (s *streams) accept() {
	for {
		c, err := s.instance.Accept()
		if err != nil {
			return
		}
		if err := s.take(tns.NewConn(c)); err != nil {
			s.fail("the instance", err)
		}
	}
}

var numberOf = regexp.MustCompile(`PROGRAM=(\d+)`)

func (s *streams) take(conn *tns.Conn) error {
	connect, err := conn.ReadConnect()
	if err != nil {
		return err
	}
	number := numberOf.FindSubmatch(connect.Data)
	if number == nil { // a probe
		_ = conn.Send(tns.PingReply("LISTENER"))
		return conn.NetConn().Close()
	}
	answer := tns.AnswerConnect(connect, tns.VersionHighest, nil)
	if err := conn.Send(answer); err != nil {
		return err
	}
	conn.SetVersion(answer.Version)
	i, _ := strconv.Atoi(string(number[1]))
	switch i {
	case lastWords:
		s.running.Go(func() { s.answerLast(conn) })
		return nil
	case longAnswer:
		s.running.Go(func() { s.answerLong(conn) })
		return nil
	}
	s.mu.Lock()
	up, down := s.all[2*i], s.all[2*i+1]
	s.mu.Unlock()
	s.carry(conn, down, up)
	return nil
}

func flowDescriptor(b *stage.Broker, number int) string {
	return "(DESCRIPTION=" + addressText(b.Address) + fmt.Sprintf("(CONNECT_DATA=(SERVICE_NAME=flow)(CID=(PROGRAM=%d))))", number)
}

func (s *streams) fail(who string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf("%s at %s: %v", who, time.Now().Format("15:04:05.000"), err))
}

// carry sends one flow and receives another.
func (s *streams) carry(conn *tns.Conn, out, in *flow) {
	var both sync.WaitGroup
	both.Go(func() {
		if err := s.send(conn, out); err != nil {
			s.fail(out.name+", sending", err)
		}
		_ = conn.NetConn().(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		if err := in.receive(conn); err != nil {
			s.fail(in.name+", receiving", err)
		}
	})
	s.running.Go(func() {
		both.Wait()
		_ = conn.NetConn().Close()
	})
}

func (s *streams) send(conn *tns.Conn, f *flow) error {
	random := rand.NewChaCha8(sha256.Sum256([]byte(f.name)))
	sizes := rand.New(random)
	ticks := time.NewTicker(flowPause)
	defer ticks.Stop()
	for {
		select {
		case <-s.stop:
			return nil
		case <-ticks.C:
		}
		for range flowBurst {
			payload := make([]byte, 1+sizes.IntN(maxPayload))
			_, _ = random.Read(payload)
			f.sent.Write(payload)
			if err := conn.Send(tns.Data{Payload: payload}); err != nil {
				return err
			}
		}
	}
}

func (f *flow) receive(conn *tns.Conn) error {
	for {
		p, err := conn.ReadPacket()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var data tns.Data
		if err := data.Decode(p); err != nil {
			return err
		}
		f.received.Write(data.Payload)
		f.bytes += int64(len(data.Payload))
	}
}

// end stops all flows and returns how much went through, and what did not.
func (s *streams) end() (bytes int64, wrong []string) {
	close(s.stop)
	s.cancel()
	_ = s.instance.Close()
	s.running.Wait()
	for _, f := range s.all {
		bytes += f.bytes
		if sent, received := f.sent.Sum(nil), f.received.Sum(nil); string(sent) != string(received) {
			s.wrong = append(s.wrong, fmt.Sprintf("%s: %x was sent and %x received, %d bytes", f.name, sent[:4], received[:4], f.bytes))
		}
	}
	return bytes, s.wrong
}
