package nsgr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edited returns sid_4 after f.
func edited(t *testing.T, f func(b []byte)) []byte {
	b := bytes.Clone(vector(t, "sid_4"))
	f(b)
	return b
}

// at is the offset in the message of an offset in the annotated packet of nsgr.md 12.
func at(packet int) int { return packet - tnsHeader }

func put(b []byte, packet int, v uint32) { binary.LittleEndian.PutUint32(b[at(packet):], v) }

func TestWrongMessages(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(b []byte)
		want error
		says string
	}{
		{"length 0x3f", func(b []byte) { binary.BigEndian.PutUint32(b, 0x3f) }, ErrLength, "63"},
		{"length over 4 MiB", func(b []byte) { binary.BigEndian.PutUint32(b, MaxMessage+1) }, ErrLength, "4194305"},
		{"length 4 GiB", func(b []byte) { binary.BigEndian.PutUint32(b, 0xffffffff) }, ErrLength, "4294967295"},
		{"length longer than the bytes", func(b []byte) { binary.BigEndian.PutUint32(b, 0x581) }, ErrTruncated, "message length"},
		{"length shorter than the bytes", func(b []byte) { binary.BigEndian.PutUint32(b, 0x57f) }, ErrTrailing, "message length"},
		{"no descriptor", func(b []byte) { b[at(0x0f)] = 7 }, ErrNoDescriptor, "descriptor"},
		{"descriptor of an odd length", func(b []byte) { b[at(0x0e)] = 0x23 }, ErrNoDescriptor, ""},
		{"16-byte pointers", func(b []byte) { b[at(0x18)] = 0 }, ErrDescriptor, "pointer"},
		{"big-endian descriptor, little-endian message", func(b []byte) {
			d := Representation{PointerSize: 8, LongSize: 4, BigEndian: true}.Descriptor()
			copy(b[at(0x0e):], d)
		}, ErrTruncated, "record"},
		{"record longer than the message", func(b []byte) { put(b, 0x32, 0x8fffffff) }, ErrTruncated, "record"},
		{"record marker cut", func(b []byte) { put(b, 0x7e, 0x80000504) }, ErrTruncated, "copy of a service"},
		{"stray byte behind the last record", func(b []byte) { copy(b, strayByte(t)) }, ErrTruncated, "record marker"},
		{"other interface", func(b []byte) { b[at(0x4c)] = 'X' }, ErrInterface, "XEC76"},
		{"interface name too long", func(b []byte) { put(b, 0x48, 0x24) }, ErrInterface, "B3\\x03"},
		{"interface name too short", func(b []byte) { put(b, 0x48, 0x22) }, ErrInterface, "74B\""},
		{"interface record with more behind it", func(b []byte) { copy(b, longInterface(t)) }, ErrTrailing, "record 1"},
		{"interface name of 4 GiB", func(b []byte) { put(b, 0x48, 0xffffffff) }, ErrTextTooLong, "interface"},
		{"no call", func(b []byte) { put(b, 0x82, 9) }, ErrNoCall, ""},
		{"two calls", func(b []byte) { copy(b, twoCalls(t)) }, ErrTwoCalls, ""},
		{"unknown node", func(b []byte) { put(b, 0x228, 5) }, ErrUnknownNode, "node 3: node"},
		{"node kind 0", func(b []byte) { put(b, 0xaa, 0) }, ErrUnknownNode, "node 0"},
		{"spare pointer", func(b []byte) { put(b, 0x238, 1) }, ErrUnknownLayout, "spare"},
		{"handler x0", func(b []byte) { put(b, 0x382, 1) }, ErrUnknownLayout, "node 4: handler"},
		{"handler x1", func(b []byte) { put(b, 0x38e, 1) }, ErrUnknownLayout, "node 4: handler"},
		{"id of 4 GiB", func(b []byte) { put(b, 0x96, 0xffffffff) }, ErrTextTooLong, "node 0: node"},
		{"name of 64 KiB and one", func(b []byte) { put(b, 0xda, MaxText+1) }, ErrTextTooLong, "node 0: instance"},
		{"name beyond the record", func(b []byte) { put(b, 0x176, 0x1000) }, ErrTruncated, "node 1: service"},
		{"array of 4 Gi slots", func(b []byte) { put(b, 0x376, 0xffffffff) }, ErrTooMany, "node 4: service array"},
		{"array beyond the record", func(b []byte) { put(b, 0x376, 0x1000) }, ErrTruncated, "node 4: service array"},
		{"slot without its copy", func(b []byte) { put(b, 0x555, 1) }, ErrTruncated, "node 5: service array"},
		{"name one byte longer", func(b []byte) { put(b, 0x55d, 6) }, ErrTruncated, "node 5: copy of a service"},
		{"nodes end early", func(b []byte) { put(b, 0x1d6, 0) }, ErrTrailing, "end of node list"},
		{"nodes end late", func(b []byte) { put(b, 0x443, 1) }, ErrTooMany, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode(edited(t, c.edit), Representation{})
			var located *Error
			if m != nil || !errors.As(err, &located) {
				t.Fatalf("got %v, %v", m, err)
			}
			if c.want == ErrTooMany && c.says == "" {
				return // any error: what follows is read as a node
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v about %q", err, c.want, c.says)
			}
		})
	}
}

