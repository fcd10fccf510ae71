package broker

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/tns"
)

// finishing is a database that says all it has to say at once, ends its half, and passes on what it is sent until the client's ends.
func finishing(t *testing.T) (at descriptor.Address, heard chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard = make(chan string, 1)
	ended := make(chan struct{})
	serve := func(raw net.Conn) {
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(40 * time.Second))
		conn := tns.NewConn(raw)
		connect, err := conn.ReadConnect()
		if err != nil || conn.Send(tns.AnswerConnect(connect, 318, nil)) != nil {
			return
		}
		_, _ = io.WriteString(raw, "goodbye")
		_ = raw.(*net.TCPConn).CloseWrite()
		rest, err := io.ReadAll(raw)
		if err != nil {
			rest = append(rest, err.Error()...)
		}
		heard <- string(rest)
	}
	go func() {
		defer close(ended)
		var all sync.WaitGroup
		defer all.Wait()
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(raw) })
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	a := l.Addr().(*net.TCPAddr)
	return descriptor.Address{Protocol: "tcp", Host: a.IP.String(), Port: a.Port}, heard
}

// The session of a client that moved before it had its answer ends as any other: one half, and what the other still has to say
// arrives.
func TestSessionsOfMovedClientsEndByHalves(t *testing.T) {
	request := tns.NewConnect([]byte(sales)).AppendTo(nil, false)
	for name, sent := range map[string]int{"held": len(request), "half read": 20} {
		t.Run(name, func(t *testing.T) {
			at, heard := finishing(t)
			first, next := succeedable(t, func(c *Config) {
				c.HoldTimeout, c.ProbeInterval = 40*time.Second, 0
				c.StaticServices = []StaticService{{Name: "sales", Instance: "s1", Address: at}}
			})
			hold := first.set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "sales"}})
			conn := first.dial()
			client := conn.NetConn().(*net.TCPConn)
			_, _ = client.Write(request[:sent])
			if sent == len(request) {
				first.heldIs(1)
			} else {
				until(t, "it is being read", func() bool { return first.open.count()["reading"] == 1 })
			}
			second, u := first.succeed(next)
			if !slices.Contains(u.Moved, console.Moved{What: "clients that wait", Moved: 1}) {
				t.Errorf("%+v", u)
			}
			first.over()
			if _, err := second.EndIntent(t.Context(), hold.ID); err != nil {
				t.Fatal(err)
			}
			_, _ = client.Write(request[sent:])
			if reply, err := conn.ReadReply(); err != nil || !isAccept(reply) {
				t.Fatalf("%T, %v", reply, err)
			}
			rest, err := io.ReadAll(client)
			if got := string(conn.Buffered()) + string(rest); err != nil || got != "goodbye" {
				t.Errorf("the client has %q, %v", got, err)
			}
			last := strings.Repeat("last words ", 1000)
			if _, err := io.WriteString(client, last); err != nil {
				t.Error(err)
			}
			_ = client.CloseWrite()
			if got := <-heard; got != last {
				t.Errorf("the database has heard %d bytes of %d: %.80q", len(got), len(last), got)
			}
		})
	}
}

// A generation is ending, and is not about to be cut, once nothing is left in it.
func TestWhatIsLeftInAGeneration(t *testing.T) {
	until := time.Now().Add(time.Minute)
	for _, c := range []struct {
		left  leftPassed
		state string
		cut   bool
	}{
		{leftPassed{Until: until}, console.GenerationEnding, false},
		{leftPassed{Clients: 1, Until: until}, console.GenerationDraining, true},
		{leftPassed{Registrations: 1, Until: until}, console.GenerationDraining, true},
		{leftPassed{Registrations: 1}, console.GenerationDraining, false},
	} {
		if g := c.left.generation(); g.State != c.state || (g.Until != nil) != c.cut {
			t.Errorf("%+v is shown as %+v", c.left, g)
		}
	}
}
