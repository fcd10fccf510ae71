package descriptor

import "strings"

// indent is by how much Format sets in what belongs to the line above.
const indent = "  "

// Format prints nodes as a parameter file that ParseFile reads back as it was, an assignment each: nodes whose children
// hold only texts in one line, all others with a line for each child. Nodes next to each other that share their Children
// are aliases and become one assignment again.
func Format(nodes ...*Node) string {
	var w strings.Builder
	for i := 0; i < len(nodes); i++ {
		if i > 0 {
			w.WriteByte('\n')
		}
		n := nodes[i]
		writeText(&w, n.Name, asName)
		for count := 1; count < maxAliases && i+1 < len(nodes) && sharesChildren(n, nodes[i+1]); count++ {
			i++
			w.WriteString(", ")
			writeText(&w, nodes[i].Name, asName)
		}
		w.WriteString(" =")
		switch {
		case len(n.Children) > 0:
			formatChildren(&w, n.Children, 1)
		case n.Value != "":
			w.WriteByte(' ')
			writeText(&w, n.Value, asLine)
		}
		w.WriteByte('\n')
	}
	return w.String()
}

// sharesChildren reports whether a and b have the very same children.
func sharesChildren(a, b *Node) bool {
	return len(a.Children) > 0 && len(a.Children) == len(b.Children) && &a.Children[0] == &b.Children[0]
}

// formatChildren prints nodes on lines of their own; list elements that follow each other share one.
func formatChildren(w *strings.Builder, nodes []*Node, level int) {
	for i := 0; i < len(nodes); {
		w.WriteByte('\n')
		for range level {
			w.WriteString(indent)
		}
		n := nodes[i]
		from := i
		for i++; n.element() && i < len(nodes) && nodes[i].element(); {
			i++
		}
		if n.flat() {
			printer{Builder: w}.printAll(nodes[from:i], false)
			continue
		}
		w.WriteByte('(')
		if n.Name != "" {
			writeText(w, n.Name, asName)
			w.WriteByte('=')
		}
		formatChildren(w, n.Children, level+1)
		w.WriteByte(')')
	}
}

// flat reports whether n prints well in one line.
func (n *Node) flat() bool {
	for _, child := range n.Children {
		if len(child.Children) > 0 {
			return false
		}
	}
	return true
}