// filled returns m with a record of unknown kind added that makes it as long as sid_4.
func filled(t *testing.T, m *Message) []byte {
	room := len(vector(t, "sid_4")) - len(mustEncode(t, m))
	m.Records = append(m.Records, Record{Kind: 99, Raw: make([]byte, room-8)})
	return mustEncode(t, m)
}

func twoCalls(t *testing.T) []byte {
	call := Record{Kind: KindCall, Graph: []Node{{Kind: Instances, Data: 1, Instance: &Instance{}}}}
	return filled(t, &Message{Descriptor: linux64.Descriptor(), Representation: linux64, Records: []Record{call, call}})
}

func longInterface(t *testing.T) []byte {
	m := mustDecode(t, vector(t, "constructed-32le"))
	m.Records[0].Pad = make([]byte, maxPad+1)
	return filled(t, m)
}

// strayByte has room for one byte only where a marker should stand.
func strayByte(t *testing.T) []byte {
	m := mustDecode(t, vector(t, "constructed-32le"))
	b := filled(t, m)
	n := len(m.Records[2].Raw) + 3
	binary.LittleEndian.PutUint32(b[len(b)-n-5:], uint32(n)|lastFragment)
	return b
}

func TestEveryProperPrefixIsRejected(t *testing.T) {
	for name, message := range vectors(t) {
		for n := range message {
			if _, err := Decode(message[:n], Representation{}); err == nil {
				t.Errorf("%s: %d of %d bytes are taken for a message", name, n, len(message))
			}
		}
	}
}

// A message cut short, with the lengths around it made to fit, fails for what it lacks.
func TestEveryCutGraphIsRejected(t *testing.T) {
	for name, message := range vectors(t) {
		m := mustDecode(t, message)
		c := cursor{record: 1}
		c.use(m.Representation)
		m.Records[1].walk(&c)
		for n := 4; n < len(c.buf); n++ {
			if r, err := decodeRecord(c.buf[:n], m.Representation, 1); !errors.Is(err, ErrTruncated) {
				t.Errorf("%s: %d of %d bytes of the record: %v, %v", name, n, len(c.buf), r, err)
			}
		}
	}
}

