package descriptor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkProblem requires of an error that it is a SyntaxError with a place within text and a remedy.
func checkProblem(t *testing.T, text string, err error) {
	t.Helper()
	var problem *SyntaxError
	if !errors.As(err, &problem) {
		t.Fatalf("%q: %v is no SyntaxError", text, err)
	}
	if problem.Line < 1 || problem.Column < 1 || problem.Column > len(text)+1 || problem.Problem == "" || problem.Remedy == "" {
		t.Fatalf("%q: %#v", text, problem)
	}
	if said := problem.Error(); Escape(said) != said {
		t.Fatalf("%q: the message %q is not fit for a log", text, said)
	}
}

// checkPlaces requires that nodes are in the order of the text.
func checkPlaces(t *testing.T, nodes []*Node, line, column int) (int, int) {
	t.Helper()
	for _, n := range nodes {
		if n.Line < line || n.Line == line && n.Column < column {
			t.Fatalf("%s is at %d:%d, after %d:%d", n, n.Line, n.Column, line, column)
		}
		line, column = checkPlaces(t, n.Children, n.Line, n.Column)
	}
	return line, column
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		sample, "(A=b)\x00", " ( A\r\n= ( x , 'y' ) ) ", `(A="b\"c")(`, `(A=((B=1))(C=\)))`, "(DESCRIPTION=(ERR=1153)(ARGS='()'))",
		"(ADDRESS=(PROTOCOL=ipc)(KEY=#29190.1))", "((((((((", "(A=\xff\xfe\x1b)", `(A=C:\dir\)`, "(A=(,,))",
		"(ADDRESS=(HOST=[[x]])(PORT=1))", "(ADDRESS=(HOST=[[ ]])(PORT=1))",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		checkNaively(t, text, n, err)
		if err != nil {
			checkProblem(t, text, err)
			return
		}
		checkPlaces(t, []*Node{n}, 1, 1)
		printed := n.String()
		back, err := Limits{Bytes: 1 << 20}.Parse(printed) // quotes may make it longer than the text was
		if err != nil {
			t.Fatalf("%q is printed %q: %v", text, printed, err)
		}
		if diff := cmp.Diff(n, back, sameTree); diff != "" {
			t.Fatalf("%q is printed %q: %s", text, printed, diff)
		}
		for _, address := range Addresses(n) {
			if a, err := address.Address(); err == nil {
				if again, err := ParseAddress(a.String()); err != nil || again.Host != a.Host || again.Port != a.Port {
					t.Fatalf("%v is printed %s and read %v, %v", a, a, again, err)
				}
			}
		}
		if got, want := n.Masked(), Mask(n).String(); got != want {
			t.Fatalf("%q is printed %q without its secrets, and %q by Mask", text, got, want)
		}
		SourceRoute(ConnectData(n))
	})
}

func FuzzParseFile(f *testing.F) {
	for _, name := range []string{"cman.ora", "listener.ora", "tnsnames.ora", "sqlnet.ora"} {
		f.Add(testFile(f, name))
	}
	for _, text := range []string{"A=b,\n c\nD=", "a,'b'=(C=d # e\n)", "\ufeffA=\n\n ('x')", "A=\"\n\"", "A=(B=\\#) #"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := ParseFile(text)
		if err != nil {
			checkProblem(t, text, err)
			return
		}
		printed := Format(nodes...)
		back, err := Limits{Bytes: 64 << 20}.ParseFile(printed)
		if err != nil {
			t.Fatalf("%q is printed %q: %v", text, printed, err)
		}
		if diff := cmp.Diff(nodes, back, sameTree); diff != "" {
			t.Fatalf("%q is printed %q: %s", text, printed, diff)
		}
	})
}

func FuzzEasyConnect(f *testing.F) {
	for _, text := range []string{
		"tcps://h1,h2:1522;[::1]:1/s:pooled/i?connect_timeout=5&wallet_location=\"/x y\"", "//h/s", "h", "h//i", "[", "h:1:2", "h/s?a=\"", "?=",
		"h?address=x", "h/s?connect_data=x", "h?security=x&token_auth=y", strings.Repeat("a,", 4095) + "a", "[[::1]]", "[x]", "h]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := EasyConnect(text)
		if err != nil {
			checkProblem(t, text, err)
			return
		}
		back, err := Parse(n.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", text, n, err)
		}
		if diff := cmp.Diff(n, back, sameTree); diff != "" {
			t.Fatalf("%q became %q: %s", text, n, diff)
		}
		if ConnectData(n) == nil {
			t.Fatalf("%q became %q", text, n)
		}
		for _, address := range Addresses(n) {
			if _, err := address.Address(); err != nil {
				t.Fatalf("%q has a bad address: %v", text, err)
			}
		}
	})
}
