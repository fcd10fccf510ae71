package descriptor

// Limits bounds what a text may cost. Zero fields mean the default.
type Limits struct {
	Bytes int // length of the text; default 64 KiB for Parse, 4 MiB for ParseFile
	Depth int // parentheses open at once; default 64. It also bounds how deep the parser recurses
	Nodes int // nodes in the tree or file, some 80 bytes each; default 16,384 for Parse, 524,288 for ParseFile
}

// Parse is the function Parse within these limits.
func (l Limits) Parse(text string) (*Node, error) { return nil, nil }

// ParseFile is the function ParseFile within these limits.
func (l Limits) ParseFile(text string) ([]*Node, error) { return nil, nil }

// Parse reads exactly one parenthesised root.
func Parse(text string) (*Node, error) { return Limits{}.Parse(text) }

// ParseFile reads a whole parameter file.
func ParseFile(text string) ([]*Node, error) { return Limits{}.ParseFile(text) }

// Lookup returns the first of nodes called name, in any case, or nil.
func Lookup(nodes []*Node, name string) *Node { return (&Node{Children: nodes}).Child(name) }

const blanks = " \t\r\n\v\f"
