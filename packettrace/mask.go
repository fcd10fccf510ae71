package packettrace

import (
	"bytes"
	"strings"

	"servicebroker/descriptor"
)

// textMask hides the values of secrets in descriptors as they come, whatever the pieces:
// what is in a part whose name descriptor.Secret knows becomes stars, to its last
// parenthesis. It reads twice: as the parser of descriptors does, and roughly, since what
// comes need not begin with a descriptor, nor be one that this parser takes. What either
// finds in a secret is hidden. Where quotes or parentheses do not match, it hides too much.
type textMask struct {
	rough roughReader
	exact exactReader
}

// hide changes b in place.
func (m *textMask) hide(b []byte) {
	for i, c := range b {
		rough, exact := m.rough.secret(c), m.exact.secret(c)
		if rough || exact {
			b[i] = '*'
		}
	}
}

// partName is a name that is being read.
type partName struct {
	text  []byte // the end of it at least
	known bool   // what came before that was of a secret
}

// A name is judged by pieces that have so many bytes in common, which is more than any word has
// by which descriptor.Secret knows a secret.
const (
	maxName    = 64
	nameInBoth = maxName / 2
)

func (n *partName) begin() { n.text, n.known = n.text[:0], false }

func (n *partName) add(c byte) {
	if len(n.text) == maxName {
		n.known = n.known || descriptor.Secret(string(n.text))
		n.text = append(n.text[:0], n.text[maxName-nameInBoth:]...)
	}
	n.text = append(n.text, c)
}

// secret tells whether the value of what is called so is to be hidden. VALUE may be an
// argument of COMMAND=password.
func (n *partName) secret() bool {
	return n.known || descriptor.Secret(string(n.text)) || bytes.EqualFold(bytes.TrimSpace(n.text), []byte("VALUE"))
}

// roughReader takes any parenthesis outside of a secret for the begin of a part, and any quote within one for that of
// quoted text.
type roughReader struct {
	name   partName
	naming bool
	depth  int  // within a secret: how many parentheses deep; 0 outside
	quote  byte // that is open within it
}

// secret takes the next byte, and tells whether it is of a secret.
func (r *roughReader) secret(c byte) bool {
	if r.depth > 0 {
		return r.inside(c)
	}
	switch c {
	case '(':
		r.name.begin()
		r.naming = true
	case ')':
		r.naming = false
	case '=':
		if r.naming && r.name.secret() {
			r.depth = 1
		}
		r.naming = false
	default:
		r.name.add(c)
	}
	return false
}

// inside follows one byte within a secret, and tells whether it is of it.
func (r *roughReader) inside(c byte) bool {
	switch {
	case r.quote != 0:
		if c == r.quote {
			r.quote = 0
		}
	case c == '"' || c == '\'':
		r.quote = c
	case c == '(':
		r.depth++
	case c == ')':
		r.depth--
	}
	return r.depth > 0
}

// exactReader reads what the parser of descriptors takes as that does. After anything else it waits for the next parenthesis.
type exactReader struct {
	name      partName
	depth     int // as in roughReader
	place     place
	begun     bool // the word at place has
	quote     byte // in which that word is; 0 where it is in none
	backslash bool // an odd number of them has just come
}

// place is where an exactReader is.
type place byte

const (
	between place = iota // before a parenthesis
	naming               // after one that opens
	listing              // after a comma in a list
	valuing              // after the = of a name
)

// secret takes the next byte, and tells whether it is of a secret.
func (r *exactReader) secret(c byte) bool {
	escaped := r.backslash
	r.backslash = false
	switch {
	case r.quote != 0:
		r.quoted(c, escaped)
	case c == '\\' && r.place != between:
		r.letter(c)
		r.backslash = !escaped
	case escaped && strings.IndexByte(`(),='"#`, c) >= 0:
		r.letter(c)
	default:
		r.plain(c)
	}
	return r.depth > 0
}

// quoted takes a byte between quotes.
func (r *exactReader) quoted(c byte, escaped bool) {
	if c == r.quote && !escaped {
		r.quote = 0
		return
	}
	r.letter(c)
	r.backslash = c == '\\' && !escaped
}

// letter takes a byte that is part of a word.
func (r *exactReader) letter(c byte) {
	r.begun = true
	if r.place == naming && r.depth == 0 {
		r.name.add(c)
	}
}

// plain takes a byte that is neither in quotes nor after a backslash.
func (r *exactReader) plain(c byte) {
	switch {
	case c == '(':
		r.to(naming)
		r.name.begin()
		if r.depth > 0 {
			r.depth++
		}
	case c == ')':
		r.to(between)
		if r.depth > 0 {
			r.depth--
		}
	case r.place == between:
	case c == ',' && r.place != valuing:
		r.to(listing)
	case c == '=' && r.place == naming:
		if r.depth == 0 && r.name.secret() {
			r.depth = 1
		}
		r.to(valuing)
	case !r.begun && (c == '"' || c == '\''):
		r.begun, r.quote = true, c
	case !r.begun && strings.IndexByte(" \t\r\n\v\f", c) >= 0:
	default:
		r.letter(c)
	}
}

func (r *exactReader) to(p place) { r.place, r.begun = p, false }

// Texts of a session from which on, up to the answer, there may be secrets: names of what a
// login or a change of password sends (ttc.md), and SQL that has passwords. SQL may be cut
// into pieces with lengths between them, so that how such statements begin counts, too.
var sensitive = [][]byte{
	[]byte("auth_"), []byte("identified"), []byte("alter user"), []byte("create user"), []byte("create role"), []byte("alter role"), []byte("set role"),
	[]byte("password"), []byte("connect to "), []byte("database link"), []byte("credential"), []byte("secret"), []byte("wallet"), []byte("keystore"),
}

// longestSensitive is the length of the longest of them.
const longestSensitive = 16

// loggedIn are texts of the answer that ends a login.
var loggedIn = [][]byte{[]byte("auth_svr_response"), []byte("auth_version_")}

const longestLoggedIn = 18

// search finds texts in a stream that comes in pieces, in any case.
type search struct {
	texts   [][]byte
	longest int
	before  []byte // the end of what came before, in lower case
	joined  []byte
}

// find returns where in b the first of the texts begins, 0 if that was before it; -1 if
// there is none.
func (s *search) find(b []byte) int {
	s.joined = append(s.joined[:0], s.before...)
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		s.joined = append(s.joined, c)
	}
	at := -1
	for _, text := range s.texts {
		from := max(len(s.before)-len(text)+1, 0) // those that were whole before have been found
		if i := bytes.Index(s.joined[from:], text); i >= 0 && (at < 0 || from+i < at) {
			at = from + i
		}
	}
	if at >= 0 {
		at = max(at-len(s.before), 0)
	}
	s.before = append(s.before[:0], s.joined[max(len(s.joined)-s.longest+1, 0):]...)
	return at
}

// stars makes b unreadable.
func stars(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
