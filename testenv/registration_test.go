package testenv

import (
	"maps"
	"math"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// What a broker has in its table is what the database was told to register.
func TestRegisters(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{b.addr()}, Services: []string{"sales", "Orders.example.com"},
		NodeLoad: 11, Load: 4, Max: 30, Advertise: "db1-vip:1555"})
	r := b.await(t, "registration", registered)
	got := *r
	got.ID, got.GUID, got.Peer, got.ArrivedOn, got.RegisteredAt, got.LoadAt = "", [16]byte{}, r.Peer, "", time.Time{}, time.Time{}
	if r.GUID == [16]byte{} || r.Handlers[0].ID == [16]byte{} {
		t.Error("instance or handler without an identifier")
	}
	handler := got.Handlers[0]
	handler.ID = [16]byte{}
	got.Handlers = []servicetable.Handler{handler}
	want := servicetable.Registration{
		Instance: "sales1", Host: "db1", HostRaw: "(HOST=db1)", NodeLoad: 11, NodeMax: nodeMax, Load: 4, Max: 30,
		Services: []servicetable.Service{
			{Name: "sales", Flags: servicetable.FlagUnblocked, Goodness: 4, Delta: 1},
			{Name: "Orders.example.com", Flags: servicetable.FlagUnblocked, Goodness: 4, Delta: 1},
		},
		Handlers: []servicetable.Handler{{
			Name: "DEDICATED", Kind: servicetable.Dedicated, Flags: registration.FlagDedicated, Protocol: "TCP", Host: "db1-vip", Port: 1555,
			Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=db1-vip)(PORT=1555))", Info: "REMOTE SERVER", Load: 4, Max: 30, Services: []int{0, 1},
		}},
		LoadSource: "registration", Peer: r.Peer,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if reached := d.State().Reached; !slices.Equal(reached, []string{b.addr()}) {
		t.Errorf("reached %v", reached)
	}
}

// Each change shows without waiting for the next report.
func TestRegistersChanges(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{b.addr()}})
	b.await(t, "registration", registered)
	status := func(want servicetable.Status) func(*servicetable.Registration) bool {
		return func(r *servicetable.Registration) bool {
			return r != nil && len(r.Services) == 1 && r.Status(&r.Services[0]) == want
		}
	}
	services := func(want ...string) func(*servicetable.Registration) bool {
		return func(r *servicetable.Registration) bool {
			var names []string
			for _, s := range r.Services {
				names = append(names, s.Name)
			}
			slices.Sort(names)
			return slices.Equal(names, want) && len(r.Handlers) == 1 && len(r.Handlers[0].Services) == len(want)
		}
	}
	for _, c := range []struct {
		path, body string
		seen       func(*servicetable.Registration) bool
	}{
		{"/status", `{"status": "blocked"}`, status(servicetable.Blocked)},
		{"/status", `{"status": "restricted"}`, status(servicetable.Restricted)},
		{"/status", `{"status": "ready"}`, status(servicetable.Ready)},
		{"/load", `{"node_load": 9, "load": 8, "goodness": {"sales": 7}}`, func(r *servicetable.Registration) bool {
			return r.NodeLoad == 9 && r.Load == 8 && r.Services[0].Goodness == 7 && r.Handlers[0].Load == 8
		}},
		{"/load", `{"load": 4294967295}`, func(r *servicetable.Registration) bool {
			return r.NodeLoad == 9 && r.Load == 4294967295 && r.Services[0].Goodness == 7
		}},
		{"/services", `{"add": ["pdb1"]}`, services("pdb1", "sales")},
		{"/services", `{"drop": ["sales"]}`, services("pdb1")},
		{"/services", `{"drop": ["pdb1"], "add": ["sales"]}`, services("sales")},
	} {
		d.tell(t, c.path, c.body)
		b.await(t, c.path+" "+c.body, c.seen)
	}
}

func TestRegistrationLeavesAndReturns(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{b.addr()}, Unregistered: true})
	d.tell(t, "/registration", `{"connected": true}`)
	first := b.await(t, "registration", registered)
	d.tell(t, "/registration", `{"connected": true}`) // is so already: nothing may happen
	d.tell(t, "/load", `{"load": 1}`)
	if r := b.await(t, "load", func(r *servicetable.Registration) bool { return r != nil && r.Load == 1 }); r.ID != first.ID {
		t.Error("it has registered anew for nothing")
	}
	for range 3 {
		d.tell(t, "/registration", `{"connected": false}`)
		b.await(t, "the end of the registration", gone)
		if got := d.code(t, toSales); got != served {
			t.Errorf("its own listener answers %v", got)
		}
		d.tell(t, "/registration", `{"connected": true}`)
		b.await(t, "registration", registered)
	}
	if made := d.State().Dialled; !maps.Equal(made, map[string]int{b.addr(): 4}) {
		t.Errorf("connections made: %v", made)
	}
}

