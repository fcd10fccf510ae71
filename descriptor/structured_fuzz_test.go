package descriptor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sijms/go-ora/v2/configurations"

	"servicebroker/testenv/fuzzing"
)

// naive reads text without quotes, backslashes, commas and # a second time, in the plainest way there is.
type naive struct {
	text string
	at   int
	bad  bool
}

func (p *naive) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	p.bad = true
	return 0
}

func (p *naive) skip() {
	for p.at < len(p.text) && strings.IndexByte(blanks, p.text[p.at]) >= 0 {
		p.at++
	}
}

// until reads up to one of some characters.
func (p *naive) until(stops string) string {
	from := p.at
	for p.at < len(p.text) && strings.IndexByte(stops, p.text[p.at]) < 0 {
		p.at++
	}
	return strings.TrimRight(p.text[from:p.at], blanks)
}

func (p *naive) groups() (all []*Node) {
	for p.skip(); !p.bad && p.next() == '('; p.skip() {
		all = append(all, p.group()...)
	}
	return all
}

func (p *naive) group() []*Node {
	p.at++
	p.skip()
	n := &Node{}
	if p.next() == '(' {
		n.Children = p.groups()
	} else if n.Value = p.until("()="); p.next() == '=' {
		n.Name, n.Value = n.Value, ""
		p.bad = p.bad || n.Name == "" || strings.ContainsAny(n.Name, blanks)
		p.at++
		if p.skip(); p.next() == '(' {
			n.Children = p.groups()
		} else {
			n.Value = p.until("()")
		}
	} else if n.Value == "" {
		n = nil
	}
	if p.skip(); p.next() != ')' {
		p.bad = true
	}
	p.at++
	if n == nil || p.bad {
		return nil
	}
	return []*Node{n}
}

// readNaively returns nil for a text that is no descriptor.
func readNaively(text string) *Node {
	p := &naive{text: text}
	if p.skip(); p.next() != '(' {
		return nil
	}
	all := p.group()
	if rest := text[min(p.at, len(text)):]; p.bad || len(all) != 1 || all[0].Name == "" || strings.Trim(strings.TrimLeft(rest, blanks), blanks+"\x00") != "" {
		return nil
	}
	return all[0]
}

// checkNaively compares what Parse made of a text with what the plain reader makes of it.
func checkNaively(t *testing.T, text string, parsed *Node, err error) {
	t.Helper()
	if strings.ContainsAny(text, "'\"\\,#") || len(text) > 4096 || strings.Count(text, "(") > defaultDepth {
		return
	}
	want := readNaively(text)
	if (want == nil) != (err != nil) {
		t.Fatalf("%q is read as %v (%v), plainly as %v", text, parsed, err, want)
	}
	if diff := cmp.Diff(want, parsed, sameTree); diff != "" {
		t.Fatalf("%q: %s", text, diff)
	}
}

// FuzzTexts tries texts made of words that mean something: read as a plain reader reads them, printed and
// read again the same, with nothing secret left when they are masked, and cut off anywhere refused.
func FuzzTexts(f *testing.F) {
	for _, script := range [][]byte{{}, {0, 0, 0, 2, 0, 1, 0, 0, 0, 2, 0, 3, 0}, {0, 2, 0, 2, 0, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 9}} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := fuzzing.Read(script)
		cut := s.Below(1 << 12)
		text := fuzzing.Text(s)
		n, err := Parse(text)
		checkNaively(t, text, n, err)
		if err != nil {
			checkProblem(t, text, err)
			return
		}
		if prefix := strings.TrimRight(text, blanks+"\x00"); cut < len(prefix) {
			if n, err := Parse(prefix[:cut]); err == nil {
				t.Fatalf("%q, cut off %q, is read as %v", text, prefix[:cut], n)
			}
		}
		back, err := Limits{Bytes: 1 << 20}.Parse(n.String())
		if err != nil || cmp.Diff(n, back, sameTree) != "" {
			t.Fatalf("%q is printed %q: %v", text, n, err)
		}
		checkMask(t, n)
		checkRoute(t, n)
	})
}

// checkMask plants a secret below each node.
func checkMask(t *testing.T, n *Node) {
	t.Helper()
	const secret = "hunter2"
	planted := n.Clone()
	all := 0
	var plant func(n *Node)
	plant = func(n *Node) {
		for _, child := range n.Children {
			plant(child)
		}
		if len(n.Children) > 0 {
			n.Add(&Node{Name: "My_Wallet_Password", Value: secret})
			all++
		}
	}
	plant(planted)
	masked := Mask(planted)
	if strings.Contains(masked.String(), secret) {
		t.Fatalf("%s is masked as %s", planted, masked)
	}
	if again := Mask(masked); again.String() != masked.String() {
		t.Fatalf("%s is masked once more as %s", masked, again)
	}
}

