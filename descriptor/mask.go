package descriptor

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Masked stands in for every value that Mask hides.
const Masked = "***"

// Mask returns a clone of n fit for logs: SECURITY sections, wallets, passwords, tokens and other secrets, by their
// names, have the value Masked (tns.md 14). Texts still need Escape.
func Mask(n *Node) *Node {
	if n == nil {
		return nil
	}
	masked := *n
	masked.Children = nil
	if Secret(n.Name) {
		masked.Value = Masked
		return &masked
	}
	if len(n.Children) > 0 {
		password := asksByPassword(n)
		masked.Children = make([]*Node, len(n.Children))
		for i, child := range n.Children {
			if password && sameName(child.Name, "VALUE") {
				child = &Node{Name: child.Name, Value: Masked, Line: child.Line, Column: child.Column}
			}
			masked.Children[i] = Mask(child)
		}
	}
	return &masked
}

// asksByPassword reports whether n has a password as its VALUE: lsnrctl sends a listener's as (COMMAND=password)(VALUE=…)
// (tns.md 10.1).
func asksByPassword(n *Node) bool { return Secret(n.Text("COMMAND")) }

// Secret reports whether what is called name may be or lead to a secret. Whole families of names are meant, such as
// PASSWORD_CMAN1, MY_WALLET_DIRECTORY and TLS_WALLET_PASSWORD_FILE, so parts of names decide.
func Secret(name string) bool {
	if harmless(name) {
		return false
	}
	name = strings.ToUpper(name)
	for _, part := range [...]string{"SECURITY", "WALLET", "PASSW", "PWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// harmless knows the names that nearly every descriptor has.
func harmless(name string) bool {
	switch name {
	case "", "DESCRIPTION", "CONNECT_DATA", "SERVICE_NAME", "SID", "INSTANCE_NAME", "SERVER", "CID", "PROGRAM", "HOST", "USER", "CONNECTION_ID",
		"ADDRESS", "PROTOCOL", "PORT", "ADDRESS_LIST":
		return true
	}
	return false
}

// Escape makes text safe for one line of a log: control characters, invisible ones, and bytes that are not UTF-8, are
// written as \n, \x1b or \u202e, all else stays as it is. A backslash is not doubled, so that Windows paths
// stay readable; the result is for people and cannot be turned back.
func Escape(text string) string {
	clean := 0
	for clean < len(text) && text[clean] >= ' ' && text[clean] < unicode.MaxASCII {
		clean++
	}
	if clean == len(text) {
		return text
	}
	escaped := append(make([]byte, 0, len(text)+16), text[:clean]...)
	for rest := text[clean:]; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == '\\' || r == '"' || r == '\'' || r != utf8.RuneError && unicode.IsPrint(r):
			escaped = append(escaped, rest[:size]...)
		default:
			from := len(escaped)
			escaped = strconv.AppendQuote(escaped, rest[:size])
			copy(escaped[from:], escaped[from+1:]) // without the quotes
			escaped = escaped[:len(escaped)-2]
		}
		rest = rest[size:]
	}
	return string(escaped)
}
