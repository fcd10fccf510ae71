package descriptor

import "strings"

// ConnectData returns the CONNECT_DATA of a descriptor with whatever root a client sends (tns.md 8): CONNECT_DATA
// itself, DESCRIPTION, DESCRIPTION_LIST, or an alias of a file that stands for one. Of several it is the first; nil if
// there is none.
func ConnectData(n *Node) *Node {
	if n == nil || sameName(n.Name, "CONNECT_DATA") {
		return n
	}
	for _, child := range n.Children {
		switch {
		case sameName(child.Name, "CONNECT_DATA"):
			return child
		case sameName(child.Name, "DESCRIPTION"), sameName(child.Name, "DESCRIPTION_LIST"):
			if found := ConnectData(child); found != nil {
				return found
			}
		}
	}
	return nil
}

// SourceRoute reports whether n wants its addresses gone through one after the other (tns.md 11.1): whether SOURCE_ROUTE is
// on in n or in a DESCRIPTION_LIST, DESCRIPTION or ADDRESS_LIST under it.
func SourceRoute(n *Node) bool {
	if on, _ := Truth(n.Text("SOURCE_ROUTE")); on {
		return true
	}
	if n == nil {
		return false
	}
	for _, child := range n.Children {
		switch {
		case sameName(child.Name, "ADDRESS_LIST"), sameName(child.Name, "DESCRIPTION"), sameName(child.Name, "DESCRIPTION_LIST"):
			if SourceRoute(child) {
				return true
			}
		}
	}
	return false
}

// Truth reads a switch: on, yes, true and 1, or off, no, false and 0, in any case. It reports whether the value is on, and
// whether it is one of these words at all.
func Truth(value string) (on, known bool) {
	value = strings.Trim(value, blanks)
	for _, word := range [...]string{"ON", "YES", "TRUE", "1"} {
		if sameName(value, word) {
			return true, true
		}
	}
	for _, word := range [...]string{"OFF", "NO", "FALSE", "0"} {
		if sameName(value, word) {
			return false, true
		}
	}
	return false, false
}
