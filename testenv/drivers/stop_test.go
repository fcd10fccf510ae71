package drivers

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// stopsWithin is how soon a broker that has nothing to wait for must end: sooner than any that waits does.
const stopsWithin = 15 * time.Second

// A broker told to stop ends at once if nobody is connected; with an open session
// it lets no one else in and waits, until the session is over or it is told again.
func TestBrokerStops(t *testing.T) {
	exits := func(t *testing.T, b *broker) {
		t.Helper()
		code, took := b.waitExit(t, patience)
		if code != 0 || took > stopsWithin {
			t.Errorf("exit code %d after %v", code, took)
		}
	}
	t.Run("without sessions", func(t *testing.T) {
		for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
			b, _ := pair(t)
			b.signal(t, s)
			exits(t, b)
		}
	})
	for _, test := range []struct {
		name string
		end  func(t *testing.T, b *broker, session *gooraConnection)
	}{
		{"session ends", func(t *testing.T, _ *broker, session *gooraConnection) {
			if err := session.close(); err != nil {
				t.Error(err)
			}
		}},
		{"second signal", func(t *testing.T, b *broker, _ *gooraConnection) { b.signal(t, syscall.SIGTERM) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, _ := pair(t)
			target := b.descriptor("(SERVICE_NAME=sales)")
			session, err := GoOra{}.connect(t.Context(), open("c", target))
			if err != nil {
				t.Fatal(err)
			}
			defer session.close()
			b.signal(t, syscall.SIGTERM)
			eventually(t, patience, func() error { // new clients are turned away
				results, err := GoOra{}.Run(t.Context(), visit(target), nil)
				if err == nil {
					if _, visit := visited(results); visit == nil {
						err = fmt.Errorf("a new client still gets in")
					}
				}
				return err
			})
			var one int
			if err := session.conn.QueryRowContext(t.Context(), "select 1 from dual").Scan(&one); err != nil || one != 1 {
				t.Errorf("the open session does not go on: %d, %v", one, err)
			}
			if !b.running() {
				t.Fatal("the broker has ended although a session was open")
			}
			test.end(t, b, session)
			exits(t, b)
		})
	}
}
