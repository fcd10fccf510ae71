package discovery

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// Names maps texts, without regard to case, to names elsewhere, no two to the same.
type Names map[string]string

// Of returns the name of text, "" if it has none.
func (n Names) Of(text string) string { return n[strings.ToLower(text)] }

const (
	maxLabel = 63
	cutLabel = 54
)

// Label returns text as one label of a DNS name: in lower case, everything but letters, digits and - made -, and - taken off at
// either end (host names have no _, RFC 952, and a service must not pass for _tcp). What is left beyond 63 characters is cut to
// 54 and a hash of all. It is "" if nothing is left.
func Label(text string) string {
	label := strings.Trim(strings.Map(safeRune, strings.ToLower(text)), "-")
	if len(label) > maxLabel {
		return Hashed(label, text)
	}
	return label
}

func safeRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// Hashed returns label, cut if need be, with a hash of text.
func Hashed(label, text string) string {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(text)))
	return fmt.Sprintf("%s-%08x", strings.TrimRight(label[:min(len(label), cutLabel)], "-"), h.Sum32())
}

// Rule is how texts are named.
type Rule struct {
	What     string                   // texts are, for problems: "service"
	Name     func(text string) string // as a text in lower case should be named; never ""
	Reserved func(name string) bool   // not to be given to anyone; may be nil
}

// Allot names all texts, and tells of those that could not have the name that the rule gives them. Where two names are one, the text
// that the rule did not change keeps it, else the first in the alphabet; the others get a hash of theirs.
func (r Rule) Allot(texts []string) (n Names, problems []string) {
	n = Names{}
	claims := map[string][]string{}
	for _, text := range texts {
		text = strings.ToLower(text)
		if _, seen := n[text]; seen {
			continue
		}
		name := r.Name(text)
		n[text] = name
		claims[name] = append(claims[name], text)
	}
	names := make([]string, 0, len(claims))
	for name := range claims {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		problems = append(problems, r.settle(n, name, claims[name])...)
	}
	return n, problems
}

// settle renames all but one of those that claim a name.
func (r Rule) settle(n Names, name string, claimants []string) (problems []string) {
	slices.SortFunc(claimants, func(a, b string) int {
		return strings.Compare(unchangedFirst(a, name)+a, unchangedFirst(b, name)+b)
	})
	keeps, why := 1, fmt.Sprintf("%q has that name", claimants[0])
	if r.Reserved != nil && r.Reserved(name) {
		keeps, why = 0, "that name is reserved"
	}
	for _, text := range claimants[keeps:] {
		first, rest, _ := strings.Cut(name, ".")
		n[text] = strings.TrimSuffix(Hashed(first, text)+"."+rest, ".")
		problems = append(problems, fmt.Sprintf("%s %q is published as %s, not %s: %s", r.What, text, n[text], name, why))
	}
	return problems
}

func unchangedFirst(text, name string) string {
	if text == name {
		return "0"
	}
	return "1"
}
