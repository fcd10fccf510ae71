package descriptor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parsedFile reads a file's text that must be right.
func parsedFile(t testing.TB, text string) []*Node {
	t.Helper()
	nodes, err := ParseFile(text)
	if err != nil {
		t.Fatalf("ParseFile(%q): %v", text, err)
	}
	return nodes
}

// testFile returns the text of a file in testdata.
func testFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseFile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []*Node
	}{
		{"nothing", "", nil},
		{"blanks and comments", "\n # x\n\t#y (=\r\n", nil},
		{"text", "A = b", []*Node{leaf("A", "b")}},
		{"texts", "A=b\r\nC = d e \r\n", []*Node{leaf("A", "b"), leaf("C", "d e")}},
		{"byte order mark", "\ufeffA=b", []*Node{leaf("A", "b")}},
		{"equals in a text", "A = b = c", []*Node{leaf("A", "b = c")}},
		{"empty text", "A =\nB =\n\nC=", []*Node{leaf("A", ""), leaf("B", ""), leaf("C", "")}},
		{"quoted text", "A = 'b (c) #d' # e\nB=\"\"", []*Node{leaf("A", "b (c) #d"), leaf("B", "")}},
		{"quoted text of two lines", "A = 'b\nC = d'", []*Node{leaf("A", "b\nC = d")}},
		{"comment after a text", "A = b # c\nD = e#f", []*Node{leaf("A", "b"), leaf("D", "e#f")}},
		{"continued text", "A = b,\n  c\n\td\nE = f", []*Node{leaf("A", "b, c d"), leaf("E", "f")}},
		{"continued after a comment", "A = b, # x\n# y\n  # z = 1\n  c # w\nE=f", []*Node{leaf("A", "b, c"), leaf("E", "f")}},
		{"text on the next line", "A =\n  b\nC=\n  'd = e'", []*Node{leaf("A", "b"), leaf("C", "d = e")}},
		{"indented assignments", "  A = b\n  C = d\n\tE=\n\tF=g", []*Node{leaf("A", "b"), leaf("C", "d"), leaf("E", ""), leaf("F", "g")}},
		{"group", "A=(B=c)", []*Node{tree("A", leaf("B", "c"))}},
		{"group on the next line", "A\n=\n# x\n(B=\nc)\nD=e", []*Node{tree("A", leaf("B", "c")), leaf("D", "e")}},
		{"groups", "A=(B=c)(D=e)\n  (F=g),(H=i)\nJ=k", []*Node{
			tree("A", leaf("B", "c"), leaf("D", "e"), leaf("F", "g"), leaf("H", "i")), leaf("J", "k")}},
		{"list", "A= (x, y)", []*Node{tree("A", leaf("", "x"), leaf("", "y"))}},
		{"unnamed groups", "A= ((B=1)(C=2))", []*Node{tree("A", tree("", leaf("B", "1"), leaf("C", "2")))}},
		{"repeated", "A=1\na=2\nA=3", []*Node{leaf("A", "1"), leaf("a", "2"), leaf("A", "3")}},
		{"comments in a group", "A=(B=#1)#x)\n(C=d # e)\n )(F=g#h\n#i)\n)", []*Node{
			tree("A", leaf("B", "#1"), leaf("C", "d"), leaf("F", "g#h"))}},
		{"comment within a text in a group", "A=(B=c # x)\n d)", []*Node{tree("A", leaf("B", "c \n d"))}},
		{"several on a line", "A=(B=c) D=(E=f)", []*Node{tree("A", leaf("B", "c")), tree("D", leaf("E", "f"))}},
		{"names with a domain", "a.world=(B=c)", []*Node{tree("a.world", leaf("B", "c"))}},
		{"aliases", "a, b.world ,\n c=(B=d)", []*Node{
			tree("a", leaf("B", "d")), tree("b.world", leaf("B", "d")), tree("c", leaf("B", "d"))}},
		{"aliases of a text", "a,b=c", []*Node{leaf("a", "c"), leaf("b", "c")}},
		{"quoted name", "'a, b' = c", []*Node{leaf("a, b", "c")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parsedFile(t, c.text), sameTree); diff != "" {
				t.Errorf("ParseFile(%q): %s", c.text, diff)
			}
		})
	}
}

