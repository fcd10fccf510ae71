package drivers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exchange is a step and what it must come to.
type exchange struct {
	step Step
	want expectation
}

// expectation judges a result; nil: no error.
type expectation func(Driver, Result) error

func succeeded(_ Driver, r Result) error {
	if r.Error != "" {
		return fmt.Errorf("failed: %s", r.Error)
	}
	return nil
}

// fails expects the driver to say one of the given texts.
func fails(texts ...string) expectation {
	return func(_ Driver, r Result) error {
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(r.Error, text) }) {
			return nil
		}
		return fmt.Errorf("it says %q, want one of %q", r.Error, texts)
	}
}

func rows(want ...[]Value) expectation {
	return func(d Driver, r Result) error {
		if err := succeeded(d, r); err != nil {
			return err
		}
		if len(r.Rows) != len(want) {
			return fmt.Errorf("%d rows instead of %d: %s", len(r.Rows), len(want), shown(r.Rows))
		}
		for i, row := range want {
			if len(r.Rows[i]) != len(row) {
				return fmt.Errorf("row %d has %d columns instead of %d", i, len(r.Rows[i]), len(row))
			}
			for j, value := range row {
				if !sameValue(value, r.Rows[i][j]) {
					return fmt.Errorf("row %d, column %d is %s, want %s", i, j, shortly(r.Rows[i][j]), shortly(value.Text))
				}
			}
		}
		return nil
	}
}

func shown(rows [][]*string) string {
	var all []string
	for _, row := range rows {
		for _, v := range row {
			all = append(all, shortly(v))
		}
	}
	return strings.Join(all, ", ")
}

func shortly(text *string) string {
	switch {
	case text == nil:
		return "NULL"
	case len(*text) > 200:
		return fmt.Sprintf("%.200q… (%d bytes)", *text, len(*text))
	}
	return strconv.Quote(*text)
}

func affected(want int64) expectation {
	return func(d Driver, r Result) error {
		if err := succeeded(d, r); err != nil {
			return err
		}
		if r.Affected != want {
			return fmt.Errorf("%d rows affected instead of %d", r.Affected, want)
		}
		return nil
	}
}

// counted expects the counts of array DML; go-ora tells only their sum.
func counted(want ...int64) expectation {
	sum := int64(0)
	for _, n := range want {
		sum += n
	}
	return func(d Driver, r Result) error {
		if err := affected(sum)(d, r); err != nil {
			return err
		}
		if d.Name() != "go-ora" && !slices.Equal(r.Counts, want) {
			return fmt.Errorf("counts are %v instead of %v", r.Counts, want)
		}
		return nil
	}
}

func outs(want ...Value) expectation {
	return func(d Driver, r Result) error {
		if err := succeeded(d, r); err != nil {
			return err
		}
		if len(r.Out) != len(want) {
			return fmt.Errorf("%d out binds instead of %d", len(r.Out), len(want))
		}
		for i, value := range want {
			if !sameValue(value, r.Out[i]) {
				return fmt.Errorf("out bind %d is %s, want %s", i, shortly(r.Out[i]), shortly(value.Text))
			}
		}
		return nil
	}
}

func fetched(count int64, sum string) expectation {
	return func(d Driver, r Result) error {
		if err := succeeded(d, r); err != nil {
			return err
		}
		if r.Count != count || r.Sum != sum {
			return fmt.Errorf("%d rows with sum %s instead of %d with %s", r.Count, r.Sum, count, sum)
		}
		return nil
	}
}

// promptly also expects the step not to have run its course.
func promptly(mostMS float64, want expectation) expectation {
	return func(d Driver, r Result) error {
		if r.TookMS > mostMS {
			return fmt.Errorf("took %.0f ms, at most %.0f ms were expected: %s", r.TookMS, mostMS, r.Error)
		}
		return want(d, r)
	}
}

// judge does all steps in one job and compares each with what it must come to.
func judge(t *testing.T, d Driver, exchanges []exchange) {
	t.Helper()
	compare(t, d, exchanges, work(t, d, stepsOf(exchanges), nil))
}

func stepsOf(exchanges []exchange) []Step {
	steps := make([]Step, len(exchanges))
	for i, e := range exchanges {
		steps[i] = e.step
	}
	return steps
}

func compare(t *testing.T, d Driver, exchanges []exchange, results []Result) {
	t.Helper()
	for i, e := range exchanges {
		want := e.want
		if want == nil {
			want = succeeded
		}
		if err := want(d, results[i]); err != nil {
			t.Errorf("step %d, %s %q: %v", i, e.step.Do, e.step.SQL, err)
		}
	}
}
