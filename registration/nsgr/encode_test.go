package nsgr

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestMessagesThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(m *Message)
		want error
	}{
		{"no representation", func(m *Message) { m.Representation = Representation{} }, ErrDescriptor},
		{"no nodes", func(m *Message) { m.Records[1].Graph = nil }, ErrInconsistent},
		{"interface missing", func(m *Message) { m.Records[0].Interface = nil }, ErrInconsistent},
		{"next null in the middle", func(m *Message) { m.Nodes()[1].Next = 0 }, ErrInconsistent},
		{"next set in the last", func(m *Message) { m.Nodes()[5].Next = 1 }, ErrInconsistent},
		{"data missing", func(m *Message) { m.Nodes()[1].Service = nil }, ErrInconsistent},
		{"data of an unknown kind", func(m *Message) { m.Nodes()[1].Kind = 9 }, ErrInconsistent},
		{"text without a pointer", func(m *Message) { m.Nodes()[1].Service.Name.Pointer = 0 }, ErrInconsistent},
		{"id without a pointer", func(m *Message) { m.Nodes()[1].IDPtr = 0 }, ErrInconsistent},
		{"text too long", func(m *Message) { m.Nodes()[4].Handler.Info.Bytes = make([]byte, MaxText+1) }, ErrTextTooLong},
		{"interface name too long", func(m *Message) { m.Records[0].Interface.Name = make([]byte, MaxText+1) }, ErrTextTooLong},
		{"more slots than copies", func(m *Message) { m.Nodes()[5].Handler.Slots[1] = 1 }, ErrInconsistent},
		{"64-bit tokens for 32 bits", func(m *Message) { m.Representation = linux32 }, ErrInconsistent},
		{"message too long", func(m *Message) {
			m.Records = append(m.Records, Record{Kind: 9, Raw: make([]byte, MaxMessage)})
		}, ErrLength},
		{"message too short", func(m *Message) { m.Descriptor, m.Records = nil, nil }, ErrLength},
	} {
		m := mustDecode(t, vector(t, "sid_4"))
		c.edit(m)
		if got, err := m.AppendTo([]byte("x")); !errors.Is(err, c.want) || string(got) != "x" {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
	}
}

func TestNewRefusesUnknownService(t *testing.T) {
	_, err := New(Linux64(), []Node{NewHandler([16]byte{}, Handler{Name: NewText("DEDICATED")}, "sales")})
	if !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), `DEDICATED: `) || !strings.Contains(err.Error(), `"sales"`) {
		t.Errorf("got %v", err)
	}
}

func TestNewLeavesItsInputAlone(t *testing.T) {
	m := mustDecode(t, vector(t, "sid_4"))
	if _, err := New(Linux32(), m.Nodes()); err != nil {
		t.Fatal(err)
	}
	if got := mustEncode(t, m); !bytes.Equal(got, vector(t, "sid_4")) {
		t.Error("the nodes handed to New were changed")
	}
}

func TestNewKeepsSlotsWithoutServiceWhereTheyWere(t *testing.T) {
	nodes := []Node{NewService(Service{Name: NewText("a")}), NewService(Service{Name: NewText("b")}),
		NewHandler([16]byte{}, Handler{Slots: []uint64{0, 7, 0}}, "b"), NewHandler([16]byte{}, Handler{Slots: make([]uint64, 3)}, "a", "b")}
	m, err := New(Linux64(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	a, b := m.Nodes()[0].Data, m.Nodes()[1].Data
	for i, want := range [][]uint64{{0, b, 0}, {a, b, 0}} {
		got := m.Nodes()[2+i].Handler.Slots
		for j := range want {
			if len(got) != len(want) || got[j] != want[j] {
				t.Errorf("handler %d: slots %x, want %x", i, got, want)
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	for name, message := range vectors(t) {
		m := mustDecode(t, message)
		for _, withData := range []bool{false, true} {
			a, err := m.Answer(withData)
			if err != nil {
				t.Fatal(err)
			}
			got := mustDecode(t, mustEncode(t, a))
			if len(got.Records) != 1 || got.Records[0].Kind != KindAnswer || got.Representation != m.Representation {
				t.Errorf("%s: %s", name, got.Summary())
			}
			for i, n := range got.Nodes() {
				want := m.Nodes()[i]
				if n.hasData() != withData || !bytes.Equal(n.ID, want.ID) || n.Kind != want.Kind || n.Op != want.Op {
					t.Errorf("%s: node %d is %+v", name, i, n)
				}
			}
		}
		bare := *m
		bare.Descriptor = nil
		if a, err := bare.Answer(false); err != nil || !bytes.Equal(a.Descriptor, m.Representation.Descriptor()) {
			t.Errorf("%s: an answer without a descriptor: %v", name, err)
		}
		if again := mustEncode(t, m); !bytes.Equal(again, message) {
			t.Errorf("%s: answering changed the message", name)
		}
	}
}

func TestTextStripsOneNUL(t *testing.T) {
	for in, want := range map[string]string{"": "", "\x00": "", "orcl\x00": "orcl", "orcl": "orcl", "a\x00\x00": "a\x00", "MiXed \x00": "MiXed "} {
		if got := (Text{Bytes: []byte(in)}).String(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	n := Node{ID: []byte("0123456789abcdefgh")}
	if n.GUID() != [16]byte([]byte("0123456789abcdef")) {
		t.Errorf("GUID %x", n.GUID())
	}
	if got := (&Message{Records: []Record{{Kind: 3}, {Kind: KindCall, Graph: []Node{{Op: 2, Kind: 4}, {Op: 1, Kind: 2}}}}}).Summary(); got !=
		"0-bit little-endian record 3 record 5: 0 instance, 1 service, 0 endpoint, 1 handler, 1 with another operation than 1" {
		t.Errorf("summary %q", got)
	}
}
