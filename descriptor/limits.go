package descriptor

import "fmt"

// Limits bounds what a text may cost. Zero fields mean the default.
type Limits struct {
	// Bytes is the longest text taken; default 64 KiB for Parse, 4 MiB for ParseFile.
	Bytes int
	// Depth is how many parentheses may be open at once; default 64. It also bounds how deep the parser recurses.
	Depth int
	// Nodes is how many nodes may come of the text, at some 80 bytes each; default 16,384 for Parse, 524,288 for
	// ParseFile.
	Nodes int
}

// What a Limits with zero fields stands for: the largest connect data a listener gathers, and a file larger than any
// that people keep (tns.md 14).
const (
	defaultDepth = 64
	textBytes    = 64 << 10
	textNodes    = 16 << 10
	fileBytes    = 4 << 20
	fileNodes    = 512 << 10
	maxAliases   = 256 // names that may share one value in a file; each becomes a node
)

// or returns l with its zero fields replaced.
func (l Limits) or(bytes, nodes int) Limits {
	if l.Bytes <= 0 {
		l.Bytes = bytes
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Nodes <= 0 {
		l.Nodes = nodes
	}
	return l
}

// RoomAround is the error, a *SyntaxError, of an n that Parse would not read any more with another node around it; nil if it
// would.
func RoomAround(n *Node) error {
	if n.depth() < defaultDepth {
		return nil
	}
	return problemWith(n, fmt.Sprintf("%s is %d parentheses deep, so that nothing can be put around it", excerpt(n.Name), defaultDepth), "nest less deeply")
}

// depth is how many parentheses are open at once where n is printed.
func (n *Node) depth() int {
	below := 0
	for _, child := range n.Children {
		below = max(below, child.depth())
	}
	return 1 + below
}
