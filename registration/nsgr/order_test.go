package nsgr

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// written is the items of one message by name, put together by hand, so that
// the queue is checked against the orders written down in nsgr.md 4.1 and not
// against itself. All pointers are 4 bytes and 1 where not null.
type written map[string][]byte

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func (w written) node(name string, kind Kind, id string, last bool) {
	next := uint32(1)
	if last {
		next = 0
	}
	w["N"+name] = append(words(1, uint32(len(id)), 1, 1, uint32(kind), 1, 0, next), id...)
}

func (w written) service(name, text string) {
	w[name] = append(words(uint32(len(text)), 1, 4, 0, 1, 6, 1), text...)
}

func (w written) handler(name string, slots uint32) {
	array := uint32(1)
	if slots == 0 {
		array = 0
	}
	w["D"+name] = append(words(3, 1, 2, 1, 2, 1, 0, 10, 4, slots, array, 0, 0, 0, 1), "h"+name+"\x00a\x00i\x00"...)
}

// message puts the named items into a message.
func (w written) message(order ...string) []byte {
	content := words(uint32(KindCall), 0x400, 0)
	for _, name := range order {
		content = append(content, w[name]...)
	}
	for len(content)%4 != 0 {
		content = append(content, 0)
	}
	d := linux32.Descriptor()
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(d)+4+len(content)))
	b = append(append(b, d...), words(uint32(len(content))|lastFragment)...)
	return append(b, content...)
}

func threeHandlers(last bool) written {
	w := written{}
	w.node("s", Services, "s\x00", false)
	w.service("Ds", "s\x00")
	w.node("1", Handlers, "0123456789abcdef", false)
	w.handler("1", 2)
	w["A1"] = words(1, 1)
	w.service("B1", "first of 1\x00")
	w.service("B1b", "second of 1\x00")
	w.node("2", Handlers, "0123456789abcdef", false)
	w.handler("2", 3)
	w["A2"] = words(0, 1, 0)
	w.service("B2", "only of 2\x00")
	w.node("3", Handlers, "0123456789abcdef", last)
	w.handler("3", 1)
	w["A3"] = words(1)
	w.service("B3", "only of 3\x00")
	return w
}

func TestOrderOfThreeHandlers(t *testing.T) {
	b := threeHandlers(true).message("Ns", "Ds", "N1", "D1", "N2", "A1", "D2", "N3", "B1", "B1b", "A2", "D3", "B2", "A3", "B3")
	checkServed(t, b, "[first of 1 second of 1] [only of 2] [only of 3]")
}

// A handler need not come last; then its array follows the next node all the same.
func TestOrderWithOtherNodesBehindHandlers(t *testing.T) {
	w := threeHandlers(false)
	w.node("e", Endpoints, "e\x00", true)
	w["De"] = append(words(2, 1, 0, 0, 1), "e\x00"...)
	b := w.message("Ns", "Ds", "N1", "D1", "N2", "A1", "D2", "N3", "B1", "B1b", "A2", "D3", "Ne", "B2", "A3", "De", "B3")
	checkServed(t, b, "[first of 1 second of 1] [only of 2] [only of 3]")
}

// A handler without services takes no part in the queue.
func TestOrderWithIdleHandler(t *testing.T) {
	w := threeHandlers(true)
	w.handler("2", 0)
	b := w.message("Ns", "Ds", "N1", "D1", "N2", "A1", "D2", "N3", "B1", "B1b", "D3", "A3", "B3")
	checkServed(t, b, "[first of 1 second of 1] [] [only of 3]")
}

func checkServed(t *testing.T, message []byte, want string) {
	t.Helper()
	m := mustDecode(t, message)
	got := ""
	for _, n := range m.Nodes() {
		if n.Handler == nil {
			continue
		}
		var names []string
		for _, s := range n.Handler.Copies {
			names = append(names, s.Name.String())
		}
		got += fmt.Sprintf(" %v", names)
	}
	if got[1:] != want {
		t.Errorf("handlers serve %s, want %s", got, want)
	}
	if again := mustEncode(t, m); !bytes.Equal(again, message) {
		t.Errorf("written in another order:\n%x\n%x", message, again)
	}
}
