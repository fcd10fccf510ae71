package sqlengine

import (
	"bytes"
	"math"
	"math/big"
)

// fractionDigits is how many digits d has after the decimal point.
func (d decimal) fractionDigits() int { return max(0, len(d.digits)-d.point) }

func (d decimal) neg() decimal {
	if !d.isZero() {
		d.negative = !d.negative
	}
	return d
}

func (d decimal) sign() int {
	switch {
	case d.isZero():
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// farApart says that adding the smaller of two numbers cannot change the digits kept of the larger.
func farApart(a, b decimal) bool {
	return a.point-b.point > 2*maxMantissaPairs+2 && !a.isZero() && !b.isZero()
}

func addDecimals(a, b decimal) (decimal, error) {
	switch {
	case farApart(a, b):
		return a, nil
	case farApart(b, a):
		return b, nil
	}
	scale := max(a.fractionDigits(), b.fractionDigits())
	sum := a.scaled(scale)
	return unscaled(sum.Add(sum, b.scaled(scale)), scale).fit()
}

func multiplyDecimals(a, b decimal) (decimal, error) {
	sa, sb := len(a.digits)-a.point, len(b.digits)-b.point
	product := a.scaled(sa)
	return unscaled(product.Mul(product, b.scaled(sb)), sa+sb).fit()
}

func divideDecimals(a, b decimal) (decimal, error) {
	if b.isZero() {
		return decimal{}, failure(1476, "divisor is equal to zero")
	}
	if a.isZero() {
		return a, nil
	}
	// enough digits for a full mantissa, and one more to round by
	sa, sb := len(a.digits)-a.point, len(b.digits)-b.point
	extra := 2*maxMantissaPairs + 2 + len(b.digits)
	quotient := a.scaled(sa + extra)
	return unscaled(quotient.Quo(quotient, b.scaled(sb)), sa-sb+extra).fit()
}

// remainder is a - b·trunc(a/b), and a if b is zero, as MOD defines it.
func remainder(a, b decimal) (decimal, error) {
	if b.isZero() {
		return a, nil
	}
	scale := max(a.fractionDigits(), b.fractionDigits())
	r := a.scaled(scale)
	return unscaled(r.Rem(r, b.scaled(scale)), scale).fit()
}

func compareDecimals(a, b decimal) int { return bytes.Compare(encodeNumber(a), encodeNumber(b)) }

func (d decimal) floor() decimal {
	t := d.truncate(0)
	if d.negative && !d.isInteger() {
		t = unscaled(new(big.Int).Sub(t.scaled(0), big.NewInt(1)), 0)
	}
	return t
}

// power raises to an integer exponent exactly as far as digits allow, to any other through floating point.
func power(base, exponent decimal) (decimal, error) {
	n, ok := exponent.int64()
	if !ok || !exponent.isInteger() || n > 1000 || n < -1000 {
		return decimalOfFloat(math.Pow(base.float(), exponent.float()))
	}
	result, one := decimalOf(1), decimalOf(1)
	var err error
	for range abs(n) {
		if result, err = multiplyDecimals(result, base); err != nil {
			return decimal{}, err
		}
	}
	if n < 0 {
		return divideDecimals(one, result)
	}
	return result, nil
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// squareRoot is exact to the digits a NUMBER holds.
func squareRoot(d decimal) (decimal, error) {
	if d.negative {
		return decimal{}, failure(1428, "argument '%s' is out of range", d)
	}
	scale := 2*maxMantissaPairs + max(0, -d.point)
	root := d.scaled(2 * scale)
	return unscaled(root.Sqrt(root), scale).fit()
}

// decimalOfFloat takes the shortest decimal text that reads back as f.
func decimalOfFloat(f float64) (decimal, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return decimal{}, failure(1426, "numeric overflow")
	}
	d, _ := parseDecimal(formatFloat(f))
	return d.fit()
}
