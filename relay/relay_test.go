package relay

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

func echo(t *testing.T, conn *tns.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn.NetConn(), text); err != nil {
		t.Fatal(err)
	}
	echoed(t, conn, text)
}

func echoed(t *testing.T, conn *tns.Conn, text string) {
	t.Helper()
	got := append([]byte(nil), conn.Buffered()...)
	rest := make([]byte, len(text)-len(got))
	if _, err := io.ReadFull(conn.NetConn(), rest); err != nil || string(append(got, rest...)) != text {
		t.Fatalf("echo of %q: %q, %v", text, append(got, rest...), err)
	}
}

func TestRelaysASessionAndShowsIt(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) {
		n := asksOf(t, connect)
		if got := n.Text("CONNECT_DATA", "INSTANCE_NAME"); got != "s1" {
			t.Errorf("instance was asked for instance %q", got)
		}
		if got := n.Text("ADDRESS", "HOST"); got != "s1" {
			t.Errorf("instance was sent the address of %q", got)
		}
		if n.Text("CONNECT_DATA", "CID", "PROGRAM") != "app" {
			t.Error("CID got lost on the way")
		}
		accepts(conn, connect)
	}, "sales")
	client := w.client(sales)
	accept, ok := w.reply(client).(*tns.Accept)
	if !ok || accept.Version != 318 {
		t.Fatalf("answer %#v, want the instance's ACCEPT", accept)
	}
	echo(t, client, "select 1 from dual")

	sessions := w.Sessions()
	if len(sessions) != 1 {
		t.Fatalf("%d sessions, want 1", len(sessions))
	}
	s := sessions[0]
	if s.Service != "sales" || s.Instance != "s1@s1.host" || s.Program != "app" || s.User != "u" || s.ToServer != 18 || s.ToClient != 18 || s.ID == 0 {
		t.Errorf("session %+v", s)
	}
	if tally := w.Tally("s1@s1.host/DEDICATED"); tally.Established != 1 || tally.Refused != 0 {
		t.Errorf("tally %+v", tally)
	}
	client.NetConn().Close()
	w.running.Wait()
	if left := w.Sessions(); len(left) != 0 {
		t.Errorf("sessions left: %+v", left)
	}
	if w.released != 1 {
		t.Errorf("reservation released %d times, want once", w.released)
	}
}

func TestMovesOnToAnInstanceThatAccepts(t *testing.T) {
	for name, first := range map[string]func(*tns.Conn, *tns.Connect){
		"refused connection": nil,
		"blocked":            refuses(tns.CodeBlocked),
		"unknown service":    refuses(tns.CodeUnknownService),
		"closes at once":     func(*tns.Conn, *tns.Connect) {},
		"garbage": func(c *tns.Conn, _ *tns.Connect) {
			_, _ = c.NetConn().Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.instance("s1", first, "sales")
			w.instance("s2", accepts, "sales")
			client := w.client(sales)
			if _, ok := w.reply(client).(*tns.Accept); !ok {
				t.Fatal("the second instance's ACCEPT did not arrive")
			}
			client.NetConn().Close()
			w.running.Wait()
			if len(w.settled) != 1 || w.settled[0] != "s2" {
				t.Errorf("settled on %v", w.settled)
			}
		})
	}
}

func TestARefusalNoOtherCanAvoidIsFinal(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", refuses(tns.CodeNoServiceName), "sales")
	w.instance("s2", accepts, "sales")
	w.wantCode(sales, tns.CodeNoServiceName)
	if len(w.asked) != 1 {
		t.Errorf("asked %v", w.asked)
	}
	if tally := w.Tally("s1@s1.host/DEDICATED"); tally.Refused != 1 {
		t.Errorf("tally %+v", tally)
	}
}

func TestWhatIsReportedWhenAllFail(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(*tns.Conn, *tns.Connect)
		then  func(*tns.Conn, *tns.Connect)
		want  tns.Code
	}{
		{"nobody listens", nil, nil, tns.CodeNoListener},
		{"an instance's own word counts more than silence", refuses(tns.CodeBlocked), nil, tns.CodeBlocked},
		{"the last refusal of several", refuses(tns.CodeBlocked), refuses(tns.CodeNoHandler), tns.CodeNoHandler},
		{"closed without a word", func(*tns.Conn, *tns.Connect) {}, nil, tns.CodeNoListener},
		{"closed without a word, twice", func(*tns.Conn, *tns.Connect) {}, func(*tns.Conn, *tns.Connect) {}, tns.CodeLostContact},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.instance("s1", c.first, "sales")
			w.instance("s2", c.then, "sales")
			w.wantCode(sales, c.want)
			if w.released != 1 {
				t.Errorf("reservation released %d times", w.released)
			}
		})
	}
}

