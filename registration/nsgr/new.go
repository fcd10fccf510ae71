package nsgr

import (
	"bytes"
	"fmt"
)

// Constants of every registration seen (nsgr.md 3.5, 3.6). What they mean is not known.
const (
	recordWord    = 0x400
	interfaceHalf = 0x90
	interfaceH1   = 3
	interfaceH2   = 101
	interfaceH3   = 1
	interfaceH4   = 1
)

// New makes a registration from its meaning. nodes should come in the order
// databases use: instance, services, endpoints, handlers (nsgr.md 4.1), made
// with [NewInstance], [NewService], [NewEndpoint] and [NewHandler], or be those
// of a decoded message. They are copied. Every pointer is replaced by a fresh
// token with the equalities of nsgr.md 4.8; a node without data becomes a
// removal. A handler's Copies need only names: they are filled in from the
// service nodes, and an unknown name is an error. Where a handler's Slots are
// fewer than its Copies or all null, the first ones are used.
func New(rep Representation, nodes []Node) (*Message, error) {
	if rep == (Representation{}) {
		rep = linux64
	}
	t := tokens{rep: rep, next: 0x10000, services: map[string]*Node{}}
	graph := make([]Node, len(nodes))
	for i := range nodes {
		graph[i] = nodes[i]
		t.assign(&graph[i])
	}
	for i := range graph {
		if i+1 < len(graph) {
			graph[i].Next = t.allocate(nodeSize(rep))
		}
		if h := graph[i].Handler; h != nil {
			if err := t.link(h); err != nil {
				return nil, fmt.Errorf("nsgr: handler %s: %w", h.Name, err)
			}
		}
	}
	m := &Message{
		Descriptor:     rep.Descriptor(),
		Representation: rep,
		Records: []Record{
			{Kind: KindInterface, Word: recordWord, Handle: t.allocate(64), Interface: &Interface{Half: interfaceHalf,
				Name: []byte(InterfaceID), H1: interfaceH1, H2: interfaceH2, H3: interfaceH3, H4: interfaceH4}},
			{Kind: KindCall, Word: recordWord, Graph: graph},
		},
	}
	return m, m.fillUp()
}

// Answer makes the guessed answer to m (nsgr.md 10, rule 5): one record with
// m's node list in the sender's own representation, which it surely can read.
// Without data only operations and ids are listed.
func (m *Message) Answer(withData bool) (*Message, error) {
	nodes := bytesFree(m.Nodes(), withData)
	a := &Message{
		Descriptor:     m.Descriptor,
		Representation: m.Representation,
		Records:        []Record{{Kind: KindAnswer, Word: recordWord, Graph: nodes}},
	}
	if a.Descriptor == nil {
		a.Descriptor = m.Representation.Descriptor()
	}
	return a, a.fillUp()
}

// bytesFree returns the nodes, without their data unless it is wanted.
func bytesFree(nodes []Node, withData bool) []Node {
	if withData {
		return nodes
	}
	out := make([]Node, len(nodes))
	for i, n := range nodes {
		n.Data, n.Instance, n.Service, n.Endpoint, n.Handler = 0, nil, nil, nil, nil
		out[i] = n
	}
	return out
}

// fillUp pads every record to a multiple of 4, and so finds out whether the
// message can be written at all.
func (m *Message) fillUp() error {
	for i := range m.Records {
		c := cursor{record: i, index: -1}
		c.use(m.Representation)
		m.Records[i].walk(&c)
		if c.err != nil {
			return c.err
		}
		m.Records[i].Pad = make([]byte, -len(c.buf)&3)
	}
	return nil
}

// NewInstance returns an instance node. id should stay the same for the life of
// the registration.
func NewInstance(id [16]byte, i Instance) Node {
	return Node{Op: OpRegister, Kind: Instances, ID: bytes.Clone(id[:]), Instance: &i}
}

// NewService returns a service node. Its id is its name.
func NewService(s Service) Node {
	return Node{Op: OpRegister, Kind: Services, ID: s.Name.Bytes, Service: &s}
}

// NewEndpoint returns an endpoint node. Its id is its description.
func NewEndpoint(e Endpoint) Node {
	return Node{Op: OpRegister, Kind: Endpoints, ID: e.Name.Bytes, Endpoint: &e}
}

