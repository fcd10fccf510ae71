package broker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

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
