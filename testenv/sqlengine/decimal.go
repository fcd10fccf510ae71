package sqlengine

import (
	"math/big"
	"strconv"
	"strings"
)

// A decimal is the exact value of a NUMBER: 0.d₁d₂d₃… × 10^point, without leading or trailing zero digits. Zero has
// no digits. The digits are '0' to '9'.
type decimal struct {
	negative bool
	digits   []byte
	point    int
}

// Limits of NUMBER: 20 base-100 digits of mantissa, and magnitudes from 1e-130 to below 1e126.
const (
	maxMantissaPairs = 20
	maxPairExponent  = 63
	minPairExponent  = -64
)

func (d decimal) isZero() bool { return len(d.digits) == 0 }

// parseDecimal reads a number as SQL writes it. ok is false if text is none.
func parseDecimal(text string) (d decimal, ok bool) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		d.negative = text[0] == '-'
		text = text[1:]
	}
	mantissa, exponent, hasExponent := strings.Cut(strings.ToUpper(text), "E")
	if hasExponent {
		e, err := strconv.Atoi(exponent)
		if err != nil || e > 10000 || e < -10000 {
			return decimal{}, false
		}
		d.point = e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if len(whole)+len(fraction) == 0 || !allDigits(whole) || !allDigits(fraction) {
		return decimal{}, false
	}
	d.point += len(whole)
	d.digits = append(append(make([]byte, 0, len(whole)+len(fraction)), whole...), fraction...)
	return d.normal(), true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// normal drops leading and trailing zeros.
func (d decimal) normal() decimal {
	lead := 0
	for lead < len(d.digits) && d.digits[lead] == '0' {
		lead++
	}
	end := len(d.digits)
	for end > lead && d.digits[end-1] == '0' {
		end--
	}
	if lead == end {
		return decimal{}
	}
	d.digits, d.point = d.digits[lead:end], d.point-lead
	return d
}

// round rounds half up (away from zero) to scale digits after the decimal point; scale may be negative.
func (d decimal) round(scale int) decimal {
	keep := d.point + scale
	if keep >= len(d.digits) {
		return d
	}
	if keep < 0 {
		return decimal{}
	}
	up := d.digits[keep] >= '5'
	out := decimal{negative: d.negative, point: d.point, digits: append(make([]byte, 0, keep+1), d.digits[:keep]...)}
	if up {
		out.increment()
	}
	return out.normal()
}

// increment adds one to the last digit.
func (d *decimal) increment() {
	for i := len(d.digits) - 1; i >= 0; i-- {
		if d.digits[i] != '9' {
			d.digits[i]++
			return
		}
		d.digits[i] = '0'
	}
	d.digits = append([]byte{'1'}, d.digits...)
	d.point++
}

// truncate cuts to scale digits after the decimal point; scale may be negative.
func (d decimal) truncate(scale int) decimal {
	keep := d.point + scale
	if keep >= len(d.digits) {
		return d
	}
	if keep <= 0 {
		return decimal{}
	}
	d.digits = d.digits[:keep]
	return d.normal()
}

// fit rounds to the digits a NUMBER can hold and checks its magnitude.
func (d decimal) fit() (decimal, error) {
	limit := 2 * maxMantissaPairs
	if d.point%2 != 0 {
		limit-- // the first pair holds one digit only
	}
	if len(d.digits) > limit {
		d = d.round(limit - d.point)
	}
	switch e := d.pairExponent(); {
	case d.isZero() || e < minPairExponent:
		return decimal{}, nil
	case e > maxPairExponent:
		return decimal{}, failure(1426, "numeric overflow")
	}
	return d, nil
}

// pairExponent is the exponent to base 100 of 0.p₁p₂… where p are pairs of digits.
func (d decimal) pairExponent() int {
	if d.point >= 0 {
		return (d.point + 1) / 2
	}
	return -((-d.point) / 2)
}

// String writes the plain form, or an exponent if that would be longer than 40 digits.
func (d decimal) String() string {
	if d.isZero() {
		return "0"
	}
	var b strings.Builder
	if d.negative {
		b.WriteByte('-')
	}
	n := len(d.digits)
	switch {
	case d.point > 40 || d.point < -40:
		b.WriteByte(d.digits[0])
		if n > 1 {
			b.WriteByte('.')
			b.Write(d.digits[1:])
		}
		b.WriteByte('E')
		if d.point > 0 {
			b.WriteByte('+')
		}
		b.WriteString(strconv.Itoa(d.point - 1))
	case d.point <= 0:
		b.WriteByte('.')
		b.WriteString(strings.Repeat("0", -d.point))
		b.Write(d.digits)
	case d.point >= n:
		b.Write(d.digits)
		b.WriteString(strings.Repeat("0", d.point-n))
	default:
		b.Write(d.digits[:d.point])
		b.WriteByte('.')
		b.Write(d.digits[d.point:])
	}
	return b.String()
}

// number writes the form of a Number: as String, with a digit before the point.
func (d decimal) number() Number {
	text := d.String()
	switch {
	case strings.HasPrefix(text, "."):
		return Number("0" + text)
	case strings.HasPrefix(text, "-."):
		return Number("-0" + text[1:])
	}
	return Number(text)
}

func decimalOf(n int64) decimal {
	if n == 0 {
		return decimal{}
	}
	text := strconv.FormatInt(n, 10)
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	return decimal{negative: negative, digits: []byte(text), point: len(text)}.normal()
}

// int64 is the value cut to an integer; ok is false if it does not fit.
func (d decimal) int64() (int64, bool) {
	t := d.truncate(0)
	if t.isZero() {
		return 0, true
	}
	if t.point > 19 {
		return 0, false
	}
	n, err := strconv.ParseInt(t.String(), 10, 64)
	return n, err == nil
}

func (d decimal) isInteger() bool { return d.point >= len(d.digits) }

func (d decimal) float() float64 {
	f, err := strconv.ParseFloat(d.String(), 64)
	if err != nil {
		return f // ±Inf beyond the range
	}
	return f
}

// scaled is the value times 10^scale as an integer, cut.
func (d decimal) scaled(scale int) *big.Int {
	n := new(big.Int)
	shift := d.point + scale - len(d.digits)
	digits := d.digits
	if shift < 0 {
		if -shift >= len(digits) {
			return n
		}
		digits, shift = digits[:len(digits)+shift], 0
	}
	n.SetString(string(digits)+strings.Repeat("0", shift), 10)
	if d.negative {
		n.Neg(n)
	}
	return n
}

// unscaled is n × 10^-scale.
func unscaled(n *big.Int, scale int) decimal {
	text := n.String()
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	return decimal{negative: negative, digits: []byte(text), point: len(text) - scale}.normal()
}
