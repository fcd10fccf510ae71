package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
)

// saysNothing is a name service whose answers never come, as while its host still starts.
func saysNothing(ctx context.Context, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// storedAlive is an instance that is known from disk and accepts clients where it registered from, under a name.
func storedAlive(t *testing.T) servicetable.Candidate {
	host, port := database(t)
	r := &servicetable.Registration{
		Instance: "sales1", Host: "db1", Peer: netip.MustParseAddr(host), Stale: true, Services: []servicetable.Service{{Name: "sales"}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: "db1", Port: port, Services: []int{0}}},
	}
	return servicetable.Candidate{Registration: r, Service: &r.Services[0], Handler: &r.Handlers[0]}
}

// Of an instance that lives, a name service that is silent leaves time enough to find that out.
func TestProbesGetPastASilentNameService(t *testing.T) {
	c, config := storedAlive(t), testConfig(t, nil)
	for _, deep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := silently(t, config)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := b.probe(ctx, c, deep); err != nil {
				t.Errorf("probed in depth %v: %v", deep, err)
			}
		})
	}
}

// Where the whole time of a probe is over by the look-up, that says nothing of the instance.
func TestAProbeThatOnlyWaitedForANameBlamesTheNameService(t *testing.T) {
	c, config := storedAlive(t), testConfig(t, nil)
	synctest.Test(t, func(t *testing.T) {
		b := silently(t, config)
		ctx, cancel := context.WithCancel(t.Context())
		b.hosts.lookup = func(context.Context, string) ([]netip.Addr, error) {
			cancel()
			return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true}
		}
		err := b.probe(ctx, c, true)
		if name, is := errors.AsType[*net.DNSError](err); !is || name.IsNotFound {
			t.Errorf("it says %v", err)
		}
	})
}

// silently makes a broker that does not run, and whose name service says nothing of all names but one, which is this host's.
func silently(t *testing.T, config *Config) *Broker {
	b, err := New(config, nil)
	must(t, err)
	b.hosts.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
		if name == "broker" {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return saysNothing(ctx, name)
	}
	t.Cleanup(func() {
		b.closeListeners()
		b.hosts.close()
	})
	return b
}

// storedOn are instances as they are found on disk, one on each of n hosts and one on this one, at the port of the broker.
func storedOn(b *Broker, n int) *warmRead {
	read := &warmRead{}
	for i := range n + 1 {
		host := fmt.Sprintf("db%d", i)
		if i == n {
			host = "broker"
		}
		read.entries = append(read.entries, warmEntry{Heard: time.Now(), Registration: servicetable.Registration{
			ID: servicetable.ID(host), Instance: "sales", Host: host, Peer: netip.MustParseAddr("192.0.2.13"), Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: b.endpoints()[0].Port, Services: []int{0}}},
		}})
	}
	return read
}

// A table on disk is taken at a start without a wait for each host in it.
func TestAStoredTableWaitsForNamesOnce(t *testing.T) {
	const hosts = 3 * maxTogether
	synctest.Test(t, func(t *testing.T) {
		b := silently(t, testConfig(t, func(c *Config) { c.Admission.Mode = registration.CheckOff }))
		began := time.Now()
		b.takeStored(storedOn(b, hosts))
		if took := time.Since(began); took != lookUpTime {
			t.Errorf("it took %v", took)
		}
		all := b.Snapshot().Registrations()
		if len(all) != hosts+1 {
			t.Errorf("%d instances", len(all))
		}
		for _, r := range all {
			if own := r.Host == "broker"; own != (len(r.Handlers) == 0) {
				t.Errorf("the instance at %s has %d handlers", r.Host, len(r.Handlers))
			}
		}
	})
}

// A table on disk is not given up where those in it are invited by names that nobody answers for yet.
func TestAStoredTableIsKeptWhileNobodyKnowsWhoIsInvited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := silently(t, testConfig(t, func(c *Config) {
			c.Admission.Invited, c.Admission.Resolve = []string{"db1.example.com", "db2.example.com"}, saysNothing
		}))
		b.takeStored(storedOn(b, 2))
		if n := len(b.Snapshot().Registrations()); n != 3 {
			t.Errorf("%d instances of 3 are used", n)
		}
	})
}

// Who was quarantined since nobody answered for a name is let in by itself once somebody does.
func TestQuarantineEndsWhenItsNameIsKnown(t *testing.T) {
	config := testConfig(t, func(c *Config) {
		c.Registrants = []registration.RegistrantRule{{Name: "prod", Sources: []string{"db1"}, Services: []string{"sales"}}}
	})
	synctest.Test(t, func(t *testing.T) {
		b, answers := silently(t, config), make(chan struct{})
		b.settings().registrants.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
			select {
			case <-answers:
				return []netip.Addr{netip.MustParseAddr("192.0.2.13")}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		b.registered(storedOn(b, 1).entries[0].Registration)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); b.watchRuleNames(ctx) }()
		<-time.After(5 * time.Minute)
		if n := len(b.Quarantine()); n != 1 {
			t.Errorf("%d services are quarantined while nobody answers", n)
		}
		close(answers)
		<-time.After(time.Minute)
		if all := b.Quarantine(); len(all) != 0 {
			t.Errorf("it stays in quarantine: %+v", all)
		}
		cancel()
		<-ended
	})
}
