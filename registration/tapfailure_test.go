package registration

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/tns"
)

func TestTapGivesUpOnEndlessRESENDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		upstreamOf(t, b, func(l *listener) {
			for range maxResends {
				l.connect()
				l.send(&tns.Resend{})
			}
			l.rest()
		})
		connect := &tns.Connect{Version: 313, Lowest: 300, SDU: 2048, TDU: 2048, Data: []byte(plainConnect)}
		r := b.connectsWith(t, "127.0.0.1:1", connect)
		for range maxResends {
			r.reply()
			r.send(connect)
		}
		r.accepted().says(recording(t, "sid_4"))
		synctest.Wait()
		if len(b.registered()) != 1 {
			t.Errorf("not registered\n%s", b.logged)
		}
	})
}

func TestTapDatabaseThatDoesNotRepeatItsConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		upstreamOf(t, b, func(l *listener) { l.connect(); l.send(&tns.Resend{}); l.rest() })
		r := b.connects(t, "127.0.0.1:1")
		r.reply()
		start := time.Now()
		if err := <-r.done; err == nil || time.Since(start) != defaultUpstream {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A registration is not lost because the listener behind us is down.
func TestTapServesWithoutTheUpstream(t *testing.T) {
	for name, arrange := range map[string]func(t *testing.T, b *broker){
		"cannot be reached": func(_ *testing.T, b *broker) {
			b.Upstream = "listener:1521"
			b.DialUpstream = func(context.Context, string) (net.Conn, error) { return nil, errors.New("connection refused") }
		},
		"takes no connection": func(_ *testing.T, b *broker) {
			b.Upstream = "listener:1521"
			b.DialUpstream = func(ctx context.Context, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		},
		"closes without a reply": func(t *testing.T, b *broker) {
			upstreamOf(t, b, func(l *listener) { l.connect(); l.conn.NetConn().Close() })
		},
		"does not read":  func(t *testing.T, b *broker) { upstreamOf(t, b, func(*listener) {}) },
		"does not reply": func(t *testing.T, b *broker) { upstreamOf(t, b, func(l *listener) { l.rest() }) },
		"speaks HTTP": func(t *testing.T, b *broker) {
			upstreamOf(t, b, func(l *listener) { l.connect(); _, _ = l.kept.Write([]byte("HTTP/1.1 400 Bad Request\r\n")); l.rest() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				arrange(t, b)
				start := time.Now()
				r := b.connects(t, "127.0.0.1:1").accepted()
				if took := time.Since(start); took > defaultUpstream {
					t.Errorf("accepted after %v", took)
				}
				r.says(recording(t, "sid_4"))
				synctest.Wait()
				if len(b.registered()) != 1 {
					t.Error("not registered")
				}
				checkLog(t, b, "goes on without the upstream listener", "upstream=listener:1521", "cause=", "REGISTRATION_UPSTREAM", "database registered")
			})
		})
	}
}

// What we cannot frame is still passed on: the upstream may understand it.
func TestTapPassesOnWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		l := upstreamOf(t, b, func(l *listener) { l.accept(313); l.rest() })
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "sid_4"))
		r.write(0, 3, 0, 0, 0, 0, 0, 0) // no packet
		pass(time.Hour)
		r.write([]byte("and more")...)
		synctest.Wait()
		if len(b.registered()) != 1 || !strings.HasSuffix(string(l.kept.read), "and more") {
			t.Errorf("%d registrations, upstream got %q", len(b.registered()), l.kept.read)
		}
		checkLog(t, b, "without being read any further")
		r.leaves()
		if len(b.registered()) != 0 {
			t.Error("still registered")
		}
	})
}

func TestTapUpstreamThatStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		upstreamOf(t, b, func(l *listener) { l.accept(313) })
		r := b.connects(t, "127.0.0.1:1").accepted()
		start := time.Now()
		b.wait.Go(func() { _ = r.conn.Send(tns.Data{Payload: recording(t, "sid_4")}) })
		if err := <-r.done; err == nil || !strings.Contains(err.Error(), "pass on to the upstream listener") || time.Since(start) != sendTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
