package nsgr

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawn generates messages with anything in them that survives a round trip.
type drawn struct {
	*rapid.T
	rep Representation
}

func (d drawn) u32(label string) uint32 {
	return rapid.OneOf(rapid.Uint32Range(0, 9), rapid.Uint32()).Draw(d.T, label)
}

// pad draws garbage in the padding of 64-bit senders; others have none.
func (d drawn) pad() uint32 {
	if d.rep.PointerSize == 4 || !rapid.Bool().Draw(d.T, "garbage padding") {
		return 0
	}
	return rapid.Uint32().Draw(d.T, "padding")
}

func (d drawn) pointer() uint64 {
	if d.rep.PointerSize == 4 {
		return uint64(rapid.Uint32Min(1).Draw(d.T, "pointer"))
	}
	return rapid.Uint64Min(1).Draw(d.T, "pointer")
}

func (d drawn) text() Text {
	t := Text{Pad: d.pad()}
	if rapid.IntRange(0, 9).Draw(d.T, "null") == 0 {
		t.Length = d.u32("length of nothing")
		return t
	}
	t.Bytes = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(d.T, "text")
	t.Length, t.Pointer = uint32(len(t.Bytes)), d.pointer()
	return t
}

func (d drawn) service() Service {
	return Service{d.text(), d.u32("flags"), d.u32("goodness"), d.u32("delta"), d.u32("upd"), d.pointer()}
}

func (d drawn) handler() *Handler {
	h := &Handler{Name: d.text(), Address: d.text(), Info: d.text(), Load: d.u32("load"), Max: d.u32("max"), Flags: d.u32("flags"),
		Pad0: d.pad(), Pad1: d.pad(), Update: d.u32("upd"), Back: d.pointer()}
	if rapid.IntRange(0, 5).Draw(d.T, "no array") == 0 {
		h.ArrayLength = d.u32("slots of nothing")
		return h
	}
	h.Array, h.Slots, h.Copies = d.pointer(), []uint64{}, []Service{}
	for range rapid.IntRange(0, 5).Draw(d.T, "slots") {
		slot := uint64(0)
		if rapid.Bool().Draw(d.T, "slot in use") {
			slot = d.pointer()
			h.Copies = append(h.Copies, d.service())
		}
		h.Slots = append(h.Slots, slot)
	}
	h.ArrayLength = uint32(len(h.Slots))
	return h
}

func (d drawn) node(last bool) Node {
	id := d.text()
	n := Node{Op: d.u32("op"), ID: id.Bytes, IDLength: id.Length, IDKind: d.u32("id kind"), IDPad: id.Pad, IDPtr: id.Pointer,
		Kind: Kind(rapid.Uint32Range(0, 5).Draw(d.T, "kind")), KindPad: d.pad()}
	if !last {
		n.Next = d.pointer()
	}
	if n.Kind == 0 || n.Kind > Handlers || rapid.IntRange(0, 9).Draw(d.T, "no data") == 0 {
		return n
	}
	n.Data = d.pointer()
	switch n.Kind {
	case Instances:
		n.Instance = &Instance{d.text(), d.text(), d.u32("node load"), d.u32("node max"), d.u32("load"), d.u32("max"),
			d.u32("flags"), d.u32("upd"), d.pointer()}
	case Services:
		s := d.service()
		n.Service = &s
	case Endpoints:
		n.Endpoint = &Endpoint{d.text(), d.u32("flags"), d.u32("upd"), d.pointer()}
	case Handlers:
		n.Handler = d.handler()
	}
	return n
}

// descriptor draws one of any representation, alignments included, which must not matter.
func (d *drawn) descriptor() []byte {
	d.rep = Representation{
		PointerSize: rapid.SampledFrom([]int{4, 8}).Draw(d.T, "pointer size"),
		LongSize:    rapid.SampledFrom([]int{4, 8}).Draw(d.T, "long size"),
		BigEndian:   rapid.Bool().Draw(d.T, "big-endian"),
	}
	b := d.rep.Descriptor()
	for i := descriptorSizes; i < descriptorOrder; i++ {
		b[i] = b[i]&0x0f | rapid.Byte().Draw(d.T, "alignment")&0xf0
	}
	return b
}

