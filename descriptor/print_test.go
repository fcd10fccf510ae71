package descriptor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestStringQuotesWhatNeedsIt(t *testing.T) {
	for _, c := range []struct {
		n    *Node
		want string
	}{
		{leaf("A", "b"), "(A=b)"},
		{leaf("A", ""), "(A=)"},
		{leaf("A", "b c, d:e/f*g$h@i"), "(A=b c, d:e/f*g$h@i)"},
		{leaf("A", " b"), `(A=" b")`},
		{leaf("A", "b\n"), "(A=\"b\n\")"},
		{leaf("A", "(b)"), `(A="(b)")`},
		{leaf("A", "CN=b,O=c"), `(A="CN=b,O=c")`},
		{leaf("A", "=b"), `(A="=b")`},
		{leaf("A", "b=="), "(A=b==)"},
		{leaf("A", "="), "(A==)"},
		{leaf("A", `b\=`), `(A="b\=")`},
		{leaf("A", `C:\b`), `(A=C:\b)`},
		{leaf("A", `\\b`), `(A=\\b)`},
		{leaf("A", `C:\`), `(A="C:\\")`},
		{leaf("A", `C:\\`), `(A="C:\\\\")`},
		{leaf("A", `b\,c`), `(A="b\,c")`},
		{leaf("A", `"`), `(A='"')`},
		{leaf("A", `'`), `(A="'")`},
		{leaf("A", `'"`), `(A="'\"")`},
		{leaf("A", `'\"\`), `(A="'\\\"\\")`},
		{leaf("A", "O'Brien"), "(A=O'Brien)"},
		{leaf("A", "#1"), "(A=#1)"},
		{leaf("A", "b#1"), "(A=b#1)"},
		{leaf("A", "b #1"), `(A="b #1")`},
		{leaf("A", "b\x00\xff"), "(A=b\x00\xff)"},
		{leaf("a b", "c"), `("a b"=c)`},
		{leaf("a=b", "c"), `("a=b"=c)`},
		{leaf("#a", "c"), `("#a"=c)`},
		{tree("A", leaf("", "x"), leaf("", "y")), "(A=(x,y))"},
		{tree("A", leaf("", "x,y"), leaf("", ""), leaf("", "#z"), leaf("", "C=D")), `(A=("x,y","","#z","C=D"))`},
		{tree("A", leaf("", "x"), leaf("B", "1"), leaf("", "y")), "(A=(x)(B=1)(y))"},
		{tree("A", tree("", leaf("B", "1"), leaf("", "x"))), "(A=((B=1)(x)))"},
		{&Node{Name: "A", Value: "not printed", Children: []*Node{leaf("B", "1")}}, "(A=(B=1))"},
	} {
		got := c.n.String()
		if got != c.want {
			t.Errorf("printed %s, want %s", got, c.want)
		}
	}
}

func TestPrintingKeepsText(t *testing.T) {
	for _, text := range []string{
		sample,
		"(DESCRIPTION=(TMP=)(VSNNUM=352321536)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))",
		`(DESCRIPTION=(SECURITY=(SSL_SERVER_CERT_DN="CN=My Server, OU=Org")(MY_WALLET_DIRECTORY=C:\w\x)))`,
		"(A=(NTS,NONE))",
		`(ADDRESS=(PROTOCOL=ipc)(KEY=#29190.1)(KEYPATH=/var/tmp/.oracle_1))`,
	} {
		if got := parsed(t, text).String(); got != text {
			t.Errorf("%s is printed %s", text, got)
		}
	}
}

// anyText draws texts full of what has a meaning in the syntax.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_.]{0,12}`),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab()=,\"'\\# \t\r\n\x00\x1b.é…")), 0, 12, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }),
	)
}

func anyName() *rapid.Generator[string] {
	return anyText().Filter(func(text string) bool { return text != "" })
}

// anyChildren draws what may stand after a =, to the given depth.
func anyChildren(t *rapid.T, depth int) []*Node {
	var nodes []*Node
	for range rapid.IntRange(0, 4).Draw(t, "children") {
		switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
		case kind == 0:
			nodes = append(nodes, leaf("", anyText().Draw(t, "element")))
		case kind == 1 || depth == 0:
			nodes = append(nodes, leaf(anyName().Draw(t, "name"), anyText().Draw(t, "value")))
		case kind == 2:
			nodes = append(nodes, anyNode(t, anyName().Draw(t, "name"), depth-1))
		default:
			nodes = append(nodes, tree("", append(anyChildren(t, depth-1), leaf("X", "y"))...))
		}
	}
	return nodes
}

func anyNode(t *rapid.T, name string, depth int) *Node {
	n := tree(name, anyChildren(t, depth)...)
	if len(n.Children) == 0 {
		n.Value = anyText().Draw(t, "value")
	}
	return n
}

func TestWhatIsPrintedReadsBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := anyNode(t, anyName().Draw(t, "root"), 4)
		text := n.String()
		back, err := Parse(text)
		if err != nil {
			t.Fatalf("Parse(%q): %v", text, err)
		}
		if diff := cmp.Diff(n, back, sameTree); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
		if again := back.String(); again != text {
			t.Fatalf("printed %q, then %q", text, again)
		}
		if len(n.Clone().String()) < len(n.Name) || n.Clone().String() != text {
			t.Fatalf("the clone of %q prints otherwise", text)
		}
	})
}

