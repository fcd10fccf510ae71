package console

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Databases and clients make up the texts that the console shows, and people look at answers in terminals: characters that
// do something there, or that nobody sees, are written so that they do nothing.

// acts tells whether a character does something where text is shown, rather than be there.
func acts(c rune) bool {
	return unicode.IsControl(c) && c != '\n' && c != '\t' && c != '\r' || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)
}

// replaced is text with what each such character becomes in its place; where there is none, text itself.
func replaced(text []byte, by func(rune) string) []byte {
	if bytes.IndexFunc(text, acts) < 0 {
		return text
	}
	var clean bytes.Buffer
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		if acts(c) {
			clean.WriteString(by(c))
		} else {
			clean.Write(text[:size])
		}
		text = text[size:]
	}
	return clean.Bytes()
}

// visibleJSON is JSON of the same meaning.
func visibleJSON(text []byte) []byte {
	return replaced(text, func(c rune) string {
		if high, low := utf16.EncodeRune(c); high != unicode.ReplacementChar {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, c)
	})
}

// visibleHTML is a page with a mark in place of each.
func visibleHTML(text []byte) []byte {
	return replaced(text, func(rune) string { return string(unicode.ReplacementChar) })
}

// jsonWriter passes JSON on, in which only texts can have such characters.
type jsonWriter struct{ to io.Writer }

// Write passes one whole value on.
func (w jsonWriter) Write(text []byte) (int, error) {
	if _, err := w.to.Write(visibleJSON(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}
