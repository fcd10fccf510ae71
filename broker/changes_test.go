package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"servicebroker/registration"
	"servicebroker/servicetable"
)

// Whoever changes the table never waits for a resolver, however many names it does not answer for.
func TestNothingIsLookedUpUnderLock(t *testing.T) {
	c := testConfigFor(t)
	c.Registrants = []registration.RegistrantRule{{Name: "prod", Sources: []string{"10.1.0.0/16"}, Handlers: []string{"10.1.0.0/16"}}}
	synctest.Test(t, func(t *testing.T) {
		b, err := New(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer b.closeListeners()
		if err := b.openIntents(); err != nil {
			t.Fatal(err)
		}
		var asked, locked atomic.Int32
		b.settings().registrants.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
			if asked.Add(1); b.changing.TryLock() {
				b.changing.Unlock()
			} else {
				locked.Add(1)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		const instances = 100
		for i := range instances {
			r := servicetable.Registration{
				ID: servicetable.ID(fmt.Sprint(i)), Instance: fmt.Sprint("i", i), Host: "h", Peer: netip.MustParseAddr("10.1.2.3"),
				Services: []servicetable.Service{{Name: "sales"}},
				Handlers: []servicetable.Handler{{Name: "DEDICATED", Host: fmt.Sprint("h", i), Port: 1521, Services: []int{0}}},
			}
			b.known.put(&r)
			b.table.Apply(r)
		}
		b.rejudge()
		if n := asked.Load(); n == 0 || n >= instances || locked.Load() != 0 {
			t.Errorf("%d lookups, %d of them under lock", n, locked.Load())
		}
		if n := len(b.Quarantine()); n != instances {
			t.Errorf("%d services are quarantined", n)
		}
	})
}
