package descriptor

// String prints n without blanks.
func (n *Node) String() string { return "" }

// Format prints nodes as a parameter file that ParseFile reads back.
func Format(nodes ...*Node) string { return "" }