func drawMessage(t *rapid.T) *Message {
	d := drawn{T: t}
	m := &Message{Descriptor: d.descriptor()}
	m.Representation = d.rep
	call := Record{Kind: KindCall, Word: d.u32("word"), Handle: rapid.SampledFrom([]uint64{0, d.pointer()}).Draw(t, "handle"),
		Pad: rapid.SliceOfN(rapid.Byte(), 0, maxPad).Draw(t, "record padding")}
	nodes := rapid.IntRange(1, 8).Draw(t, "nodes")
	for i := range nodes {
		call.Graph = append(call.Graph, d.node(i == nodes-1))
	}
	named := Record{Kind: KindInterface, Word: d.u32("word"), Handle: d.pointer(), Pad: []byte{0, 0, 0},
		Interface: &Interface{90, []byte(InterfaceID), 1, 2, 3, 4, d.u32("word")}}
	m.Records = []Record{named, call}
	if rapid.Bool().Draw(t, "unknown record") {
		m.Records = append(m.Records, Record{Kind: 77, Raw: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "raw")})
	}
	return m
}

func TestRandomMessagesSurviveARoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b, err := m.AppendTo([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		b = b[len("before"):]
		got, err := Decode(b, Representation{})
		if err != nil {
			t.Fatalf("%v\n%x", err, b)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
		if again, err := got.AppendTo(nil); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := Decode(b[:cut], Representation{}); err == nil {
			t.Fatalf("%d of %d bytes are taken for a message", cut, len(b))
		}
	})
}

// A flipped byte gives another message or an error, never a panic, and what
// decodes is written as it came.
func TestDamagedMessages(t *testing.T) {
	whole := vectors(t)
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(whole[rapid.SampledFrom([]string{"sid_4", "constructed-32le", "constructed-64be"}).Draw(t, "vector")])
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			b[rapid.IntRange(4, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		m, err := Decode(b, Representation{})
		if err != nil {
			return
		}
		if again, err := m.AppendTo(nil); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
	})
}

// sized makes an instance of any size, each handler serving some of its services.
func sized(rep Representation, services, handlers int) (*Message, error) {
	nodes := []Node{NewInstance([16]byte{1}, Instance{Name: NewText("inst"), Host: NewText("(HOST=db1)"), NodeLoad: 3, NodeMax: 100, Load: 4, Max: 99})}
	var names []string
	for i := range services {
		names = append(names, fmt.Sprintf("service%d.example.com", i))
		nodes = append(nodes, NewService(Service{Name: NewText(names[i]), Flags: 4, Goodness: uint32(i), Delta: 1, Update: 6}))
	}
	for i := range handlers {
		name, flags := fmt.Sprintf("D%03d", i), uint32(0x1004)
		if i == handlers-1 {
			name, flags = "DEDICATED", 2
		}
		nodes = append(nodes, NewHandler([16]byte{2, byte(i)}, Handler{Name: NewText(name), Load: uint32(i), Max: 1022, Flags: flags,
			Address: NewText(fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=%d))", 1024+i)), Info: NewText("info")}, names[:1+i%services]...))
	}
	return New(rep, nodes)
}

func TestMessagesOfAnySize(t *testing.T) {
	for _, rep := range []Representation{Linux32(), Linux64(), Windows64(), Unix64BigEndian(), {PointerSize: 4, LongSize: 4, BigEndian: true}} {
		for _, services := range []int{1, 2, 3, 50, 200} {
			for _, handlers := range []int{1, 2, 3, 4, 50} {
				m, err := sized(rep, services, handlers)
				if err != nil {
					t.Fatalf("%v %d %d: %v", rep, services, handlers, err)
				}
				got, err := Decode(mustEncode(t, m), Representation{})
				if err != nil {
					t.Fatalf("%v %d %d: %v", rep, services, handlers, err)
				}
				checkSized(t, got, services, handlers)
			}
		}
	}
}

func checkSized(t *testing.T, m *Message, services, handlers int) {
	t.Helper()
	if got, want := len(m.Nodes()), 1+services+handlers; got != want {
		t.Errorf("%d nodes, want %d", got, want)
	}
	for i, n := range m.Nodes()[1+services:] {
		if got, want := len(n.Handler.Copies), 1+i%services; got != want {
			t.Errorf("handler %d serves %d services, want %d", i, got, want)
		}
		for j, s := range n.Handler.Copies {
			if want := uint32(j); s.Goodness != want || s.Name.String() != fmt.Sprintf("service%d.example.com", j) {
				t.Errorf("handler %d, copy %d: %s with goodness %d", i, j, s.Name, s.Goodness)
			}
		}
	}
}
