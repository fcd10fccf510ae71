package dns

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// Names of services, instances and nodes become DNS names by one rule: lower case; dots divide labels; within a label everything but
// letters, digits and - becomes -, and - at either end goes (host names have no _, RFC 952, and a service must not pass for
// _tcp); what is left of a label beyond 54 of 63 characters becomes a hash of it all. A service's domain goes where it is the zone. Where
// two names become one, that which the rule did not change keeps it, else the first in the alphabet; the others get a hash of theirs.

const (
	maxLabel = 63
	maxName  = 180 // of ours within the zone, so that zone and prefixes fit into 255
	cutLabel = 54
)

// safe returns text as a relative DNS name.
func safe(text string) string {
	var labels []string
	for label := range strings.SplitSeq(strings.ToLower(text), ".") {
		label = strings.Trim(strings.Map(safeRune, label), "-")
		if len(label) > maxLabel {
			label = hashed(label[:cutLabel], text)
		}
		if label != "" {
			labels = append(labels, label)
		}
	}
	name := strings.Join(labels, ".")
	switch {
	case name == "":
		return hashed("x", text)
	case len(name) > maxName:
		first := labels[0]
		return hashed(first[:min(len(first), cutLabel)], text)
	}
	return name
}

func safeRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// hashed returns label with a hash of text; label is at most cutLabel long.
func hashed(label, text string) string {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(text)))
	return fmt.Sprintf("%s-%08x", strings.TrimRight(label, "-"), h.Sum32())
}

// names maps texts, in lower case, to relative DNS names, no two to the same.
type names map[string]string

func (n names) of(text string) string { return n[strings.ToLower(text)] }

// allot names all texts, and tells of those that could not have the name that the rule gives them. reserved ones are given to
// nobody; what is the subject of problems.
func allot(what, zone string, texts []string, reserved func(string) bool) (n names, problems []string) {
	n = names{}
	claims := map[string][]string{}
	for _, text := range texts {
		text = strings.ToLower(text)
		if _, seen := n[text]; seen {
			continue
		}
		name := safe(text)
		if rest, inZone := strings.CutSuffix("."+name, "."+strings.TrimSuffix(zone, ".")); inZone && rest != "" {
			name = rest[1:]
		}
		n[text] = name
		claims[name] = append(claims[name], text)
	}
	for _, name := range sortedKeys(claims) {
		claimants := claims[name]
		slices.SortFunc(claimants, func(a, b string) int {
			return strings.Compare(unchangedFirst(a, name)+a, unchangedFirst(b, name)+b)
		})
		keeps := 1
		if reserved != nil && reserved(name) {
			keeps = 0
		}
		for _, text := range claimants[min(keeps, len(claimants)):] {
			first, rest, _ := strings.Cut(name, ".")
			n[text] = strings.TrimSuffix(hashed(first[:min(len(first), cutLabel)], text)+"."+rest, ".")
			why := "that name is reserved"
			if keeps > 0 {
				why = fmt.Sprintf("%q has that name", claimants[0])
			}
			problems = append(problems, fmt.Sprintf("%s %q is published as %s, not %s: %s", what, text, n[text], name, why))
		}
	}
	return n, problems
}

func unchangedFirst(text, name string) string {
	if text == name {
		return "0"
	}
	return "1"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
