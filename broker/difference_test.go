package broker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"servicebroker/console"
)

func (r *running) against(file string) Difference {
	r.t.Helper()
	c, messages := ReadConfig(file, "")
	if c == nil {
		r.t.Fatal(messages.Err())
	}
	return c.DifferenceTo(console.ParameterList{Parameters: r.parametersInForce()}, console.RuleList{Rules: r.rulesInForce()})
}

// What check says beforehand is what a reload then does.
func TestDifferenceIsWhatAReloadDoes(t *testing.T) {
	file := write(t, strings.Replace(reloaded, "%", "(HOLD_TIMEOUT=0)(PROBE_INTERVAL=9)(ROUTE=relay)", 1))
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress = state, ""
	})
	if d := r.against(file); !d.Empty() || strings.Join(d.Lines(), "\n") != "Nothing would change." {
		t.Errorf("its own file would change %v", d.Lines())
	}
	r.rewrite(file, "(HOLD_TIMEOUT=30)(POLICY=sessions)(PROBE_INTERVAL=8)(MAX_HELD=10000)(TDM=yes)(PEERS=http://b2:8521)(STATIC_SERVICE=(NAME=x)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))")
	d := r.against(file)
	same(t, "difference", strings.ReplaceAll(`A reload puts in force:
  HOLD_TIMEOUT: 0 → 30 (F:3)
  PEERS: those that Consul knows → http://b2:8521 (F:3)
  POLICY: adaptive → sessions (F:3)
  STATIC_SERVICE: none → (STATIC_SERVICE=(NAME=x)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))) (F:3)
broker upgrade (or a restart) is needed for:
  PROBE_INTERVAL: 9 → 8 (F:3)`, "F", file), strings.Join(d.Lines(), "\n"))
	result, err := r.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var now, restart []string
	for _, c := range d.Now {
		now = append(now, c.Name)
	}
	for _, c := range d.Restart {
		restart = append(restart, c.Name)
	}
	same(t, "changed", now, result.Changed)
	same(t, "needs a restart", restart, result.NeedsRestart)
	if d := r.against(file); len(d.Now) != 0 || len(d.Restart) != 1 {
		t.Errorf("after the reload: %v", d.Lines())
	}
}

func TestDifferenceToTheDefaults(t *testing.T) {
	r := start(t, nil)
	d := r.against(write(t, "T=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1600))(RULE_LIST=(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))"))
	text := strings.Join(d.Lines(), "\n")
	for _, want := range []string{"ADDRESS: (ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0)) → (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1600))", "  + 1 (RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nwant %s", text, want)
		}
	}
}

func rulesCalled(texts string) []console.RuleView {
	var all []console.RuleView
	for _, text := range strings.Fields(texts) {
		all = append(all, console.RuleView{Text: text})
	}
	return all
}

func TestRuleChanges(t *testing.T) {
	for _, c := range []struct{ before, after, out, in string }{
		{"", "", "", ""}, {"a b c", "a b c", "", ""}, {"a b c", "a c", "2b", ""}, {"a c", "a b c", "", "2b"}, {"a b c", "a x c", "2b", "2x"},
		{"a b c d e", "a x c y e", "2b 4d", "2x 4y"}, {"a b", "b a", "1a", "2a"}, {"a b c d", "d a b c", "4d", "1d"}, {"a a", "a", "2a", ""}, {"a", "", "1a", ""}, {"a b a", "a c a b a", "", "2c 3a"},
	} {
		out, in := ruleChanges(rulesCalled(c.before), rulesCalled(c.after))
		show := func(all []RuleChange) string {
			var words []string
			for _, r := range all {
				words = append(words, fmt.Sprint(r.Number, r.Text))
			}
			return strings.Join(words, " ")
		}
		if show(out) != c.out && !strings.Contains(c.before, "a b a") || show(in) != c.in && !strings.Contains(c.before, "a b a") {
			t.Errorf("%q → %q: out %q, in %q; want %q, %q", c.before, c.after, show(out), show(in), c.out, c.in)
		}
	}
}

// Changes of rules are shown in the order in which they are tried, and values that come to the same are no change.
func TestDifferenceInWords(t *testing.T) {
	d := Difference{}
	d.Out, d.In = ruleChanges(rulesCalled("a b c d"), rulesCalled("x a c y d"))
	if got := strings.Join(d.ruleLines(), "|"); got != "  + 1 x ()|  - 2 b|  + 4 y ()" {
		t.Error(got)
	}
	for values, want := range map[string]bool{"600 600s": true, "10min 600": true, "600 601": false, "x 600": false} {
		a, b, _ := strings.Cut(values, " ")
		if parameter("IDLE_TIMEOUT").means(a, b) != want {
			t.Errorf("IDLE_TIMEOUT %s: %v", values, !want)
		}
	}
	if !parameter("POLICY").means("Sessions", "sessions") || parameter("SERVICE").means("(NAME=a)", "(NAME=a)") {
		t.Error("POLICY or SERVICE")
	}
}

// Taking the rules out of the old list and putting in the new ones makes the new list, whatever
// the lists are.
func TestRuleChangesMakeTheNewList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var before, after []string
		for range random.IntN(6) {
			before = append(before, string(rune('a'+random.IntN(4))))
		}
		for range random.IntN(6) {
			after = append(after, string(rune('a'+random.IntN(4))))
		}
		out, in := ruleChanges(rulesCalled(strings.Join(before, " ")), rulesCalled(strings.Join(after, " ")))
		gone := map[int]bool{}
		for _, r := range out {
			if before[r.Number-1] != r.Text {
				t.Fatalf("%v: %+v", before, out)
			}
			gone[r.Number] = true
		}
		var kept, made []string
		for i, text := range before {
			if !gone[i+1] {
				kept = append(kept, text)
			}
		}
		come := map[int]string{}
		for _, r := range in {
			come[r.Number] = r.Text
		}
		for len(kept) > 0 || come[len(made)+1] != "" {
			if text := come[len(made)+1]; text != "" {
				made = append(made, text)
				continue
			}
			made = append(made, kept[0])
			kept = kept[1:]
		}
		if strings.Join(made, " ") != strings.Join(after, " ") {
			t.Fatalf("%v → %v: out %+v, in %+v make %v", before, after, out, in, made)
		}
	}
}
