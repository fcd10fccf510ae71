package journal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSummary(t *testing.T) {
	relayed := connect()
	relayed.Ref = "K7M2QX4P"
	for _, c := range []struct {
		in   *Explanation
		want string
	}{
		{relayed, `K7M2QX4P relay to=sales1@db1/DEDICATED client=192.0.2.50:40123 service=sales user=scott program=sqlplus machine=app1 ` +
			`connection_id="kFvP2LZkQ5mJ3w==" policy=adaptive took=3ms: sales1@db1 has the lowest score`},
		{&Explanation{Ref: "K7M2QX4P", Outcome: Refuse, Code: 12514, Client: "192.0.2.50:1", Query: Query{SID: "orcl", Instance: "i", Server: "POOLED"},
			Held: 30*time.Second + 1, Took: 1234567 * time.Nanosecond, Attempts: make([]Attempt, 2), Text: "no instance offers it"},
			`K7M2QX4P refuse ORA-12514 client=192.0.2.50:1 sid=orcl instance=i server=POOLED attempts=2 held=30s took=1ms: no instance offers it`},
		{&Explanation{Ref: "K7M2QX4P", Outcome: Refuse, Code: 600, Took: 1500}, `K7M2QX4P refuse ORA-00600 took=2µs`},
		{&Explanation{Ref: "K7M2QX4P", Outcome: Drop, Program: "SQL Developer", User: "x\nE"}, `K7M2QX4P drop user="x\nE" program="SQL Developer"`},
	} {
		if got := c.in.Summary(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestEventString(t *testing.T) {
	for _, c := range []struct {
		in   Event
		want string
	}{
		{Event{ID: 7, Kind: Started}, "7 broker_started"},
		{Event{ID: 8, Kind: Moved, Service: "sales", Instance: "sales2", Host: "db2", Database: "prod", Cause: "left sales1@db1", Detail: "20 s between"},
			"8 moved service=sales instance=sales2 host=db2 database=prod: left sales1@db1; 20 s between"},
		{Event{ID: 9, Kind: ServiceUp, Service: "a b", Status: "up", Reason: "AUTOSTART", Card: 2, Detail: "one\ntwo \"three\""},
			`9 service_up service="a b" status=up reason=AUTOSTART card=2: one\ntwo "three"`},
	} {
		if got := c.in.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestOneLineWhateverClientsSay: nobody can write lines of his own, or escape sequences, into a log.
func TestOneLineWhateverClientsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, name)) }
		if rapid.Bool().Draw(t, "unicode") {
			text = func(name string) string { return rapid.String().Draw(t, name) }
		}
		e := Explanation{Client: text("client"), Program: text("program"), User: text("user"), Text: text("text"), Query: Query{Service: text("service")}}
		for _, line := range []string{e.Summary(), Event{Service: text("service"), Cause: text("cause"), Detail: text("detail")}.String()} {
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(line) {
				t.Fatalf("%q", line)
			}
		}
	})
}

func TestValuesCannotPoseAsOthers(t *testing.T) {
	e := Explanation{Ref: "K7M2QX4P", Outcome: Relay, Program: "x user=sys", Machine: `a" user="sys`}
	if got, want := e.Summary(), `K7M2QX4P relay program="x user=sys" machine="a\" user=\"sys"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestKindsAreAll compares Kinds with the constants of that type.
func TestKindsAreAll(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is {
			return true
		}
		if kind, is := spec.Type.(*ast.Ident); is && kind.Name == "Kind" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Error(err)
			}
			declared = append(declared, value)
		}
		return false
	})
	var listed []string
	for _, k := range Kinds() {
		listed = append(listed, string(k))
	}
	if len(declared) == 0 || !slices.Equal(declared, listed) {
		t.Errorf("declared: %s\nlisted:   %s", strings.Join(declared, " "), strings.Join(listed, " "))
	}
}
