package registration

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
)

func guidOf(tb testing.TB, text string) (id [16]byte) {
	tb.Helper()
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		tb.Fatal(err)
	}
	return id
}

// sid4 is what the recording of nsgr.md 12 registers.
func sid4(tb testing.TB) servicetable.Registration {
	return servicetable.Registration{
		Instance: "orcl", Host: "192.168.133.1", HostRaw: "(HOST=192.168.133.1  )", GUID: guidOf(tb, "e8fa4228c9b74434a146a9dc52cea782"),
		NodeLoad: 10, NodeMax: 100, Load: 1, Max: 247,
		Services: []servicetable.Service{{Name: "orclXDB", Flags: 5, Delta: 1}, {Name: "orcl", Flags: 4, Goodness: 1, Delta: 1}},
		Handlers: []servicetable.Handler{
			{ID: guidOf(tb, "c2230b173dd6479abed1eabda26d7373"), Name: "D000", Kind: servicetable.Dispatcher, Protocol: "tcp", Host: "192.168.133.1", Port: 49188,
				Address: "(ADDRESS=(PROTOCOL=tcp)(HOST=192.168.133.1  )(PORT=49188))", Info: "DISPATCHER <machine: 192.168.133.1  , pid: 3032>",
				Max: 1022, Flags: FlagsD000, Services: []int{0}},
			{ID: guidOf(tb, "32d4604dd6254e5d9abec948e216df4e"), Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: "192.168.133.1", Port: 9999,
				Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=192.168.133.1  )(PORT=9999))", Info: "REMOTE SERVER",
				Load: 5, Max: 149, Flags: FlagDedicated, Services: []int{1}},
		},
		Endpoints: []string{"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=192.168.56.1)(PORT=1521)))"},
	}
}

