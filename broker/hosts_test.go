package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// nameService answers each look-up after a delay.
type nameService struct {
	mu     sync.Mutex
	delay  time.Duration
	answer []netip.Addr
	err    error
	asked  int
}

func (n *nameService) lookup(ctx context.Context, _ string) ([]netip.Addr, error) {
	n.mu.Lock()
	n.asked++
	delay, answer, err := n.delay, n.answer, n.err
	n.mu.Unlock()
	if delay > 0 { // see CONTRIBUTING.md, "Time in tests"
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return answer, err
}

func (n *nameService) set(delay time.Duration, err error, answer ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay, n.err, n.answer = delay, err, nil
	for _, text := range answer {
		n.answer = append(n.answer, netip.MustParseAddr(text))
	}
}

func (n *nameService) times() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// withNames is hosts before a name service, and a check of what it answers after how long.
func withNames(t *testing.T) (*hosts, *nameService, func(ask func(context.Context, string) []netip.Addr, want string, after time.Duration)) {
	n := &nameService{}
	h := &hosts{lookup: n.lookup}
	return h, n, func(ask func(context.Context, string) []netip.Addr, want string, after time.Duration) {
		t.Helper()
		began := time.Now()
		got := fmt.Sprint(ask(t.Context(), "DB1"))
		if took := time.Since(began); got != want || took != after {
			t.Errorf("%s after %v, want %s after %v", got, took, want, after)
		}
	}
}

func TestNamesAreAnsweredFromWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, n, check := withNames(t)
		n.set(time.Second, nil, "::ffff:10.1.0.1")
		check(h.resolve, "[10.1.0.1]", time.Second)
		n.set(time.Second, nil, "10.1.0.2")
		<-time.After(hostsTTL - time.Nanosecond)
		check(h.resolve, "[10.1.0.1]", 0)
		<-time.After(time.Nanosecond)
		check(h.resolve, "[10.1.0.1]", 0) // and a look-up begins
		<-time.After(2 * time.Second)
		check(h.resolve, "[10.1.0.2]", 0)
		if n.times() != 2 {
			t.Errorf("asked %d times", n.times())
		}
		n.set(time.Second, nil, "10.1.0.3")
		<-time.After(hostsTTL + hostsStale)
		check(h.resolve, "[10.1.0.3]", time.Second)
		<-time.After(hostsTTL)
		n.set(time.Second, nil, "10.1.0.4")
		check(h.fresh, "[10.1.0.4]", time.Second)
		h.close()
	})
}

func TestNobodyWaitsLongForAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, n, check := withNames(t)
		n.set(time.Hour, nil, "10.1.0.1")
		check(h.resolve, "[]", resolveTimeout)
		check(h.resolve, "[]", resolveTimeout)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		check(func(_ context.Context, name string) []netip.Addr { return h.resolve(ctx, name) }, "[]", time.Millisecond)
		if n.times() != 1 {
			t.Errorf("asked %d times", n.times())
		}
		<-time.After(lookupTimeout)
		check(h.resolve, "[]", 0) // it was given up, and is not tried again for a while
		h.close()
	})
}

func TestManyWhoAskMakeOneLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, n, _ := withNames(t)
		n.set(time.Second, nil, "10.1.0.1")
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				if got := h.resolve(t.Context(), []string{"db1", "DB1"}[i%2]); len(got) != 1 {
					t.Errorf("answer %v", got)
				}
			})
		}
		all.Wait()
		if n.times() != 1 {
			t.Errorf("asked %d times", n.times())
		}
		h.close()
	})
}

// A name service that is away changes nothing; one that knows the name no more does.
func TestNamesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, n, check := withNames(t)
		n.set(0, nil, "10.1.0.1")
		check(h.fresh, "[10.1.0.1]", 0)
		n.set(0, errors.New("away"))
		<-time.After(hostsTTL)
		check(h.fresh, "[10.1.0.1]", 0)
		n.set(0, &net.DNSError{IsNotFound: true})
		<-time.After(hostsTTL)
		check(h.fresh, "[]", 0)
		h.close()
	})
}

func TestLookUpsEndWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, n, check := withNames(t)
		n.set(time.Hour, nil, "10.1.0.1")
		var asking sync.WaitGroup
		asking.Go(func() { check(h.resolve, "[]", 0) })
		synctest.Wait()
		began := time.Now()
		h.close()
		asking.Wait()
		if time.Since(began) != 0 {
			t.Errorf("took %v", time.Since(began))
		}
		if got := h.resolve(t.Context(), "another"); got != nil || n.times() != 1 {
			t.Errorf("after the end: %v, asked %d times", got, n.times())
		}
	})
}

func TestNamesAreBounded(t *testing.T) {
	h := &hosts{lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}}
	for i := range maxNames + 10 {
		if got := h.resolve(t.Context(), fmt.Sprint("h", i)); len(got) != 1 {
			t.Fatalf("%d: %v", i, got)
		}
	}
	if len(h.names) > maxNames {
		t.Errorf("%d names are kept", len(h.names))
	}
	h.close()
}

func TestWhatAHostTextMeans(t *testing.T) {
	h := &hosts{lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}}
	defer h.close()
	for text, want := range map[string]string{"10.1.1.1": "10.1.1.1", "[::1]": "::1", "::ffff:10.1.1.1": "10.1.1.1", "fe80::1%eth0": "fe80::1", "name": "10.0.0.1"} {
		if got := h.means(t.Context(), text); !slices.Equal(got, []netip.Addr{netip.MustParseAddr(want)}) {
			t.Errorf("%s: %v", text, got)
		}
	}
	if !h.isLocal(netip.MustParseAddr("127.0.0.9")) || !h.isLocal(netip.MustParseAddr("::")) || h.isLocal(netip.MustParseAddr("192.0.2.1")) {
		t.Error("this host's own addresses are not known")
	}
}
