package descriptor

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameTree compares trees by what they say, wherever in a text they stood.
var sameTree = cmp.Options{cmpopts.IgnoreFields(Node{}, "Line", "Column"), cmpopts.EquateEmpty()}

// parsed reads text that must be right.
func parsed(t testing.TB, text string) *Node {
	t.Helper()
	n, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return n
}

const sample = `(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=sales)` +
	`(CID=(PROGRAM=mine)(HOST=c1)(USER=u1))(CID=(PROGRAM=app)(HOST=c2)(USER=u2))))`

func TestChildrenAreFoundInAnyCase(t *testing.T) {
	n := parsed(t, sample)
	data := n.Child("connect_Data")
	if data == nil || data.Name != "CONNECT_DATA" {
		t.Fatalf("Child found %v", data)
	}
	var programs []string
	for _, cid := range data.All("cid") {
		programs = append(programs, cid.Text("PROGRAM"))
	}
	if want := []string{"mine", "app"}; !slices.Equal(programs, want) {
		t.Errorf("All found %q, want %q", programs, want)
	}
	if got := n.Text("CONNECT_DATA", "CID", "user"); got != "u1" {
		t.Errorf("Text went to %q, want the first CID's", got)
	}
	if got := n.Find(); got != n {
		t.Error("Find without a path is not the node itself")
	}
}

func TestNamesOfOtherAlphabetsAreOtherNames(t *testing.T) {
	n := parsed(t, "(CONNECT_DATA=(ſERVICE_NAME=x)(\u212aEY=y))") // long s and Kelvin sign fold to s and k in Unicode
	if n.Child("SERVICE_NAME") != nil || n.Child("KEY") != nil {
		t.Error("a look-alike passes for a name")
	}
}

func TestNilNodeHasNothing(t *testing.T) {
	var n *Node
	n.Set("A", "b")
	n.Add(&Node{})
	n.Remove("A")
	if n.Child("A") != nil || n.All("A") != nil || n.Find("A", "B") != nil || n.Text("A") != "" || n.Values() != nil ||
		n.Clone() != nil || n.String() != "" || Mask(n) != nil || ConnectData(n) != nil || Addresses(n) != nil || SourceRoute(n) {
		t.Error("a nil node has something")
	}
	if _, err := n.Address(); err == nil {
		t.Error("a nil node has an address")
	}
}

func TestSetAddRemove(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		edit                func(*Node)
	}{
		{"replace", "(D=(A=1)(B=2))", "(D=(A=9)(B=2))", func(n *Node) { n.Set("a", "9") }},
		{"replace and remove the others", "(D=(A=1)(B=2)(a=3)(A=4))", "(D=(A=9)(B=2))", func(n *Node) { n.Set("A", "9") }},
		{"replace children", "(D=(A=(X=1)))", "(D=(A=9))", func(n *Node) { n.Set("A", "9") }},
		{"append", "(D=(B=2))", "(D=(B=2)(A=9))", func(n *Node) { n.Set("A", "9") }},
		{"to empty", "(D=(A=1))", "(D=(A=))", func(n *Node) { n.Set("A", "") }},
		{"add", "(D=(A=1))", "(D=(A=1)(A=2))", func(n *Node) { n.Add(&Node{Name: "A", Value: "2"}) }},
		{"add nothing", "(D=(A=1))", "(D=(A=1))", func(n *Node) { n.Add(nil) }},
		{"remove all", "(D=(A=1)(B=2)(a=3))", "(D=(B=2))", func(n *Node) { n.Remove("A") }},
		{"remove what is not there", "(D=(A=1))", "(D=(A=1))", func(n *Node) { n.Remove("B") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := parsed(t, c.before)
			original := n.Clone()
			n.Children = slices.Clip(n.Children)
			copied := n.Clone()
			c.edit(copied)
			if got := copied.String(); got != c.after {
				t.Errorf("edited to %s, want %s", got, c.after)
			}
			if diff := cmp.Diff(original, n); diff != "" {
				t.Errorf("editing a clone changed the original: %s", diff)
			}
		})
	}
}

// Children of one node lie next to those of another in memory; appending to one must not run into the other.
func TestAddToOneNodeLeavesItsNeighbours(t *testing.T) {
	n := parsed(t, "(D=(A=(X=1)(Y=2))(B=(Z=3))(C=4))")
	n.Child("A").Add(&Node{Name: "NEW", Value: "5"})
	n.Child("B").Set("NEW", "6")
	const want = "(D=(A=(X=1)(Y=2)(NEW=5))(B=(Z=3)(NEW=6))(C=4))"
	if got := n.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"(A=(x,y))", []string{"x", "y"}},
		{"(A=x, y ,)", []string{"x", "y"}},
		{"(A=x)", []string{"x"}},
		{"(A=)", nil},
		{"(A=(x)(B=1)(y,z))", []string{"x", "y", "z"}},
		{`(A=("a,b",c))`, []string{"a,b", "c"}},
		{`(A=("",c))`, []string{"c"}},
	} {
		if got := parsed(t, c.text).Values(); !slices.Equal(got, c.want) {
			t.Errorf("Values of %s are %q, want %q", c.text, got, c.want)
		}
	}
}
