package nsgr

import "fmt"

// step is an entry of the queue of nsgr.md 4.1: something that follows later.
type step struct {
	what stepKind
	node int // index of the node it belongs to
	copy int // index into the handler's copies
}

type stepKind uint8

const (
	stepNode stepKind = iota
	stepData
	stepArray
	stepCopy
)

// graph goes over the node list: structures with their texts in place,
// everything else in the order of a first-in first-out queue (nsgr.md 4.1).
type graph struct {
	*cursor
	nodes []Node
	slots int // array slots so far, all handlers together
	queue []step
}

// place names what is being worked on.
func (c *cursor) place() string {
	if c.record >= 0 && c.index >= 0 {
		return fmt.Sprintf("node %d: %s", c.index, c.item)
	}
	return c.item
}

// walk reads or writes all nodes. Reading stops at the last node's null
// pointer, never by what a pointer points at: the queue grows only with bytes
// that were there, so it is finite and needs no recursion.
func (g *graph) walk() {
	if g.reading {
		g.nodes = make([]Node, 1, 8)
	} else {
		g.checkLength()
	}
	g.queue = append(g.queue, step{what: stepNode})
	for head := 0; head < len(g.queue) && g.err == nil; head++ {
		s := g.queue[head]
		g.index = s.node
		switch s.what {
		case stepNode:
			g.node(s.node)
		case stepData:
			g.data(s.node)
		case stepArray:
			g.array(s.node)
		case stepCopy:
			g.item = "copy of a service"
			g.service(&g.nodes[s.node].Handler.Copies[s.copy])
		}
	}
	g.index = -1
	g.item = "end of node list"
}

func (g *graph) checkLength() {
	g.item = "node list"
	switch n := len(g.nodes); {
	case n == 0:
		g.fail(fmt.Errorf("%w: no nodes", ErrInconsistent))
	case n > MaxNodes:
		g.fail(fmt.Errorf("%w: %d nodes, more than %d", ErrTooMany, n, MaxNodes))
	}
}

func (g *graph) later(what stepKind, node, copy int) {
	g.queue = append(g.queue, step{what: what, node: node, copy: copy})
}

// node is nsgr.md 4.2 and the id behind it.
func (g *graph) node(i int) {
	g.item = "node"
	n := &g.nodes[i]
	var spare uint64
	g.u32(&n.Op)
	g.length(&n.IDLength, n.IDPtr, len(n.ID))
	g.u32(&n.IDKind)
	g.pad(&n.IDPad)
	g.pointer(&n.IDPtr)
	g.u32((*uint32)(&n.Kind))
	g.pad(&n.KindPad)
	g.pointer(&n.Data)
	g.pointer(&spare)
	g.pointer(&n.Next)
	if spare != 0 {
		g.fail(fmt.Errorf("%w: the node's spare pointer", ErrUnknownLayout))
	}
	g.referent(&n.ID, n.IDLength, n.IDPtr)
	if n.Data != 0 {
		g.later(stepData, i, 0)
	}
	if g.hasNext(i) {
		g.later(stepNode, i+1, 0)
	}
}

// hasNext tells whether a node follows node i, and makes room for it when reading.
func (g *graph) hasNext(i int) bool {
	follows := g.nodes[i].Next != 0
	switch {
	case g.err != nil:
	case !g.reading && follows != (i+1 < len(g.nodes)):
		g.fail(fmt.Errorf("%w: node %d of %d and its pointer to the next", ErrInconsistent, i+1, len(g.nodes)))
	case g.reading && follows && len(g.nodes) == MaxNodes:
		g.fail(fmt.Errorf("%w: more than %d nodes", ErrTooMany, MaxNodes))
	case g.reading && follows:
		g.nodes = append(g.nodes, Node{})
	}
	return follows && g.err == nil
}

// data is the structure a node points at; its kind decides the layout.
func (g *graph) data(i int) {
	n := &g.nodes[i]
	if g.reading {
		g.allocate(n)
	} else if !n.hasData() {
		g.fail(fmt.Errorf("%w: %s node without its data", ErrInconsistent, n.Kind))
	}
	if g.err != nil {
		return
	}
	g.item = n.Kind.String()
	switch n.Kind {
	case Instances:
		g.instance(n.Instance)
	case Services:
		g.service(n.Service)
	case Endpoints:
		g.endpoint(n.Endpoint)
	case Handlers:
		g.handler(n.Handler)
		if n.Handler.Array != 0 {
			g.later(stepArray, i, 0)
		}
	}
}