func TestNothingIsInsistedUponThatDoesNotMatter(t *testing.T) {
	garbage := edited(t, func(b []byte) {
		put(b, 0x9e, 0xdeadbeef)  // padding of an id
		put(b, 0xae, 0xdeadbeef)  // of a kind
		put(b, 0xde, 0xdeadbeef)  // of a name
		put(b, 0x386, 0xdeadbeef) // behind x0
		put(b, 0x396, 0xdeadbeef) // behind upd
		put(b, 0x9a, 0x01000002)  // id kind with high bytes, as one sender has it
		b[at(0x7b)] = 0xff        // padding of record 1
		put(b, 0x36, 0x12345678)  // constants of unknown meaning
		put(b, 0x46, 0x00237777)
		put(b, 0x77, 7)
		put(b, 0x92, 2) // operation
		b[at(0x10)], b[at(0x12)], b[at(0x30)] = 9, 9, 9
	})
	checkDecodesAndSurvives(t, garbage)
	for n := range maxPad + 1 {
		m := mustDecode(t, vector(t, "sid_4"))
		m.Records[1].Pad = bytes.Repeat([]byte{0xee}, n)
		checkDecodesAndSurvives(t, mustEncode(t, m))
	}
	m := mustDecode(t, vector(t, "sid_4"))
	m.Records[1].Pad = make([]byte, maxPad+1)
	if _, err := Decode(mustEncode(t, m), Representation{}); !errors.Is(err, ErrTrailing) {
		t.Errorf("four bytes behind the graph: %v", err)
	}
}

func checkDecodesAndSurvives(t *testing.T, message []byte) *Message {
	t.Helper()
	m := mustDecode(t, message)
	if got := mustEncode(t, m); !bytes.Equal(got, message) {
		t.Errorf("other bytes:\n%x\n%x", message, got)
	}
	return m
}

func TestFragments(t *testing.T) {
	m := mustDecode(t, vector(t, "sid_4"))
	for _, pieces := range [][]uint32{{4, 0x44}, {0x48, 0}, {1, 2, 3, 0x42}, {0x10, 0, 0, 0x38}} {
		m.Records[0].Fragments = pieces
		m.Records[1].Fragments = []uint32{0x100, 0x400, 8}
		got := checkDecodesAndSurvives(t, mustEncode(t, m))
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("fragments %v:\n%s", pieces, diff)
		}
	}
	m.Records[0].Fragments = []uint32{3} // no longer fits
	if got := checkDecodesAndSurvives(t, mustEncode(t, m)); got.Records[0].Fragments != nil {
		t.Error("fragments that do not add up were written")
	}
	last := edited(t, func(b []byte) { b[at(0x81)] = 0 })
	if _, err := Decode(last, Representation{}); !errors.Is(err, ErrTruncated) {
		t.Errorf("last fragment missing: %v", err)
	}
}

func TestUnknownRecordsAreKept(t *testing.T) {
	m := mustDecode(t, vector(t, "sid_4"))
	m.Records = append(m.Records, Record{Kind: 7, Raw: []byte("later releases")}, Record{Kind: 8, Raw: []byte{}})
	got := checkDecodesAndSurvives(t, mustEncode(t, m))
	if diff := cmp.Diff(m, got); diff != "" {
		t.Error(diff)
	}
}

func TestNullPointersMeanAbsent(t *testing.T) {
	m := mustDecode(t, vector(t, "sid_4"))
	n := m.Nodes()
	n[0].ID, n[0].IDPtr, n[0].IDLength = nil, 0, 0xffffffff
	n[0].Instance.Host = Text{Length: 0xffffffff}
	n[5].Handler.Array, n[5].Handler.ArrayLength = 0, 0xffffffff
	n[5].Handler.Slots, n[5].Handler.Copies = nil, nil
	n[3].Data, n[3].Endpoint = 0, nil
	n[2].Kind, n[2].Data, n[2].Service = 5, 0, nil // unknown, but there is nothing to read
	got := checkDecodesAndSurvives(t, mustEncode(t, m))
	if s := got.Nodes()[0].Instance.Host.String(); s != "" {
		t.Errorf("host %q", s)
	}
	if diff := cmp.Diff(m.Nodes()[1:], got.Nodes()[1:]); diff != "" {
		t.Error(diff)
	}
}

