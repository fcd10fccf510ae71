package consul

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// taken is what version 1.21.5 takes in a key.
var taken1215 = regexp.MustCompile(`^[a-zA-Z0-9,_./\-?&=]+$`)

func TestEveryServerTakesTheNamesOfBrokersInKeys(t *testing.T) {
	if got := segment("cman1@host.example:1521"); got != "cman1&40host.example&3A1521" {
		t.Error(got)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.SampledFrom([]rune("aZ0 .%&+~/\\@:=?#é\x00")), 1, 20, -1).Draw(t, "name")
		in := segment(name)
		if out, is := nameOf(in); !is || out != name {
			t.Fatalf("%q is %q is %q", name, in, out)
		}
		if !taken1215.MatchString(in) || strings.Contains(in, "..") || strings.Contains(in, "/") {
			t.Fatalf("%q is %q", name, in)
		}
	})
	for _, none := range []string{"", "&", "a&4", "&zz"} {
		if name, is := nameOf(none); is {
			t.Errorf("%q is %q", none, name)
		}
	}
}
