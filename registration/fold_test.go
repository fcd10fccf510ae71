package registration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/testenv/fuzzing"
)

// Short ways to write nodes.
func instanceNode(name string, edit ...func(*nsgr.Node)) nsgr.Node {
	return with(nsgr.NewInstance([16]byte{9}, nsgr.Instance{Name: nsgr.NewText(name), Host: nsgr.NewText("(HOST=db1 )"), Load: 1, Max: 247}), edit)
}

func serviceNode(name string, goodness uint32, edit ...func(*nsgr.Node)) nsgr.Node {
	return with(nsgr.NewService(nsgr.Service{Name: nsgr.NewText(name), Flags: 4, Goodness: goodness, Delta: 1, Update: 6}), edit)
}

func endpointNode(text string, edit ...func(*nsgr.Node)) nsgr.Node {
	return with(nsgr.NewEndpoint(nsgr.Endpoint{Name: nsgr.NewText(text)}), edit)
}

// handlerNode has an id that begins with id.
func handlerNode(id byte, name string, load uint32, services string, edit ...func(*nsgr.Node)) nsgr.Node {
	return with(nsgr.NewHandler([16]byte{id}, nsgr.Handler{Name: nsgr.NewText(name), Load: load, Max: 10, Flags: 2,
		Address: nsgr.NewText("(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))")}, strings.Fields(services)...), edit)
}

func with(n nsgr.Node, edit []func(*nsgr.Node)) nsgr.Node {
	for _, e := range edit {
		e(&n)
	}
	return n
}

func removed(n *nsgr.Node) { n.Instance, n.Service, n.Endpoint, n.Handler = nil, nil, nil, nil }
func op(v uint32) func(*nsgr.Node) {
	return func(n *nsgr.Node) { n.Op = v }
}
func mask(v uint32) func(*nsgr.Node) { return func(n *nsgr.Node) { n.Instance.Update = v } }
func guid(v byte) func(*nsgr.Node) {
	return func(n *nsgr.Node) { n.ID = make([]byte, 16); n.ID[0] = v }
}
func load(v uint32) func(*nsgr.Node)     { return func(n *nsgr.Node) { n.Instance.Load = v } }
func host(v string) func(*nsgr.Node)     { return func(n *nsgr.Node) { n.Instance.Host = nsgr.NewText(v) } }
func message(n ...nsgr.Node) []nsgr.Node { return n }

// link sets which services the handler claims to serve, whether they exist or not.
func serving(names ...string) func(*nsgr.Node) {
	return func(n *nsgr.Node) {
		n.Handler.Copies = nil
		for _, name := range names {
			n.Handler.Copies = append(n.Handler.Copies, nsgr.Service{Name: nsgr.NewText(name)})
		}
	}
}

// toMessage gives every object a token that is not null; Fold looks at no more.
func toMessage(nodes []nsgr.Node) *nsgr.Message {
	graph := make([]nsgr.Node, len(nodes))
	for i, n := range nodes {
		if n.Instance != nil || n.Service != nil || n.Endpoint != nil || n.Handler != nil {
			n.Data = 1
		}
		graph[i] = n
	}
	return &nsgr.Message{Records: []nsgr.Record{{Kind: nsgr.KindCall, Graph: graph}}}
}

// brief tells a registration in one line: "orcl@db1 1 | sales:0 | D000:3>sales | endpoint".
func brief(r servicetable.Registration) string {
	if r.Instance == "" {
		return "nothing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d |", r.Key(), r.Load)
	for _, s := range r.Services {
		fmt.Fprintf(&b, " %s:%d", s.Name, s.Goodness)
	}
	b.WriteString(" |")
	for _, h := range r.Handlers {
		fmt.Fprintf(&b, " %s:%d", h.Name, h.Load)
		for i, at := range h.Services {
			fmt.Fprintf(&b, "%c%s", ">,"[min(i, 1)], r.Services[at].Name)
		}
	}
	for _, e := range r.Endpoints {
		b.WriteString(" | " + e)
	}
	return b.String()
}

