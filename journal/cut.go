package journal

import "unicode/utf8"

// bounded is a text that may have so many bytes.
type bounded struct {
	text *string
	most int
}

// ellipsis ends a text that was cut.
const ellipsis = "…"

// cut shortens the text if it is too long, into memory of its own.
func (b bounded) cut() {
	if len(*b.text) > b.most {
		*b.text = head(*b.text, b.most-len(ellipsis)) + ellipsis
	}
}

// head returns at most n bytes of s, whole runes of them.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// Longest texts of an explanation, in bytes. With the counts below they bound one to about 12 kB, of which a client
// chooses less than 2.
const (
	maxWord       = 128 // names that a client or configuration chooses
	maxDescriptor = 512
	maxText       = 512
	maxCandidates = 16
	maxAttempts   = 16
)

// asked are the texts that a client chooses.
func (e *Explanation) asked() [10]bounded {
	return [...]bounded{
		{&e.Program, maxWord}, {&e.Machine, maxWord}, {&e.User, maxWord}, {&e.ConnectionID, maxWord},
		{&e.Query.Service, maxWord}, {&e.Query.SID, maxWord}, {&e.Query.Instance, maxWord}, {&e.Query.Server, maxWord},
		{&e.Query.ColocationTag, maxWord}, {&e.Query.Descriptor, maxDescriptor},
	}
}

// cut bounds e in every direction.
func (e *Explanation) cut() {
	for _, t := range e.asked() {
		t.cut()
	}
	for _, t := range [...]bounded{{&e.Client, maxWord}, {&e.Route, maxText}, {&e.Rule, maxText}, {&e.Policy, maxWord}, {&e.Chosen, maxName}, {&e.Text, maxText}} {
		t.cut()
	}
	for i := range e.Logged {
		bounded{&e.Logged[i], maxText}.cut()
	}
	if extra := len(e.Candidates) - maxCandidates; extra > 0 {
		e.Omitted += extra
		e.Candidates = append([]Candidate(nil), e.Candidates[:maxCandidates]...)
	}
	for i := range e.Candidates {
		c := &e.Candidates[i]
		for _, t := range [...]bounded{{&c.Key, maxName}, {&c.PassedOver, maxName}, {&c.Inputs.Zone, maxWord}} {
			t.cut()
		}
	}
	if len(e.Attempts) > maxAttempts { // the last one says what came of it
		e.Attempts = append([]Attempt(nil), e.Attempts[len(e.Attempts)-maxAttempts:]...)
	}
	for i := range e.Attempts {
		a := &e.Attempts[i]
		bounded{&a.Key, maxName}.cut()
		bounded{&a.Error, maxName}.cut()
	}
}
