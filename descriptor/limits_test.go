package descriptor

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// nested is a text of depth parentheses.
func nested(depth int) string {
	return strings.Repeat("(A=", depth) + strings.Repeat(")", depth)
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name, text string
		limits     Limits
		problem    string // "" if within the limits
	}{
		{"depth", nested(64), Limits{}, ""},
		{"too deep", nested(65), Limits{}, "more than 64 parentheses are open"},
		{"far too deep", nested(10000), Limits{}, "more than 64 parentheses are open"},
		{"only opening", strings.Repeat("(", 10000), Limits{}, "more than 64 parentheses are open"},
		{"own depth", nested(3), Limits{Depth: 3}, ""},
		{"deeper than one's own", nested(4), Limits{Depth: 3}, "more than 3 parentheses are open"},
		{"length", "(A=" + strings.Repeat("x", textBytes-4) + ")", Limits{}, ""},
		{"too long", "(A=" + strings.Repeat("x", textBytes-3) + ")", Limits{}, "the text has 65537 bytes, 65536 are allowed"},
		{"own length", "(A=b)", Limits{Bytes: 5}, ""},
		{"longer than one's own", "(A=bc)", Limits{Bytes: 5}, "the text has 6 bytes, 5 are allowed"},
		{"nodes", "(A=(" + strings.Repeat("x,", textNodes-1) + "))", Limits{}, ""},
		{"too many nodes", "(A=(" + strings.Repeat("x,", textNodes) + "))", Limits{}, "more than 16384 names"},
		{"own nodes", "(A=(B=1)(C=2))", Limits{Nodes: 3}, ""},
		{"more than one's own nodes", "(A=(B=1)(C=2)(D=3))", Limits{Nodes: 3}, "more than 3 names"},
		{"more unnamed than one's own nodes", "(A=((B=1)))", Limits{Nodes: 1}, "more than 1 names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := c.limits.Parse(c.text)
			if c.problem == "" {
				if err != nil {
					t.Errorf("%.40q… is refused: %v", c.text, err)
				}
				return
			}
			var problem *SyntaxError
			if n != nil || !errors.As(err, &problem) || !strings.Contains(problem.Problem, c.problem) || problem.Remedy == "" {
				t.Errorf("%.40q… gives %v, want …%s…", c.text, err, c.problem)
			}
		})
	}
}

func TestRoomAround(t *testing.T) {
	for depth, room := range map[int]bool{1: true, defaultDepth - 1: true, defaultDepth: false} {
		n := parsed(t, nested(depth))
		_, err := Parse((&Node{Name: "DESCRIPTION", Children: []*Node{n}}).String())
		if found := RoomAround(n); (found == nil) != room || (err == nil) != room {
			t.Errorf("%d deep: %v, and Parse says %v", depth, found, err)
		}
	}
}

func TestFileLimits(t *testing.T) {
	big := "A=" + strings.Repeat("x", fileBytes-2)
	if _, err := ParseFile(big); err != nil {
		t.Errorf("a file of %d bytes is refused: %v", len(big), err)
	}
	if _, err := ParseFile(big + "x"); err == nil {
		t.Errorf("a file of %d bytes is taken", len(big)+1)
	}
	if _, err := ParseFile("A=" + nested(64)); err != nil {
		t.Errorf("a file nested 64 deep is refused: %v", err)
	}
	if _, err := ParseFile("A=" + nested(65)); err == nil {
		t.Error("a file nested 65 deep is taken")
	}
	if _, err := (Limits{Nodes: 2}).ParseFile("A=1\nB=2"); err != nil {
		t.Errorf("two names of two are refused: %v", err)
	}
	if _, err := (Limits{Nodes: 2}).ParseFile("A=1\nB,C=2"); err == nil {
		t.Error("three names of two are taken")
	}
}

