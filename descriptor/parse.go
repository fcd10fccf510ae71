package descriptor

import (
	"fmt"
	"strings"
)

// Parse reads exactly one parenthesised root, such as (DESCRIPTION=…), (CONNECT_DATA=…) or (ADDRESS=…), as it comes in a
// CONNECT, a REFUSE or a REDIRECT (tns.md 3, 4, 8), within the default Limits. Blanks around it are skipped, and so are
// NULs after it, with which some listeners end a text. A # is an ordinary character. The error is a *SyntaxError.
func Parse(text string) (*Node, error) { return Limits{}.Parse(text) }

// Parse is the function Parse within these limits.
func (l Limits) Parse(text string) (*Node, error) {
	var p parser
	p.begin(text, l.or(textBytes, textNodes))
	root := p.root()
	if p.err != nil {
		return nil, p.err
	}
	return root, nil
}

// parser turns text into nodes. Each of its methods begins with the cursor on the first byte it is about and leaves it
// behind the last; once err is set the rest is of no interest.
type parser struct {
	cursor
	arena
	limits Limits
	stack  [24]*Node // room for open, enough for most texts
}

// begin makes p ready to read text.
func (p *parser) begin(text string, limits Limits) {
	p.text, p.limits = text, limits
	p.left = limits.Nodes
	p.open = p.stack[:0]
	if len(text) > limits.Bytes {
		p.err = &SyntaxError{Line: 1, Column: 1,
			Problem: fmt.Sprintf("the text has %d bytes, %d are allowed", len(text), limits.Bytes),
			Remedy:  "make it shorter"}
		return
	}
	p.wanted = strings.Count(text, "(")
}

func (p *parser) root() *Node {
	if p.err != nil {
		return nil
	}
	p.skip()
	start := p.pos
	switch {
	case p.ended():
		p.fail(start, "the text is empty", "write (NAME=value)")
		return nil
	case !p.at('('):
		p.fail(start, "expected ( but found "+character(p.text[start:]), "begin with an opening parenthesis, as in (DESCRIPTION=…)")
		return nil
	}
	p.group(1)
	if p.err != nil {
		return nil
	}
	p.skip()
	if rest := strings.TrimRight(p.text[p.pos:], blanks+"\x00"); rest != "" {
		p.fail(p.pos, "unexpected "+character(rest)+" after the last parenthesis", "remove it, or look for one ) too many before it")
		return nil
	}
	if len(p.open) != 1 || p.open[0].Name == "" {
		p.fail(start, "no NAME= after the opening parenthesis", "write (NAME=value)")
		return nil
	}
	return p.open[0]
}

// group reads one parenthesised group, the depth-th from outside, and adds to open what it holds: a node, or the elements
// of a list.
func (p *parser) group(depth int) {
	start := p.pos
	if depth > p.limits.Depth {
		p.fail(start, fmt.Sprintf("more than %d parentheses are open", p.limits.Depth), "close some, or nest less deeply")
		return
	}
	p.pos++
	p.skip()
	if p.at('(') {
		p.unnamed(start, depth)
		return
	}
	from := p.pos
	text, quoted := p.word(paren | comma | equal)
	p.skip()
	if !p.at('=') {
		p.list(from, text, quoted)
		p.closing(start, "")
		return
	}
	if n := p.named(from, text, quoted); n != nil {
		p.pos++
		p.value(n, depth)
		p.closing(start, n.Name)
		p.open = append(p.open, n)
	}
}

// unnamed reads groups within a group that has no name of its own.
func (p *parser) unnamed(start, depth int) {
	n := p.add(start)
	if n == nil {
		return
	}
	mark := len(p.open)
	p.groups(depth)
	n.Children = p.close(mark)
	p.closing(start, "")
	p.open = append(p.open, n)
}