// checkRoute: whichever way a route is gone, it leads through addresses that are in it.
func checkRoute(t *testing.T, n *Node) {
	t.Helper()
	r, err := ReadRoute(n)
	if err != nil || r.Empty() {
		return
	}
	for _, step := range r.Steps(func(n int) int { return n - 1 }) {
		for _, node := range step.Nodes() {
			if _, err := Parse(node.String()); err != nil {
				t.Fatalf("%s leads on to %s: %v", n, node, err)
			}
		}
	}
	_ = r.AfterFirst()
}

// FuzzGoOra compares addresses, services and instances with what go-ora finds in the same text: those it
// finds at all, which knows no quotes, are ours too.
func FuzzGoOra(f *testing.F) {
	f.Add("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h1)(PORT=1521))(ADDRESS=(HOST=h2)(PROTOCOL=tcps)(PORT=2))(CONNECT_DATA=(SERVICE_NAME=s)(INSTANCE_NAME=i)))")
	f.Add("( ADDRESS = ( PORT = 7 ) (HOST= a.b-c ))")
	f.Add("(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=on)(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1)))(CONNECT_DATA=(SID=x)))")
	for _, text := range []string{"(ADDRESS=(KEY=x))", "(ADDRESS=(PROTOCOL=ipc))", "(ADDRESS=(HOST=İ)(PORT=1))", "(ADDREſſ=(HOST=h)(PORT=1))", "(ADDRESS=(HOſT=h)(PORT=1))"} {
		f.Add("(DESCRIPTION=" + text + "(CONNECT_DATA=(SERVICE_NAME=s)))")
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil || strings.ContainsAny(text, "'\"\\,#\x00\v\f\r\n") || len(text) > 4096 {
			return
		}
		if strings.ContainsAny(text, "\u017f\u212a") {
			return // to go-ora, whose names have all case folded that there is, these are s and k
		}
		theirs, err := configurations.ExtractServers(text)
		if err != nil {
			return
		}
		ours := map[string]bool{}
		var gather func(n *Node)
		gather = func(n *Node) {
			if sameName(n.Name, "ADDRESS") {
				ours[strings.ToLower(n.Text("HOST"))] = true
				for _, host := range n.All("HOST") {
					ours[strings.ToLower(host.Value)] = true
				}
			}
			for _, child := range n.Children {
				gather(child)
			}
		}
		gather(n)
		for _, server := range theirs {
			if !ours[strings.ToLower(server.Addr)] {
				t.Fatalf("%q: go-ora finds the address %s", text, server.Addr)
			}
		}
		for _, address := range Addresses(n) {
			a, err := address.Address()
			if err != nil || a.Host == "" { // go-ora knows no addresses within one machine
				continue
			}
			if strings.Trim(a.Host+a.Protocol, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") != "" || strings.ContainsAny(a.Protocol, ".-") {
				continue
			}
			again, err := configurations.ExtractServers(a.String())
			if err != nil || len(again) != 1 || again[0].Addr != a.Host || again[0].Port != a.Port || !strings.EqualFold(again[0].Protocol, a.Protocol) {
				t.Fatalf("%s is to go-ora %+v, %v", a, again, err)
			}
		}
	})
}

// FuzzCost reads long texts of few pieces: what takes more than its share of time or memory is found here.
func FuzzCost(f *testing.F) {
	for _, script := range [][]byte{
		{0, 1, 0, 0, 1, 0, 0, 2, 0, 1}, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, {0, 0, 7, 0, 0, 7, 0, 0, 7, 0}, {0, 0, 6, 0, 0, 8, 0, 0, 8, 0}, {0, 3, 2, 65, 61, 0, 0, 10, 0, 2, 3},
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		text := string(fuzzing.Repeated(fuzzing.Read(script), 48<<10))
		fuzzing.Bounded(t, len(text), func() {
			if n, err := Parse(text); err == nil {
				_, _ = ReadRoute(n)
				_, _, _, _ = n.String(), Mask(n), SourceRoute(n), ConnectData(n)
			}
			if nodes, err := ParseFile(text); err == nil {
				_ = Format(nodes...)
			}
			if n, err := EasyConnect(text); err == nil {
				_ = n.String()
			}
			_ = Escape(text)
		})
	})
}
