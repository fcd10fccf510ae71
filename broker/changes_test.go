package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/failover"
	"servicebroker/handover"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/servicetable"
)

// still is a broker whose table changes by what it is told, and by nothing else.
func still(t *testing.T, c *Config, log slog.Handler) *Broker {
	t.Helper()
	b, err := New(c, slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.closeListeners)
	must(t, b.openIntents())
	return b
}

// registrationWith is a registration of an instance that takes connects for services.
func registrationWith(id servicetable.ID, instance string, services ...string) servicetable.Registration {
	r := servicetable.Registration{ID: id, Instance: instance, Host: "h", Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: "127.0.0.1", Port: 1}}}
	for i, name := range services {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked})
		r.Handlers[0].Services = append(r.Handlers[0].Services, i)
	}
	return r
}

// Whoever changes the table never waits for a resolver, however many names it does not answer for.
func TestNothingIsLookedUpUnderLock(t *testing.T) {
	c := testConfigFor(t)
	c.Registrants = []registration.RegistrantRule{{Name: "prod", Sources: []string{"10.1.0.0/16"}, Handlers: []string{"10.1.0.0/16"}}}
	synctest.Test(t, func(t *testing.T) {
		b := still(t, c, slog.DiscardHandler)
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

// A service is worth waiting for as long as any instance offers it, however long ago another one stopped to.
func TestWhatOthersOfferHasNotDeparted(t *testing.T) {
	for name, leaves := range map[string]func(*Broker) error{
		"withdrawn": func(b *Broker) error { b.withdrawn("1"); return nil },
		"lost":      func(b *Broker) error { b.lost("1"); return nil },
		"blocked": func(b *Broker) error {
			r := registrationWith("1", "a", "sales")
			r.Services[0].Flags = 0
			b.registered(r)
			return nil
		},
		"its successor says so": func(b *Broker) error { return b.follow(json.RawMessage(`{"gone":["1"]}`)) },
		"remembered by the generation before": func(b *Broker) error {
			b.withdrawn("1")
			b.recall([]warmEntry{{registrationWith("1", "a", "sales"), time.Now()}}, time.Now())
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfigFor(t)
			synctest.Test(t, func(t *testing.T) {
				b := still(t, c, slog.DiscardHandler)
				for _, r := range []servicetable.Registration{registrationWith("1", "a", "sales"), registrationWith("2", "b", "Sales")} {
					b.registered(r)
				}
				wantHeld := func(want error) {
					t.Helper()
					for _, service := range []string{"sales", "sales.world"} {
						p, err := b.holder.Enter(failover.HoldRequest{Service: service})
						if !errors.Is(err, want) {
							t.Errorf("%s: %v, want %v", service, err, want)
						}
						if p != nil {
							p.Leave(false)
						}
					}
				}
				must(t, leaves(b))
				<-time.After(c.HoldMemory + time.Second)
				wantHeld(nil)
				b.withdrawn("2")
				wantHeld(nil)
				<-time.After(c.HoldMemory + time.Second)
				wantHeld(failover.ErrNotHeld)
			})
		})
	}
}

// An instance with two connections is none that dies when one of them ends: only what it offered by that one alone is down.
func TestAnInstanceLivesByAnotherConnection(t *testing.T) {
	blocked := registrationWith("2", "a", "sales", "hr")
	blocked.Services[1].Flags = 0
	for name, c := range map[string]struct {
		twin servicetable.Registration
		end  func(*Broker, servicetable.ID)
		want []string // events
		away string   // what the instance stopped to offer; "": nothing
	}{
		"all is there":        {twin: registrationWith("2", "a", "HR", "Sales"), end: (*Broker).lost},
		"more is there":       {twin: registrationWith("2", "a", "sales", "hr", "more"), end: (*Broker).lost},
		"it says so itself":   {twin: registrationWith("2", "a", "sales", "hr"), end: (*Broker).withdrawn},
		"a service is not":    {twin: registrationWith("2", "a", "sales"), end: (*Broker).lost, want: []string{"service_down hr FAILURE "}, away: "hr"},
		"a service is closed": {twin: blocked, end: (*Broker).lost, want: []string{"service_down hr FAILURE BLOCKED"}, away: "hr"},
		"its own word":        {twin: registrationWith("2", "a", "sales"), end: (*Broker).withdrawn, want: []string{"service_down hr USER "}, away: "hr"},
		"another instance": {
			twin: registrationWith("2", "b", "sales", "hr"), end: (*Broker).lost, away: "sales",
			want: []string{"died  FAILURE ", "service_down hr FAILURE ", "service_down sales FAILURE "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := still(t, testConfigFor(t), slog.DiscardHandler)
			b.registered(registrationWith("1", "a", "sales", "hr"))
			b.registered(c.twin)
			last := b.journal.Last()
			c.end(b, "1")
			var told []string
			for _, e := range b.journal.Events(journal.Filter{Since: last}) {
				told = append(told, fmt.Sprint(e.Kind, " ", e.Service, " ", e.Reason, " ", e.Cause))
			}
			if slices.Sort(told); !slices.Equal(told, c.want) {
				t.Errorf("events %q, want %q", told, c.want)
			}
			if n := len(b.departed.all); (n > 0) != (c.away != "") {
				t.Errorf("%d left", n)
			}
			if c.away != "" && len(b.lately(servicetable.Query{Service: c.away})) == 0 {
				t.Errorf("%s is forgotten", c.away)
			}
			if all := b.Snapshot().Registrations(); len(all) != 1 || all[0].ID != "2" || len(b.known.byID) != 1 {
				t.Errorf("%d are in the table, and %d known", len(all), len(b.known.byID))
			}
			last = b.journal.Last()
			b.lost("2")
			if died := b.journal.Events(journal.Filter{Since: last, Kinds: []journal.Kind{journal.Died}}); len(died) != 1 {
				t.Error("its last connection ended, and it has not died")
			}
		})
	}
}

// onWrite is told each line of a log.
type onWrite func(line string)

func (f onWrite) Write(line []byte) (int, error) {
	f(string(line))
	return len(line), nil
}

// While a predecessor is told to end what it has of an instance that is gone, which it may not listen to, the table can change.
func TestNoPredecessorIsToldUnderLock(t *testing.T) {
	channel, theirs, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	_ = theirs.Close()
	<-channel.Over() // it cannot be told, which is said in the place where it would be waited for
	c := testConfigFor(t)
	synctest.Test(t, func(t *testing.T) {
		var b *Broker
		told, locked := 0, false
		b = still(t, c, slog.NewTextHandler(onWrite(func(line string) {
			if !strings.Contains(line, "cannot be told to end sessions") {
				return
			}
			if told++; b.changing.TryLock() {
				b.changing.Unlock()
			} else {
				locked = true
			}
		}), nil))
		b.process.Before = &Predecessor{channel: channel, ended: make(chan struct{})}
		r := registrationWith("1", "a", "sales")
		b.process.Before.kept.Store(&[]keptSessions{{Service: "sales", Instance: r.Key(), Sessions: 1}})
		b.registered(r)
		b.prober.Observe(failover.Attempt{Candidate: servicetable.Candidate{Registration: &r, Service: &r.Services[0], Handler: &r.Handlers[0]}, Answered: true})
		<-time.After(c.StaleTimeout + time.Second)
		b.lost(r.ID)
		if told != 1 || locked {
			t.Errorf("it was told %d times, under lock: %v", told, locked)
		}
	})
}