// named makes the node whose name, just read, began at from.
func (p *parser) named(from int, name string, quoted bool) *Node {
	if name == "" {
		p.fail(from, "there is no name before =", "write (NAME=value)")
		return nil
	}
	if !quoted {
		if hasBlank(name) {
			p.fail(from, "a blank within the name "+excerpt(name), "remove it, or look for a missing parenthesis or = before it")
			return nil
		}
	}
	n := p.add(from)
	if n != nil {
		n.Name = name
	}
	return n
}

func hasBlank(name string) bool {
	for i := range len(name) {
		if kindOf[name[i]]&blank != 0 {
			return true
		}
	}
	return false
}

// value reads what follows the = of a node: nothing, a text, or groups.
func (p *parser) value(n *Node, depth int) {
	p.skip()
	if !p.at('(') {
		from := p.pos
		n.Value, _ = p.word(paren)
		if name, assigned := strings.CutSuffix(n.Value, "="); assigned && p.at('(') {
			p.fail(from, "no ( before "+excerpt(strings.TrimRight(name, blanks)), "write (NAME=…)")
		}
		return
	}
	mark := len(p.open)
	p.groups(depth)
	n.Children = p.close(mark)
}

// groups reads one or more groups, which may have commas between them.
func (p *parser) groups(depth int) {
	for p.err == nil && p.at('(') {
		p.group(depth + 1)
		p.skip()
		if p.at(',') {
			p.pos++
			p.skip()
		}
	}
}

// list reads on after the first element of a list. Elements left empty are passed over unless they are quoted.
func (p *parser) list(from int, text string, quoted bool) {
	for p.err == nil {
		if text != "" || quoted {
			n := p.add(from)
			if n == nil {
				return
			}
			n.Value = text
			p.open = append(p.open, n)
		}
		p.skip()
		if !p.at(',') {
			return
		}
		p.pos++
		p.skip()
		from = p.pos
		text, quoted = p.word(paren | comma)
	}
}

// closing reads the ) of the group that began at start.
func (p *parser) closing(start int, name string) {
	if p.err != nil {
		return
	}
	p.skip()
	switch {
	case p.at(')'):
		p.pos++
	case p.ended() && name != "":
		p.fail(start, "the parenthesis of "+excerpt(name)+" is never closed", "add the missing )")
	case p.ended():
		p.fail(start, "the parenthesis opened here is never closed", "add the missing )")
	case p.at('(') && name == "" && isBareName(p.text[start+1:p.pos]):
		name = strings.TrimSpace(p.text[start+1 : p.pos])
		p.fail(p.pos, "no = between "+excerpt(name)+" and (", "write "+name+"=(…)")
	case p.at('('):
		p.fail(p.pos, "unexpected ( within a value", "close the parenthesis before it, or put the value in quotes")
	case p.pos > 0 && p.text[p.pos-1] != '"' && p.assignsHere():
		p.fail(p.pos, "what begins with "+character(p.text[p.pos:])+" is not in parentheses", "write (NAME=value), or close the parenthesis before it")
	default:
		p.fail(p.pos, "unexpected "+character(p.text[p.pos:]), "close the parenthesis before it, or put all of the value in quotes")
	}
}

// isBareName reports whether text is one short word, as names of groups are.
func isBareName(text string) bool {
	text = strings.Trim(text, blanks)
	return text != "" && len(text) <= 64 && strings.Trim(strings.ToUpper(text), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == ""
}

// assignsHere reports whether the line goes on with NAME=.
func (p *parser) assignsHere() bool {
	line, _, _ := strings.Cut(p.text[p.pos:], "\n")
	name, _, assigned := strings.Cut(line, "=")
	return assigned && name != "" && !strings.ContainsAny(strings.TrimRight(name, blanks), "()\"'"+blanks)
}

// add makes a node that began at offset.
func (p *parser) add(offset int) *Node {
	n := p.node()
	if n == nil {
		p.fail(offset, fmt.Sprintf("more than %d names and list elements", p.limits.Nodes), "make the text shorter")
		return nil
	}
	n.Line, n.Column = p.place(offset)
	return n
}
