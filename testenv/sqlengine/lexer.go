package sqlengine

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // an identifier or keyword without quotes; text is upper case
	tokenQuoted           // a quoted identifier; text is what stands between the quotes
	tokenNumber           // text as written
	tokenString           // text is the string's value
	tokenBind             // text is the name, upper case
	tokenSign             // an operator or punctuation
)

type token struct {
	kind       tokenKind
	text       string
	start, end int // byte offsets in the statement
}

// is reports whether the token is the unquoted word or the sign.
func (t token) is(text string) bool {
	return (t.kind == tokenWord || t.kind == tokenSign) && t.text == text
}

// twoByteSigns are the signs longer than one byte.
var twoByteSigns = [...]string{"||", ":=", "=>", "..", "**", "<>", "!=", "^=", "~=", "<=", ">=", "<<", ">>"}

// A lexer splits a statement into tokens.
type lexer struct {
	text string
	at   int
	err  *Error
}

// tokenize gives the tokens of a statement, ending in a tokenEnd.
func tokenize(text string) ([]token, *Error) {
	l := &lexer{text: text}
	out := make([]token, 0, len(text)/4+2)
	for {
		t := l.next()
		if l.err != nil {
			return nil, l.err
		}
		out = append(out, t)
		if t.kind == tokenEnd {
			return out, nil
		}
	}
}

func (l *lexer) peek(offset int) byte {
	if l.at+offset < len(l.text) {
		return l.text[l.at+offset]
	}
	return 0
}

func (l *lexer) fail(code int, text string) token {
	l.err = failure(code, "%s", text).at(l.at)
	return token{kind: tokenEnd, start: l.at, end: l.at}
}

// skipBlanks skips white space and comments; hints are comments too.
func (l *lexer) skipBlanks() {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0:
			l.at++
		case c == '-' && l.peek(1) == '-':
			end := strings.IndexByte(l.text[l.at:], '\n')
			if end < 0 {
				l.at = len(l.text)
				return
			}
			l.at += end
		case c == '/' && l.peek(1) == '*':
			end := strings.Index(l.text[l.at+2:], "*/")
			if end < 0 {
				l.fail(1742, "comment not terminated properly")
				return
			}
			l.at += end + 4
		default:
			return
		}
	}
}

func (l *lexer) next() token {
	l.skipBlanks()
	if l.err != nil || l.at >= len(l.text) {
		return token{kind: tokenEnd, start: l.at, end: l.at}
	}
	c := l.text[l.at]
	switch {
	case c == '\'':
		return l.quotedString(l.at)
	case (c == 'q' || c == 'Q') && l.peek(1) == '\'':
		return l.alternativeString(l.at, 2)
	case (c == 'n' || c == 'N') && l.peek(1) == '\'':
		l.at++
		return l.quotedString(l.at - 1)
	case (c == 'n' || c == 'N') && (l.peek(1) == 'q' || l.peek(1) == 'Q') && l.peek(2) == '\'':
		return l.alternativeString(l.at, 3)
	case c == '"':
		return l.quotedIdentifier()
	case isDigit(c) || c == '.' && isDigit(l.peek(1)):
		return l.number()
	case c == ':' && l.peek(1) != '=':
		return l.bind()
	}
	if r, _ := utf8.DecodeRuneInString(l.text[l.at:]); r == '_' || unicode.IsLetter(r) {
		return l.word()
	}
	return l.sign()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// quotedString reads 'it”s'; l.at is at the opening quote.
func (l *lexer) quotedString(start int) token {
	var b strings.Builder
	for i := l.at + 1; i < len(l.text); i++ {
		if l.text[i] != '\'' {
			b.WriteByte(l.text[i])
			continue
		}
		if i+1 < len(l.text) && l.text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		l.at = i + 1
		return token{kind: tokenString, text: b.String(), start: start, end: l.at}
	}
	return l.fail(1756, "quoted string not properly terminated")
}

// alternativeString reads q'[it's]'.
func (l *lexer) alternativeString(start, prefix int) token {
	body := l.text[l.at+prefix:]
	opening, size := utf8.DecodeRuneInString(body)
	closing := opening
	if i := strings.IndexRune("[{(<", opening); i >= 0 {
		closing = rune("]})>"[i])
	}
	end := strings.Index(body[size:], string(closing)+"'")
	if size == 0 || end < 0 {
		return l.fail(1756, "quoted string not properly terminated")
	}
	l.at += prefix + size + end + utf8.RuneLen(closing) + 1
	return token{kind: tokenString, text: body[size : size+end], start: start, end: l.at}
}

func (l *lexer) quotedIdentifier() token {
	end := strings.IndexByte(l.text[l.at+1:], '"')
	switch {
	case end < 0:
		return l.fail(1740, "missing double quote in identifier")
	case end == 0:
		return l.fail(1741, "illegal zero-length identifier")
	}
	start := l.at
	l.at += end + 2
	return token{kind: tokenQuoted, text: l.text[start+1 : l.at-1], start: start, end: l.at}
}

func (l *lexer) number() token {
	start := l.at
	digits := func() {
		for isDigit(l.peek(0)) {
			l.at++
		}
	}
	digits()
	if l.peek(0) == '.' && l.peek(1) != '.' {
		l.at++
		digits()
	}
	if c := l.peek(0); c == 'e' || c == 'E' {
		sign := 0
		if s := l.peek(1); s == '+' || s == '-' {
			sign = 1
		}
		if isDigit(l.peek(1 + sign)) {
			l.at += 1 + sign
			digits()
		}
	}
	if c := l.peek(0) | 0x20; (c == 'f' || c == 'd') && !isLetterOrDigit(l.peek(1)) && l.peek(1) != '_' {
		l.at++
	}
	return token{kind: tokenNumber, text: l.text[start:l.at], start: start, end: l.at}
}

func (l *lexer) bind() token {
	start := l.at
	l.at++
	l.skipBlanks()
	if l.peek(0) == '"' {
		t := l.quotedIdentifier()
		return token{kind: tokenBind, text: t.text, start: start, end: t.end}
	}
	name := l.at
	for l.at < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if !isNameRune(r) {
			break
		}
		l.at += size
	}
	if name == l.at {
		l.at = start
		return l.fail(1745, "missing bind variable name")
	}
	return token{kind: tokenBind, text: strings.ToUpper(l.text[name:l.at]), start: start, end: l.at}
}

func isNameRune(r rune) bool {
	return r == '_' || r == '$' || r == '#' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func (l *lexer) word() token {
	start := l.at
	for l.at < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if !isNameRune(r) {
			break
		}
		l.at += size
	}
	return token{kind: tokenWord, text: strings.ToUpper(l.text[start:l.at]), start: start, end: l.at}
}

func (l *lexer) sign() token {
	for _, s := range twoByteSigns {
		if strings.HasPrefix(l.text[l.at:], s) {
			l.at += 2
			return token{kind: tokenSign, text: s, start: l.at - 2, end: l.at}
		}
	}
	c := l.text[l.at]
	if !strings.ContainsRune("+-*/()=<>,.;@%|[]", rune(c)) {
		return l.fail(911, "invalid character")
	}
	l.at++
	return token{kind: tokenSign, text: string(rune(c)), start: l.at - 1, end: l.at}
}
