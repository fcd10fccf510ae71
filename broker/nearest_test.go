package broker

import "testing"

func TestLikely(t *testing.T) {
	for _, c := range []struct {
		word  string
		valid []string
		want  string
	}{
		{"SVR", []string{"SRC", "DST", "SRV"}, "SRV"}, // two letters that changed places are one mistake
		{"acept", []string{"accept", "reject"}, "accept"},
		{"deny", []string{"accept", "reject"}, "reject"},
		{"Debug", []string{"off", "user", "admin", "support"}, "support"},
		{"debug", []string{"relay", "redirect"}, ""}, // a habit of somewhere else
		{"HOST", []string{"NAME", "INSTANCE", "ADDRESS", "TIER", "ZONE", "MAX"}, ""},
		{"maybe", []string{"on", "off"}, ""},
		{"", []string{"on", "off"}, ""},
	} {
		if got := likely(c.word, c.valid); got != c.want {
			t.Errorf("likely(%q, %v) is %q, want %q", c.word, c.valid, got, c.want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"srv", "svr", 1}, {"ab", "ba", 1}, {"abcd", "acbd", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("edits(%q, %q) is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
