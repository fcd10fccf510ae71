package console

import "regexp"

// quotedIntent is how a text begins to quote an intent: its id, and then what it wants, or why and by whom.
var quotedIntent = regexp.MustCompile(`\b([dwhmar]\d+)(?:, | (?:drain|weight|hold|maintenance|approve|reject)\b|\))`)

// cleaner returns a function that leaves out of a text what an intent says that is not for somebody to see, from there to its
// end: reasons are what other operators write to each other.
func (v seen) cleaner() func(string) string {
	if v.by.whole() {
		return func(text string) string { return text }
	}
	mine := map[string]bool{}
	for _, one := range v.intents() {
		mine[one.ID] = true
	}
	return func(text string) string {
		for _, at := range quotedIntent.FindAllStringSubmatchIndex(text, -1) {
			if mine[text[at[2]:at[3]]] {
				continue
			}
			before := text[:at[0]]
			if len(before) > 0 && before[len(before)-1] == '(' {
				return before + "an operator wants it)"
			}
			return before + "an operator wants it"
		}
		return text
	}
}
