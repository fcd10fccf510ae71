package descriptor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leaf and tree build nodes in tests.
func leaf(name, value string) *Node             { return &Node{Name: name, Value: value} }
func tree(name string, children ...*Node) *Node { return &Node{Name: name, Children: children} }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       *Node
	}{
		{"value", "(A=b)", leaf("A", "b")},
		{"empty value", "(SERVICE_NAME=)", leaf("SERVICE_NAME", "")},
		{"blank value", "(A=  )", leaf("A", "")},
		{"nested", "(A=(B=1)(C=(D=2)))", tree("A", leaf("B", "1"), tree("C", leaf("D", "2")))},
		{"repeated names", "(A=(B=1)(b=2)(B=1))", tree("A", leaf("B", "1"), leaf("b", "2"), leaf("B", "1"))},
		{"blanks everywhere", " \r\n\t( A\v=\f( B = 1 )\r\n\t( C=\r\n2 ) ) \n", tree("A", leaf("B", "1"), leaf("C", "2"))},
		{"inner blanks", "(A= a  b\tc )", leaf("A", "a  b\tc")},
		{"newline within a value", "(A=a\n  b)", leaf("A", "a\n  b")},
		{"trailing NUL", "(A=b)\x00", leaf("A", "b")},
		{"trailing NULs and blanks", "(A=b) \x00\n\x00 ", leaf("A", "b")},
		{"characters of hosts and paths", "(A=.-_/:@*$ ,;!%&+<>?[]{}|~^`x)", leaf("A", ".-_/:@*$ ,;!%&+<>?[]{}|~^`x")},
		{"number sign first", "(KEY=#29190.1)", leaf("KEY", "#29190.1")},
		{"number sign after a blank", "(A= #b #c)", leaf("A", "#b #c")},
		{"number sign first in a name", "(#A=b)", leaf("#A", "b")},
		{"base64", "(CONNECTION_ID=KE2ZbcChQa9Of1KKNXpJ2A==)", leaf("CONNECTION_ID", "KE2ZbcChQa9Of1KKNXpJ2A==")},
		{"equals within a value", "(DN=CN=db, O=x)", leaf("DN", "CN=db, O=x")},
		{"only an equals sign", "(A==)", leaf("A", "=")},
		{"commas in a value", "(EVENT_GROUP=init_and_term,memory_ops)", leaf("EVENT_GROUP", "init_and_term,memory_ops")},
		{"UTF-8", "(PROGRAM=größe 表)", leaf("PROGRAM", "größe 表")},
		{"any bytes", "(A=\x00\x01\xff\xfe\x1b[31m)", leaf("A", "\x00\x01\xff\xfe\x1b[31m")},
		{"list", "(A=(x,y))", tree("A", leaf("", "x"), leaf("", "y"))},
		{"list of one", "(A=(x))", tree("A", leaf("", "x"))},
		{"list with blanks", "(A= ( x y , z ) )", tree("A", leaf("", "x y"), leaf("", "z"))},
		{"list with gaps", "(A=(,x,,y,))", tree("A", leaf("", "x"), leaf("", "y"))},
		{"empty list", "(A=())", leaf("A", "")},
		{"lists after each other", "(A=(x),(y))", tree("A", leaf("", "x"), leaf("", "y"))},
		{"list and node", "(A=(x)(B=1))", tree("A", leaf("", "x"), leaf("B", "1"))},
		{"equals in a later element", "(A=(x,CN=y))", tree("A", leaf("", "x"), leaf("", "CN=y"))},
		{"quoted elements", `(A=("x,y",'',"z"))`, tree("A", leaf("", "x,y"), leaf("", ""), leaf("", "z"))},
		{"unnamed groups", "(A=((B=1)(C=2))((B=3)))",
			tree("A", tree("", leaf("B", "1"), leaf("C", "2")), tree("", leaf("B", "3")))},
		{"commas between groups", "(A=(B=1),(C=2),)", tree("A", leaf("B", "1"), leaf("C", "2"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parsed(t, c.text), sameTree); diff != "" {
				t.Errorf("Parse(%q): %s", c.text, diff)
			}
		})
	}
}