// hostile gives texts of about size bytes that invite a parser to do more work than they are worth.
func hostile(size int) map[string]string {
	fill := func(before, piece, after string) string {
		return before + strings.Repeat(piece, size/len(piece)) + after
	}
	return map[string]string{
		"opening":              fill("", "(", ""),
		"closing":              fill("", ")", ""),
		"opening and closing":  fill("", "()", ""),
		"groups without names": fill("(A=", "()", ")"),
		"unnamed groups":       fill("(A=", "((x))", ")"),
		"names":                fill("", "(A=", ""),
		"one assignment":       fill("", "a=b", ""),
		"assignments":          fill("", "a=b\n", ""),
		"aliases":              fill("", "a,", "a=b"),
		"continued lines":      fill("A=b", "\n c", ""),
		"almost continued":     fill("", "A=b\n c", "=d"),
		"empty assignments":    fill("", "A=\n", ""),
		"addresses":            fill("(A=", "(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))", ")"),
		"addresses in a file":  fill("A=", "(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))", ""),
		"list":                 fill("(A=(", "x,", "))"),
		"commas":               fill("(A=(", ",", "))"),
		"quotes":               fill("", `"`, ""),
		"unterminated quote":   fill(`(A="`, "x", ""),
		"many unterminated":    fill("", `(A="`, ""),
		"escaped quotes":       fill(`(A="`, `\"`, ""),
		"backslashes":          fill("(A=", `\`, ")"),
		"escapes":              fill("(A=", `\(`, ")"),
		"separate backslashes": fill("(A=", `\x`, ")"),
		"blanks":               fill("(A=b", " ", "c)"),
		"blanks before values": fill("(A=", "( B= )", ")"),
		"newlines":             fill("", "\n", ""),
		"newlines and errors":  fill("", "\n", ")"),
		"comments":             fill("", "#\n", ""),
		"comments in a value":  fill("A=(B=", "x #\n", ")"),
		"number signs":         fill("(A=", "#", ")"),
		"equals signs":         fill("(A=", "=", ")"),
		"bytes":                fill("(A=", "\xff\x00", ")"),
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Nothing that a text of a given length can say costs more than so many bytes of memory for each of its own.
func TestMemoryIsBoundedByTheText(t *testing.T) {
	const size = 1 << 20
	const perByte = 120 // a list element of two bytes takes a node of 72 and two pointers to it
	wide := Limits{Bytes: 4 << 20, Nodes: 4 << 20}
	for name, text := range hostile(size) {
		for how, parse := range map[string]func(){
			"Parse":     func() { _, _ = wide.Parse(text) },
			"ParseFile": func() { _, _ = wide.ParseFile(text) },
		} {
			if got := allocated(parse); got > perByte*uint64(len(text)) {
				t.Errorf("%s of %s: %d bytes allocated for %d", how, name, got, len(text))
			}
		}
		if got := allocated(func() { _, _ = EasyConnect(text) }); got > 1<<10 {
			t.Errorf("EasyConnect of %s: %d bytes allocated", name, got)
		}
	}
}

// What the default limits refuse costs next to nothing, although it claims a lot.
func TestRefusedTextsCostLittle(t *testing.T) {
	for name, text := range map[string]string{
		"a megabyte":                   strings.Repeat("(A=", 1<<20/3),
		"ten thousand parentheses":     strings.Repeat("(", 10000),
		"ten thousand names":           strings.Repeat("(A=", 10000),
		"ten thousand before an error": strings.Repeat("(", 40) + strings.Repeat("A", 10000),
		"a quote":                      `(A="` + strings.Repeat("(", 10000),
	} {
		if got := allocated(func() { _, _ = Parse(text) }); got > 32<<10 {
			t.Errorf("refusing %s allocates %d bytes", name, got)
		}
	}
}

// Sixteen times the text may not take much more than sixteen times as long. The bound is loose, since the machine may be
// busy: what is quadratic takes 256 times as long.
func TestTimeIsBoundedByTheText(t *testing.T) {
	const small, factor = 32 << 10, 16
	wide := Limits{Bytes: 4 << 20, Nodes: 4 << 20}
	quickest := func(text string) time.Duration {
		best := time.Hour
		for range 3 {
			start := time.Now()
			_, _ = wide.Parse(text)
			if nodes, err := wide.ParseFile(text); err == nil {
				_ = Format(nodes...)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	large := hostile(small * factor)
	for name, text := range hostile(small) {
		short, long := quickest(text), quickest(large[name])
		if long > 6*factor*short && long > 100*time.Millisecond {
			t.Errorf("%s: %v for %d bytes, %v for %d", name, short, len(text), long, len(large[name]))
		}
	}
}

func BenchmarkParse(b *testing.B) {
	const text = "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=15210))(CONNECT_DATA=(SERVICE_NAME=sales.example.com)" +
		"(CID=(PROGRAM=app)(HOST=client1)(USER=app))(CONNECTION_ID=KE2ZbcChQa9Of1KKNXpJ2A==)))"
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkString(b *testing.B) {
	n := parsed(b, sample)
	b.ReportAllocs()
	for b.Loop() {
		_ = n.String()
	}
}

func BenchmarkHostile(b *testing.B) {
	wide := Limits{Bytes: 4 << 20, Nodes: 4 << 20}
	for name, text := range hostile(1 << 20) {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wide.Parse(text); err != nil {
					_, _ = wide.ParseFile(text)
				}
			}
		})
	}
}
