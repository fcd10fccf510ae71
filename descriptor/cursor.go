package descriptor

import (
	"strings"
	"unicode/utf8"
)

const blanks = " \t\r\n\v\f"

// Kinds of bytes, as bits, so that a scan can stop at any set of them.
const (
	blank byte = 1 << iota
	newline
	paren
	comma
	equal
	quote
	backslash
	hash
)

// reserved bytes are those a backslash takes the meaning from.
const reserved = paren | comma | equal | quote | hash

// kindOf is the table of those kinds; it is never written to.
var kindOf = [256]byte{
	' ': blank, '\t': blank, '\r': blank, '\v': blank, '\f': blank, '\n': blank | newline,
	'(': paren, ')': paren, ',': comma, '=': equal, '\'': quote, '"': quote, '\\': backslash, '#': hash,
}

// cursor walks over a text from its first byte to its last and owns its bounds. The first problem met is kept in err;
// whoever loops over a cursor stops at it.
type cursor struct {
	text     string
	pos      int
	comments bool // # begins a comment where a file allows one
	err      *SyntaxError

	// Where the last node began, from which place counts on, so that positions cost one pass over the text in all.
	placed, line, column int
}

// at reports whether the next byte is c.
func (c *cursor) at(b byte) bool { return c.pos < len(c.text) && c.text[c.pos] == b }

// ended reports whether nothing is left to read.
func (c *cursor) ended() bool { return c.pos >= len(c.text) }

// fail keeps the first problem, found at offset.
func (c *cursor) fail(offset int, problem, remedy string) {
	if c.err == nil {
		c.err = problemAt(c.text, offset, problem, remedy)
	}
}

// place returns line and column of offset, which must not be before that of the last call.
func (c *cursor) place(offset int) (line, column int) {
	between := c.text[c.placed:offset]
	if last := strings.LastIndexByte(between, '\n'); last >= 0 {
		c.line += strings.Count(between, "\n")
		c.column = 0
		between = between[last+1:]
	}
	c.column += utf8.RuneCountInString(between)
	c.placed = offset
	return c.line + 1, c.column + 1
}

// comment reports whether the # at offset begins a comment: in a file, where it stands first in a line or after a blank or
// a parenthesis. Elsewhere it is part of a value, as in (KEY=#29190.1).
func (c *cursor) comment(offset int) bool {
	return c.comments && (offset == 0 || kindOf[c.text[offset-1]]&(blank|paren) != 0)
}

// skip moves over blanks and comments.
func (c *cursor) skip() {
	for c.pos < len(c.text) {
		switch kind := kindOf[c.text[c.pos]]; {
		case kind&blank != 0:
			c.pos++
		case kind == hash && c.comment(c.pos):
			c.toLineEnd()
		default:
			return
		}
	}
}

// skipInLine moves over blanks and a comment up to the end of the line.
func (c *cursor) skipInLine() {
	for c.pos < len(c.text) && kindOf[c.text[c.pos]]&(blank|newline) == blank {
		c.pos++
	}
	if c.at('#') && c.comment(c.pos) {
		c.toLineEnd()
	}
}

// toLineEnd moves to the next newline or the end.
func (c *cursor) toLineEnd() {
	if end := strings.IndexByte(c.text[c.pos:], '\n'); end >= 0 {
		c.pos += end
		return
	}
	c.pos = len(c.text)
}

// backslashes counts the backslashes from here on and returns the byte that follows them, 0 at the end.
func (c *cursor) backslashes() (run int, next byte) {
	rest := c.text[c.pos:]
	for run < len(rest) && rest[run] == '\\' {
		run++
	}
	if run < len(rest) {
		next = rest[run]
	}
	return run, next
}