func TestFold(t *testing.T) {
	first := message(instanceNode("orcl"), serviceNode("xdb", 0), serviceNode("sales", 1), endpointNode("e1"),
		handlerNode(1, "D000", 0, "xdb"), handlerNode(2, "DEDICATED", 5, "sales"))
	const registered = "orcl@db1 1 | xdb:0 sales:1 | D000:0>xdb DEDICATED:5>sales | e1"
	for _, c := range []struct {
		name string
		then []nsgr.Node
		want string
		kind ChangeKind
		note string
	}{
		{"re-registration with other load", message(instanceNode("orcl", load(7)), serviceNode("xdb", 0), serviceNode("sales", 8), endpointNode("e1"),
			handlerNode(1, "D000", 2, "xdb"), handlerNode(2, "DEDICATED", 6, "sales")),
			"orcl@db1 7 | xdb:0 sales:8 | D000:2>xdb DEDICATED:6>sales | e1", ChangeRegistered, ""},
		{"re-registration without a service", message(instanceNode("orcl"), serviceNode("sales", 1), handlerNode(2, "DEDICATED", 5, "sales")),
			"orcl@db1 1 | sales:1 | DEDICATED:5>sales", ChangeRegistered, ""},
		{"re-registration with more", message(instanceNode("orcl"), serviceNode("hr", 2), serviceNode("sales", 1), handlerNode(3, "DEDICATED", 5, "hr sales")),
			"orcl@db1 1 | hr:2 sales:1 | DEDICATED:5>hr,sales", ChangeRegistered, ""},
		{"another instance, whatever its mask", message(instanceNode("orcl2", guid(8), mask(8)), serviceNode("hr", 2), handlerNode(3, "DEDICATED", 5, "hr")),
			"orcl2@db1 1 | hr:2 | DEDICATED:5>hr", ChangeRegistered, ""},
		{"another host", message(instanceNode("orcl", host("(HOST=db2)"))), "orcl@db2 1 | |", ChangeRegistered, ""},
		{"service update by id", message(serviceNode("sales", 30)), "orcl@db1 1 | xdb:0 sales:30 | D000:0>xdb DEDICATED:5>sales | e1", ChangeUpdated, ""},
		{"handler update by id", message(handlerNode(2, "DEDICATED", 50, "", serving("sales"))), "orcl@db1 1 | xdb:0 sales:1 | D000:0>xdb DEDICATED:50>sales | e1", ChangeUpdated, ""},
		{"handler renamed", message(handlerNode(1, "D001", 4, "", serving("xdb"))), "orcl@db1 1 | xdb:0 sales:1 | D001:4>xdb DEDICATED:5>sales | e1", ChangeUpdated, ""},
		{"instance update by mask", message(instanceNode("orcl", load(9), mask(0xa)), serviceNode("sales", 2)),
			"orcl@db1 9 | xdb:0 sales:2 | D000:0>xdb DEDICATED:5>sales | e1", ChangeUpdated, ""},
		{"unknown ones are added", message(serviceNode("hr", 3), handlerNode(3, "D001", 1, "", serving("hr", "xdb")), endpointNode("e2")),
			"orcl@db1 1 | xdb:0 sales:1 hr:3 | D000:0>xdb DEDICATED:5>sales D001:1>hr,xdb | e1 | e2", ChangeUpdated, ""},
		{"other operation with the instance", message(instanceNode("orcl", load(3), op(2))), "orcl@db1 3 | xdb:0 sales:1 | D000:0>xdb DEDICATED:5>sales | e1", ChangeUpdated, "instance node with operation 2"},
		{"other operation in another node", message(instanceNode("orcl", load(3)), serviceNode("sales", 4, op(3))),
			"orcl@db1 3 | xdb:0 sales:4 | D000:0>xdb DEDICATED:5>sales | e1", ChangeUpdated, "service node with operation 3"},
		{"service removed", message(serviceNode("xdb", 0, removed)), "orcl@db1 1 | sales:1 | D000:0 DEDICATED:5>sales | e1", ChangeUpdated, `service "xdb" removed`},
		{"handler removed", message(handlerNode(1, "", 0, "", removed)), "orcl@db1 1 | xdb:0 sales:1 | DEDICATED:5>sales | e1", ChangeUpdated, "handler 01000000000000000000000000000000 removed"},
		{"endpoint removed", message(endpointNode("e1", removed)), "orcl@db1 1 | xdb:0 sales:1 | D000:0>xdb DEDICATED:5>sales", ChangeUpdated, `endpoint "e1" removed`},
		{"unknown ids removed", message(serviceNode("zzz", 0, removed), handlerNode(7, "", 0, "", removed), endpointNode("zzz", removed), instanceNode("x", guid(7), removed)),
			registered, ChangeUpdated, "removed"},
		{"removed and added again", message(serviceNode("sales", 0, removed), serviceNode("sales", 6), handlerNode(2, "", 0, "", removed),
			handlerNode(2, "DEDICATED", 3, "", serving("sales")), endpointNode("e1", removed), endpointNode("e1")),
			"orcl@db1 1 | xdb:0 sales:6 | D000:0>xdb DEDICATED:3>sales | e1", ChangeUpdated, ""},
		{"instance removed", message(instanceNode("orcl", removed)), "nothing", ChangeWithdrawn, "instance 09000000000000000000000000000000 removed"},
		{"unknown kind without data", message(nsgr.Node{Op: 1, Kind: 5, ID: []byte("CMON")}), registered, ChangeUpdated, "kind 5"},
		{"handler of an unknown service", message(handlerNode(2, "DEDICATED", 5, "", serving("sales", "gone"))), registered, ChangeUpdated, `serves "gone", which is not registered`},
		{"handler links by name in any case, once", message(handlerNode(2, "DEDICATED", 5, "", serving("SALES", "sales"))), registered, ChangeUpdated, ""},
		{"nameless service", message(serviceNode("", 3)), registered, ChangeUpdated, "without a name"},
		{"handler without an address", message(handlerNode(1, "D000", 0, "", serving("xdb"), func(n *nsgr.Node) { n.Handler.Address = nsgr.NewText("") })),
			registered, ChangeUpdated, `handler "D000" leads nowhere`},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, change, err := Fold(servicetable.Registration{ID: "7"}, toMessage(first))
			if err != nil || change.Kind != ChangeRegistered || brief(before) != registered {
				t.Fatalf("first message: %s, %+v, %v", brief(before), change, err)
			}
			after, change, err := Fold(before, toMessage(c.then))
			if err != nil {
				t.Fatal(err)
			}
			if brief(after) != c.want || after.ID != "7" {
				t.Errorf("got  %s\nwant %s", brief(after), c.want)
			}
			if notes := strings.Join(change.Notes, "; "); change.Kind != c.kind || !strings.Contains(notes, c.note) {
				t.Errorf("change %d with notes %q", change.Kind, notes)
			}
			if brief(before) != registered {
				t.Errorf("the previous registration became %s", brief(before))
			}
		})
	}
}

