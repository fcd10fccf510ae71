package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// instance listens, accepts whoever asks and echoes, and is registered with a broker until the test ends, or stop is called.
func instance(t *testing.T, broker, service string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer raw.Close()
				conn := tns.NewConn(raw)
				if connect, err := conn.ReadConnect(); err == nil && conn.Send(tns.AnswerConnect(connect, 318, nil)) == nil {
					_, _ = io.Copy(raw, raw)
				}
			})
		}
	})
	at := l.Addr().(*net.TCPAddr)
	address := descriptor.Address{Protocol: "TCP", Host: at.IP.String(), Port: at.Port}
	agent := &registration.Agent{Brokers: []string{broker}, AsDatabase: true, Retry: 10 * time.Millisecond, Describe: func() servicetable.Registration {
		return servicetable.Registration{
			Instance: service + "1", Host: "host", HostRaw: "(HOST=host)", Max: 1000,
			Services: []servicetable.Service{{Name: service, Flags: servicetable.FlagUnblocked, Delta: 1}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: address.Host, Port: address.Port, Address: address.String(), Info: "REMOTE SERVER", Max: 1000, Flags: 2, Services: []int{0}}},
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() { _ = agent.Run(ctx) })
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			l.Close()
		})
	}
	t.Cleanup(func() { stop(); all.Wait() })
	return stop
}

func dial(t *testing.T, at string) *tns.Conn {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return tns.NewConn(c)
}

// Whoever has no answer yet is served however often the broker is upgraded meanwhile: clients that are held, since their service
// is away or by an operator, in their order; those of whom nothing or half a request has come; and a database in the middle of its
// first message.
func TestWhoWaitsIsServedAfterUpgrades(t *testing.T) {
	r := startReal(t, nil)
	at := r.address()
	r.configure(configText(r.folder, "0", "(HOLD_TIMEOUT=60)"))
	says(t, []string{"--api", r.api, "reload"}, "")
	says(t, []string{"--api", r.api, "hold", "--service", "billing"}, "billing")
	gone := instance(t, at, "sales")
	instance(t, at, "billing")
	present := func(service string) bool {
		out, _, _ := command(t, "--api", r.api, "services", service)
		return strings.Contains(out, service+"1")
	}
	within(t, "the services are there", func() bool { return present("sales") && present("billing") })
	gone()
	within(t, "sales has left", func() bool { return !present("sales") })

	ask := func(service string) []byte {
		text := "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + service + ")(CID=(PROGRAM=" + strings.Repeat("x", 300) + "))))"
		return tns.NewConnect([]byte(text)).AppendTo(nil, false)
	}
	held := func() (refs []string) {
		list, err := r.client().Held(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list.Held {
			refs = append(refs, one.Service+" "+one.Client+" "+one.Ref)
		}
		return refs
	}
	var waiting []*tns.Conn
	for n, service := range []string{"sales", "sales", "sales", "billing"} {
		c := dial(t, at)
		_, _ = c.NetConn().Write(ask(service))
		waiting = append(waiting, c)
		within(t, "it is held", func() bool { return len(held()) == n+1 })
	}
	before := fmt.Sprint(held())
	silent, half := dial(t, at), dial(t, at)
	_, _ = half.NetConn().Write(ask("sales")[:200])
	connect := tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=service_register_NSGR))")).AppendTo(nil, false)
	database := dial(t, at)
	_, _ = database.NetConn().Write(connect[:40])

	for n := 2; n <= 3; n++ {
		says(t, []string{"--api", r.api, "upgrade"}, fmt.Sprintf("Generation %d serves", n), "clients that wait")
		within(t, "all are held as before: "+before, func() bool { return fmt.Sprint(held()) == before })
	}
	if code := r.ends(); code != exitDone {
		t.Errorf("the first process ended with %d", code)
	}
	_, _ = database.NetConn().Write(connect[40:])
	if reply, err := database.ReadReply(); err != nil {
		t.Errorf("the database: %v", err)
	} else if _, ok := reply.(*tns.Accept); !ok {
		t.Errorf("the database: %T", reply)
	}
	instance(t, at, "sales")
	says(t, []string{"--api", r.api, "release", "--service", "billing"}, "hold")
	_, _ = half.NetConn().Write(ask("sales")[200:])
	_, _ = silent.NetConn().Write(ask("sales"))
	for i, c := range append(waiting, half, silent) {
		reply, err := c.ReadReply()
		if accept, ok := reply.(*tns.Accept); !ok {
			t.Errorf("client %d: %T %v, %v", i, reply, reply, err)
		} else {
			c.SetVersion(accept.Version)
		}
	}
	says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
}

// within waits for something to become true.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