func TestParseFileErrors(t *testing.T) {
	for _, c := range []struct {
		text, problem string
		line, column  int
	}{
		{"foo", `no = after "foo"`, 1, 1},
		{"A = b\nfoo\nC = d", `no = after "foo"`, 2, 1},
		{"A = b,\nc\nD=e", `no = after "c"`, 2, 1},
		{"A=(B=c))\n", "one ) too many", 1, 8},
		{"A=(B=c)\n)\nD=e", "one ) too many", 2, 1},
		{"(A=b)", "unexpected (", 1, 1},
		{"foo (A=b)", `no = between "foo" and (`, 1, 1},
		{"= b", "no name before =", 1, 1},
		{"a,,b = c", "no name before =", 1, 3},
		{"my name = b", `a blank within the name "my name"`, 1, 1},
		{"A = b (c)", `a parenthesis within the value of "A"`, 1, 7},
		{"A = 'b' c", `unexpected "c" after the value of "A"`, 1, 9},
		{"A = 'b", "never closed", 1, 5},
		{"A=(B=(C=1)\nD=(E=2)\n", `what begins with "D" is not in parentheses`, 2, 1},
		{"A=(B=\n  (C=1)\n  (D=2)\n", `the parenthesis of "B" is never closed`, 1, 3},
		{"A=(B=1)\n# x\n  é=(C=(D\n", "never closed", 3, 8},
		{strings.Repeat("a,", maxAliases) + "a=b", "more than 256 names", 1, 513},
	} {
		nodes, err := ParseFile(c.text)
		var problem *SyntaxError
		if !errors.As(err, &problem) || nodes != nil {
			t.Errorf("ParseFile(%q) is %v, %v; want a SyntaxError only", c.text, nodes, err)
			continue
		}
		if !strings.Contains(problem.Problem, c.problem) || problem.Line != c.line || problem.Column != c.column || problem.Remedy == "" {
			t.Errorf("ParseFile(%q): %v; want line %d, column %d: …%s…: remedy", c.text, err, c.line, c.column, c.problem)
		}
	}
}

func TestCmanFile(t *testing.T) {
	nodes := parsedFile(t, testFile(t, "cman.ora"))
	config := Lookup(nodes, "cman1").Child("CONFIGURATION")
	if got := len(Addresses(config)); got != 2 {
		t.Errorf("%d addresses, want 2 besides the commented one", got)
	}
	if rules := config.Child("RULE_LIST").All("RULE"); len(rules) != 2 || rules[1].Text("ACTION_LIST", "ROUTE") != "redirect" ||
		rules[1].Line != 12 || rules[1].Column != 6 {
		t.Errorf("rules read as %v", rules)
	}
	parameters := config.Child("PARAMETER_LIST")
	if got, want := parameters.Child("EVENT_GROUP").Values(), []string{"init_and_term", "memory_ops"}; !slices.Equal(got, want) {
		t.Errorf("EVENT_GROUP is %q, want %q", got, want)
	}
	if got, want := parameters.Child("REGISTRATION_INVITED_NODES").Values(), []string{"10.1.0.0/16", "db1.example.com"}; !slices.Equal(got, want) {
		t.Errorf("invited nodes are %q, want %q", got, want)
	}
	if got := parameters.Text("KEY"); got != "#29190.1" {
		t.Errorf("KEY is %q", got)
	}
	wallet := Lookup(nodes, "WALLET_LOCATION").Text("SOURCE", "METHOD_DATA", "DIRECTORY")
	if wallet != "/etc/oracle/wallets/cman (1)" || Lookup(nodes, "sqlnet.wallet_override").Value != "TRUE" || len(nodes) != 4 {
		t.Errorf("the rest of the file reads as %s", Format(nodes[1:]...))
	}
	if Lookup(nodes, "CMAN2") != nil {
		t.Error("found an instance that is not there")
	}
}

