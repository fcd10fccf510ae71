package descriptor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// addr is an address by the name of its host alone.
func addr(host string) string { return "(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=1521))" }

func isHost(host string) func(Address) bool {
	return func(a Address) bool { return a.Host == host }
}

func route(t *testing.T, text string) Route {
	t.Helper()
	r, err := ReadRoute(parsed(t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// outline prints a route: a>b is one after the other, {a|b} one of them, {a/b} one of them in any order, {a!b} the first alone.
func outline(r Route) string {
	if len(r.Ways) == 0 {
		return r.Address.Host
	}
	ways := make([]string, len(r.Ways))
	for i := range r.Ways {
		ways[i] = outline(r.Ways[i])
	}
	if r.InTurn {
		return strings.Join(ways, ">")
	}
	sign := "|"
	if r.LoadBalance {
		sign = "/"
	}
	if r.NoFailover {
		sign += "!"
	}
	return "{" + strings.Join(ways, sign) + "}"
}

func TestReadRoute(t *testing.T) {
	for text, want := range map[string]string{
		"(DESCRIPTION=(ADDRESS_LIST=" + addr("a") + addr("b") + "(SOURCE_ROUTE=yes)(HOP_COUNT=0))(CONNECT_DATA=(X=" + addr("x") + ")))":                             "a>b",
		"(DESCRIPTION=(SOURCE_ROUTE=on)" + addr("a") + addr("b") + addr("c") + ")":                                                                                  "a>b>c",
		"(DESCRIPTION=" + addr("a") + addr("b") + "(SOURCE_ROUTE=yes))":                                                                                             "a>b",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS_LIST=" + addr("a") + addr("b") + "))":                                                                              "a>b",
		"(DESCRIPTION=(SOURCE_ROUTE=on)(ADDRESS_LIST=" + addr("a") + ")(ADDRESS_LIST=" + addr("b") + addr("c") + "))":                                               "a>{b|c}",
		"(DESCRIPTION=(SOURCE_ROUTE=on)(ADDRESS_LIST=(LOAD_BALANCE=on)" + addr("a") + addr("b") + ")" + addr("c") + ")":                                             "{a/b}>c",
		"(DESCRIPTION=(LOAD_BALANCE=on)(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("a") + addr("d") + ")(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("b") + addr("d") + "))": "{a>d/b>d}",
		"(DESCRIPTION_LIST=(DESCRIPTION=" + addr("a") + ")(DESCRIPTION=" + addr("b") + "))":                                                                         "{a/b}",
		"(DESCRIPTION_LIST=(LOAD_BALANCE=off)(SOURCE_ROUTE=on)(DESCRIPTION=" + addr("a") + addr("b") + ")(DESCRIPTION=" + addr("c") + "))":                          "{a>b|c}",
		"(sales=(DESCRIPTION=(FAILOVER=off)(LOAD_BALANCE=yes)(ADDRESS_LIST=" + addr("a") + addr("b") + ")))":                                                        "{a/!b}",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + addr("a") + ")":                                                                                                         "a",
		addr("a"): "a",
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=s)))":          "",
		"(DESCRIPTION=(ADDRESS_LIST=)(ADDRESS_LIST=))":           "",
		"(DESCRIPTION=(FOO=" + addr("x") + ")" + addr("a") + ")": "a",
	} {
		r := route(t, text)
		if got := outline(r); got != want {
			t.Errorf("%s\n is read as %s, want %s", text, got, want)
		}
		if r.Empty() != (want == "") || r.Chained() != strings.Contains(want, ">") {
			t.Errorf("%s: empty %t, chained %t", text, r.Empty(), r.Chained())
		}
	}
}

func TestReadRouteRefusesWhatLeadsNowhere(t *testing.T) {
	for _, text := range []string{
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + addr("a") + "(ADDRESS=(PROTOCOL=ipc)(KEY=k)))",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + addr("a") + "(ADDRESS=(PROTOCOL=tcp)(PORT=1)))",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + addr("a") + "(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=0)))",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + addr("a") + "(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=x)))",
	} {
		var syntax *SyntaxError
		if _, err := ReadRoute(parsed(t, text)); !errors.As(err, &syntax) {
			t.Errorf("%s: %v", text, err)
		}
	}
	long := "(DESCRIPTION=(SOURCE_ROUTE=yes)" + strings.Repeat(addr("a"), maxRouteAddresses)
	if _, err := ReadRoute(parsed(t, long+")")); err != nil {
		t.Errorf("%d addresses: %v", maxRouteAddresses, err)
	}
	if _, err := ReadRoute(parsed(t, long+addr("a")+")")); !errors.Is(err, ErrRouteTooLong) {
		t.Errorf("one more: %v", err)
	}
}