func TestQuotesAndBackslashes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`"a(b)=c,d#e'f"`, `a(b)=c,d#e'f`},
		{`'a"b'`, `a"b`},
		{`'()'`, `()`},
		{`""`, ``},
		{`" a "`, ` a `},
		{` "a" `, `a`},
		{"\"a\r\nb\"", "a\r\nb"},
		{`"a\"b"`, `a"b`},
		{`"a\'b"`, `a\'b`},
		{`"a\\"`, `a\`},
		{`"a\\\"b"`, `a\"b`},
		{`"a\\b"`, `a\\b`},
		{`a"b`, `a"b`},
		{`O'Brien`, `O'Brien`},
		{`\"a\"`, `"a"`},
		{`\(a\)`, `(a)`},
		{`a\=b\,c\#d\'`, `a=b,c#d'`},
		{`a\\\)b`, `a\)b`},
		{`a\\`, `a\`},
		{`C:\Program?Files\x`, `C:\Program?Files\x`},
		{`\\host\share`, `\\host\share`},
		{`C:\dir\ `, `C:\dir\`},
	} {
		if got := parsed(t, "(A="+c.text+")").Value; got != c.want {
			t.Errorf("(A=%s) is %q, want %q", c.text, got, c.want)
		}
		if got := parsed(t, "(A=(x,"+c.text+"))").Children[1].Value; got != c.want {
			t.Errorf("(A=(x,%s)) has %q, want %q", c.text, got, c.want)
		}
	}
	for _, c := range []struct{ text, name string }{
		{`("a b=(c"=d)`, "a b=(c"}, {`( 'a' =d)`, "a"}, {`(a\=b=d)`, "a=b"}, {`(C:\x=d)`, `C:\x`},
	} {
		if n := parsed(t, c.text); n.Name != c.name || n.Value != "d" {
			t.Errorf("%s read as %q with %q, want %q", c.text, n.Name, n.Value, c.name)
		}
	}
}

func TestPositions(t *testing.T) {
	const text = "  (A=\n   (größe=1)(B=(x,\r\n  yy))\n((C=1)))"
	n := parsed(t, text)
	for _, c := range []struct {
		what         string
		n            *Node
		line, column int
	}{
		{"root", n, 1, 4},
		{"first of a line", n.Children[0], 2, 5},
		{"after two-byte characters", n.Children[1], 2, 14},
		{"list element", n.Children[1].Children[0], 2, 17},
		{"list element on the next line", n.Children[1].Children[1], 3, 3},
		{"unnamed group", n.Children[2], 4, 1},
		{"within an unnamed group", n.Children[2].Children[0], 4, 3},
	} {
		if c.n.Line != c.line || c.n.Column != c.column {
			t.Errorf("%s: line %d, column %d, want %d, %d", c.what, c.n.Line, c.n.Column, c.line, c.column)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		text, problem string
		line, column  int
	}{
		{"", "empty", 1, 1},
		{" \n ", "empty", 2, 2},
		{"\x00", "expected (", 1, 1},
		{"A=b", `expected ( but found "A"`, 1, 1},
		{")", `expected ( but found ")"`, 1, 1},
		{"(", "never closed", 1, 1},
		{"()", "no NAME=", 1, 1},
		{"(x)", "no NAME=", 1, 1},
		{"(x,y)", "no NAME=", 1, 1},
		{"((A=1))", "no NAME=", 1, 1},
		{"(=x)", "no name before =", 1, 2},
		{`(""=x)`, "no name before =", 1, 2},
		{"(A=b", `the parenthesis of "A" is never closed`, 1, 1},
		{"(A=\n (B=1)\n (C=(D=2)\n", `the parenthesis of "C" is never closed`, 3, 2},
		{"(A=b)c", `unexpected "c" after the last parenthesis`, 1, 6},
		{"(A=b))", `unexpected ")" after the last parenthesis`, 1, 6},
		{"(A=b)(C=d)", `unexpected "(" after the last parenthesis`, 1, 6},
		{"(A=(B\n (C=d)))", "no = between \"B\" and (", 2, 2},
		{"(A=b(C=d))", "unexpected ( within a value", 1, 5},
		{"(A=(B=1)c)", `unexpected "c"`, 1, 9},
		{"(A=(x,(y)))", "unexpected (", 1, 7},
		{`(A="b"c)`, `unexpected "c"`, 1, 7},
		{"(A=(B=1)\n D=2)", `what begins with "D"`, 2, 2},
		{`(A="b)`, "the quote opened here is never closed", 1, 4},
		{`(A="b\")`, "the quote opened here is never closed", 1, 4},
		{"(A=\n 'b)", "the quote opened here is never closed", 2, 2},
		{"(größe=1)(", `unexpected "("`, 1, 10},
		{"(SERVICE NAME=x)", `a blank within the name "SERVICE NAME"`, 1, 2},
		{"(A=(B=1\nC=2)\nD=3)", `what begins with "D"`, 3, 1},
		{"(A=b)\x1b[31m", `unexpected "\x1b"`, 1, 6},
		{"(A=b\\)", "never closed", 1, 1},
	} {
		n, err := Parse(c.text)
		var problem *SyntaxError
		if !errors.As(err, &problem) || n != nil {
			t.Errorf("Parse(%q) is %v, %v; want a SyntaxError only", c.text, n, err)
			continue
		}
		if !strings.Contains(problem.Problem, c.problem) || problem.Line != c.line || problem.Column != c.column {
			t.Errorf("Parse(%q): %v; want line %d, column %d: …%s…", c.text, err, c.line, c.column, c.problem)
		}
		if problem.Remedy == "" || !strings.HasSuffix(err.Error(), problem.Remedy) {
			t.Errorf("Parse(%q): %v does not end in what to do", c.text, err)
		}
	}
}

// What a client sends may hold secrets, and errors end up in logs.
func TestErrorsGiveNoValuesAway(t *testing.T) {
	for _, text := range []string{
		`(SECURITY=(PASSWORD="hunter2secret)`, `(PASSWORD=hunter2secret(x))`, `(PASSWORD="x"hunter2secret)`, `(PASSWORD=hunter2secret`,
		`(PASSWORD=(x,hunter2secret)`,
	} {
		if _, err := Parse(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%q): %v", text, err)
		}
	}
}

// The texts listeners refuse with, from tns.md 3, 3.1 and 10.2.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ text, code, stacked string }{
		{"(DESCRIPTION=(TMP=)(VSNNUM=352321536)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))", "12514", "12514"},
		{"(DESCRIPTION=(ERR=12504))\x00", "12504", ""},
		{"(DESCRIPTION=(ERR=1153)(VSNNUM=186647040)(ERROR_STACK=(ERROR=(CODE=1153)(EMFI=4)(ARGS='()'))(ERROR=(CODE=303)(EMFI=1))))", "1153", "1153"},
		{"(DESCRIPTION=(ERR=1153)(VSNNUM=0))", "1153", ""},
		{"(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS=LISTENER))", "0", ""},
		{"(description = (err = 12505))", "12505", ""},
	} {
		n := parsed(t, c.text)
		if got := n.Text("ERR"); got != c.code {
			t.Errorf("ERR of %q is %q, want %s", c.text, got, c.code)
		}
		if got := n.Text("ERROR_STACK", "ERROR", "CODE"); got != c.stacked {
			t.Errorf("first CODE of %q is %q, want %s", c.text, got, c.stacked)
		}
	}
	n := parsed(t, "(DESCRIPTION=(ERROR_STACK=(ERROR=(CODE=1153)(EMFI=4)(ARGS='()'))))")
	if got := n.Text("ERROR_STACK", "ERROR", "ARGS"); got != "()" {
		t.Errorf("ARGS is %q, want ()", got)
	}
}

// A text that is cut off anywhere must not pass for a shorter one.
func TestEveryProperPrefixIsRefused(t *testing.T) {
	for _, text := range []string{
		sample, `(A="b\"c" )`, `(A=('x',"y"),(z))`, `(A=((B=1)(C=\)))(D=))`, "(A=(x,\n y))",
	} {
		parsed(t, text)
		for end := range text {
			if n, err := Parse(text[:end]); err == nil {
				t.Errorf("Parse(%q) is %s, want an error", text[:end], n)
			}
		}
	}
}