func mustFold(tb testing.TB, b []byte) servicetable.Registration {
	tb.Helper()
	m, err := nsgr.Decode(b, nsgr.Representation{})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := FromMessage(m)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

var ignorePeer = cmpopts.IgnoreFields(servicetable.Registration{}, "Peer")

func TestFromMessage(t *testing.T) {
	if diff := cmp.Diff(sid4(t), mustFold(t, recording(t, "sid_4")), ignorePeer); diff != "" {
		t.Errorf("sid_4:\n%s", diff)
	}
	want := servicetable.Registration{
		Instance: "PROD1", Host: "db1", HostRaw: "(HOST=db1)", GUID: guidOf(t, "000102030405060708090a0b0c0d0e0f"),
		NodeLoad: 30, NodeMax: 5120, Load: 1, Max: 247,
		Services: []servicetable.Service{{Name: "prod", Flags: 4, Delta: 1}},
		Handlers: []servicetable.Handler{{ID: guidOf(t, "101112131415161718191a1b1c1d1e1f"), Name: "DEDICATED", Protocol: "TCP", Host: "db1", Port: 1521,
			Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))", Info: "REMOTE SERVER", Load: 7, Max: 149, Flags: 2, Services: []int{0}}},
	}
	for _, name := range []string{"constructed-32le", "constructed-64be"} {
		if diff := cmp.Diff(want, mustFold(t, recording(t, name)), ignorePeer); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestToMessageSaysAllThatFromMessageReads(t *testing.T) {
	for _, rep := range []nsgr.Representation{{}, nsgr.Linux32(), nsgr.Windows64(), nsgr.Unix64BigEndian()} {
		for _, want := range []servicetable.Registration{sid4(t), mustFold(t, recording(t, "constructed-64be"))} {
			m, err := ToMessage(want, rep)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.AppendTo(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, mustFold(t, b), ignorePeer); diff != "" {
				t.Errorf("%v:\n%s", rep, diff)
			}
		}
	}
}

func TestToMessageMakesTextsFromParts(t *testing.T) {
	r := mustFold(t, encode(t, sales("orcl", 3)))
	h := r.Handlers[0]
	if r.HostRaw != "(HOST=db1)" || r.Host != "db1" || h.Address != "(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))" || h.Port != 1521 {
		t.Errorf("host %q, address %q, port %d", r.HostRaw, h.Address, h.Port)
	}
}

func TestToMessageErrors(t *testing.T) {
	if _, err := ToMessage(servicetable.Registration{}, nsgr.Representation{}); !errors.Is(err, ErrNoInstance) {
		t.Errorf("no instance: %v", err)
	}
	for _, at := range []int{-1, 1} {
		r := sales("orcl", 1)
		r.Handlers[0].Services = []int{at}
		if _, err := ToMessage(r, nsgr.Representation{}); err == nil || !strings.Contains(err.Error(), "DEDICATED") {
			t.Errorf("service %d: %v", at, err)
		}
	}
}

// Every recording at hand registers what it holds.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.FromSlash("../../shared/captures/nsgr/sid_*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no recorded registrations at ../shared/captures/nsgr; those under nsgr/testdata were tested")
	}
	for _, file := range files {
		packet, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := mustFold(t, packet[10:])
		if r.Host != "192.168.133.1" || len(r.Services) != 2 || len(r.Handlers) != 2 || r.Max != 247 || !bytes.Contains(packet, []byte(r.Instance)) {
			t.Errorf("%s: %s", file, brief(r))
		}
		if r.Services[0].Name != r.Instance+"XDB" || r.Services[1].Name != r.Instance {
			t.Errorf("%s: services %v", file, r.Services)
		}
	}
}

func TestKindOfHandler(t *testing.T) {
	for _, c := range []struct {
		name, info string
		flags      uint32
		want       servicetable.Kind
	}{
		{"DEDICATED", "REMOTE SERVER", 2, servicetable.Dedicated},
		{"DEDICATED", "LOCAL SERVER", 0x80002002, servicetable.Dedicated},
		{"DEDICATED", "", 0, servicetable.Dedicated},
		{"DEDICATED", "", 4, servicetable.Dedicated},
		{"D000", "DISPATCHER <machine: h, pid: 1>", 0x1004, servicetable.Dispatcher},
		{"D123", "", 0, servicetable.Dispatcher},
		{"D000", "", 2, servicetable.Dedicated},
		{"anything", "", 4, servicetable.Dispatcher},
		{"anything", "", 0, servicetable.Dedicated},
		{"N000", "CMON <machine: h, pid: 1>", 0, servicetable.Pooled},
		{"N000", "", 0, servicetable.Pooled},
		{"N001", "", 0x1004, servicetable.Pooled},
		{"N0001", "", 8, servicetable.Pooled},
		{"N000", "REMOTE SERVER", 2, servicetable.Dedicated},
		{"anything", "CMON <machine: h, pid: 1>", 2, servicetable.Pooled},
		{"N00", "", 0, servicetable.Dedicated},
		{"NORTH", "", 0, servicetable.Dedicated},
		{"", "", 0, servicetable.Dedicated},
	} {
		if got := kindOf(&servicetable.Handler{Name: c.name, Info: c.info, Flags: c.flags}); got != c.want {
			t.Errorf("%q %q %#x: %v, want %v", c.name, c.info, c.flags, got, c.want)
		}
	}
}

func TestHandlerAddresses(t *testing.T) {
	for _, c := range []struct {
		address, protocol, host string
		port                    int
		fails                   bool
	}{
		{"(ADDRESS=(PROTOCOL=tcps)(HOST=db1.example.com)(PORT=2484))", "tcps", "db1.example.com", 2484, false},
		{"(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST= 10.1.1.1 )(PORT=1521)))", "TCP", "10.1.1.1", 1521, false},
		{"(address=(protocol=tcp)(host=2001:db8::1)(port=1521))", "tcp", "2001:db8::1", 1521, false},
		{"(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))", "TCP", "127.0.0.1", 1, false},
		{"(ADDRESS=(PROTOCOL=TCP)(HOST=0.0.0.0)(PORT=1521))", "TCP", "0.0.0.0", 1521, false},
		{"(ADDRESS=(PROTOCOL=beq)(PROGRAM=oracle))", "beq", "", 0, false},
		{"(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=70000))", "", "", 0, true},
		{"(ADDRESS=(PROTOCOL=TCP)(PORT=1521))", "", "", 0, true},
		{"db1:1521", "", "", 0, true},
		{"", "", "", 0, true},
		{"(((((", "", "", 0, true},
	} {
		n := handlerNode(1, "DEDICATED", 0, "", func(n *nsgr.Node) { n.Handler.Address = nsgr.NewText(c.address) })
		h, err := newHandler(&n)
		if h.Protocol != c.protocol || h.Host != c.host || h.Port != c.port || h.Address != c.address || (err != nil) != c.fails {
			t.Errorf("%s: %+v, %v", c.address, h, err)
		}
	}
}

func TestHostOf(t *testing.T) {
	for raw, want := range map[string]string{
		"(HOST=db1)":               "db1",
		"(HOST=192.168.133.1  )":   "192.168.133.1",
		"(host = db1.example.com)": "db1.example.com",
		"(HOST=)":                  "",
		"(ADDRESS=(PROTOCOL=tcp)(HOST=db2)(PORT=1))": "db2",
		"(HOST=[[db2]])": "db2",
		" db3 ":          "db3",
		"(HOST=db4":      "(HOST=db4",
		"":               "",
	} {
		if got := hostOf(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}
