package broker

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// suspect is the likely place of a parenthesis that is missing or too many.
type suspect struct {
	line, column int
	text         string
}

// opened is a group that is open, or was.
type opened struct {
	name         string
	line, column int
}

// homes are the groups in which those of a cman.ora may stand. What stands elsewhere tells
// that a parenthesis is missing or too many before it.
func homes(name string) []string {
	switch name {
	case "CONFIGURATION":
		return []string{""}
	case "RULE_LIST", "PARAMETER_LIST", "RULE_GROUP":
		return []string{"CONFIGURATION", "", "RULE_GROUP", "GROUP"}
	case "RULE":
		return []string{"RULE_LIST"}
	case "ACTION_LIST", "SRC", "DST", "SRV", "ACT":
		return []string{"RULE"}
	case "ADDRESS_LIST":
		return []string{"CONFIGURATION", "", "DESCRIPTION", "DESCRIPTION_LIST", "NEXT_HOP", "ADDRESS_LIST"}
	}
	return nil
}

// findSuspect looks for the first group that stands where it cannot. It reads only as much of
// the syntax as needed to tell groups, comments and quotes apart, since the text is known
// to be wrong.
func findSuspect(content string) *suspect {
	w := &groupWalk{line: 1}
	var quote byte
	for i := 0; i < len(content); i++ {
		c := content[i]
		w.column++
		switch {
		case c == '\n':
			w.line, w.column = w.line+1, 0
			if quote != 0 {
				return nil // a quote is what is missing
			}
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#' && (i == 0 || strings.IndexByte(" \t\r\n()", content[i-1]) >= 0):
			if end := strings.IndexByte(content[i:], '\n'); end >= 0 {
				i += end - 1
			} else {
				i = len(content)
			}
		case c == '(':
			if s := w.open(nameAt(content[i+1:])); s != nil {
				return s
			}
		case c == ')':
			w.close()
		}
		if c >= utf8.RuneSelf && !utf8.RuneStart(c) {
			w.column--
		}
	}
	return nil
}

// nameAt is the name of the group whose inside text is, in upper case.
func nameAt(text string) string {
	end := strings.IndexAny(text, "=()")
	if end < 0 || text[end] != '=' {
		return ""
	}
	return strings.ToUpper(strings.TrimSpace(text[:end]))
}

// groupWalk is where a walk over groups has come to.
type groupWalk struct {
	line, column int
	stack        []opened
	closed       *opened // what the last ) closed
	closedAt     int     // the line of that
}

func (w *groupWalk) open(name string) *suspect {
	now := opened{name, w.line, w.column + 1}
	parent := opened{}
	if len(w.stack) > 0 {
		parent = w.stack[len(w.stack)-1]
	}
	if s := w.judge(now, parent); s != nil {
		return s
	}
	w.stack = append(w.stack, now)
	return nil
}

// judge tells whether a group can stand in its parent.
func (w *groupWalk) judge(now, parent opened) *suspect {
	allowed := homes(now.name)
	if allowed == nil {
		return nil
	}
	for _, home := range allowed {
		if home == parent.name && (home != "" || len(w.stack) == 0) {
			if home == "" && w.closed != nil && w.closed.name == "CONFIGURATION" && now.name != "CONFIGURATION" {
				return w.tooMany(now)
			}
			return nil
		}
	}
	if now.name == "RULE_LIST" && homes(parent.name) == nil && w.below([]string{"RULE_GROUP"}) {
		return nil // of a group, which may be called anything
	}
	if w.below(allowed) {
		return &suspect{parent.line, parent.column, fmt.Sprintf("%s is not closed before %s in line %d: add the missing )", named(parent), now.name, now.line)}
	}
	if w.closed != nil && (now.name == "RULE" && w.closed.name == "RULE_LIST" || homes(now.name)[0] == w.closed.name) {
		return w.tooMany(now)
	}
	return nil
}

// tooMany says that what should hold the group was closed before it.
func (w *groupWalk) tooMany(now opened) *suspect {
	return &suspect{now.line, now.column, fmt.Sprintf("%s stands outside of %s, which line %d closes: take out one ) too many there", now.name, w.closed.name, w.closedAt)}
}

// below tells whether one of the names is open further out.
func (w *groupWalk) below(names []string) bool {
	for i := range w.stack[:max(0, len(w.stack)-1)] {
		for _, name := range names {
			if name != "" && w.stack[i].name == name {
				return true
			}
		}
	}
	return false
}

func named(o opened) string {
	if o.name == "" {
		return "the parenthesis opened here"
	}
	return o.name
}

func (w *groupWalk) close() {
	if n := len(w.stack); n > 0 {
		last := w.stack[n-1]
		w.closed, w.closedAt = &last, w.line
		w.stack = w.stack[:n-1]
	}
}
