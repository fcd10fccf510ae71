package broker

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"servicebroker/console"
	"servicebroker/descriptor"
)

// ruleChanges names the rules that are on one side alone. One that has moved is on both: out
// of its old place, into its new one.
func ruleChanges(before, after []console.RuleView) (out, in []RuleChange) {
	first := 0
	for first < len(before) && first < len(after) && sameRule(&before[first], &after[first]) {
		first++
	}
	last := 0
	for last < len(before)-first && last < len(after)-first && sameRule(&before[len(before)-1-last], &after[len(after)-1-last]) {
		last++
	}
	was, is := between(before, first, last), between(after, first, last)
	if len(was)*len(is) <= mostCompared {
		return longest(was, is, func(i, j int) bool { return sameRule(&before[first+i], &after[first+j]) })
	}
	keptWas, keptIs := common(was, is)
	if !slices.EqualFunc(keptWas, keptIs, func(a, b RuleChange) bool { return a.Text == b.Text }) {
		return was, is // their order is another, and that decides
	}
	return without(was, keptWas), without(is, keptIs)
}

// mostCompared bounds the work of finding what two lists share in the same order.
const mostCompared = 4 << 20

// longest leaves out of both lists the most that they share in the same order.
func longest(was, is []RuleChange, same func(i, j int) bool) (out, in []RuleChange) {
	width := len(is) + 1
	shared := make([]int32, (len(was)+1)*width) // how many, from here on
	for i := len(was) - 1; i >= 0; i-- {
		for j := len(is) - 1; j >= 0; j-- {
			if same(i, j) {
				shared[i*width+j] = shared[(i+1)*width+j+1] + 1
			} else {
				shared[i*width+j] = max(shared[(i+1)*width+j], shared[i*width+j+1])
			}
		}
	}
	out, in = []RuleChange{}, []RuleChange{}
	i, j := 0, 0
	for i < len(was) && j < len(is) {
		switch {
		case same(i, j):
			i, j = i+1, j+1
		case shared[(i+1)*width+j] >= shared[i*width+j+1]:
			out = append(out, was[i])
			i++
		default:
			in = append(in, is[j])
			j++
		}
	}
	return append(out, was[i:]...), append(in, is[j:]...)
}

// sameRule tells whether two rules decide alike: what a group adds to the text of a rule counts.
func sameRule(a, b *console.RuleView) bool { return a.About == b.About && a.Whole() == b.Whole() }

func between(rules []console.RuleView, first, last int) []RuleChange {
	all := []RuleChange{}
	for i := first; i < len(rules)-last; i++ {
		all = append(all, RuleChange{i + 1, rules[i].Whole(), rules[i].Where})
	}
	return all
}

// common are the rules of each side that the other has too.
func common(a, b []RuleChange) (ofA, ofB []RuleChange) {
	return those(a, b), those(b, a)
}

func those(of, in []RuleChange) []RuleChange {
	count := map[string]int{}
	for _, r := range in {
		count[r.Text]++
	}
	var kept []RuleChange
	for _, r := range of {
		if count[r.Text] > 0 {
			count[r.Text]--
			kept = append(kept, r)
		}
	}
	return kept
}

func without(all, kept []RuleChange) []RuleChange {
	left := []RuleChange{}
	next := 0
	for _, r := range all {
		if next < len(kept) && kept[next].Number == r.Number {
			next++
			continue
		}
		left = append(left, r)
	}
	return left
}

// ruleLines are the changes of the rules in the order in which they are tried, each with its
// number in the list that it is out of, or in.
func (d *Difference) ruleLines() (lines []string) {
	was, is, out, in := 1, 1, d.Out, d.In
	for len(out)+len(in) > 0 {
		switch {
		case len(out) > 0 && out[0].Number == was:
			lines = append(lines, fmt.Sprintf("  - %d %s", was, strings.TrimSpace(out[0].Text)))
			out = out[1:]
			was++
		case len(in) > 0 && in[0].Number == is:
			lines = append(lines, fmt.Sprintf("  + %d %s (%s)", is, strings.TrimSpace(in[0].Text), in[0].Where))
			in = in[1:]
			is++
		default: // one that stays
			was, is = was+1, is+1
		}
	}
	return lines
}

// means tells whether two values of a parameter, differently written, come to the same.
func (p *Parameter) means(a, b string) bool {
	if p.set == nil || p.Repeatable || a == "" || b == "" {
		return false
	}
	var made [2]*Config
	for i, text := range []string{a, b} {
		n := &descriptor.Node{Name: p.Name, Value: text}
		if strings.HasPrefix(text, "(") {
			var err error
			if n, err = descriptor.Parse(text); err != nil {
				return false
			}
		}
		made[i] = DefaultConfig()
		if p.set(made[i], n) != nil {
			return false
		}
	}
	return reflect.DeepEqual(made[0], made[1])
}
