package registration

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"servicebroker/tns"
)

// listener is a real listener behind the broker, acting a script.
type listener struct {
	t    *testing.T
	conn *tns.Conn
	kept *recorder // every byte it was sent
	dial chan net.Conn
}

// upstreamOf gives b an upstream listener. The script runs once the broker has
// dialled it.
func upstreamOf(t *testing.T, b *broker, script func(l *listener)) *listener {
	l := &listener{t: t, dial: make(chan net.Conn, 1)}
	b.Upstream = "listener:1521"
	b.DialUpstream = func(_ context.Context, address string) (net.Conn, error) {
		if address != "listener:1521" {
			t.Errorf("dialled %s", address)
		}
		ours, theirs := net.Pipe()
		l.kept = &recorder{Conn: theirs}
		l.conn = tns.NewConn(l.kept)
		b.wait.Go(func() { script(l) })
		t.Cleanup(func() { theirs.Close() })
		return ours, nil
	}
	return l
}

func (l *listener) connect() *tns.Connect {
	c, err := l.conn.ReadConnect()
	if err != nil {
		l.t.Errorf("upstream got no CONNECT: %v", err)
	}
	return c
}

func (l *listener) send(m ...tns.Message) {
	if err := l.conn.Send(m...); err != nil {
		l.t.Errorf("upstream: %v", err)
	}
}

// accept answers the CONNECT as a listener of some version does.
func (l *listener) accept(version uint16) {
	l.send(tns.AnswerConnect(l.connect(), version, nil))
	l.conn.SetVersion(version)
}

func (l *listener) payload() []byte {
	p, err := l.conn.ReadPacket()
	var data tns.Data
	if err == nil {
		err = data.Decode(p)
	}
	if err != nil {
		l.t.Errorf("upstream: %v", err)
	}
	return bytes.Clone(data.Payload)
}

func (l *listener) rest() { drain(l.kept) }

func TestTapPassesEverythingThrough(t *testing.T) {
	for _, version := range []uint16{313, 314, 315, 318, 319} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			answer := []byte("the listener's own answer")
			l := upstreamOf(t, b, func(l *listener) {
				l.accept(version)
				l.payload()
				l.send(tns.Data{Payload: answer})
				l.rest()
			})
			r := b.connectsWith(t, "127.0.0.1:1", &tns.Connect{Version: 319, Lowest: 300, SDU: 2048, TDU: 2048, Flags0: 0x0c, Data: []byte(plainConnect)})
			accept, ok := r.reply().(*tns.Accept)
			if !ok || accept.Version != version {
				t.Fatalf("%+v", accept)
			}
			r.says(recording(t, "sid_4"))
			p, err := r.conn.ReadPacket()
			if err != nil || !bytes.HasSuffix(p.Body, answer) {
				t.Errorf("version %d: answer %q, %v", version, p.Body, err)
			}
			r.says([]byte("something only the listener understands"))
			r.send(tns.Marker{Kind: 1, Value: 2})
			synctest.Wait()
			if got := b.registered(); len(got) != 1 || got[0].Instance != "orcl" {
				t.Errorf("%v\n%s", got, b.logged)
			}
			r.leaves()
			b.wait.Wait()
			large := version >= 315
			want := (&tns.Connect{Version: 319, Lowest: 300, SDU: 2048, TDU: 2048, Flags0: 0x0c, Data: []byte(plainConnect)}).AppendTo(nil, false)
			want = tns.AppendData(want, 0, recording(t, "sid_4"), 0, large)
			want = tns.AppendData(want, 0, []byte("something only the listener understands"), 0, large)
			want = tns.Marker{Kind: 1, Value: 2}.AppendTo(want, large)
			if !bytes.Equal(l.kept.read, want) {
				t.Errorf("version %d: upstream got\n%x\nwant\n%x", version, l.kept.read, want)
			}
			if len(b.registered()) != 0 {
				t.Error("still registered")
			}
		})
	}
}

func TestTapReadsSingleBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		l := upstreamOf(t, b, func(l *listener) { l.accept(313); l.rest() })
		r := b.connects(t, "127.0.0.1:1").accepted()
		packets := tns.AppendData(nil, 0, recording(t, "sid_4"), 512, false)
		for _, one := range packets {
			r.write(one)
		}
		synctest.Wait()
		if len(b.registered()) != 1 || !bytes.HasSuffix(l.kept.read, packets) {
			t.Errorf("%d registrations, upstream got %d bytes", len(b.registered()), len(l.kept.read))
		}
	})
}

func TestTapEndsWithTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		hangUp := make(chan struct{})
		upstreamOf(t, b, func(l *listener) {
			l.accept(313)
			l.payload()
			<-hangUp
			l.conn.NetConn().Close()
		})
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "sid_4"))
		synctest.Wait()
		close(hangUp)
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"apply orcl", "drop"}, b.history); diff != "" {
			t.Error(diff)
		}
		checkLog(t, b, "registration died", "the upstream listener ended it")
		if _, err := r.conn.ReadPacket(); err != io.EOF {
			t.Errorf("the database's connection: %v", err)
		}
	})
}

func TestTapEndsWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.ctx = ctx
		upstreamOf(t, b, func(l *listener) { l.accept(313); l.rest() })
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "sid_4"))
		cancel()
		if err := <-r.done; err != nil || len(b.registered()) != 0 {
			t.Errorf("%v, %v", err, b.registered())
		}
		b.wait.Wait()
	})
}

func TestTapPassesOnARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		const text = "(DESCRIPTION=(ERR=1189)(VSNNUM=1)(ERROR_STACK=(ERROR=(CODE=1189)(EMFI=4))))"
		upstreamOf(t, b, func(l *listener) {
			l.connect()
			l.send(&tns.Refuse{UserReason: 0x22, Text: text})
			l.rest()
		})
		r := b.connects(t, "127.0.0.1:1")
		refuse, ok := r.reply().(*tns.Refuse)
		if !ok || refuse.Text != text {
			t.Errorf("%+v", refuse)
		}
		r.leaves()
		if len(b.history) != 0 || b.count(Refused) != 1 {
			t.Errorf("%v, %d refusals", b.history, b.count(Refused))
		}
		checkLog(t, b, "registration refused", "code=ORA-01189", "the upstream listener refused it")
	})
}

func TestTapPassesOnARedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		upstreamOf(t, b, func(l *listener) {
			l.connect()
			l.send(&tns.Redirect{Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1))", ConnectData: plainConnect})
			l.rest()
		})
		r := b.connects(t, "127.0.0.1:1")
		if m, ok := r.reply().(*tns.Redirect); !ok || m.Address != "(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1))" {
			t.Errorf("%+v", m)
		}
		r.leaves()
		checkLog(t, b, "sent the database elsewhere")
	})
}

func TestTapPassesOnARESEND(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		upstreamOf(t, b, func(l *listener) {
			for range 2 {
				l.connect()
				l.send(&tns.Resend{})
			}
			l.accept(313)
			l.rest()
		})
		connect := &tns.Connect{Version: 313, Lowest: 300, SDU: 2048, TDU: 2048, Data: []byte(plainConnect)}
		r := b.connectsWith(t, "127.0.0.1:1", connect)
		for range 2 {
			if m, ok := r.reply().(*tns.Resend); !ok {
				t.Fatalf("%T", m)
			}
			r.send(connect)
		}
		r.accepted().says(recording(t, "sid_4"))
		synctest.Wait()
		if len(b.registered()) != 1 {
			t.Errorf("not registered\n%s", b.logged)
		}
	})
}

func TestTapAdmitsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		upstreamOf(t, b, func(*listener) { t.Error("a stranger was passed on to the upstream listener") })
		r := b.connects(t, "192.0.2.66:1")
		if m, ok := r.reply().(*tns.Refuse); !ok || m.Code() != tns.CodeRegistrationRejected {
			t.Errorf("%+v", m)
		}
	})
}

func TestTapDialsTCP(t *testing.T) {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	s := &Server{Upstream: upstream.Addr().String()}
	c, err := s.dialUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
