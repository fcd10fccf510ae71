package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"servicebroker/descriptor"
)

// lookupAlias finds an alias in $TNS_ADMIN/tnsnames.ora, also without the default domain of sqlnet.ora, and returns what
// it stands for and the text of that. Without such a file or entry, node is nil.
func lookupAlias(alias string) (node *descriptor.Node, text string, err error) {
	folder := os.Getenv("TNS_ADMIN")
	if folder == "" {
		return nil, "", nil
	}
	content, err := os.ReadFile(filepath.Join(folder, "tnsnames.ora"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	entries, err := descriptor.ParseFile(string(content))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", filepath.Join(folder, "tnsnames.ora"), err)
	}
	if node = descriptor.Lookup(entries, alias); node == nil && !strings.Contains(alias, ".") {
		if domain := defaultDomain(folder); domain != "" {
			node = descriptor.Lookup(entries, alias+"."+domain)
		}
	}
	if node == nil {
		return nil, "", nil
	}
	return node, textAt(string(content), node), nil
}

// defaultDomain is NAMES.DEFAULT_DOMAIN of sqlnet.ora.
func defaultDomain(folder string) string {
	content, err := os.ReadFile(filepath.Join(folder, "sqlnet.ora"))
	if err != nil {
		return ""
	}
	entries, err := descriptor.ParseFile(string(content))
	if err != nil {
		return ""
	}
	if n := descriptor.Lookup(entries, "NAMES.DEFAULT_DOMAIN"); n != nil {
		return n.Value
	}
	return ""
}

// textAt is what stands behind the name of an entry, in one line as tnsping shows it: line breaks and what is indented
// are one blank, or none before a closing parenthesis. Where the text is not to be had so, the entry is printed anew.
func textAt(content string, entry *descriptor.Node) string {
	lines := strings.SplitAfter(content, "\n")
	if entry.Line < 1 || entry.Line > len(lines) {
		return printed(entry)
	}
	text := strings.Join(lines[entry.Line-1:], "")
	begin := strings.IndexByte(text, '(')
	if begin < 0 || strings.ContainsAny(text[:begin], "#") {
		return printed(entry)
	}
	depth := 0
	for i, r := range text[begin:] {
		switch r {
		case '#', '"':
			return printed(entry)
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return strings.ReplaceAll(strings.Join(strings.Fields(text[begin:begin+i+1]), " "), " )", ")")
			}
		}
	}
	return printed(entry)
}

// printed prints what an entry stands for.
func printed(entry *descriptor.Node) string {
	var b strings.Builder
	for _, child := range entry.Children {
		b.WriteString(child.String())
	}
	return b.String()
}
