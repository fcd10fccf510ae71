package journal

import "strings"

// serviceFits reports whether name is the service that pattern means: a pattern without domain means it in any.
func serviceFits(pattern, name string) bool {
	if fits(pattern, name) {
		return true
	}
	dot := domain(name)
	return dot < len(name) && domain(pattern) == len(pattern) && fits(pattern, name[:dot])
}

// domain returns where the domain of name begins, with its dot; its length if it has none. A leading dot begins none.
func domain(name string) int {
	if dot := strings.IndexByte(name[min(1, len(name)):], '.'); dot >= 0 {
		return dot + 1
	}
	return len(name)
}

// fits compares without regard to case; * in pattern stands for any text.
func fits(pattern, name string) bool {
	pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		rest, ok = after, ok && found
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}
