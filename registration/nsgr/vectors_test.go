package nsgr

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tnsHeader is what precedes the message in a DATA packet: header and data flags.
const tnsHeader = 10

// vector returns the message in a packet kept as hex under testdata.
func vector(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		tb.Fatal(err)
	}
	packet, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return packet[tnsHeader:]
}

func vectors(tb testing.TB) map[string][]byte {
	all := map[string][]byte{}
	for _, name := range []string{"sid_4", "constructed-32le", "constructed-64be"} {
		all[name] = vector(tb, name)
	}
	return all
}

// captures returns the recorded messages, none where the folder is absent.
func captures(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.FromSlash("../../../shared/captures/nsgr/sid_*.bin"))
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		packet, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		all[filepath.Base(file)] = packet[tnsHeader:]
	}
	return all
}

func mustDecode(tb testing.TB, message []byte) *Message {
	tb.Helper()
	m, err := Decode(message, Representation{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func mustEncode(tb testing.TB, m *Message) []byte {
	tb.Helper()
	b, err := m.AppendTo(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestVectorsSurviveDecodeAndEncode(t *testing.T) {
	for name, message := range vectors(t) {
		t.Run(name, func(t *testing.T) { checkSameBytes(t, message) })
	}
}

func TestCapturesSurviveDecodeAndEncode(t *testing.T) {
	all := captures(t)
	if len(all) == 0 {
		t.Skip("no recorded registrations at ../shared/captures/nsgr; the vectors under testdata were tested")
	}
	for name, message := range all {
		t.Run(name, func(t *testing.T) { checkSameBytes(t, message) })
	}
}

func checkSameBytes(t *testing.T, message []byte) {
	t.Helper()
	m := mustDecode(t, message)
	if got := mustEncode(t, m); !bytes.Equal(got, message) {
		t.Errorf("encoding the decoded message gives other bytes:\n%s", cmp.Diff(hex.Dump(message), hex.Dump(got)))
	}
	fresh, err := New(m.Representation, m.Nodes())
	if err != nil {
		t.Fatal(err)
	}
	checkEqualities(t, fresh)
	if got, want := mustEncode(t, maskPointers(fresh)), mustEncode(t, maskPointers(m)); !bytes.Equal(got, want) {
		t.Errorf("encoding its meaning differs in more than pointers:\n%s", cmp.Diff(hex.Dump(want), hex.Dump(got)))
	}
}

// checkEqualities checks the equalities between tokens of nsgr.md 4.8, which an
// encoder is to keep, and that tokens are distinct where they are not equal.
func checkEqualities(t *testing.T, m *Message) {
	t.Helper()
	services, seen := map[string]*Node{}, map[uint64]bool{}
	for _, n := range m.Nodes() {
		if seen[n.Data] {
			t.Errorf("token %#x used twice", n.Data)
		}
		seen[n.Data] = true
		switch {
		case n.Service != nil:
			services[n.Service.Name.String()] = &n
			if n.IDPtr != n.Service.Name.Pointer {
				t.Errorf("service %s: id.ptr %#x, name.ptr %#x", n.Service.Name, n.IDPtr, n.Service.Name.Pointer)
			}
		case n.Endpoint != nil:
			if n.IDPtr != n.Endpoint.Name.Pointer {
				t.Errorf("endpoint: id.ptr %#x, name.ptr %#x", n.IDPtr, n.Endpoint.Name.Pointer)
			}
		case n.Handler != nil:
			copies := n.Handler.Copies
			for _, slot := range n.Handler.Slots {
				if slot == 0 {
					continue
				}
				service := services[copies[0].Name.String()]
				if slot != service.Data || copies[0].Back != service.Service.Back || copies[0].Name.Pointer != service.Service.Name.Pointer {
					t.Errorf("handler %s: slot and copy do not agree with service %s", n.Handler.Name, copies[0].Name)
				}
				copies = copies[1:]
			}
		}
	}
}

// maskPointers replaces every pointer that is not null by one value.
func maskPointers(m *Message) *Message {
	for i := range m.Records {
		mask(&m.Records[i].Handle)
		for j := range m.Records[i].Graph {
			n := &m.Records[i].Graph[j]
			mask(&n.IDPtr, &n.Data, &n.Next)
			switch {
			case n.Instance != nil:
				mask(&n.Instance.Name.Pointer, &n.Instance.Host.Pointer, &n.Instance.Back)
			case n.Service != nil:
				mask(&n.Service.Name.Pointer, &n.Service.Back)
			case n.Endpoint != nil:
				mask(&n.Endpoint.Name.Pointer, &n.Endpoint.Back)
			case n.Handler != nil:
				h := n.Handler
				mask(&h.Name.Pointer, &h.Address.Pointer, &h.Info.Pointer, &h.Array, &h.Back)
				for k := range h.Slots {
					mask(&h.Slots[k])
				}
				for k := range h.Copies {
					mask(&h.Copies[k].Name.Pointer, &h.Copies[k].Back)
				}
			}
		}
	}
	return m
}

func mask(pointers ...*uint64) {
	for _, p := range pointers {
		if *p != 0 {
			*p = 0x5a5a5a5a
		}
	}
}

func TestDecodeSid4(t *testing.T) {
	m := mustDecode(t, vector(t, "sid_4"))
	nodes := m.Nodes()
	if got, want := m.Summary(), "64-bit little-endian record 2 (3 101 1 1) record 5: 1 instance, 2 service, 1 endpoint, 2 handler"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	instance := nodes[0].Instance
	if instance.Name.String() != "orcl" || instance.Host.String() != "(HOST=192.168.133.1  )" {
		t.Errorf("instance %q host %q", instance.Name, instance.Host)
	}
	if got := hex.EncodeToString(nodes[0].ID); got != "e8fa4228c9b74434a146a9dc52cea782" {
		t.Errorf("instance GUID %s", got)
	}
	if got := [4]uint32{instance.NodeLoad, instance.NodeMax, instance.Load, instance.Max}; got != [4]uint32{10, 100, 1, 247} {
		t.Errorf("instance loads %v", got)
	}
	for i, want := range []Service{{Flags: 5, Delta: 1, Update: 6}, {Flags: 4, Goodness: 1, Delta: 1, Update: 6}} {
		got := *nodes[1+i].Service
		if name := got.Name.String(); name != []string{"orclXDB", "orcl"}[i] || nodes[1+i].IDText() != name {
			t.Errorf("service %d is %q with id %q", i, name, nodes[1+i].IDText())
		}
		got.Name, got.Back = Text{}, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("service %d:\n%s", i, diff)
		}
	}
	if got, want := nodes[3].Endpoint.Name.String(), "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=192.168.56.1)(PORT=1521)))"; got != want {
		t.Errorf("endpoint %q", got)
	}
	checkHandlers(t, nodes[4:])
}

func checkHandlers(t *testing.T, nodes []Node) {
	t.Helper()
	type want struct {
		id, name, address, info string
		load, max, flags        uint32
		slots                   []bool
		services                string
	}
	for i, w := range []want{
		{"c2230b173dd6479abed1eabda26d7373", "D000", "(ADDRESS=(PROTOCOL=tcp)(HOST=192.168.133.1  )(PORT=49188))",
			"DISPATCHER <machine: 192.168.133.1  , pid: 3032>", 0, 1022, 0x1004, []bool{true}, "orclXDB"},
		{"32d4604dd6254e5d9abec948e216df4e", "DEDICATED", "(ADDRESS=(PROTOCOL=TCP)(HOST=192.168.133.1  )(PORT=9999))",
			"REMOTE SERVER", 5, 149, 2, []bool{true, false}, "orcl"},
	} {
		h := nodes[i].Handler
		got := want{hex.EncodeToString(nodes[i].ID), h.Name.String(), h.Address.String(), h.Info.String(), h.Load, h.Max, h.Flags, nil, h.Copies[0].Name.String()}
		for _, slot := range h.Slots {
			got.slots = append(got.slots, slot != 0)
		}
		if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" || len(h.Copies) != 1 {
			t.Errorf("handler %d:\n%s", i, diff)
		}
	}
}

func TestDecodeConstructed(t *testing.T) {
	for name, rep := range map[string]Representation{"constructed-32le": linux32, "constructed-64be": unix64} {
		m := mustDecode(t, vector(t, name))
		if m.Representation != rep {
			t.Errorf("%s: representation %v, want %v", name, m.Representation, rep)
		}
		n := m.Nodes()
		if len(n) != 3 || n[0].Instance == nil || n[1].Service == nil || n[2].Handler == nil {
			t.Fatalf("%s: %s", name, m.Summary())
		}
		if i := n[0].Instance; i.Name.String() != "PROD1" || i.Host.String() != "(HOST=db1)" || i.NodeLoad != 30 || i.NodeMax != 5120 || i.Max != 247 {
			t.Errorf("%s: instance %+v", name, i)
		}
		if h := n[2].Handler; h.Load != 7 || h.Max != 149 || h.Flags != 2 || len(h.Slots) != 1 || h.Copies[0].Name.String() != "prod" {
			t.Errorf("%s: handler %+v", name, h)
		}
	}
}
