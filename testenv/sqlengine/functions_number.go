package sqlengine

import (
	"crypto/rand"
	"database/sql/driver"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// binaryNumber makes a function of two numbers: exact for NUMBERs, in floating point if either is binary.
func binaryNumber(exact func(a, b decimal) (decimal, error), binary func(a, b float64) float64) func([]driver.Value) (driver.Value, error) {
	return func(args []driver.Value) (driver.Value, error) {
		if isFloat(args) {
			a, err := float(args[0])
			if err != nil {
				return nil, err
			}
			b, err := float(args[1])
			return binary(a, b), err
		}
		a, err := number(args[0])
		if err != nil {
			return nil, err
		}
		b, err := number(args[1])
		if err != nil {
			return nil, err
		}
		d, err := exact(a, b)
		if err != nil {
			return nil, err
		}
		return encodeNumber(d), nil
	}
}

func unaryNumber(exact func(decimal) (decimal, error), binary func(float64) float64) func([]driver.Value) (driver.Value, error) {
	return func(args []driver.Value) (driver.Value, error) {
		if f, ok := args[0].(float64); ok {
			return binary(f), nil
		}
		d, err := number(args[0])
		if err != nil {
			return nil, err
		}
		if d, err = exact(d); err != nil {
			return nil, err
		}
		return encodeNumber(d), nil
	}
}

// throughFloat makes an exact function of one in floating point.
func throughFloat(f func(float64) float64) func(decimal) (decimal, error) {
	return func(d decimal) (decimal, error) {
		out, err := decimalOfFloat(f(d.float()))
		if err != nil {
			return decimal{}, failure(1428, "argument '%s' is out of range", d)
		}
		return out, nil
	}
}

func sure(f func(decimal) decimal) func(decimal) (decimal, error) {
	return func(d decimal) (decimal, error) { return f(d), nil }
}

func numberFunctions() []scalar {
	out := []scalar{
		{name: "o_mul", args: 2, call: arithmetic(multiplyDecimals, func(a, b float64) float64 { return a * b }, scaleInterval)},
		{name: "o_div", args: 2, call: arithmetic(divideDecimals, func(a, b float64) float64 { return a / b }, divideInterval)},
		{name: "o_mod", args: 2, call: binaryNumber(remainder, math.Mod)},
		{name: "o_power", args: 2, call: binaryNumber(power, math.Pow)},
		{name: "o_log", args: 2, call: binaryNumber(func(b, n decimal) (decimal, error) {
			return throughFloat(func(float64) float64 { return math.Log(n.float()) / math.Log(b.float()) })(n)
		}, func(b, n float64) float64 { return math.Log(n) / math.Log(b) })},
		{name: "o_neg", args: 1, call: negate},
		{name: "o_abs", args: 1, call: unaryNumber(sure(func(d decimal) decimal { d.negative = false; return d }), math.Abs)},
		{name: "o_floor", args: 1, call: unaryNumber(sure(decimal.floor), math.Floor)},
		{name: "o_ceil", args: 1, call: unaryNumber(sure(func(d decimal) decimal { return d.neg().floor().neg() }), math.Ceil)},
		{name: "o_sqrt", args: 1, call: unaryNumber(squareRoot, math.Sqrt)},
		{name: "o_sign", args: 1, call: sign},
		{name: "o_round", args: 2, call: toScale(decimal.round)},
		{name: "o_trunc", args: 2, call: toScale(decimal.truncate)},
		{name: "o_floor_int", args: 1, call: wholeRows(decimal.floor)},
		{name: "o_ceil_int", args: 1, call: wholeRows(func(d decimal) decimal { return d.neg().floor().neg() })},
		{name: "o_bitand", args: 2, call: func(args []driver.Value) (driver.Value, error) {
			a, err := integer(args[0])
			if err != nil {
				return nil, err
			}
			b, err := integer(args[1])
			return a & b, err
		}},
		{name: "o_random", args: -1, call: random, changing: true},
		{name: "o_random_integer", args: 0, call: func([]driver.Value) (driver.Value, error) { return randomBelow(1<<32) - 1<<31, nil }, changing: true},
		{name: "o_random_string", args: 2, call: randomString, changing: true},
	}
	for name, f := range map[string]func(float64) float64{
		"o_exp": math.Exp, "o_ln": math.Log, "o_sin": math.Sin, "o_cos": math.Cos, "o_tan": math.Tan,
	} {
		out = append(out, scalar{name: name, args: 1, call: unaryNumber(throughFloat(f), f)})
	}
	return out
}

// arithmetic is binaryNumber that knows an interval beside a number.
func arithmetic(exact func(a, b decimal) (decimal, error), binary func(a, b float64) float64,
	scale func(interval, float64) interval) func([]driver.Value) (driver.Value, error) {
	plain := binaryNumber(exact, binary)
	return func(args []driver.Value) (driver.Value, error) {
		for i, a := range args {
			b, ok := a.([]byte)
			if !ok || len(b) == 0 || b[0] != tagInterval {
				continue
			}
			v, _ := decodeInterval(b)
			n, err := float(args[1-i])
			return encodeInterval(scale(v, n)), err
		}
		return plain(args)
	}
}

func scaleInterval(v interval, n float64) interval {
	return interval{time.Duration(float64(v.duration) * n), int(float64(v.months) * n)}
}

func divideInterval(v interval, n float64) interval { return scaleInterval(v, 1/n) }

func negate(args []driver.Value) (driver.Value, error) {
	if b, ok := args[0].([]byte); ok && len(b) > 0 && b[0] == tagInterval {
		v, _ := decodeInterval(b)
		return encodeInterval(interval{-v.duration, -v.months}), nil
	}
	return unaryNumber(sure(decimal.neg), func(f float64) float64 { return -f })(args)
}

func sign(args []driver.Value) (driver.Value, error) {
	d, err := number(args[0])
	return int64(d.sign()), err
}

// toScale makes ROUND or TRUNC.
func toScale(f func(decimal, int) decimal) func([]driver.Value) (driver.Value, error) {
	return func(args []driver.Value) (driver.Value, error) {
		scale, err := integer(args[1])
		if err != nil {
			return nil, err
		}
		scale = max(-200, min(200, scale))
		if x, ok := args[0].(float64); ok {
			unit := math.Pow(10, float64(scale))
			d, err := decimalOfFloat(x * unit)
			return f(d, 0).float() / unit, err
		}
		d, err := number(args[0])
		if err != nil {
			return nil, err
		}
		return encodeNumber(f(d, int(scale))), nil
	}
}

// wholeRows makes a number of rows of any number.
func wholeRows(whole func(decimal) decimal) func([]driver.Value) (driver.Value, error) {
	return func(args []driver.Value) (driver.Value, error) {
		d, err := number(args[0])
		if err != nil {
			return nil, err
		}
		n, ok := whole(d).int64()
		if !ok {
			n = math.MaxInt64 >> 1
			if d.negative {
				n = -n
			}
		}
		return n, nil
	}
}

func randomBelow(limit int64) int64 {
	n, err := rand.Int(rand.Reader, big.NewInt(limit))
	if err != nil {
		return 0 // the system's source of randomness does not fail
	}
	return n.Int64()
}

// random is DBMS_RANDOM.VALUE, between 0 and 1 or two limits.
func random(args []driver.Value) (driver.Value, error) {
	d := decimal{digits: []byte(strconv.FormatInt(1e15+randomBelow(1e15), 10)[1:])}.normal()
	if len(args) < 2 {
		return encodeNumber(d), nil
	}
	low, err := number(args[0])
	if err != nil {
		return nil, err
	}
	high, err := number(args[1])
	if err != nil {
		return nil, err
	}
	width, err := addDecimals(high, low.neg())
	if err != nil {
		return nil, err
	}
	if d, err = multiplyDecimals(d, width); err == nil {
		d, err = addDecimals(d, low)
	}
	return encodeNumber(d), err
}

func randomString(args []driver.Value) (driver.Value, error) {
	n, err := integer(args[1])
	if err != nil {
		return nil, err
	}
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	switch text(args[0]) {
	case "l", "L":
		alphabet = strings.ToLower(alphabet)
	case "a", "A":
		alphabet += strings.ToLower(alphabet)
	case "x", "X":
		alphabet += "0123456789"
	}
	out := make([]byte, max(0, min(n, usualVarchar)))
	for i := range out {
		out[i] = alphabet[randomBelow(int64(len(alphabet)))]
	}
	return string(out), nil
}