// slotsMessage has one handler for each count of null slots. The handler's
// flags are slotsFlags plus its number.
func slotsMessage(t *testing.T, slots ...int) []byte {
	nodes := []Node{NewInstance([16]byte{1}, Instance{Name: NewText("i"), Host: NewText("h")})}
	for i, n := range slots {
		h := Handler{Name: NewText("h"), Flags: slotsFlags + uint32(i), Slots: make([]uint64, n)}
		nodes = append(nodes, NewHandler([16]byte{2}, h))
	}
	m, err := New(Linux32(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return mustEncode(t, m)
}

const slotsFlags = 0xf1a60000

func TestSlotLimit(t *testing.T) {
	mustDecode(t, slotsMessage(t, MaxSlots))
	mustDecode(t, slotsMessage(t, MaxSlots/2, MaxSlots/4, MaxSlots/4))
	if _, err := New(Linux32(), []Node{NewHandler([16]byte{}, Handler{Slots: make([]uint64, MaxSlots)}),
		NewHandler([16]byte{}, Handler{Slots: make([]uint64, 1)})}); !errors.Is(err, ErrTooMany) {
		t.Errorf("writing %d slots: %v", MaxSlots+1, err)
	}
	// The second handler claims one slot more than there are.
	message := slotsMessage(t, MaxSlots-1, 1, 0)
	flags := bytes.Index(message, binary.LittleEndian.AppendUint32(nil, slotsFlags+1))
	binary.LittleEndian.PutUint32(message[flags+4:], 2)
	if _, err := Decode(message, Representation{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("reading %d slots: %v", MaxSlots+1, err)
	}
}

func TestNodeLimit(t *testing.T) {
	nodes := make([]Node, MaxNodes)
	for i := range nodes {
		nodes[i] = Node{Op: 1, Kind: Services, ID: []byte("x\x00")}
	}
	m, err := New(Linux32(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	mustDecode(t, mustEncode(t, m))
	if _, err := New(Linux32(), append(nodes, nodes[0])); !errors.Is(err, ErrTooMany) {
		t.Errorf("writing %d nodes: %v", MaxNodes+1, err)
	}
	// The last node claims to have a successor.
	message := mustEncode(t, m)
	next := len(message) - len(nodes[0].ID) - len(m.Records[1].Pad) - 4
	binary.LittleEndian.PutUint32(message[next:], 1)
	if _, err := Decode(message, Representation{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("reading %d nodes: %v", MaxNodes+1, err)
	}
}

func TestTextLimit(t *testing.T) {
	for _, c := range []struct {
		length int
		want   error
	}{{MaxText, nil}, {MaxText + 1, ErrTextTooLong}} {
		_, err := New(Linux64(), []Node{NewService(Service{Name: Text{Bytes: make([]byte, c.length)}})})
		if !errors.Is(err, c.want) {
			t.Errorf("%d bytes: %v", c.length, err)
		}
	}
}

// Memory follows the size of what was sent, not the numbers in it.
func TestMemoryIsProportionate(t *testing.T) {
	hostile := map[string][]byte{"one array of null slots": slotsMessage(t, MaxSlots)}
	var small []int
	for range 4096 {
		small = append(small, 16)
	}
	hostile["many arrays"] = slotsMessage(t, small...)
	m := &Message{Descriptor: linux32.Descriptor(), Representation: linux32,
		Records: []Record{{Kind: 9, Raw: make([]byte, MaxMessage-0x100)}, {Kind: KindCall, Graph: []Node{{}}}}}
	hostile["one long record"] = mustEncode(t, m)
	m.Records[0].Fragments = make([]uint32, 200_000)
	m.Records[0].Raw = make([]byte, 1<<20)
	m.Records[0].Fragments[0] = 1<<20 + 4
	hostile["empty fragments"] = mustEncode(t, m)
	for name, message := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Decode(message, Representation{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 40*uint64(len(message)) {
			t.Errorf("%s: %d bytes allocated for a message of %d", name, used, len(message))
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	_, err := Decode(edited(t, func(b []byte) { put(b, 0x228, 5) }), Representation{})
	want := fmt.Sprintf("nsgr: node 3: node at byte %d of record 2: data of an unknown kind of node: kind 5", 0x28d-0x82)
	if err == nil || err.Error() != want {
		t.Errorf("got %q\nwant %q", err, want)
	}
	_, err = Decode([]byte{0, 0}, Representation{})
	if want := "nsgr: message length at byte 0: ends in the middle of a field"; err == nil || err.Error() != want {
		t.Errorf("got %q", err)
	}
}
