package broker

import (
	"crypto/tls"
	"encoding/json"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/servicetable"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// overTLS connects over TLS, and returns the answer when it comes.
func (r *running) overTLS(a *authority.Authority, text string) chan answered {
	out, began := make(chan answered, 1), time.Now()
	c := tls.Client(r.dial().NetConn(), &tls.Config{RootCAs: a.Pool, ServerName: "localhost"})
	go func() {
		reply, err := tns.TryService(r.t.Context(), c, []byte(text))
		out <- answered{reply, err, time.Since(began)}
	}()
	return out
}

// Clients that are held over TLS stay, and are served when what they wait for is back in the successor: a service that comes,
// and one that an operator lets go.
func TestClientsHeldOverTLSFollowTheSuccessor(t *testing.T) {
	a := authority.New(t)
	first, next := succeedable(t, func(c *Config) {
		c.Addresses[0].Protocol = "tcps"
		c.TLS.Certificate = a.File("host.pem", a.Host())
		c.HoldTimeout = 40 * time.Second
		host, port := database(t)
		c.StaticServices = []StaticService{staticAt("billing", host, port)}
	})
	sales1 := registrationOf(t, "sales1", "sales")
	first.registered(sales1)
	first.withdrawn(sales1.ID)
	hold := first.set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "billing"}})
	absent := first.overTLS(a, askSales)
	first.heldIs(1)
	wanted := first.overTLS(a, "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=billing)))")
	first.heldIs(2)
	second, u := first.succeed(next)
	if u.Left.Clients != 2 {
		t.Errorf("%+v", u)
	}
	select {
	case got := <-absent:
		t.Fatalf("before it is back: %v", got)
	case got := <-wanted:
		t.Fatalf("before it is let go: %v", got)
	default:
	}
	second.registered(sales1)
	if got := <-absent; !isAccept(got.reply) {
		t.Errorf("%v", got)
	}
	if _, err := second.EndIntent(t.Context(), hold.ID); err != nil {
		t.Fatal(err)
	}
	if got := <-wanted; !isAccept(got.reply) {
		t.Errorf("%v", got)
	}
	if n := first.holder.Counters().Moved; n != 0 {
		t.Errorf("%d moved", n)
	}
}

// A process is told all at first, and then what has changed; what it does not know any more is taken out.
func TestNewsForAPredecessor(t *testing.T) {
	old, successor := start(t, nil), start(t, nil)
	gone, kept, came := registrationOf(t, "gone", "a"), registrationOf(t, "kept", "b"), registrationOf(t, "came", "c")
	for _, r := range []servicetable.Registration{gone, kept} {
		old.registered(r)
	}
	successor.registered(kept)
	var told informed
	tell := func(changed, left int) {
		t.Helper()
		news, any := told.news(successor.Snapshot(), successor.operations.store.All())
		if !any || len(news.Changed) != changed || len(news.Gone) != left {
			t.Errorf("%d changed and %d gone, want %d and %d; %v", len(news.Changed), len(news.Gone), changed, left, any)
		}
		text, err := json.Marshal(news)
		if err == nil {
			err = old.follow(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, any := told.news(successor.Snapshot(), successor.operations.store.All()); any {
			t.Error("it is told twice")
		}
		want := successor.Snapshot().Registrations()
		if is := old.Snapshot().Registrations(); len(is) != len(want) || len(old.known.byID) != len(want) {
			t.Errorf("%d are there and %d known, want %d", len(is), len(old.known.byID), len(want))
		}
	}
	tell(1, 0)
	successor.registered(came)
	tell(1, 0)
	successor.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Instance: "came"}})
	until(t, "it is drained", func() bool {
		e, err := successor.Snapshot().Service("c")
		return err == nil && len(e.Instances[0].Marks) > 0
	})
	tell(1, 0)
	if e, err := old.Snapshot().Service("c"); err != nil || len(e.Instances[0].Marks) != 1 || len(old.operations.store.All()) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	successor.withdrawn(kept.ID)
	tell(0, 1)
	if old.follow(json.RawMessage("[")) == nil {
		t.Error("half of it was understood")
	}
}

func staticAt(service, host string, port int) StaticService {
	s := StaticService{Name: service, Instance: service + "1"}
	s.Address.Protocol, s.Address.Host, s.Address.Port = "tcp", host, port
	return s
}

// registrationOf is one of an instance that accepts whoever comes.
func registrationOf(t *testing.T, instance, service string) servicetable.Registration {
	host, port := database(t)
	return servicetable.Registration{
		ID: servicetable.ID(instance), Instance: instance, Host: instance + "-host", Services: []servicetable.Service{{Name: service, Flags: servicetable.FlagUnblocked, Delta: 1}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: port, Max: 100, Services: []int{0}}},
	}
}
