package nsgr

import (
	"fmt"
	"strings"
)

// RecordKind tells what a record is (nsgr.md 3.5, 3.6).
type RecordKind uint32

const (
	KindInterface RecordKind = 2 // names the interface
	KindCall      RecordKind = 5 // a call with its arguments: the node list
	// KindAnswer carries a node list back to the registrant. It is a guess
	// (nsgr.md 10, rule 5): no listener's answer has been published.
	KindAnswer RecordKind = 6
)

// Kind tells what a node describes, and with it the shape of its data (nsgr.md 4).
type Kind uint32

const (
	Instances Kind = 1
	Services  Kind = 2
	Endpoints Kind = 3
	Handlers  Kind = 4
)

// String names the kind in the singular, as errors and logs use it.
func (k Kind) String() string {
	switch k {
	case Instances:
		return "instance"
	case Services:
		return "service"
	case Endpoints:
		return "endpoint"
	case Handlers:
		return "handler"
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

const (
	// OpRegister is the only node operation ever seen (nsgr.md 4.2).
	OpRegister = 1
	// Identifier kinds of a node (nsgr.md 4.2). Receivers must not depend on
	// them; the kind of node says as much.
	idText = 1
	idGUID = 2
)

// Message is one whole message.
type Message struct {
	// Descriptor is the representation descriptor as it was sent, or nil if
	// the message has none and uses the connection's earlier one.
	Descriptor     []byte
	Representation Representation
	Records        []Record
}

// Record is one record of a message. Exactly one of Interface, Graph and Raw
// holds its content, by Kind.
type Record struct {
	Kind      RecordKind
	Word      uint32 // 0x400 in every sample, meaning unknown
	Handle    uint64 // the sender's context: any value in an interface record, null in a call
	Interface *Interface
	Graph     []Node
	Raw       []byte   // everything behind Kind, for kinds unknown to this package
	Pad       []byte   // up to three bytes that fill the record up to a multiple of 4
	Fragments []uint32 // lengths of the pieces it was sent in; nil if in one
}

// Interface is what a record of kind [KindInterface] says (nsgr.md 3.5). H1 to
// H4 probably hold interface version and procedure number; keep them for the log.
type Interface struct {
	Half           uint16 // 0x90 in every sample
	Name           []byte // InterfaceID
	H1, H2, H3, H4 uint16
	Word           uint32 // 0
}

// Text is a counted string: length and pointer stand in the structure, the
// bytes right behind it. With a null Pointer there are no bytes.
type Text struct {
	Bytes   []byte // terminating NUL included
	Length  uint32 // as sent; counts only where Pointer is null, else len(Bytes) is written
	Pad     uint32 // 64-bit senders only
	Pointer uint64
}

// NewText returns s as a NUL-terminated text without a pointer yet.
func NewText(s string) Text { return Text{Bytes: append([]byte(s), 0)} }

// String returns the text without one terminating NUL.
func (t Text) String() string { return strings.TrimSuffix(string(t.Bytes), "\x00") }

// Node is an element of the list (nsgr.md 4.2). Of the last four fields the one
// that fits Kind is set if Data is not null; without data only the id is known.
type Node struct {
	Op       uint32
	ID       []byte // a GUID (instance, handler), or a text with its NUL (service, endpoint)
	IDLength uint32 // as sent; counts only where IDPointer is null, else len(ID) is written
	IDKind   uint32 // as sent, high bytes included
	IDPad    uint32
	IDPtr    uint64
	Kind     Kind
	KindPad  uint32
	Data     uint64 // null: the node has no data
	Next     uint64 // null in the last node only

	Instance *Instance
	Service  *Service
	Endpoint *Endpoint
	Handler  *Handler
}

// GUID returns the id as 16 bytes, padded with zeros or cut if it has another length.
func (n *Node) GUID() (id [16]byte) {
	copy(id[:], n.ID)
	return id
}

// IDText returns the id as text without one terminating NUL.
func (n *Node) IDText() string { return Text{Bytes: n.ID}.String() }

// Instance is the data of an instance node (nsgr.md 4.3).
type Instance struct {
	Name     Text
	Host     Text   // such as (HOST=db1)
	NodeLoad uint32 // load of the machine, out of NodeMax
	NodeMax  uint32
	Load     uint32 // load of the instance, out of Max
	Max      uint32
	Flags    uint32
	Update   uint32 // mask of what changed since the last send
	Back     uint64 // the sender's handle object
}

// Service is the data of a service node, and each copy of it behind a handler's
// array (nsgr.md 4.4).
type Service struct {
	Name     Text
	Flags    uint32
	Goodness uint32 // lower is better
	Delta    uint32 // what one more connection adds to Goodness
	Update   uint32
	Back     uint64
}

// Endpoint is the data of an endpoint node: an address the database asks the
// listener to listen on (nsgr.md 4.5).
type Endpoint struct {
	Name   Text
	Flags  uint32
	Update uint32
	Back   uint64
}

// Handler is the data of a handler node (nsgr.md 4.6) with its service array
// and copies (nsgr.md 4.7).
type Handler struct {
	Name, Address, Info Text
	Load, Max           uint32
	Flags               uint32
	Array               uint64 // pointer to the service array; null: there is none
	ArrayLength         uint32 // as sent; counts only where Array is null, else len(Slots) is written
	Pad0, Pad1          uint32 // behind the two fields of unknown layout, and behind Update
	Update              uint32
	Back                uint64

	Slots  []uint64  // the array: Data of a service node each, or null
	Copies []Service // one for each slot that is not null, in order
}

// Nodes returns the node list of the call or answer in m, nil if it has none.
func (m *Message) Nodes() []Node {
	for i := range m.Records {
		if m.Records[i].isGraph() {
			return m.Records[i].Graph
		}
	}
	return nil
}

func (r *Record) isGraph() bool { return r.Kind == KindCall || r.Kind == KindAnswer }

// Summary tells in one line what nsgr.md 10, rule 2 wants logged of a message:
// record kinds, h1 to h4, the node operations and the number of nodes of each kind.
func (m *Message) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", m.Representation)
	for i := range m.Records {
		r := &m.Records[i]
		fmt.Fprintf(&b, " record %d", r.Kind)
		if r.Interface != nil {
			in := r.Interface
			fmt.Fprintf(&b, " (%d %d %d %d)", in.H1, in.H2, in.H3, in.H4)
		}
	}
	counts, ops := map[Kind]int{}, map[uint32]int{}
	for _, n := range m.Nodes() {
		counts[n.Kind]++
		ops[n.Op]++
	}
	fmt.Fprintf(&b, ": %d instance, %d service, %d endpoint, %d handler", counts[Instances], counts[Services], counts[Endpoints], counts[Handlers])
	if other := len(m.Nodes()) - ops[OpRegister]; other > 0 {
		fmt.Fprintf(&b, ", %d with another operation than 1", other)
	}
	return b.String()
}
