package descriptor

// arena gives out the nodes of one tree, and the slices that link them, from a few larger allocations.
type arena struct {
	nodes []Node
	links []*Node
	// wanted is how many nodes the text is likely to need still. It only sizes allocations, and those stay small
	// whatever the text claims.
	wanted int
	open   []*Node // what has been read of groups that are not closed yet, innermost last
	left   int     // nodes still allowed
}

const (
	smallChunk = 16 // of links
	leastNodes = 4
	largeChunk = 256
)

// chunk is how many nodes to allocate together.
func (a *arena) chunk() int { return min(max(a.wanted, leastNodes), largeChunk) }

// node returns a new node, nil if no more are allowed.
func (a *arena) node() *Node {
	if a.left <= 0 {
		return nil
	}
	a.left--
	if len(a.nodes) == 0 {
		a.nodes = make([]Node, a.chunk())
	}
	a.wanted--
	n := &a.nodes[0]
	a.nodes = a.nodes[1:]
	return n
}

// close takes what has been read since open had length from, and returns it as the children of one node.
func (a *arena) close(from int) []*Node {
	count := len(a.open) - from
	if count == 0 {
		return nil
	}
	if len(a.links) < count {
		// Every node but the root is a child once; what is open, what is to come and the parents of both
		// need a link yet.
		a.links = make([]*Node, max(count, min(len(a.open)+max(a.wanted, 0)+smallChunk, largeChunk)))
	}
	children := a.links[:count:count]
	a.links = a.links[count:]
	copy(children, a.open[from:])
	a.open = a.open[:from]
	return children
}