func TestWhatIsLeftOfARoute(t *testing.T) {
	seq := "(DESCRIPTION=(SOURCE_ROUTE=on)"
	for _, c := range []struct{ text, here, want string }{
		{seq + addr("a") + addr("b") + addr("c") + ")", "a", "b>c"},
		{seq + addr("a") + addr("b") + addr("c") + ")", "b", "c"},
		{seq + addr("a") + addr("b") + addr("c") + ")", "c", ""},
		{seq + addr("a") + addr("b") + addr("a") + addr("c") + ")", "a", "b>a>c"},
		{seq + "(ADDRESS_LIST=" + addr("a") + addr("b") + ")(ADDRESS_LIST=" + addr("c") + addr("d") + "))", "b", "{c|d}"},
		{seq + addr("a") + "(ADDRESS_LIST=" + addr("c") + addr("d") + ")" + addr("e") + ")", "a", "{c|d}>e"},
		{"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("a") + addr("c") + ")(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("b") + addr("d") + "))", "b", "d"},
	} {
		rest, found := route(t, c.text).After(isHost(c.here))
		if got := outline(rest); !found || got != c.want {
			t.Errorf("%s after %s: %s, %t; want %s", c.text, c.here, got, found, c.want)
		}
	}
	if _, found := route(t, seq+addr("a")+addr("b")+")").After(isHost("x")); found {
		t.Error("found what is not there")
	}
	for text, want := range map[string]string{
		seq + addr("a") + addr("b") + addr("c") + ")":                                                                                              "b>c",
		seq + "(ADDRESS_LIST=" + addr("a") + addr("b") + ")" + addr("c") + ")":                                                                     "c",
		"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("a") + addr("c") + ")(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("b") + addr("d") + "))": "{c|d}",
		"(DESCRIPTION=" + addr("a") + addr("b") + ")":                                                                                              "",
		addr("a"): "",
	} {
		if got := outline(route(t, text).AfterFirst()); got != want {
			t.Errorf("%s after its first: %s, want %s", text, got, want)
		}
	}
}

func TestStepsAndWhatIsSentOn(t *testing.T) {
	seq := "(DESCRIPTION=(SOURCE_ROUTE=on)"
	A := func(host string) string { return (Address{Protocol: "tcp", Host: host, Port: 1521}).String() }
	for _, c := range []struct{ text, want string }{
		{addr("a"), "0 " + A("a")},
		{seq + addr("a") + addr("b") + ")", "0 (SOURCE_ROUTE=yes)" + A("a") + A("b")},
		{"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=on)(HOP_COUNT=0)" + addr("a") + addr("b") + "))", "0 (ADDRESS_LIST=(SOURCE_ROUTE=yes)(HOP_COUNT=0)" + A("a") + A("b") + ")"},
		{"(DESCRIPTION=" + addr("a") + addr("b") + ")", "0 " + A("a") + "\n1 " + A("b")},
		{"(DESCRIPTION=(LOAD_BALANCE=on)" + addr("a") + addr("b") + ")", "0 " + A("a") + "\n0 " + A("b")},
		{"(DESCRIPTION=(FAILOVER=off)" + addr("a") + addr("b") + ")", "0 " + A("a")},
		{"(DESCRIPTION=(LOAD_BALANCE=on)(FAILOVER=off)" + addr("a") + addr("b") + ")", "0 " + A("b")}, // picked
		{seq + "(ADDRESS_LIST=" + addr("a") + addr("b") + ")(ADDRESS_LIST=(LOAD_BALANCE=on)(FAILOVER=off)" + addr("c") + addr("d") + "))",
			"0 (SOURCE_ROUTE=yes)" + A("a") + "(ADDRESS_LIST=(LOAD_BALANCE=on)(FAILOVER=off)" + A("c") + A("d") + ")\n" +
				"1 (SOURCE_ROUTE=yes)" + A("b") + "(ADDRESS_LIST=(LOAD_BALANCE=on)(FAILOVER=off)" + A("c") + A("d") + ")"},
		{"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("a") + addr("c") + ")(ADDRESS_LIST=(SOURCE_ROUTE=on)" + addr("b") + addr("d") + "))",
			"0 (ADDRESS_LIST=(SOURCE_ROUTE=yes)" + A("a") + A("c") + ")\n1 (ADDRESS_LIST=(SOURCE_ROUTE=yes)" + A("b") + A("d") + ")"},
	} {
		var got []string
		for _, step := range route(t, c.text).Steps(func(n int) int { return n - 1 }) {
			line := fmt.Sprint(step.Turn, " ")
			for _, n := range step.Nodes() {
				line += n.String()
			}
			got = append(got, line)
		}
		if got := strings.Join(got, "\n"); got != c.want {
			t.Errorf("%s\n goes on as\n%s\n want\n%s", c.text, got, c.want)
		}
	}
	if steps := (Route{}).Steps(nil); steps != nil {
		t.Errorf("nowhere has steps %v", steps)
	}
}