func TestListenerFile(t *testing.T) {
	nodes := parsedFile(t, testFile(t, "listener.ora"))
	static := Lookup(nodes, "SID_LIST_LISTENER").Find("SID_LIST", "SID_DESC")
	if static.Text("ORACLE_HOME") != `C:\app\oracle\product\19c\dbhome_1` ||
		static.Text("ENVS") != `EXTPROC_DLLS=ONLY:C:\app\oracle\bin\oraclr19.dll` {
		t.Errorf("static service reads as %s", static)
	}
	invited := Lookup(nodes, "REGISTRATION_INVITED_NODES_LISTENER").Values()
	if want := []string{"10.1.0.0/16", "db1.example.com", "db2.example.com"}; !slices.Equal(invited, want) {
		t.Errorf("invited nodes are %q, want %q", invited, want)
	}
	if n := Lookup(nodes, "VALID_NODE_CHECKING_REGISTRATION_LISTENER"); n.Value != "SUBNET" || n.Line != 20 {
		t.Errorf("node checking is %q in line %d", n.Value, n.Line)
	}
	if n := Lookup(nodes, "LOGGING_LISTENER"); n == nil || n.Value != "" || len(nodes) != 7 {
		t.Errorf("the last of %d is %v", len(nodes), n)
	}
}

func TestNamesFiles(t *testing.T) {
	nodes := parsedFile(t, testFile(t, "tnsnames.ora"))
	if got := Lookup(nodes, "IFILE").Value; got != "/etc/oracle/common.ora" {
		t.Errorf("IFILE is %q", got)
	}
	for _, alias := range []string{"SALES", "sales.world", "Sales.Example.com"} {
		n := Lookup(nodes, alias)
		if !SourceRoute(n) || ConnectData(n).Text("SERVICE_NAME") != "sales.example.com" || len(Addresses(n)) != 2 {
			t.Errorf("%s reads as %s", alias, n)
		}
	}
	if n := Lookup(nodes, "sales.example.com"); n.Line != 3 || n.Column != 3 {
		t.Errorf("the third alias is in line %d, column %d", n.Line, n.Column)
	}
	if a, err := Lookup(nodes, "LISTENER_SALES").Address(); err != nil || a.HostPort() != "db1:1521" {
		t.Errorf("LISTENER_SALES is %v, %v", a, err)
	}
	nodes = parsedFile(t, testFile(t, "sqlnet.ora"))
	var got []string
	for _, n := range nodes {
		got = append(got, n.String())
	}
	want := []string{"(NAMES.DIRECTORY_PATH=(TNSNAMES,EZCONNECT))", "(SQLNET.AUTHENTICATION_SERVICES=(NTS,NONE))",
		"(SQLNET.EXPIRE_TIME=10)", "(TCP.INVITED_NODES=)", "(SSL_CIPHER_SUITES=(TLS_RSA_WITH_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256))",
		`(SEC_USER_UNAUTHORIZED_ACCESS_BANNER="C:\banner #1.txt")`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// CRLF and indentation change nothing.
func TestLineEndingsDoNotMatter(t *testing.T) {
	for _, name := range []string{"cman.ora", "listener.ora", "tnsnames.ora", "sqlnet.ora"} {
		text := testFile(t, name)
		windows := parsedFile(t, strings.ReplaceAll(text, "\n", "\r\n"))
		if diff := cmp.Diff(parsedFile(t, text), windows, cmp.Options{}); diff != "" {
			t.Errorf("%s with CRLF: %s", name, diff)
		}
	}
}
