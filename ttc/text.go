package ttc

import (
	"unicode/utf16"
	"unicode/utf8"
)

// AppendCharacters appends text in the character set of a form: UTF-8, or
// UTF-16 for FormNational.
func AppendCharacters(dst []byte, text string, form byte) []byte {
	if form != FormNational {
		return append(dst, text...)
	}
	for _, c := range text {
		if high, low := utf16.EncodeRune(c); high != utf8.RuneError {
			dst = appendUint16(dst, uint16(high))
			dst = appendUint16(dst, uint16(low))
			continue
		}
		dst = appendUint16(dst, uint16(c))
	}
	return dst
}

// Characters gives text that travelled in the character set of a form. What is
// no valid UTF-16 becomes replacement characters.
func Characters(b []byte, form byte) string {
	if form != FormNational {
		return string(b)
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, uint16(b[0])<<8|uint16(b[1]))
	}
	return string(utf16.Decode(units))
}
