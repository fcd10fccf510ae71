package registration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// resolver answers as told, and counts.
type resolver struct {
	asked  atomic.Int32
	answer atomic.Pointer[func() ([]netip.Addr, error)]
	takes  time.Duration
}

func (r *resolver) says(f func() ([]netip.Addr, error)) { r.answer.Store(&f) }

func (r *resolver) resolve(ctx context.Context, _ string) ([]netip.Addr, error) {
	r.asked.Add(1)
	if r.takes > 0 { // see CONTRIBUTING.md, "Time in tests"
		select {
		case <-time.After(r.takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return (*r.answer.Load())()
}

func address(text string) func() ([]netip.Addr, error) {
	return func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr(text)}, nil }
}

func TestNamesAreLookedUpAtMostEvery30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r resolver
		n := names{resolve: r.resolve}
		check := func(want string, lookups int32) {
			t.Helper()
			got, failed := n.lookup(t.Context(), []string{"db1"})
			if text := fmt.Sprint(got["db1"], failed); text != want || r.asked.Load() != lookups {
				t.Errorf("%s after %d lookups, want %s after %d", text, r.asked.Load(), want, lookups)
			}
		}
		r.says(address("192.0.2.1"))
		check("[192.0.2.1] []", 1)
		r.says(address("192.0.2.2"))
		pass(29 * time.Second)
		check("[192.0.2.1] []", 1)
		pass(time.Second)
		check("[192.0.2.2] []", 2)

		r.says(func() ([]netip.Addr, error) { return nil, errors.New("server is down") })
		pass(31 * time.Second)
		check("[192.0.2.2] []", 3) // the last ones that were known
		check("[192.0.2.2] []", 3)
		r.says(func() ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "db1", IsNotFound: true}
		})
		pass(31 * time.Second)
		check("[] [db1: lookup db1: no such host]", 4)
		check("[] [db1: lookup db1: no such host]", 4)
	})
}

func TestManySlowNamesTakeNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{takes: time.Hour}
		n := names{resolve: r.resolve}
		var hosts []string
		for i := range 100 * maxLookups {
			hosts = append(hosts, fmt.Sprintf("db%d", i))
		}
		start := time.Now()
		if _, failed := n.lookup(t.Context(), hosts); len(failed) != len(hosts) || time.Since(start) > 3*lookupTime {
			t.Errorf("%d names failed after %v", len(failed), time.Since(start))
		}
	})
}

// A name whose turn does not come in time is still what it was.
func TestNamesNotLookedUpInTimeAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{}
		r.says(address("192.0.2.1"))
		n := names{resolve: r.resolve}
		var hosts []string
		for i := range 100 * maxLookups {
			hosts = append(hosts, fmt.Sprintf("db%d", i))
		}
		n.lookup(t.Context(), hosts)
		pass(2 * lookupFresh)
		r.takes = time.Hour
		got, failed := n.lookup(t.Context(), hosts)
		for _, host := range hosts {
			if len(got[host]) != 1 {
				t.Fatalf("%s is %v; %d failed", host, got[host], len(failed))
			}
		}
	})
}

func TestLookupsAreBoundedAndShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{takes: time.Hour}
		n := names{resolve: r.resolve}
		var hosts []string
		for i := range maxLookups {
			hosts = append(hosts, fmt.Sprintf("db%d", i))
		}
		start := time.Now()
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				if _, failed := n.lookup(t.Context(), hosts); len(failed) != len(hosts) || !strings.Contains(failed[0], "deadline") {
					t.Errorf("%v", failed)
				}
			})
		}
		wait.Wait()
		if took := time.Since(start); took != lookupTime || int(r.asked.Load()) != len(hosts) {
			t.Errorf("%v and %d lookups for 50 registrants, want %v and %d", took, r.asked.Load(), lookupTime, len(hosts))
		}
	})
}

func TestWaitingForALookupEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{takes: time.Second}
		r.says(address("192.0.2.1"))
		n := names{resolve: r.resolve}
		var wait sync.WaitGroup
		wait.Go(func() { n.lookup(t.Context(), []string{"db1"}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, failed := n.lookup(ctx, []string{"db1"}); len(failed) != 1 || time.Since(start) != time.Millisecond {
			t.Errorf("%v after %v", failed, time.Since(start))
		}
		wait.Wait()
	})
}

func TestNamesAreNotLookedUpInVain(t *testing.T) {
	var r resolver
	r.says(address("192.0.2.1"))
	g, err := newGate(&Admission{Invited: []string{"192.0.2.0/24", "db1"}, Resolve: r.resolve, Transports: []string{"TCPS"}})
	if err != nil {
		t.Fatal(err)
	}
	g.admit(t.Context(), netip.MustParseAddr("192.0.2.9"), "TCPS")
	g.admit(t.Context(), netip.MustParseAddr("203.0.113.9"), "TCP")
	if n := r.asked.Load(); n != 0 {
		t.Errorf("%d lookups", n)
	}
}
