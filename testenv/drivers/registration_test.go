package drivers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"servicebroker/registration/nsgr"
)

// tableOf is how the API has to show a registration, taken from the message alone.
func tableOf(t *testing.T, message []byte) []serviceView {
	t.Helper()
	m, err := nsgr.Decode(message, nsgr.Representation{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := m.Nodes()
	at := slices.IndexFunc(nodes, func(n nsgr.Node) bool { return n.Instance != nil })
	if at < 0 {
		t.Fatal("the message has no instance")
	}
	from := nodes[at].Instance
	var services []serviceView
	for _, n := range nodes {
		if n.Service == nil {
			continue
		}
		i := instanceView{
			Name: from.Name.String(), HostRaw: from.Host.String(), Status: statusOf(n.Service.Flags), LoadSource: "registration",
			NodeLoad: from.NodeLoad, NodeMax: from.NodeMax, Load: from.Load, Max: from.Max,
			Goodness: n.Service.Goodness, Delta: n.Service.Delta,
			Handlers: handlersOf(nodes, n.Service.Name.String()),
		}
		i.Host = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(i.HostRaw, "(HOST="), ")"))
		i.Key = i.Name + "@" + i.Host
		services = append(services, serviceView{Name: n.Service.Name.String(), Instances: []instanceView{i}})
	}
	slices.SortFunc(services, func(a, b serviceView) int { return strings.Compare(a.Name, b.Name) })
	return services
}

// statusOf reads service flags: nsgr.md 5.2; 8 for restricted is the convention of
// the test database.
func statusOf(flags uint32) string {
	switch {
	case flags&4 == 0:
		return "BLOCKED"
	case flags&8 != 0:
		return "RESTRICTED"
	}
	return "READY"
}

func handlersOf(nodes []nsgr.Node, service string) []handlerView {
	handlers := []handlerView{}
	for _, n := range nodes {
		if n.Handler == nil || !slices.ContainsFunc(n.Handler.Copies, func(s nsgr.Service) bool { return s.Name.String() == service }) {
			continue
		}
		h := handlerView{
			Name: n.Handler.Name.String(), Load: n.Handler.Load, Max: n.Handler.Max, State: "ready",
			Address: n.Handler.Address.String(), Info: n.Handler.Info.String(),
		}
		switch {
		case n.Handler.Flags&2 != 0:
			h.Kind = "dedicated"
		case n.Handler.Flags&4 != 0:
			h.Kind = "dispatcher"
		}
		if h.Max > 0 && h.Load >= h.Max {
			h.State = "blocked"
		}
		handlers = append(handlers, h)
	}
	return handlers
}

// awaitTable waits until the API shows exactly these services.
func (b *broker) awaitTable(t *testing.T, want []serviceView) {
	t.Helper()
	if want == nil {
		want = []serviceView{}
	}
	eventually(t, patience, func() error {
		list, err := b.services()
		if err != nil {
			return err
		}
		got := append([]serviceView{}, list.Services...)
		slices.SortFunc(got, func(a, b serviceView) int { return strings.Compare(a.Name, b.Name) })
		if d := cmp.Diff(want, got); d != "" {
			return fmt.Errorf("the table is not as registered (-want +got):\n%s", d)
		}
		return nil
	})
}

// ways of writing one stream of bytes that all mean the same.
var segmentations = []struct {
	name  string
	write func(t *testing.T, c net.Conn, packet []byte)
}{
	{"one write", writeAll},
	{"single bytes", func(t *testing.T, c net.Conn, packet []byte) {
		for i := range packet {
			writeAll(t, c, packet[i:i+1])
		}
	}},
	{"many packets", func(t *testing.T, c net.Conn, packet []byte) {
		random := rand.New(rand.NewPCG(uint64(len(packet)), 1))
		for payload := packet[10:]; len(payload) > 0; {
			n := min(1+random.IntN(60), len(payload))
			writeAll(t, c, rawData(payload[:n]))
			payload = payload[n:]
		}
	}},
	{"packets of one byte in one write", func(t *testing.T, c net.Conn, packet []byte) {
		var all []byte
		for _, b := range packet[10:] {
			all = append(all, rawData([]byte{b})...)
		}
		writeAll(t, c, all)
	}},
}

// What real databases sent shows in the API as sent, however the bytes are cut,
// and is gone once the connection closes.
func TestCapturedRegistration(t *testing.T) {
	connect, registrations := captured(t)
	b := startBroker(t, withoutProbes)
	for name, packet := range registrations {
		for _, way := range segmentations {
			t.Run(name+"/"+way.name, func(t *testing.T) {
				want := tableOf(t, packet[10:])
				c := register(t, b.address, connect)
				way.write(t, c, packet)
				b.awaitTable(t, want)
				c.Close()
				b.measureGone(t, want[0].Name, 0)
				b.awaitTable(t, nil)
			})
		}
	}
}

// A connection that breaks instead of closing takes its registration along too.
func TestRegistrationReset(t *testing.T) {
	b := startBroker(t, withoutProbes)
	message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})
	c := register(t, b.address, registerConnect())
	writeAll(t, c, rawData(message))
	b.awaitService(t, "sales", "READY", 1)
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	b.measureGone(t, "sales", 0)
}

// shape is a registration by its outline.
type shape struct {
	instance string
	services []string
	handlers int
	load     uint32
	at       string // host of the handlers; empty: loopback
}

