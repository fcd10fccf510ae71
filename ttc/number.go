package ttc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrNumber says that a text is no decimal number, or one that NUMBER cannot
// hold.
var ErrNumber = errors.New("ttc: not a NUMBER")

// A NUMBER is an exponent to base 100 and up to twenty digits of that base,
// all complemented if it is negative (ttc.md 8).
const (
	numberZero       = 0x80
	maxNumberDigits  = 40 // decimal digits that are kept; NUMBER promises 38
	maxNumberBytes   = 21
	negativeEnd      = 102 // so that shorter negative numbers sort higher
	positiveExponent = 193 // added to the exponent
	negativeExponent = 62  // the exponent is subtracted from it
	minExponent100   = -65
	maxExponent100   = 62
)

// AppendNumber appends a NUMBER given as decimal text, for instance "-12.5" or
// "1E+100". It is rounded to forty digits; what is too small for a NUMBER
// becomes zero. It fails with ErrNumber.
func AppendNumber(dst []byte, text string) ([]byte, error) {
	var buffer [maxNumberDigits + 4]byte // a zero in front, for odd exponents
	d, err := parseDecimal(buffer[1:1], text)
	if err != nil {
		return dst, err
	}
	digits, point := d.digits, d.point
	if point&1 != 0 { // digits are paired so that the point falls between pairs
		digits, point = buffer[:len(digits)+1], point+1
	}
	exponent := point/2 - 1
	switch {
	case len(d.digits) == 0 || exponent < minExponent100:
		return append(dst, numberZero), nil
	case exponent > maxExponent100:
		return dst, fmt.Errorf("%w: %.40q is too large", ErrNumber, text)
	}
	return appendBase100(dst, digits, exponent, d.negative), nil
}

func appendBase100(dst, digits []byte, exponent int, negative bool) []byte {
	if negative {
		dst = append(dst, byte(negativeExponent-exponent))
	} else {
		dst = append(dst, byte(positiveExponent+exponent))
	}
	count := 1
	for i := 0; i < len(digits) && count < maxNumberBytes; i += 2 {
		pair := digits[i] * 10
		if i+1 < len(digits) {
			pair += digits[i+1]
		}
		if negative {
			pair = 101 - pair
		} else {
			pair++
		}
		dst = append(dst, pair)
		count++
	}
	if negative && count < maxNumberBytes {
		dst = append(dst, negativeEnd)
	}
	return dst
}

// decimal is a number as digits without zeros at either end; point says where
// the decimal point is, counted from the first digit.
type decimal struct {
	digits   []byte
	point    int
	negative bool
}

// parseDecimal reads decimal text into digits, which has room for one more
// digit than is kept.
func parseDecimal(digits []byte, text string) (decimal, error) {
	d := decimal{digits: digits}
	rest := text
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		d.negative = rest[0] == '-'
		rest = rest[1:]
	}
	mantissa, exponent, ok := splitExponent(rest)
	if !ok || !d.scan(mantissa) {
		return d, fmt.Errorf("%w: %.40q", ErrNumber, text)
	}
	d.round()
	d.point += exponent
	return d, nil
}

// splitExponent cuts the exponent off. One far out of range is as good as any
// other, so it is clipped.
func splitExponent(text string) (mantissa string, exponent int, ok bool) {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return text, 0, true
	}
	exponent, err := strconv.Atoi(text[at+1:])
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return text[:at], min(max(exponent, -10000), 10000), err == nil
}

// scan collects the digits of a mantissa, without leading zeros.
func (d *decimal) scan(mantissa string) bool {
	seenPoint, seenDigit := false, false
	for i := range len(mantissa) {
		c := mantissa[i]
		if c == '.' && !seenPoint {
			seenPoint = true
			continue
		}
		if c < '0' || c > '9' {
			return false
		}
		seenDigit = true
		significant := len(d.digits) > 0 || c != '0'
		if significant && len(d.digits) <= maxNumberDigits {
			d.digits = append(d.digits, c-'0')
		}
		if significant && !seenPoint {
			d.point++
		} else if !significant && seenPoint {
			d.point--
		}
	}
	return seenDigit
}

// round drops the digit beyond those that are kept, and zeros at the end.
func (d *decimal) round() {
	if len(d.digits) > maxNumberDigits {
		up := d.digits[maxNumberDigits] >= 5
		d.digits = d.digits[:maxNumberDigits]
		i := maxNumberDigits - 1
		for ; up && i >= 0 && d.digits[i] == 9; i-- {
			d.digits[i] = 0
		}
		switch {
		case up && i >= 0:
			d.digits[i]++
		case up: // all nines
			d.digits[0] = 1
			d.point++
		}
	}
	for len(d.digits) > 0 && d.digits[len(d.digits)-1] == 0 {
		d.digits = d.digits[:len(d.digits)-1]
	}
}

// DecodeNumber gives a NUMBER as decimal text: plain up to forty digits on
// either side of the point, with an exponent beyond. It fails with ErrNumber.
func DecodeNumber(b []byte) (string, error) {
	switch {
	case len(b) == 0 || len(b) > maxNumberBytes:
		return "", fmt.Errorf("%w: %d bytes", ErrNumber, len(b))
	case len(b) == 1 && b[0] == numberZero:
		return "0", nil
	case len(b) == 1:
		return "", fmt.Errorf("%w: infinity", ErrNumber)
	}
	negative := b[0]&0x80 == 0
	exponent := int(b[0]) - positiveExponent
	pairs := b[1:]
	if negative {
		exponent = negativeExponent - int(b[0])
		if pairs[len(pairs)-1] == negativeEnd {
			pairs = pairs[:len(pairs)-1]
		}
	}
	digits := make([]byte, 0, 2*maxNumberBytes)
	for _, p := range pairs {
		digit := int(p) - 1
		if negative {
			digit = 101 - int(p)
		}
		if digit < 0 || digit > 99 {
			return "", fmt.Errorf("%w: bytes % x", ErrNumber, b)
		}
		digits = append(digits, byte('0'+digit/10), byte('0'+digit%10))
	}
	if len(digits) == 0 || digits[0] == '0' && digits[1] == '0' {
		return "", fmt.Errorf("%w: no first digit in % x", ErrNumber, b)
	}
	return formatDecimal(digits, 2*(exponent+1), negative), nil
}

// formatDecimal writes ASCII digits with the decimal point after the first
// point of them.
func formatDecimal(digits []byte, point int, negative bool) string {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
		point--
	}
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	if len(digits) == 0 {
		return "0"
	}
	out := make([]byte, 0, len(digits)+8)
	if negative {
		out = append(out, '-')
	}
	switch {
	case point > maxNumberDigits || point < len(digits)-3*maxNumberDigits:
		out = append(out, digits[0])
		if len(digits) > 1 {
			out = append(append(out, '.'), digits[1:]...)
		}
		out = fmt.Appendf(out, "E%+d", point-1)
	case point <= 0:
		out = append(append(out, "0."...), strings.Repeat("0", -point)...)
		out = append(out, digits...)
	case point >= len(digits):
		out = append(append(out, digits...), strings.Repeat("0", point-len(digits))...)
	default:
		out = append(append(append(out, digits[:point]...), '.'), digits[point:]...)
	}
	return string(out)
}
