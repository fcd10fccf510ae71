package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Names that clients make up, of which a name service says nothing, leave room for others.
func TestNamesOfClientsAreLookedUpInBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := netip.MustParseAddr("10.0.0.1")
		var asked atomic.Int32
		h := &hosts{lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			if name == "db1" {
				return []netip.Addr{known}, nil
			}
			asked.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		defer h.close()
		gone, leave := context.WithCancel(t.Context())
		leave() // clients do not wait
		for i := range 3 * maxClaimed {
			h.claimed(gone, fmt.Sprintf("made-up-%d.example.com", i))
		}
		synctest.Wait()
		if n := asked.Load(); n != maxClaimed {
			t.Errorf("%d look-ups at a time", n)
		}
		if got := h.resolve(t.Context(), "db1"); len(got) != 1 {
			t.Errorf("a database's name means %v meanwhile", got)
		}
		if got := h.claimed(t.Context(), "DB1"); len(got) != 1 {
			t.Errorf("what is known is %v for clients", got)
		}
		if got := h.claimed(t.Context(), "[::1]"); len(got) != 1 {
			t.Errorf("a number means %v", got)
		}
		<-time.After(lookupTimeout)
		synctest.Wait()
		if h.flights != 0 {
			t.Errorf("%d look-ups under way", h.flights)
		}
		h.claimed(gone, "another")
		synctest.Wait()
		if n := asked.Load(); n != maxClaimed+1 {
			t.Errorf("%d look-ups after that", n)
		}
	})
}

// Names that clients made up are forgotten before those of databases.
func TestNamesOfClientsTakeHalfTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("none") }}
		defer h.close()
		for i := range maxNames/2 + 100 {
			h.claimed(t.Context(), fmt.Sprintf("n%d", i))
		}
		if len(h.names) != maxNames/2 {
			t.Errorf("%d names", len(h.names))
		}
		h.resolve(t.Context(), "db1")
		<-time.After(hostsTTL + time.Second)
		h.claimed(t.Context(), "new")
		if len(h.names) != 1 {
			t.Errorf("%d names once their time was over", len(h.names))
		}
	})
}

// A name is kept without the text that it was part of, and no longer than anybody is given what it meant.
func TestNamesOfClientsTakeLittleRoom(t *testing.T) {
	const texts, size = 500, 64 << 10
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("none") }}
		defer h.close()
		h.claimed(t.Context(), strings.Repeat("x", maxNameLength+1))
		h.known(strings.Repeat("x", maxNameLength+1))
		if len(h.names) != 0 {
			t.Error("a name is looked up that is longer than any")
		}
		before := heap()
		for i := range texts {
			host := fmt.Sprintf("x%d.invalid", i)
			h.claimed(t.Context(), (host + strings.Repeat("z", size))[:len(host)])
		}
		if kept := heap() - before; len(h.names) != texts || kept > texts*size/10 {
			t.Errorf("%d names keep %d bytes", len(h.names), kept)
		}
		<-time.After(hostsTTL + hostsStale)
		h.resolve(t.Context(), "db1")
		if len(h.names) != 1 {
			t.Errorf("%d names are kept beyond their time", len(h.names))
		}
	})
}

// heap is how many bytes are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// However many brackets a client writes, it is the same host, within the same bounds.
func TestBracketsLeadPastNoBound(t *testing.T) {
	h := &hosts{lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		t.Errorf("%s is looked up", name)
		return nil, nil
	}}
	defer h.close()
	for _, host := range []string{"[[[10.0.0.1]]]", "[[10.0.0.1]", " [ 10.0.0.1]] "} {
		if got := h.claimed(t.Context(), host); len(got) != 1 || got[0] != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("%s means %v", host, got)
		}
	}
	h.flights = maxClaimed
	if got := h.claimed(t.Context(), "[[[db1]]]"); got != nil {
		t.Errorf("a name in brackets means %v", got)
	}
}

// Whoever is not let in cannot push out of history what matters.
func TestRefusedRegistrantsAreToldOnce(t *testing.T) {
	r := counting(t, 0, 0)
	for i := range 50 {
		for _, from := range []string{"192.0.2.66", "2001:db8::1"} {
			e := registration.Event{Kind: registration.Refused, Code: tns.CodeRegistrationRejected, Cause: fmt.Sprintf("it is not invited (could not look up %d)", i),
				Peer: netip.AddrPortFrom(netip.MustParseAddr(from), uint16(1000+i))}
			e.Repeated = r.registrationRepeats(e)
			r.registrationEvent(e)
		}
	}
	if told := r.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.Rejected}}); len(told) != 2 {
		t.Errorf("told %d times: %+v", len(told), told)
	}
}

// However many commands and bad packets a peer makes up, each kind takes one explanation.
func TestMadeUpCommandsAreExplainedOnce(t *testing.T) {
	r := start(t, nil)
	for i := range 20 {
		conn, err := net.Dial("tcp", r.Addresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			_, err = tns.TryService(t.Context(), conn, fmt.Appendf(nil, "(CONNECT_DATA=(COMMAND=word%d))", i))
		} else {
			_, err = conn.Write([]byte{0, 9, 0, 0, 1, byte(i), 0, 0, byte(i)})
			_, _ = tns.NewConn(conn).ReadReply()
		}
		if err != nil {
			t.Log(err)
		}
	}
	if _, kept := r.journal.Sizes(); kept == 0 || kept > 2 {
		t.Errorf("%d explanations: %+v", kept, r.journal.Recent(20))
	}
}

// Clients can name any number of routes: those that wait for them share one part of the places.
func TestRoutesOfClientsShareTheirPlaces(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxHeld, c.HoldShare = 4, 0.5 })
	held := 0
	for i := range 4 {
		c := servicetable.Candidate{Registration: &servicetable.Registration{}, Handler: &servicetable.Handler{}, Path: &servicetable.Path{Named: true}}
		service := fmt.Sprintf("made-up-%d via 10.0.0.1:1521", i)
		place, err := holding{r.Broker}.Enter(relay.HoldRequest{
			Service: service, Queue: service, Limit: time.Minute, Wanted: true, Route: []servicetable.Candidate{c}, Ready: func() bool { return false }, Wake: func() {},
		})
		if err == nil {
			held++
			defer place.Leave(false)
		}
	}
	if held != 2 {
		t.Errorf("%d are held", held)
	}
	place, err := holding{r.Broker}.Enter(relay.HoldRequest{
		Service: "sales", Queue: "sales", Limit: time.Minute, Wanted: true, Ready: func() bool { return false }, Wake: func() {},
	})
	if err != nil {
		t.Fatalf("another service: %v", err)
	}
	place.Leave(false)
}