// drawRoute draws a descriptor's addresses, three levels deep at most; hosts are numbered.
func drawRoute(t *rapid.T, name string, depth int, hosts *int) *Node {
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
		*hosts++
		return Address{Protocol: "tcp", Host: fmt.Sprint("h", *hosts), Port: 1521}.Node()
	}
	n := &Node{Name: name}
	for _, flag := range []string{"SOURCE_ROUTE", "LOAD_BALANCE", "FAILOVER"} {
		if value := rapid.SampledFrom([]string{"", "on", "off"}).Draw(t, flag); value != "" {
			n.Set(flag, value)
		}
	}
	for range rapid.IntRange(1, 3).Draw(t, "ways") {
		n.Add(drawRoute(t, "ADDRESS_LIST", depth-1, hosts))
	}
	return n
}

func hostsOf(r Route) []string {
	if len(r.Ways) == 0 {
		return []string{r.Address.Host}
	}
	var all []string
	for _, way := range r.Ways {
		all = append(all, hostsOf(way)...)
	}
	return all
}

// What is sent on leads to the step's own address first, names nothing that was not behind it in the route, and is
// understood there as it was meant.
func TestRoutesAreSentOnAsTheyAreMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := 0
		whole, err := ReadRoute(&Node{Name: "DESCRIPTION", Children: []*Node{drawRoute(t, "ADDRESS_LIST", 3, &hosts)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range whole.Steps(nil) {
			sent, err := Parse((&Node{Name: "DESCRIPTION", Children: step.Nodes()}).String())
			if err != nil {
				t.Fatal(err)
			}
			there, err := ReadRoute(sent)
			if err != nil {
				t.Fatal(err)
			}
			rest, found := there.After(isHost(step.Address.Host))
			if !found || outline(rest) != outline(step.Rest) || outline(there.AfterFirst()) != outline(step.Rest) {
				t.Fatalf("%s at %s sends %s, which leaves %s there; want %s", outline(whole), step.Address.Host, sent, outline(rest), outline(step.Rest))
			}
			siblings := whole.Steps(nil)
			for _, host := range hostsOf(there) {
				if host != step.Address.Host && slices.ContainsFunc(siblings, func(s Step) bool { return s.Address.Host == host }) {
					t.Fatalf("%s names %s, another way to begin", sent, host)
				}
			}
		}
	})
}

// nestedLists is a route of lists within each other, each of which has an address before the next one.
func nestedLists(count int) string {
	return "(ADDRESS_LIST=(SOURCE_ROUTE=yes)" + addr("a") + addr("b") + strings.Repeat("(ADDRESS_LIST="+addr("c"), count-1) + addr("d") + strings.Repeat(")", count)
}

// Whatever the text, what is sent on is a route that is shorter by what is behind, and is read again as it was meant.
func FuzzReadRoute(f *testing.F) {
	for _, text := range []string{
		"(DESCRIPTION=(ADDRESS_LIST=" + addr("a") + addr("b") + "(SOURCE_ROUTE=yes)(HOP_COUNT=0))(CONNECT_DATA=(SERVICE_NAME=s)))",
		"(DESCRIPTION=(SOURCE_ROUTE=on)(ADDRESS_LIST=" + addr("a") + ")(ADDRESS_LIST=(LOAD_BALANCE=on)" + addr("b") + addr("c") + "))",
		"(DESCRIPTION_LIST=(SOURCE_ROUTE=on)(DESCRIPTION=" + addr("a") + addr("[::1]") + ")(DESCRIPTION=(FAILOVER=off)" + addr("c") + "))",
		"(ADDRESS=(HOST=a)(PORT=1)(ADDRESS=(HOST=b)(PORT=2)))", "(DESCRIPTION=(SOURCE_ROUTE=1)(ADDRESS=(PROTOCOL=ipc)(KEY=x)))",
		"(ADDRESS_LIST=(ADDRESS_LIST=(ADDRESS_LIST=" + addr("a") + addr("a") + ")" + addr("b") + ")(SOURCE_ROUTE=yes))",
		nestedLists(61), nestedLists(62), "(ADDRESS=(HOST=[[ ]])(PORT=1))",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil {
			return
		}
		whole, err := ReadRoute(n)
		if err != nil {
			return
		}
		all := len(hostsOf(whole))
		for _, step := range whole.Steps(func(n int) int { return n - 1 }) {
			sent, err := Parse((&Node{Name: "DESCRIPTION", Children: step.Nodes()}).String())
			if err != nil {
				t.Fatalf("%s sends what cannot be read: %v", text, err)
			}
			there, err := ReadRoute(sent)
			if err != nil || outline(there.AfterFirst()) != outline(step.Rest) || len(hostsOf(there)) > all {
				t.Fatalf("%s sends %s, %v", text, sent, err)
			}
		}
	})
}
