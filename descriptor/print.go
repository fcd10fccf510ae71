package descriptor

import "strings"

// String prints n as Parse reads it back: without blanks, names as written, texts in quotes only where they need them. A
// node that has Children is printed with them, and its Value is not.
func (n *Node) String() string {
	if n == nil {
		return ""
	}
	return n.text(false)
}

// Masked prints n as String prints [Mask] of it, which need not be made for that.
func (n *Node) Masked() string {
	if n == nil {
		return ""
	}
	return n.text(true)
}

func (n *Node) text(masked bool) string {
	w := printer{new(strings.Builder), masked}
	w.Grow(n.size())
	w.print(n)
	return w.String()
}

// printer writes nodes one after the other.
type printer struct {
	*strings.Builder
	masked bool // secrets have the value Masked
}

// size is how long n is in print if nothing needs quotes.
func (n *Node) size() int {
	size := len("(=)") + len(n.Name) + len(n.Value)
	for _, child := range n.Children {
		size += child.size()
	}
	return size
}

func (w printer) print(n *Node) {
	w.WriteByte('(')
	if n.Name != "" {
		writeText(w.Builder, n.Name, asName)
		w.WriteByte('=')
	}
	switch {
	case w.masked && Secret(n.Name):
		w.WriteString(Masked)
	case len(n.Children) > 0:
		w.printAll(n.Children, w.masked && asksByPassword(n))
	case n.Name != "":
		writeText(w.Builder, n.Value, asValue)
	default:
		writeText(w.Builder, n.Value, asElement)
	}
	w.WriteByte(')')
}

// printAll prints nodes one after the other, and list elements that follow each other as one list. values says that every
// VALUE among them is a secret.
func (w printer) printAll(nodes []*Node, values bool) {
	for i := 0; i < len(nodes); {
		if values && sameName(nodes[i].Name, "VALUE") {
			w.print(&Node{Name: nodes[i].Name, Value: Masked})
			i++
			continue
		}
		if !nodes[i].element() {
			w.print(nodes[i])
			i++
			continue
		}
		separator := byte('(')
		for ; i < len(nodes) && nodes[i].element(); i++ {
			w.WriteByte(separator)
			writeText(w.Builder, nodes[i].Value, asElement)
			separator = ','
		}
		w.WriteByte(')')
	}
}

// element reports whether n is a text in a list.
func (n *Node) element() bool { return n.Name == "" && len(n.Children) == 0 }

// role is what a text is in the syntax, which decides what needs quotes in it.
type role uint8

const (
	asName    role = iota // before =
	asValue               // after =, within parentheses
	asElement             // in a list
	asLine                // after =, up to the end of a line
)

// writeText writes text, in quotes if it would not be read back as it is.
func writeText(w *strings.Builder, text string, as role) {
	if plain(text, as) {
		w.WriteString(text)
		return
	}
	mark := byte('"')
	if strings.IndexByte(text, '"') >= 0 && strings.IndexByte(text, '\'') < 0 {
		mark = '\''
	}
	w.WriteByte(mark)
	run := 0 // backslashes just written, which are doubled where a quote follows
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			run++
		case mark:
			writeBackslashes(w, run+1)
			run = 0
		default:
			run = 0
		}
		w.WriteByte(text[i])
	}
	writeBackslashes(w, run)
	w.WriteByte(mark)
}

func writeBackslashes(w *strings.Builder, count int) {
	for range count {
		w.WriteByte('\\')
	}
}

// plain reports whether text is read back as it is without quotes.
func plain(text string, as role) bool {
	if text == "" {
		return as == asValue || as == asLine
	}
	if as == asName && strings.HasPrefix(text, byteOrderMark) {
		return false // at the beginning of a file it would be dropped
	}
	first, last := kindOf[text[0]], kindOf[text[len(text)-1]]
	if first&(blank|quote) != 0 || last&(blank|backslash) != 0 || first == hash && as != asValue {
		return false
	}
	special := paren | comma | equal
	switch as {
	case asName:
		special |= blank
	case asValue:
		// Other readers stop at a = within a value but take those that pad base64, as in CONNECTION_ID.
		text = strings.TrimRight(text, "=")
		if strings.HasSuffix(text, `\`) {
			return false
		}
		special = paren | equal
	case asLine:
		special = paren | newline
	}
	return !needsQuotes(text, special)
}

// needsQuotes reports whether text has a byte of a kind in special, a backslash that would escape what follows it, or a #
// that would begin a comment in a file.
func needsQuotes(text string, special byte) bool {
	var before byte
	for i := 0; i < len(text); i++ {
		kind := kindOf[text[i]]
		if kind&special != 0 ||
			before == backslash && kind&reserved != 0 ||
			kind == hash && before&blank != 0 {
			return true
		}
		before = kind
	}
	return false
}