func TestFoldErrors(t *testing.T) {
	answer := toMessage(message(instanceNode("orcl")))
	answer.Records[0].Kind = nsgr.KindAnswer
	known, _, err := Fold(servicetable.Registration{}, toMessage(message(instanceNode("orcl"))))
	if err != nil {
		t.Fatal(err)
	}
	services := func(prefix string, n int) (nodes []nsgr.Node) {
		for i := range n {
			nodes = append(nodes, serviceNode(prefix+strconv.Itoa(i), 0))
		}
		return nodes
	}
	many, _, err := Fold(known, toMessage(message(services("a", 10_000)...)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		previous servicetable.Registration
		message  *nsgr.Message
		want     error
	}{
		{"first without an instance", servicetable.Registration{}, toMessage(message(serviceNode("sales", 0))), ErrNoInstance},
		{"first removes", servicetable.Registration{}, toMessage(message(instanceNode("orcl", removed))), ErrNoInstance},
		{"instance without a name", servicetable.Registration{}, toMessage(message(instanceNode(""))), ErrNoInstance},
		{"later instance without a name", known, toMessage(message(instanceNode(""))), ErrNoInstance},
		{"two instances", servicetable.Registration{}, toMessage(message(instanceNode("a"), instanceNode("b"))), ErrTwoInstances},
		{"answer", known, answer, ErrNotACall},
		{"too many services", known, toMessage(message(services("a", 20_001)...)), ErrTooMuch},
		{"too many services by and by", many, toMessage(message(services("b", 10_001)...)), ErrTooMuch},
	} {
		got, _, err := Fold(c.previous, c.message)
		if !errors.Is(err, c.want) || brief(got) != brief(c.previous) {
			t.Errorf("%s: %s, %v", c.name, brief(got), err)
		}
	}
}

func TestFoldKeepsHandlersWithEqualIDsApart(t *testing.T) {
	careless := message(instanceNode("orcl"), serviceNode("sales", 1),
		handlerNode(0, "D000", 1, "sales"), handlerNode(0, "D001", 2, "sales"), handlerNode(0, "DEDICATED", 3, "sales"))
	const want = "orcl@db1 1 | sales:1 | D000:1>sales D001:2>sales DEDICATED:3>sales"
	r, _, err := Fold(servicetable.Registration{}, toMessage(careless))
	if err != nil || brief(r) != want {
		t.Fatalf("%s, %v", brief(r), err)
	}
	r, _, err = Fold(r, toMessage(message(handlerNode(0, "D001", 9, "", serving("sales")))))
	if err != nil || brief(r) != strings.Replace(want, "D001:2", "D001:9", 1) {
		t.Errorf("%s, %v", brief(r), err)
	}
}

func TestFoldKeepsWhatTheDatabaseDoesNotSay(t *testing.T) {
	at := time.Unix(1, 0)
	mine := servicetable.Registration{ID: "1", RegisteredAt: at, LoadAt: at, LoadSource: "agent", Peer: netip.MustParseAddr("10.1.1.1"), ArrivedOn: "a"}
	known, _, err := Fold(mine, toMessage(message(instanceNode("orcl"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]nsgr.Node{message(instanceNode("orcl")), message(instanceNode("orcl", mask(8))), message(instanceNode("orcl", removed))} {
		got, _, err := Fold(known, toMessage(m))
		if err != nil {
			t.Fatal(err)
		}
		kept := servicetable.Registration{ID: got.ID, RegisteredAt: got.RegisteredAt, LoadAt: got.LoadAt, LoadSource: got.LoadSource, Peer: got.Peer, ArrivedOn: got.ArrivedOn}
		if diff := cmp.Diff(mine, kept, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFoldBoundsItsNotes(t *testing.T) {
	nodes := message(instanceNode("orcl"))
	for range 1000 {
		nodes = append(nodes, serviceNode("", 1))
	}
	_, change, err := Fold(servicetable.Registration{}, toMessage(nodes))
	if err != nil || len(change.Notes) != maxNotes+1 {
		t.Errorf("%d notes, %v", len(change.Notes), err)
	}
}

// Random messages, one after another, leave a registration whole.
func FuzzFold(f *testing.F) {
	for _, name := range []string{"sid_4", "constructed-32le", "constructed-64be"} {
		f.Add(recording(f, name), recording(f, "sid_4"))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var r servicetable.Registration
		for _, b := range [][]byte{first, second, first} {
			m, err := nsgr.Decode(b, nsgr.Linux64())
			if err != nil {
				continue
			}
			before := brief(r)
			var next servicetable.Registration
			fuzzing.Bounded(t, len(first)+len(second), func() { next, _, err = Fold(r, m) }) // r grows by both
			if before != brief(r) {
				t.Fatal("the previous registration was changed")
			}
			if err == nil {
				r = next
			}
			for _, h := range r.Handlers {
				for _, at := range h.Services {
					if at < 0 || at >= len(r.Services) {
						t.Fatalf("handler %q serves service %d of %d", h.Name, at, len(r.Services))
					}
				}
			}
		}
	})
}

// FuzzFoldCost folds messages of many small nodes, most of which are alike in something: that takes no longer
// than reading them does, a few times over.
func FuzzFoldCost(f *testing.F) {
	handlers, removals := []byte{0, 0, 1}, []byte{1, 0, 0} // of one id, whatever they are named
	f.Add(handlers, handlers, uint16(20_000))              // as many as one registration may have
	f.Add(handlers, removals, uint16(12_000))
	f.Add(slices.Concat(handlers, removals), handlers, uint16(9_000))
	f.Add([]byte{0, 0, 0, 2, 0, 1}, []byte{3, 0, 1, 4, 0, 0}, uint16(5_000))
	f.Fuzz(func(t *testing.T, first, second []byte, size uint16) {
		var r servicetable.Registration
		for n, script := range [][]byte{first, second, first} {
			m, err := nsgr.New(nsgr.Linux32(), manyNodes(fuzzing.Read(script), int(size), n == 1))
			if err != nil {
				return
			}
			message, err := m.AppendTo(nil)
			if err != nil {
				return
			}
			next, before := r, r
			fuzzing.BoundedBy(t, func() { m, err = nsgr.Decode(message, nsgr.Linux32()) }, func() {
				if err == nil {
					next, _, _ = Fold(before, m)
				}
			})
			r = next
		}
	})
}

// manyNodes makes size nodes of a few that a script describes, over and over; later ones change what was said before.
func manyNodes(s *fuzzing.Script, size int, later bool) []nsgr.Node {
	var few [][3]byte
	for s.More() && len(few) < 8 {
		few = append(few, [3]byte{s.Byte(), s.Byte(), s.Byte()})
	}
	nodes := message(instanceNode("orcl"))
	if later {
		nodes = message(instanceNode("orcl", mask(8)))
	}
	for i := range min(size, size*len(few)) {
		one := few[i%len(few)]
		id, name := [16]byte{15: one[1]}, fmt.Sprint(one[2])
		if one[1]%2 == 1 { // each has its own
			binary.BigEndian.PutUint32(id[:], uint32(i))
		}
		if one[2]%2 == 1 {
			name = fmt.Sprint(i)
		}
		switch one[0] % 6 {
		case 0:
			nodes = append(nodes, nsgr.NewHandler(id, nsgr.Handler{Name: nsgr.NewText(name)}))
		case 1:
			nodes = append(nodes, with(nsgr.NewHandler(id, nsgr.Handler{}), []func(*nsgr.Node){removed}))
		case 2:
			nodes = append(nodes, serviceNode(name, 1))
		case 3:
			nodes = append(nodes, serviceNode(name, 1, removed))
		case 4:
			nodes = append(nodes, endpointNode(name))
		case 5:
			nodes = append(nodes, endpointNode(name, removed))
		}
	}
	return nodes
}
