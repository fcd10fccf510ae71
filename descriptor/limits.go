package descriptor

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