// A # that a descriptor holds must not become a comment when it is pasted into a file.
func TestWhatIsPrintedMeansTheSameInAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := anyNode(t, anyName().Draw(t, "root"), 3)
		nodes, err := ParseFile("alias =\n" + n.String() + "\n")
		if err != nil || len(nodes) != 1 {
			t.Fatalf("ParseFile of %q: %v, %v", n, nodes, err)
		}
		if diff := cmp.Diff(tree("alias", n), nodes[0], sameTree); diff != "" {
			t.Fatalf("%q: %s", n, diff)
		}
	})
}

func TestWhatIsFormattedReadsBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []*Node
		for range rapid.IntRange(0, 4).Draw(t, "assignments") {
			nodes = append(nodes, anyNode(t, anyName().Draw(t, "name"), 3))
		}
		text := Format(nodes...)
		back, err := ParseFile(text)
		if err != nil {
			t.Fatalf("ParseFile(%q): %v", text, err)
		}
		if diff := cmp.Diff(nodes, back, sameTree); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
	})
}

// blanksBetween prints n with blanks and comments wherever a file allows them.
func blanksBetween(t *rapid.T, n *Node) string {
	gap := func() string {
		return rapid.SampledFrom([]string{"", " ", "\t", "\r\n", "\n ", " # (x\n", "\n#=)\"\n"}).Draw(t, "gap")
	}
	var w strings.Builder
	var print func(n *Node)
	print = func(n *Node) {
		w.WriteString("(" + gap())
		writeText(&w, n.Name, asName)
		w.WriteString(gap() + "=" + gap())
		if len(n.Children) == 0 {
			writeText(&w, strings.TrimLeft(n.Value, "#"), asValue)
		}
		for _, child := range n.Children {
			print(child)
			w.WriteString(gap())
		}
		w.WriteString(gap() + ")")
	}
	print(n)
	return w.String()
}

// namedOnly draws trees whose texts begin with no #, which after a blank would be a comment.
func namedOnly(t *rapid.T, depth int) *Node {
	n := leaf(anyName().Draw(t, "name"), strings.TrimLeft(anyText().Draw(t, "value"), "#"))
	for range rapid.IntRange(0, 3*depth).Draw(t, "children") {
		n.Children = append(n.Children, namedOnly(t, depth-1))
		n.Value = ""
	}
	return n
}

func TestBlanksAndCommentsBetweenTokensChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := namedOnly(t, 2)
		text := "alias = " + blanksBetween(t, n)
		nodes, err := ParseFile(text)
		if err != nil {
			t.Fatalf("ParseFile(%q): %v", text, err)
		}
		if diff := cmp.Diff([]*Node{tree("alias", n)}, nodes, sameTree); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
	})
}

func TestFormat(t *testing.T) {
	nodes := parsedFile(t, "# gone\nA=(B=(C=1)(D=(E=2)(F=3))(x,y))(G=4)\nH = i j\nK=\nL=' m'\nN=(x,y)\n'o p'=((Q=(R=1))(S=2))")
	const want = `A =
  (B=
    (C=1)
    (D=(E=2)(F=3))
    (x,y))
  (G=4)

H = i j

K =

L = " m"

N =
  (x,y)

"o p" =
  (
    (Q=(R=1))
    (S=2))
`
	if diff := cmp.Diff(want, Format(nodes...)); diff != "" {
		t.Error(diff)
	}
	aliases := "a, b.world =\n  (X=y)\n\nc =\n  (X=y)\n"
	if got := Format(parsedFile(t, "a,b.world=(X=y)\nc=(X=y)")...); got != aliases {
		t.Errorf("aliases are formatted as %q, want %q", got, aliases)
	}
	if got := Format(); got != "" {
		t.Errorf("no nodes are formatted as %q", got)
	}
}
