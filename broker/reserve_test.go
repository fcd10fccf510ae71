package broker

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Where databases registered is known while they are there, and for a while after.
func TestWhereDatabasesComeFromIsRemembered(t *testing.T) {
	var table servicetable.Table
	var d databaseAddresses
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	now := time.Unix(1_000_000, 0)
	wants := func(step string, wantOne, wantOther bool) {
		t.Helper()
		d.learn(table.Snapshot(), now)
		if d.known(one) != wantOne || d.known(other) != wantOther || d.known(netip.Addr{}) {
			t.Errorf("%s: %v, %v", step, d.known(one), d.known(other))
		}
	}
	if d.known(one) {
		t.Error("known before anybody looked")
	}
	wants("nobody", false, false)
	for i, peer := range []netip.Addr{one, other, {}} { // the last one by configuration
		table.Apply(servicetable.Registration{ID: servicetable.ID(fmt.Sprint(i)), Instance: fmt.Sprint(i), Peer: peer})
	}
	wants("both", true, true)
	if !d.known(other.Next()) {
		t.Error("a database may come from another address of its network")
	}
	table.Drop("0")
	wants("one is gone", true, true)
	now = now.Add(rememberedFor - time.Second)
	wants("still", true, true)
	now = now.Add(2 * time.Second)
	wants("for too long", false, true)
	table.Drop("1")
	many := map[netip.Prefix]time.Time{}
	for i := range mostRemembered + 100 {
		many[netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)] = time.Time{}
	}
	d.all.Store(&many)
	d.learn(table.Snapshot(), now)
	if n := len(*d.all.Load()); n != mostRemembered {
		t.Errorf("%d are remembered", n)
	}
}

// Whatever comes from a database's address besides, the database registers anew; others from there get nothing by that.
func TestADatabaseRegistersBesideAFloodFromItsAddress(t *testing.T) {
	r := prepared(t, func(b *Broker) {
		b.overload.descriptors.clients = 1
		b.limiting.slots.Most = 0 // nobody is answered
	})
	withdraw := r.register("a", "sales")
	until(t, "its address is known", func() bool { return r.databases.known(netip.MustParseAddr("127.0.0.1")) })
	r.session("sales")
	flood := make(chan struct{})
	for range 4 { // some silent, some not
		go func() {
			for {
				c, err := net.Dial("tcp", r.Addresses()[0])
				for err != nil { // reset already
					select {
					case <-flood:
						return
					default:
						c, err = net.Dial("tcp", r.Addresses()[0])
					}
				}
				_, _ = c.Write(tns.NewConnect([]byte(sales)).AppendTo(nil, false)[:10])
				select {
				case <-flood:
					c.Close()
					return
				case <-time.After(time.Millisecond):
					_, _ = c.Write(tns.NewConnect([]byte(sales)).AppendTo(nil, false)[10:])
					c.Close()
				}
			}
		}()
	}
	defer close(flood)
	withdraw()
	r.await(func(s *servicetable.Snapshot) bool { _, err := s.Service("sales"); return err != nil })
	r.register("a", "sales")
	for local, what := range map[string]string{"127.0.0.1": "a client from there", "127.0.0.2": "a client"} {
		c, err := r.dialFrom(local)
		if err != nil { // it has been reset already
			continue
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		conn := tns.NewConn(c)
		if err := conn.Send(tns.NewConnect([]byte(sales))); err != nil {
			continue
		}
		if reply, err := conn.ReadReply(); err == nil {
			t.Errorf("%s is answered: %T", what, reply)
		}
	}
}

// Of those that say nothing, the oldest makes room.
func TestTheReserveIsForThoseWhoSpeak(t *testing.T) {
	r := prepared(t, func(b *Broker) {
		b.overload.descriptors.total, b.overload.descriptors.reserve = 1<<20, 4*leastInReserve
	})
	here := netip.MustParseAddrPort("127.0.0.1:1")
	r.databases.all.Store(&map[netip.Prefix]time.Time{netip.PrefixFrom(here.Addr(), 32): {}})
	silent := func() (*arrival, net.Conn) {
		one, other := net.Pipe()
		t.Cleanup(func() { one.Close(); other.Close() })
		return &arrival{raw: one, client: here}, other
	}
	first, theirs := silent()
	if !r.reserved(first) {
		t.Fatal("there is no room at all")
	}
	for range leastInReserve - 1 {
		a, _ := silent()
		if !r.reserved(a) {
			t.Fatal("there is no room")
		}
	}
	next, _ := silent()
	until(t, "the first one has had its time", func() bool { return r.reserved(next) })
	_ = theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Error("the first one is still there")
	}
	stranger, _ := silent()
	stranger.client = netip.MustParseAddrPort("192.0.2.9:1")
	if r.reserved(stranger) {
		t.Error("there is room for a stranger")
	}
	r.spoke(next)
	if now, _ := r.limiting.reserve.Counts(); now != leastInReserve {
		t.Errorf("%d in the reserve, of which one has spoken and is not let in yet", now)
	}
	r.registers(next)
	if now, _ := r.limiting.reserve.Counts(); now != leastInReserve-1 {
		t.Errorf("%d in the reserve", now)
	}
}
