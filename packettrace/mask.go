package packettrace

import (
	"bytes"

	"servicebroker/descriptor"
)

// textMask hides the values of secrets in descriptors as they come, whatever the pieces:
// what is in a part whose name descriptor.Secret knows becomes stars, to its last
// parenthesis. Where quotes or parentheses do not match, it hides too much.
type textMask struct {
	name   []byte // being read, the end of it at least
	naming bool
	depth  int  // within a secret: how many parentheses deep; 0 outside
	quote  byte // that is open within it
}

// maxName is how much of a name counts.
const maxName = 64

// hide changes b in place.
func (m *textMask) hide(b []byte) {
	for i, c := range b {
		if m.depth > 0 {
			if m.inside(c) {
				b[i] = '*'
			}
			continue
		}
		switch c {
		case '(':
			m.name, m.naming = m.name[:0], true
		case ')':
			m.naming = false
		case '=':
			if m.naming && (descriptor.Secret(string(m.name)) || bytes.EqualFold(m.name, []byte("VALUE"))) { // VALUE may be an argument of COMMAND=password
				m.depth = 1
			}
			m.naming = false
		default:
			if len(m.name) == maxName {
				m.name = append(m.name[:0], m.name[1:]...)
			}
			m.name = append(m.name, c)
		}
	}
}

// inside follows one byte within a secret, and tells whether it is of it.
func (m *textMask) inside(c byte) bool {
	switch {
	case m.quote != 0:
		if c == m.quote {
			m.quote = 0
		}
	case c == '"' || c == '\'':
		m.quote = c
	case c == '(':
		m.depth++
	case c == ')':
		m.depth--
	}
	return m.depth > 0
}

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