// allocate makes room for the data of n. Data of an unknown kind cannot be
// skipped, since nothing says how long it is (nsgr.md 6, rule 8).
func (g *graph) allocate(n *Node) {
	switch n.Kind {
	case Instances:
		n.Instance = new(Instance)
	case Services:
		n.Service = new(Service)
	case Endpoints:
		n.Endpoint = new(Endpoint)
	case Handlers:
		n.Handler = new(Handler)
	default:
		g.fail(fmt.Errorf("%w: %s", ErrUnknownNode, n.Kind))
	}
}

func (n *Node) hasData() bool {
	switch n.Kind {
	case Instances:
		return n.Instance != nil
	case Services:
		return n.Service != nil
	case Endpoints:
		return n.Endpoint != nil
	case Handlers:
		return n.Handler != nil
	}
	return false
}

// instance is nsgr.md 4.3.
func (c *cursor) instance(i *Instance) {
	c.text(&i.Name)
	c.text(&i.Host)
	c.u32(&i.NodeLoad)
	c.u32(&i.NodeMax)
	c.u32(&i.Load)
	c.u32(&i.Max)
	c.u32(&i.Flags)
	c.u32(&i.Update)
	c.pointer(&i.Back)
	c.content(&i.Name)
	c.content(&i.Host)
}

// service is nsgr.md 4.4.
func (c *cursor) service(s *Service) {
	c.text(&s.Name)
	c.u32(&s.Flags)
	c.u32(&s.Goodness)
	c.u32(&s.Delta)
	c.u32(&s.Update)
	c.pointer(&s.Back)
	c.content(&s.Name)
}

// endpoint is nsgr.md 4.5.
func (c *cursor) endpoint(e *Endpoint) {
	c.text(&e.Name)
	c.u32(&e.Flags)
	c.u32(&e.Update)
	c.pointer(&e.Back)
	c.content(&e.Name)
}

// handler is nsgr.md 4.6. Two fields look like one more counted string or list
// and have always been empty: if they are not, the rest cannot be read.
func (c *cursor) handler(h *Handler) {
	var x0 uint32
	var x1 uint64
	c.text(&h.Name)
	c.text(&h.Address)
	c.text(&h.Info)
	c.u32(&h.Load)
	c.u32(&h.Max)
	c.u32(&h.Flags)
	c.length(&h.ArrayLength, h.Array, len(h.Slots))
	c.pointer(&h.Array)
	c.u32(&x0)
	c.pad(&h.Pad0)
	c.pointer(&x1)
	c.u32(&h.Update)
	c.pad(&h.Pad1)
	c.pointer(&h.Back)
	if x0 != 0 || x1 != 0 {
		c.fail(fmt.Errorf("%w: the handler's x0 and x1", ErrUnknownLayout))
	}
	c.content(&h.Name)
	c.content(&h.Address)
	c.content(&h.Info)
}

// array is nsgr.md 4.7. The copies of its services follow later, one for each
// slot that is not null.
func (g *graph) array(i int) {
	g.item = "service array"
	h := g.nodes[i].Handler
	n := len(h.Slots)
	if g.reading {
		n = g.arrayLength(h)
		h.Slots = make([]uint64, n)
	}
	if g.slots += n; g.slots > MaxSlots {
		g.fail(fmt.Errorf("%w: more than %d service array slots", ErrTooMany, MaxSlots))
	}
	used := 0
	for j := range h.Slots {
		g.pointer(&h.Slots[j])
		if h.Slots[j] != 0 {
			g.later(stepCopy, i, used)
			used++
		}
	}
	if g.reading {
		if used*serviceSize(g.rep) > g.left() {
			g.fail(ErrTruncated)
			return
		}
		h.Copies = make([]Service, used)
	} else if len(h.Copies) != used {
		g.fail(fmt.Errorf("%w: %d slots in use but %d copies", ErrInconsistent, used, len(h.Copies)))
	}
}

// arrayLength checks the announced length against what is left, so that no
// number from the wire decides what is allocated.
func (g *graph) arrayLength(h *Handler) int {
	switch {
	case h.ArrayLength > MaxSlots:
		g.fail(fmt.Errorf("%w: more than %d service array slots", ErrTooMany, MaxSlots))
	case int(h.ArrayLength)*g.rep.PointerSize > g.left():
		g.fail(ErrTruncated)
	default:
		return int(h.ArrayLength)
	}
	return 0
}