func TestFollowsResendAndRedirect(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) {
		if connect.HeaderFlags&tns.FlagRedirected != 0 {
			t.Error("first CONNECT is marked as redirected")
		}
		_ = conn.Send(&tns.Resend{})
		again, err := conn.ReadConnect()
		if err != nil || string(again.Data) != string(connect.Data) {
			t.Errorf("after RESEND: %v, %v", again, err)
			return
		}
		_ = conn.Send(&tns.Redirect{Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=dispatcher)(PORT=40000))", ConnectData: "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=inner)))"})
	}, "sales")
	w.listeners["dispatcher:40000"] = func(conn *tns.Conn, connect *tns.Connect) {
		if connect.HeaderFlags&tns.FlagRedirected == 0 {
			t.Error("CONNECT after a REDIRECT is not marked")
		}
		if string(connect.Data) != "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=inner)))" {
			t.Errorf("redirect's connect data arrived as %q", connect.Data)
		}
		accepts(conn, connect)
	}
	client := w.client(sales)
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Fatal("no ACCEPT")
	}
	client.NetConn().Close()
}

func TestEndlessAnswersEnd(t *testing.T) {
	for name, serve := range map[string]func(*tns.Conn, *tns.Connect){
		"redirects": func(conn *tns.Conn, _ *tns.Connect) {
			_ = conn.Send(&tns.Redirect{Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=s1)(PORT=1521))", ConnectData: sales})
		},
		"resends": func(conn *tns.Conn, _ *tns.Connect) {
			for conn.Send(&tns.Resend{}) == nil {
				if _, err := conn.ReadConnect(); err != nil {
					return
				}
			}
		},
		"redirect to nowhere": func(conn *tns.Conn, _ *tns.Connect) {
			_ = conn.Send(&tns.Redirect{Address: "(ADDRESS=", ConnectData: sales})
		},
		"redirect to ourselves": func(conn *tns.Conn, _ *tns.Connect) {
			_ = conn.Send(&tns.Redirect{Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=broker)(PORT=1521))", ConnectData: sales})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Own = func(host string, _ int) bool { return host == "broker" }
			w.instance("s1", serve, "sales")
			if _, ok := w.reply(w.client(sales)).(*tns.Refuse); !ok {
				t.Error("no refusal")
			}
			if len(w.asked) > maxUpstreamRedirects+1 {
				t.Errorf("dialled %d times", len(w.asked))
			}
		})
	}
}

func TestTheOutOfBandCheckIsNotRelayed(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) {
		if connect.Options&0x0600 != 0 || connect.Flags2&tns.Flags2OOBCheck != 0 {
			t.Errorf("forwarded options %04x, flags 2 %x: a relay cannot carry urgent bytes", connect.Options, connect.Flags2)
		}
		accepts(conn, connect)
	}, "sales")
	connect := tns.NewConnect([]byte(sales))
	connect.Options, connect.Flags2 = 0x0401, 1
	client := w.clientWith(connect)
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Fatal("no ACCEPT")
	}
	client.NetConn().Close()
}

// Bytes that come in the same segment as CONNECT or ACCEPT belong to the session.
func TestEarlyBytesAreNotLost(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) {
		accept := tns.AnswerConnect(connect, 318, nil)
		_, _ = conn.NetConn().Write(append(accept.AppendTo(nil, false), "early"...))
		_, _ = io.Copy(io.Discard, conn.NetConn())
	}, "sales")
	client := w.client(sales)
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Fatal("no ACCEPT")
	}
	got := append([]byte(nil), client.Buffered()...)
	rest := make([]byte, 5-len(got))
	if _, err := io.ReadFull(client.NetConn(), rest); err != nil || string(append(got, rest...)) != "early" {
		t.Errorf("got %q, %v", append(got, rest...), err)
	}
	client.NetConn().Close()
}

func TestAnInstanceThatSaysNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		silent := make(chan struct{})
		w.instance("s1", func(*tns.Conn, *tns.Connect) { <-silent }, "sales")
		w.Dial = func(ctx context.Context, route []servicetable.Candidate, attempt Attempt) (*ServerConnection, servicetable.Candidate, error) {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			server, err := attempt(ctx, route[0], free)
			return server, route[0], err
		}
		began := time.Now()
		w.wantCode(sales, tns.CodeTimeout)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		close(silent)
		w.running.Wait()
	})
}

