package descriptor

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError tells where a text stopped making sense, what is wrong there, and what to do about it. Problem quotes at
// most one character, one name, or a host or port, so that an error gives away no password.
type SyntaxError struct {
	// Line and Column count from 1, columns in characters. Both are 0 for an error about a node that was not read
	// from text; Error then leaves them out.
	Line, Column    int
	Problem, Remedy string
}

// Error gives position, problem and remedy in one line.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Problem + ": " + e.Remedy
	}
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Problem, e.Remedy)
}

// problemAt is a SyntaxError about the byte at offset of text.
func problemAt(text string, offset int, problem, remedy string) *SyntaxError {
	before := text[:offset]
	return &SyntaxError{
		Line:    strings.Count(before, "\n") + 1,
		Column:  utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1,
		Problem: problem, Remedy: remedy,
	}
}

// problemWith is a SyntaxError about a node.
func problemWith(n *Node, problem, remedy string) *SyntaxError {
	return &SyntaxError{Line: n.Line, Column: n.Column, Problem: problem, Remedy: remedy}
}

// maxExcerpt is how many bytes of a name an error message repeats.
const maxExcerpt = 40

// excerpt quotes the beginning of a name for an error message.
func excerpt(name string) string {
	if len(name) > maxExcerpt {
		name = name[:maxExcerpt] + "…"
	}
	return `"` + Escape(name) + `"`
}

// character quotes the first character of text for an error message.
func character(text string) string {
	_, size := utf8.DecodeRuneInString(text)
	return `"` + Escape(text[:size]) + `"`
}
