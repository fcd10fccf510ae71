package descriptor

import (
	"fmt"
	"strings"
)

// byteOrderMark is what Windows editors put first in a file.
const byteOrderMark = "\ufeff"

// ParseFile reads a whole parameter file (cman.ora, listener.ora, tnsnames.ora, sqlnet.ora) within the default Limits and
// returns its assignments in order. The error is a *SyntaxError.
//
// An assignment is NAME=value, where the value is one or more groups in parentheses, or a text that ends with its line; a
// text goes on in the next line if that is indented and is no assignment itself. IFILE=… is an assignment like any other.
// Where several names share a value, as in a, b.world=(…), there is one node for each, in order, and they share their
// Children: Clone one before changing it.
//
// A # begins a comment where it stands first in a line or after a blank or a parenthesis, outside quotes.
func ParseFile(text string) ([]*Node, error) { return Limits{}.ParseFile(text) }

// ParseFile is the function ParseFile within these limits.
func (l Limits) ParseFile(text string) ([]*Node, error) {
	text = strings.TrimPrefix(text, byteOrderMark)
	var p parser
	p.begin(text, l.or(fileBytes, fileNodes))
	p.comments = true
	p.wanted += strings.Count(text, "\n")
	var nodes []*Node
	for p.err == nil {
		p.skip()
		if p.ended() {
			return nodes, nil
		}
		nodes = p.assignment(nodes)
	}
	return nil, p.err
}

// Lookup returns the first of nodes called name, in any case, or nil.
func Lookup(nodes []*Node, name string) *Node { return (&Node{Children: nodes}).Child(name) }

// assignment reads one NAME=value and appends a node for each of its names.
func (p *parser) assignment(nodes []*Node) []*Node {
	first := len(nodes)
	nodes = p.aliases(nodes)
	if p.err != nil {
		return nodes
	}
	p.pos++ // the =
	p.skipInLine()
	n := nodes[first]
	if p.ended() || p.at('\n') {
		p.skip()
		if !p.at('(') && !p.continues() {
			return nodes
		}
	}
	if p.at('(') {
		p.groups(0)
		n.Children = p.close(0)
	} else {
		n.Value = p.lines(n.Name)
	}
	for _, alias := range nodes[first+1:] {
		alias.Value, alias.Children = n.Value, n.Children
	}
	return nodes
}

// aliases reads the names before a =.
func (p *parser) aliases(nodes []*Node) []*Node {
	for first := len(nodes); p.err == nil; {
		from := p.pos
		name, quoted := p.word(paren | comma | equal | newline)
		p.skip()
		switch {
		case p.at(')'):
			p.fail(p.pos, "one ) too many", "remove it, or look for a ( missing before it")
		case p.at('(') && name != "":
			p.fail(from, "no = between "+excerpt(name)+" and (", "write NAME=(…)")
		case p.at('('):
			p.fail(p.pos, "unexpected (", "write NAME= before it")
		case p.at('=') || p.at(','):
			n := p.named(from, name, quoted)
			if n == nil {
				break
			}
			if nodes = append(nodes, n); len(nodes)-first > maxAliases {
				p.fail(from, fmt.Sprintf("more than %d names for one value", maxAliases), "split the list of names")
			}
			if p.at('=') {
				return nodes
			}
			p.pos++
			p.skip()
		default:
			p.fail(from, "no = after "+excerpt(name),
				"write NAME=value, or indent the line if it continues the one above")
		}
	}
	return nodes
}

// continues reports whether the line the cursor is in, at its first character that is no blank, belongs to the assignment
// before it: it is indented and is not itself an assignment.
func (p *parser) continues() bool {
	if p.ended() || p.pos == 0 || kindOf[p.text[p.pos-1]]&(blank|newline) != blank {
		return false
	}
	line := p.text[p.pos:]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return kindOf[line[0]] == quote || !strings.Contains(line, "=")
}

// lines reads a text that is not in parentheses, up to the end of its line or of those that continue it.
func (p *parser) lines(name string) string {
	text, quoted := p.line(name)
	if quoted {
		return text
	}
	parts := []string{text}
	for p.err == nil {
		p.skip()
		if p.at('(') || !p.continues() {
			break
		}
		text, _ = p.line(name)
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// line reads what is left of a line.
func (p *parser) line(name string) (text string, quoted bool) {
	text, quoted = p.word(paren | newline)
	p.skipInLine()
	switch {
	case p.ended() || p.at('\n') || p.err != nil:
	case p.at('(') || p.at(')'):
		p.fail(p.pos, "a parenthesis within the value of "+excerpt(name), "put the value in quotes, or begin it with (")
	default:
		p.fail(p.pos, "unexpected "+character(p.text[p.pos:])+" after the value of "+excerpt(name), "put all of the value in quotes")
	}
	return text, quoted
}
