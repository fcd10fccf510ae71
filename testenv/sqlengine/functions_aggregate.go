package sqlengine

import (
	"database/sql/driver"
	"math"
	"slices"
	"strings"

	"modernc.org/sqlite"
)

// aggregateFunctions makes the group functions of numbers.
func aggregateFunctions() map[string]func() sqlite.AggregateFunction {
	return map[string]func() sqlite.AggregateFunction{
		"o_sum":      func() sqlite.AggregateFunction { return &totals{finish: (*totals).sum} },
		"o_avg":      func() sqlite.AggregateFunction { return &totals{finish: (*totals).average} },
		"o_variance": func() sqlite.AggregateFunction { return &totals{finish: (*totals).variance, squares: true} },
		"o_stddev":   func() sqlite.AggregateFunction { return &totals{finish: (*totals).deviation, squares: true} },
		"o_listagg":  func() sqlite.AggregateFunction { return &joined{} },
		"o_median":   func() sqlite.AggregateFunction { return &totals{finish: (*totals).median, keep: true} },
	}
}

// totals is what group functions of numbers remember.
type totals struct {
	finish  func(*totals) (driver.Value, error)
	keep    bool // every value
	squares bool // their sum too
	count   int64
	exact   decimal
	binary  float64
	square  decimal // sum of squares
	floats  bool
	values  []decimal
}

func (t *totals) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	return t.take(args[0], 1)
}

func (t *totals) WindowInverse(_ *sqlite.FunctionContext, args []driver.Value) error {
	return t.take(args[0], -1)
}

func (t *totals) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	if t.count == 0 {
		return nil, nil
	}
	return t.finish(t)
}

func (t *totals) Final(*sqlite.FunctionContext) {}

// take takes a value in, or out again.
func (t *totals) take(v driver.Value, direction int64) error {
	if v == nil {
		return nil
	}
	t.count += direction
	if f, ok := v.(float64); ok {
		t.floats = true
		t.binary += f * float64(direction)
		return nil
	}
	d, err := number(v)
	if err != nil {
		return err
	}
	if direction < 0 {
		d = d.neg()
	}
	if t.keep {
		t.keepValue(d, direction)
		return nil
	}
	if t.exact, err = addDecimals(t.exact, d); err != nil || !t.squares {
		return err
	}
	squared, err := multiplyDecimals(d, d)
	if err != nil {
		return err
	}
	if direction < 0 {
		squared = squared.neg()
	}
	t.square, err = addDecimals(t.square, squared)
	return err
}

func (t *totals) keepValue(d decimal, direction int64) {
	if direction > 0 {
		t.values = append(t.values, d)
		return
	}
	d = d.neg()
	if i := slices.IndexFunc(t.values, func(have decimal) bool { return compareDecimals(have, d) == 0 }); i >= 0 {
		t.values = slices.Delete(t.values, i, i+1)
	}
}

func (t *totals) sum() (driver.Value, error) {
	if t.floats {
		return t.binary + t.exact.float(), nil
	}
	return encodeNumber(t.exact), nil
}

func (t *totals) average() (driver.Value, error) {
	if t.floats {
		return (t.binary + t.exact.float()) / float64(t.count), nil
	}
	d, err := divideDecimals(t.exact, decimalOf(t.count))
	return encodeNumber(d), err
}

// spread is the sample variance.
func (t *totals) spread() float64 {
	if t.count < 2 {
		return 0
	}
	n, sum := float64(t.count), t.exact.float()
	return max(0, (t.square.float()-sum*sum/n)/(n-1))
}

func (t *totals) variance() (driver.Value, error) {
	d, err := decimalOfFloat(t.spread())
	return encodeNumber(d), err
}

func (t *totals) deviation() (driver.Value, error) {
	d, err := decimalOfFloat(math.Sqrt(t.spread()))
	return encodeNumber(d), err
}

func (t *totals) median() (driver.Value, error) {
	sorted := slices.SortedFunc(slices.Values(t.values), compareDecimals)
	if len(sorted) == 0 {
		return nil, nil
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return encodeNumber(sorted[middle]), nil
	}
	d, err := addDecimals(sorted[middle-1], sorted[middle])
	if err == nil {
		d, err = divideDecimals(d, decimalOf(2))
	}
	return encodeNumber(d), err
}

// joined is LISTAGG of distinct values, which come with their separator: see o_pair.
type joined struct {
	text strings.Builder
	any  bool
}

func (j *joined) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	if args[0] == nil {
		return nil
	}
	separator, v, _ := strings.Cut(text(args[0]), pairSeparator)
	if j.any {
		j.text.WriteString(separator)
	}
	j.any = true
	j.text.WriteString(v)
	return nil
}

func (j *joined) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	return failure(30487, "ORDER BY not allowed here")
}

func (j *joined) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	return orNull(j.text.String()), nil
}

func (j *joined) Final(*sqlite.FunctionContext) {}

// pairSeparator stands between a separator and a value.
const pairSeparator = "\x00"