// builtRegistration encodes a registration; its numbers differ from place to place,
// so that none can be mistaken for another.
func builtRegistration(t *testing.T, rep nsgr.Representation, s shape) []byte {
	t.Helper()
	nodes := []nsgr.Node{nsgr.NewInstance([16]byte{1, 2, 3}, nsgr.Instance{
		Name: nsgr.NewText(s.instance), Host: nsgr.NewText("(HOST=db-" + s.instance + ")"),
		NodeLoad: 10 + s.load, NodeMax: 1000, Load: 1 + s.load, Max: 247,
	})}
	for i, name := range s.services {
		nodes = append(nodes, nsgr.NewService(nsgr.Service{
			Name: nsgr.NewText(name), Flags: 4, Goodness: uint32(i) + s.load, Delta: uint32(i%7) + 1,
		}))
	}
	host := s.at
	if host == "" {
		host = "127.0.0.1"
	}
	for i := range s.handlers {
		nodes = append(nodes, nsgr.NewHandler([16]byte{9, byte(i)}, nsgr.Handler{
			Name: nsgr.NewText(fmt.Sprintf("H%03d", i)), Address: nsgr.NewText(fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%d))", host, 20000+i)),
			Info: nsgr.NewText("REMOTE SERVER"), Load: uint32(i) + s.load, Max: 149, Flags: 2,
		}, s.services...))
	}
	m, err := nsgr.New(rep, nodes)
	if err != nil {
		t.Fatal(err)
	}
	message, err := m.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// packets cuts a message into DATA packets of at most 2,000 bytes.
func packets(message []byte) []byte {
	var all []byte
	for chunk := range slices.Chunk(message, 2000) {
		all = append(all, rawData(chunk)...)
	}
	return all
}

// Senders of every word size and byte order register, from one service with one
// handler to 200 with 50.
func TestRegistrationOfEveryRepresentation(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	bigEndian32 := nsgr.Linux32()
	bigEndian32.BigEndian = true
	representations := map[string]nsgr.Representation{
		"64-bit little-endian": nsgr.Linux64(), "64-bit Windows": nsgr.Windows64(),
		"32-bit little-endian": nsgr.Linux32(), "64-bit big-endian": nsgr.Unix64BigEndian(), "32-bit big-endian": bigEndian32,
	}
	for name, rep := range representations {
		for _, size := range []struct{ services, handlers int }{{1, 1}, {7, 3}, {200, 50}} {
			t.Run(fmt.Sprintf("%s/%d services %d handlers", name, size.services, size.handlers), func(t *testing.T) {
				s := shape{instance: "sales1", handlers: size.handlers}
				for i := range size.services {
					s.services = append(s.services, fmt.Sprintf("service%03d", i))
				}
				message := builtRegistration(t, rep, s)
				c := register(t, b.address, registerConnect())
				writeAll(t, c, packets(message))
				b.awaitTable(t, tableOf(t, message))
				c.Close()
				b.awaitTable(t, nil)
			})
		}
	}
}

// Two databases register one service, each on a connection of its own: both are
// there, and each goes by itself.
func TestTwoRegistrationsOfOneService(t *testing.T) {
	b := startBroker(t, withoutProbes)
	var connections []net.Conn
	for _, instance := range []string{"sales1", "sales2"} {
		c := register(t, b.address, registerConnect())
		writeAll(t, c, rawData(builtRegistration(t, nsgr.Linux64(), shape{instance: instance, services: []string{"sales"}, handlers: 1})))
		connections = append(connections, c)
	}
	b.awaitService(t, "sales", "READY", 2)

	// The very same instance once more, as a listener that cannot tell a duplicate sees it.
	again := register(t, b.address, registerConnect())
	writeAll(t, again, rawData(builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})))
	b.awaitService(t, "sales", "READY", 3)
	again.Close()
	b.measureGone(t, "sales", 2)

	connections[0].Close()
	b.measureGone(t, "sales", 1)
	left, err := b.instancesOf("sales")
	if err != nil || left[0].Name != "sales2" {
		t.Errorf("left is %v, %v; want sales2", left, err)
	}
	connections[1].Close()
	b.measureGone(t, "sales", 0)
}

// A database that registers anew on its connection has changed load, and may have
// other services.
func TestRegistrationAgainOnOneConnection(t *testing.T) {
	b := startBroker(t, withoutProbes)
	c := register(t, b.address, registerConnect())
	for _, s := range []shape{
		{instance: "sales1", services: []string{"sales"}, handlers: 1},
		{instance: "sales1", services: []string{"sales"}, handlers: 1, load: 40},
		{instance: "sales1", services: []string{"sales", "reports"}, handlers: 3, load: 20},
		{instance: "sales1", services: []string{"reports"}, handlers: 1},
	} {
		message := builtRegistration(t, nsgr.Linux64(), s)
		writeAll(t, c, rawData(message))
		b.awaitTable(t, tableOf(t, message))
	}
	c.Close()
	b.measureGone(t, "reports", 0)
}

// What cannot be decoded is passed over: the connection, and what it registered, stay.
func TestUndecodableMessageKeepsRegistration(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	c := register(t, b.address, registerConnect())
	message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})
	writeAll(t, c, rawData(message))
	want := tableOf(t, message)
	b.awaitTable(t, want)
	broken := slices.Clone(message)
	for i := 60; i < len(broken); i += 7 {
		broken[i] ^= 0xa5
	}
	writeAll(t, c, rawData(broken))
	changed := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1, load: 9})
	writeAll(t, c, rawData(changed))
	b.awaitTable(t, tableOf(t, changed))
}