// NewHandler returns a handler node that serves the named services.
func NewHandler(id [16]byte, h Handler, services ...string) Node {
	for _, name := range services {
		h.Copies = append(h.Copies, Service{Name: NewText(name)})
	}
	return Node{Op: OpRegister, Kind: Handlers, ID: bytes.Clone(id[:]), Handler: &h}
}

// tokens hands out addresses for the objects of a message: distinct, not null,
// and small enough for a 32-bit sender.
type tokens struct {
	rep      Representation
	next     uint64
	services map[string]*Node
}

func (t *tokens) allocate(size int) uint64 {
	token := t.next
	t.next += (uint64(size) + 15) &^ 15
	return token
}

// Sizes of the structures (nsgr.md 4.2, 4.4).
func nodeSize(r Representation) int {
	if r.PointerSize == 4 {
		return 0x20
	}
	return 0x38
}

func serviceSize(r Representation) int {
	if r.PointerSize == 4 {
		return 0x1c
	}
	return 0x28
}

// assign gives n and its own data, which it copies first, tokens.
func (t *tokens) assign(n *Node) {
	n.IDPad, n.KindPad, n.Data, n.IDPtr, n.Next = 0, 0, 0, 0, 0
	switch {
	case n.Instance != nil:
		i := *n.Instance
		n.Instance, n.Data = &i, t.allocate(128)
		t.text(&i.Name)
		t.text(&i.Host)
		i.Back = t.object(n)
	case n.Service != nil:
		s := *n.Service
		n.Service, n.Data = &s, t.allocate(serviceSize(t.rep)+len(s.Name.Bytes))
		s.Name.Pad, s.Name.Pointer = 0, n.Data+uint64(serviceSize(t.rep))
		n.IDPtr, n.IDKind, s.Back = s.Name.Pointer, idText, t.allocate(64)
		t.services[s.Name.String()] = n
	case n.Endpoint != nil:
		e := *n.Endpoint
		n.Endpoint, n.Data = &e, t.allocate(64)
		t.text(&e.Name)
		n.IDPtr, n.IDKind, e.Back = e.Name.Pointer, idText, t.allocate(64)
	case n.Handler != nil:
		h := *n.Handler
		n.Handler, n.Data = &h, t.allocate(128)
		h.Pad0, h.Pad1 = 0, 0
		t.text(&h.Name)
		t.text(&h.Address)
		t.text(&h.Info)
		h.Back = t.object(n)
	default:
		n.IDPtr, n.IDKind = t.allocate(len(n.ID)), idText
		if n.Kind == Instances || n.Kind == Handlers {
			n.IDKind = idGUID
		}
	}
}

// object allocates the handle object of an instance or handler, in which its
// GUID lies three pointers behind the start.
func (t *tokens) object(n *Node) uint64 {
	back := t.allocate(64)
	n.IDPtr, n.IDKind = back+uint64(3*t.rep.PointerSize), idGUID
	return back
}

func (t *tokens) text(x *Text) { x.Pad, x.Pointer = 0, t.allocate(len(x.Bytes)) }

// link fills in the service array of h and the copies behind it.
func (t *tokens) link(h *Handler) error {
	used := 0
	for _, slot := range h.Slots {
		if slot != 0 {
			used++
		}
	}
	slots := make([]uint64, max(len(h.Slots), len(h.Copies)))
	copies := make([]Service, 0, len(h.Copies))
	for i := range slots {
		taken := i < len(h.Copies)
		if used == len(h.Copies) && used > 0 {
			taken = h.Slots[i] != 0
		}
		if !taken {
			continue
		}
		name := h.Copies[len(copies)].Name.String()
		n := t.services[name]
		if n == nil {
			return fmt.Errorf("%w: it serves %q, which is not among the services", ErrInconsistent, name)
		}
		slots[i] = n.Data
		copies = append(copies, *n.Service)
	}
	h.Array, h.ArrayLength, h.Slots, h.Copies = 0, 0, slots, copies
	if len(slots) > 0 {
		h.Array = t.allocate(8 * len(slots))
	}
	return nil
}
