package registration

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/registration/nsgr"
	"servicebroker/tns"
)

func TestFirstMessageHasATimeLimit(t *testing.T) {
	message := recording(t, "sid_4")
	for name, send := range map[string][]byte{"silence": nil, "half a message": message[:700], "what is no message": []byte("HELO")} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			r := b.connects(t, "127.0.0.1:1").accepted()
			start := time.Now()
			if send != nil {
				r.says(send)
			}
			if err := <-r.done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(start); took != defaultFirstMessage {
				t.Errorf("%s: dropped after %v", name, took)
			}
			checkLog(t, b, `msg="registrant dropped"`, "no whole message within 10s", "firewall")
		})
	}
}

func TestLaterMessagesHaveNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.FirstMessageTimeout = time.Second
		r := b.connects(t, "127.0.0.1:1").accepted()
		pass(time.Second - 1)
		r.says(encode(t, sales("one", 1)))
		pass(24 * time.Hour)
		r.says(encode(t, sales("one", 2))[:100])
		pass(24 * time.Hour)
		r.says(encode(t, sales("one", 2))[100:])
		synctest.Wait()
		if got := b.registered(); len(got) != 1 || got[0].Load != 2 {
			t.Errorf("%v", got)
		}
	})
}

func TestEndsOfADialogue(t *testing.T) {
	for _, c := range []struct {
		name  string
		send  func(r *registrant)
		cause string
	}{
		{"end of file", func(r *registrant) { r.send(tns.Data{Flags: tns.DataEOF}) }, "the database ended it"},
		{"abort", func(r *registrant) { r.write(0, 8, 0, 0, 9, 0, 0, 0) }, "the database ended it"},
		{"closed", func(r *registrant) { r.conn.NetConn().Close() }, "connection closed"},
		{"CONNECT again", func(r *registrant) { r.write(0, 8, 0, 0, 1, 0, 0, 0) }, "unexpected packet"},
		{"no packet", func(r *registrant) { r.write(0, 3, 0, 0, 0, 0, 0, 0) }, "malformed packet"},
		{"DATA without flags", func(r *registrant) { r.write(0, 9, 0, 0, 6, 0, 0, 0, 0) }, "malformed packet"},
		{"half a packet", func(r *registrant) { r.write(0, 90, 0, 0, 6, 0, 0, 0, 0); r.conn.NetConn().Close() }, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				early, known := b.connects(t, "127.0.0.1:1").accepted(), b.connects(t, "127.0.0.1:2").accepted()
				known.says(recording(t, "sid_4"))
				c.send(early)
				c.send(known)
				if err := <-early.done; err != nil && !strings.Contains(err.Error(), c.cause) {
					t.Errorf("before the registration: %v", err)
				}
				if err := <-known.done; err != nil || len(b.registered()) != 0 || b.count(Died) != 1 {
					t.Errorf("after the registration: %v, %v", err, b.registered())
				}
				checkLog(t, b, "registration died", c.cause)
			})
		})
	}
}

func (r *registrant) write(b ...byte) {
	r.t.Helper()
	if _, err := r.conn.NetConn().Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		r.t.Errorf("write: %v", err)
	}
}

func TestEndOfFileWithTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.send(tns.Data{Flags: tns.DataEOF, Payload: recording(t, "sid_4")})
		<-r.done
		if diff := cmp.Diff([]string{"apply orcl", "drop"}, b.history); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOtherPacketsDoNotMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.write(0, 8, 0, 0, 7, 0, 0, 0)         // NULL
		r.send(tns.Marker{Kind: 1, Value: 2})   // reset
		r.send(tns.Data{})                      // nothing
		r.write(0, 8, 0, 0, 13, 0, 0, 0)        // ATTENTION
		r.write(0, 10, 0, 0, 14, 0, 0, 0, 0, 9) // CONTROL
		r.says(recording(t, "sid_4"))
		synctest.Wait()
		if len(b.registered()) != 1 {
			t.Errorf("not registered\n%s", b.logged)
		}
	})
}

func TestWithdrawalAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(encode(t, sales("one", 1)))
		gone, err := nsgr.New(nsgr.Linux64(), message(nsgr.Node{Op: 1, Kind: nsgr.Instances, ID: append([]byte{1}, make([]byte, 15)...)}))
		if err != nil {
			t.Fatal(err)
		}
		payload, err := gone.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		r.says(payload)
		synctest.Wait()
		if len(b.registered()) != 0 {
			t.Errorf("%v", b.registered())
		}
		r.says(encode(t, sales("one", 2)))
		r.leaves()
		if diff := cmp.Diff([]string{"apply one", "drop", "apply one", "drop"}, b.history); diff != "" {
			t.Error(diff)
		}
		checkLog(t, b, "the database withdrew it", "database registered", `cause="connection closed"`)
	})
}