func TestStoppingEndsSessions(t *testing.T) {
	for name, w := range map[string]*world{"by goroutines": newWorld(t), "by loops": newTCPWorld(t)} {
		t.Run(name, func(t *testing.T) {
			w.instance("s1", accepts, "sales")
			var ends endings
			w.Ended = ends.add
			stopping := errors.New("stopping")
			for _, begun := range []bool{true, false} { // before it stops, and after
				client := w.dial()
				if err := client.Send(tns.NewConnect([]byte(sales))); err != nil {
					t.Fatal(err)
				}
				w.reply(client)
				if begun {
					echo(t, client, "x")
					w.Stop(stopping)
				}
				if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
					t.Error("the client's connection is still open")
				}
			}
			w.running.Wait()
			for i := range 2 {
				if len(ends.why) != 2 || ends.why[i] != stopping {
					t.Errorf("ended by %v", ends.why)
				}
			}
			if w.released != 2 || len(w.Sessions()) != 0 {
				t.Errorf("%d released, %d sessions", w.released, len(w.Sessions()))
			}
		})
	}
}

// Serving does not last as long as the session does.
func TestASessionNeedsNobodyWhoServesIt(t *testing.T) {
	w := newTCPWorld(t)
	near, far := tcpPair(t)
	client := tns.NewConn(near)
	if err := client.Send(tns.NewConnect([]byte(sales))); err != nil {
		t.Fatal(err)
	}
	conn := tns.NewConn(far)
	connect, err := conn.ReadConnect()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.serve(ctx, conn, connect, Arrival{})
	cancel()
	w.reply(client)
	echo(t, client, "hello")
	near.Close()
	w.running.Wait()
}

func TestRefusalsOfTheQuestion(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", accepts, "sales")
	add := func(name, service string, flags uint32) {
		w.table.Apply(servicetable.Registration{
			ID: servicetable.ID(name), Instance: name, Host: name, Services: []servicetable.Service{{Name: service, Flags: flags}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: name, Port: 1, Services: []int{0}}},
		})
	}
	add("b1", "blocked", 0)
	add("r1", "restricted", servicetable.FlagUnblocked|servicetable.FlagRestricted)
	add("m1", "mixed", 0)
	add("m2", "mixed", servicetable.FlagUnblocked|servicetable.FlagRestricted)
	connectData := func(text string) string { return "(DESCRIPTION=(CONNECT_DATA=" + text + "))" }
	for text, code := range map[string]tns.Code{
		connectData("(SERVICE_NAME=nosuch)"):                      tns.CodeUnknownService,
		connectData("(SID=nosuch)"):                               tns.CodeUnknownSID,
		connectData("(SERVICE_NAME=sales)(INSTANCE_NAME=nosuch)"): tns.CodeUnknownInstance,
		connectData("(SERVICE_NAME=sales)(SERVER=shared)"):        tns.CodeNoHandlerOfKind,
		connectData("(SERVICE_NAME=blocked)"):                     tns.CodeBlocked,
		connectData("(SERVICE_NAME=restricted)"):                  tns.CodeRestricted,
		connectData("(SERVICE_NAME=mixed)"):                       tns.CodeRestrictedOrBlocked,
		connectData("(CID=(PROGRAM=x))"):                          tns.CodeNoServiceName,
		connectData("(SERVICE_NAME=)"):                            tns.CodeNoServiceName,
		"(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))":                tns.CodeNoConnectData,
		"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1)))":  tns.CodeNoConnectData,
		"(DESCRIPTION=(CONNECT_DATA=":                             tns.CodeBadDescriptor,
		"sales":                                                   tns.CodeBadDescriptor,
		strings.Repeat("(A=", 10_000):                             tns.CodeBadDescriptor,
		nestedData(63):                                            tns.CodeBadDescriptor,
	} {
		w.wantCode(text, code)
	}
	if _, ok := w.reply(w.client(connectData("(SERVICE_NAME=blocked)(UR=A)"))).(*tns.Refuse); !ok {
		t.Error("b1 does not listen: expected a refusal")
	}
	if last := w.asked[len(w.asked)-1]; last != "b1:1" {
		t.Errorf("UR=A did not get through to the blocked instance: asked %v", w.asked)
	}
}

func TestHopsAreCountedAndLimited(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) {
		if hopsOf(connect) != 3 {
			t.Errorf("%d hops arrived, want 3", hopsOf(connect))
		}
		accepts(conn, connect)
	}, "sales")
	come := func(hops int) *tns.Connect {
		d := &dialogue{connect: tns.NewConnect([]byte(sales))}
		for range hops {
			d.connect = d.forward(d.connect.Data, false)
		}
		return d.connect
	}
	client := w.clientWith(come(2))
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Error("two brokers in a row are no circle")
	}
	client.NetConn().Close()
	if refuse, ok := w.reply(w.clientWith(come(maxHops))).(*tns.Refuse); !ok || refuse.Code() != tns.CodeRedirectDenied {
		t.Errorf("answered %v", refuse)
	}
	own := &dialogue{connect: tns.NewConnect(nil)}
	own.connect.TraceID[7] = 9
	if got := own.forward(nil, false).TraceID; got != own.connect.TraceID {
		t.Errorf("a client's own trace id became %x", got)
	}
}
