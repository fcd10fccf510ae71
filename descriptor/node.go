// Package descriptor reads and writes the parenthesised name-value text of Oracle Net: connect descriptors, addresses,
// refusals, the parameter files cman.ora, listener.ora, tnsnames.ora and sqlnet.ora, and the Easy Connect short form.
//
// Names are compared without case and kept as written, repeated names keep their order, and every node remembers where
// in the text it began. Parsing takes time and memory in proportion to the text, whatever the text is.
package descriptor

import (
	"slices"
	"strings"
)

// Node is one name with what it was set to: a text, or further nodes, in order. A node that was read from text has Value
// or Children, never both; both empty is an empty value, as in (SERVICE_NAME=).
//
// An element of a list such as (A=(x,y)) is a child with an empty Name and a Value; a group without a name, as in
// (A=((B=1)(C=2))), is a child with an empty Name and Children.
type Node struct {
	Name, Value string
	Children    []*Node
	// Line and Column tell where the name (or list element) begins, from 1; columns count characters. Both are 0 in a
	// node that was not read from text.
	Line, Column int
}

// Child returns the first child called name, in any case, or nil. A nil node has no children.
func (n *Node) Child(name string) *Node {
	if n == nil {
		return nil
	}
	for _, child := range n.Children {
		if sameName(child.Name, name) {
			return child
		}
	}
	return nil
}

// All returns every child called name, in any case, in order.
func (n *Node) All(name string) []*Node {
	if n == nil {
		return nil
	}
	var found []*Node
	for _, child := range n.Children {
		if sameName(child.Name, name) {
			found = append(found, child)
		}
	}
	return found
}

// Find goes down from n, at each step to the first child of the next name in path, and returns the last one or nil.
func (n *Node) Find(path ...string) *Node {
	for _, name := range path {
		n = n.Child(name)
	}
	return n
}

// Text returns the value of the node at path (see Find), or "" where there is none.
func (n *Node) Text(path ...string) string {
	if n = n.Find(path...); n == nil {
		return ""
	}
	return n.Value
}

// Values returns what n lists, whichever way it was written: (A=(x,y)), (A=x,y) and (A=x) give the elements trimmed and
// without empty ones. Children that have a name or children of their own are passed over.
func (n *Node) Values() []string {
	if n == nil {
		return nil
	}
	var values []string
	if len(n.Children) == 0 {
		for part := range strings.SplitSeq(n.Value, ",") {
			if part = strings.Trim(part, blanks); part != "" {
				values = append(values, part)
			}
		}
		return values
	}
	for _, child := range n.Children {
		if child.Name == "" && len(child.Children) == 0 && child.Value != "" {
			values = append(values, child.Value)
		}
	}
	return values
}

// Set gives the first child called name the value and removes further ones of that name, or appends a new child. The name
// of an existing child stays as it was written. Set on a nil node does nothing, like Add and Remove.
func (n *Node) Set(name, value string) {
	first := n.Child(name)
	if first == nil {
		n.Add(&Node{Name: name, Value: value})
		return
	}
	first.Value, first.Children = value, nil
	n.drop(func(child *Node) bool { return child != first && sameName(child.Name, name) })
}

// Put is Set for a node that shares its children with another: none of them is changed, a new one takes the place of the
// first that is called name.
func (n *Node) Put(name, value string) {
	first := n.Child(name)
	if first == nil {
		n.Add(&Node{Name: name, Value: value})
		return
	}
	put := first
	if first.Value != value || first.Children != nil {
		put = &Node{Name: first.Name, Value: value}
	}
	kept := make([]*Node, 0, len(n.Children))
	for _, child := range n.Children {
		switch {
		case child == first:
			kept = append(kept, put)
		case !sameName(child.Name, name):
			kept = append(kept, child)
		}
	}
	n.Children = kept
}

// Add appends child, unless that is nil.
func (n *Node) Add(child *Node) {
	if n != nil && child != nil {
		n.Children = append(n.Children, child)
	}
}

// Remove drops every child called name, in any case.
func (n *Node) Remove(name string) {
	if n != nil {
		n.drop(func(child *Node) bool { return sameName(child.Name, name) })
	}
}

// drop removes the children that match into a slice of its own, so that a tree sharing the old slice is left whole.
func (n *Node) drop(match func(*Node) bool) {
	if !slices.ContainsFunc(n.Children, match) {
		return
	}
	kept := make([]*Node, 0, len(n.Children))
	for _, child := range n.Children {
		if !match(child) {
			kept = append(kept, child)
		}
	}
	n.Children = kept
}

// Clone returns a copy of n and all below it that shares nothing with n that can be changed.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	clone := *n
	clone.Children = nil
	if len(n.Children) > 0 {
		clone.Children = make([]*Node, len(n.Children))
		for i, child := range n.Children {
			clone.Children[i] = child.Clone()
		}
	}
	return &clone
}

// sameName compares names as Oracle Net does: without the case of ASCII letters, and only theirs, so that no look-alike
// from another alphabet passes here for a name that the next listener does not take it for.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if x, y := a[i], b[i]; x != y && upper(x) != upper(y) {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}