// What happens to one broker is nothing to the others, and none is dialled again before it is time.
func TestRegistersWithSeveral(t *testing.T) {
	first, second := startBroker(t, "127.0.0.1:0"), startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{first.addr(), second.addr()}, Retry: time.Hour})
	first.await(t, "registration", registered)
	kept := second.await(t, "registration", registered)
	first.end()
	for d.State().Reached[0] == first.addr() {
		runtime.Gosched()
	}
	s := d.State()
	if !slices.Equal(s.Reached, []string{second.addr()}) || !maps.Equal(s.Dialled, map[string]int{first.addr(): 1, second.addr(): 1}) {
		t.Errorf("reached %v of %v", s.Reached, s.Dialled)
	}
	d.tell(t, "/load", `{"load": 5}`)
	if r := second.await(t, "load", func(r *servicetable.Registration) bool { return r != nil && r.Load == 5 }); r.ID != kept.ID {
		t.Error("it has registered anew with the one that was there all the time")
	}
}

// An open session counts, up to the largest number there is.
func TestRegistersSessions(t *testing.T) {
	d := start(t, &Database{Load: math.MaxUint32 - 1})
	for i, want := range []uint32{math.MaxUint32 - 1, math.MaxUint32, math.MaxUint32} {
		r := d.describe()
		if r.Load != want || r.Handlers[0].Load != want || r.Services[0].Goodness != want {
			t.Errorf("with %d sessions: %+v", i, r)
		}
		d.hold(t)
	}
}

// Brokers see an abort as the death of the process, and every other end as a
// goodbye.
func TestGoodbye(t *testing.T) {
	for body, wanted := range map[string]bool{"": true, `{"abort": true}`: false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d := start(t, &Database{RemoteListeners: []string{l.Addr().String()}})
		raw, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(patience))
		conn := tns.NewConn(raw)
		connect, err := conn.ReadConnect()
		if err != nil {
			t.Fatal(err)
		}
		accept := tns.AnswerConnect(connect, tns.VersionHighest, nil)
		if err := conn.Send(accept); err != nil {
			t.Fatal(err)
		}
		conn.SetVersion(accept.Version)
		if _, err := conn.ReadPacket(); err != nil { // it has registered
			t.Fatal(err)
		}
		d.tell(t, "/stop", body)
		goodbye := false
		for {
			p, err := conn.ReadPacket()
			if err != nil {
				break
			}
			var data tns.Data
			goodbye = goodbye || data.Decode(p) == nil && data.Flags&tns.DataEOF != 0
		}
		if goodbye != wanted {
			t.Errorf("POST /stop %s: goodbye %v, want %v", body, goodbye, wanted)
		}
	}
}

// A broker that is away when the database starts, and another that refuses it,
// are tried until they have it.
func TestRegistersWithRetry(t *testing.T) {
	away := startBroker(t, "127.0.0.77:0") // whose port nothing else gets
	address := away.addr()
	away.listener.Close()
	refusing := start(t, &Database{Instance: "other"}) // a listener that takes no registrations
	d := start(t, &Database{RemoteListeners: []string{address, refusing.Addr()}})
	b := startBroker(t, address)
	b.await(t, "registration", registered)
	if got := d.code(t, toSales); got != served {
		t.Errorf("its own listener answers %v", got)
	}
}

func TestRegisterDelay(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	began := time.Now()
	const delay = 60 * time.Millisecond
	start(t, &Database{RemoteListeners: []string{b.addr()}, RegisterDelay: delay})
	b.await(t, "registration", registered)
	if took := time.Since(began); took < delay {
		t.Errorf("registered after %v", took)
	}
}

func TestUnregistered(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{b.addr()}, Unregistered: true})
	if got := d.code(t, toSales); got != served {
		t.Errorf("its own listener answers %v", got)
	}
	d.end()
	if err := d.await(t); err != nil {
		t.Fatal(err)
	}
	if n := len(b.events); n > 0 {
		t.Errorf("the broker has seen %d events", n)
	}
}

// Where the database listens on all addresses, clients are sent to the machine.
func TestAdvertises(t *testing.T) {
	for _, c := range []struct{ listen, advertise, want string }{
		{"127.0.0.1:0", "", "127.0.0.1"},
		{"0.0.0.0:0", "", "db1"},
		{"[::]:0", "", "db1"},
		{"0.0.0.0:0", "10.0.0.9:1521", "10.0.0.9"},
		{"127.0.0.1:0", "[::1]:1521", "::1"},
	} {
		d := start(t, &Database{Address: c.listen, Advertise: c.advertise})
		h := d.describe().Handlers[0]
		if h.Host != c.want || h.Port == 0 {
			t.Errorf("%+v: clients are sent to %s port %d", c, h.Host, h.Port)
		}
	}
}
