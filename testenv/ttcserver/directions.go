package ttcserver

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// onlyAssigned tells of each bind of a block whether all it does is take a
// value: it stands left of `:=` or in an INTO list, and nowhere else. Such a
// bind is OUT, and drivers leave it out when they run the block again; of any
// other they send the value.
func onlyAssigned(block string, names []string) []bool {
	read, assigned := map[string]bool{}, map[string]bool{}
	words := blockWords(block)
	into := false // inside an INTO list
	for i, word := range words {
		switch {
		case word[0] == ':' && len(word) > 1 && word[1] != '=':
			name := strings.ToUpper(strings.Trim(word[1:], `"`))
			if into || i+1 < len(words) && words[i+1] == ":=" {
				assigned[name] = true
			} else {
				read[name] = true
			}
		case strings.EqualFold(word, "INTO"):
			into = i == 0 || !strings.EqualFold(words[i-1], "INSERT") && !strings.EqualFold(words[i-1], "MERGE")
		case word != ",":
			into = false
		}
	}
	only := make([]bool, len(names))
	for i, name := range names {
		only[i] = assigned[name] && !read[name]
	}
	return only
}

// blockWords cuts PL/SQL into words, binds with their colon, and single
// characters, leaving out blanks, comments and the content of literals.
func blockWords(block string) []string {
	var words []string
	for block != "" {
		n := blockWord(block)
		word := block[:n]
		block = block[n:]
		if word == "" {
			break
		}
		switch first, _ := utf8.DecodeRuneInString(word); {
		case unicode.IsSpace(first), strings.HasPrefix(word, "--"), strings.HasPrefix(word, "/*"):
			continue
		}
		words = append(words, word)
	}
	return words
}

// blockWord is the length of the first word.
func blockWord(s string) int {
	until := func(end string, from int) int {
		if at := strings.Index(s[min(from, len(s)):], end); at >= 0 {
			return min(from, len(s)) + at + len(end)
		}
		return len(s)
	}
	first, size := utf8.DecodeRuneInString(s)
	switch {
	case strings.HasPrefix(s, "--"):
		return until("\n", 2)
	case strings.HasPrefix(s, "/*"):
		return until("*/", 2)
	case first == '\'':
		return until("'", 1)
	case strings.HasPrefix(s, ":="):
		return 2
	case strings.HasPrefix(s, `:"`):
		return until(`"`, 2)
	case first == ':':
		return size + identifier(s[size:])
	case first == '"':
		return until(`"`, 1)
	}
	return max(identifier(s), size)
}

// identifier is the length of the name or number that s begins with.
func identifier(s string) int {
	for i, c := range s {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '$' && c != '#' {
			return i
		}
	}
	return len(s)
}
