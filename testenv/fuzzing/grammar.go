package fuzzing

import (
	"encoding/binary"
	"strings"
)

// Depth and breadth of what the grammar makes: small, since depth of its own is tried by [Repeated].
const (
	deepest  = 6
	broadest = 5
)

// Text writes parenthesised text of words that mean something, mostly well-formed.
func Text(s *Script) string {
	var b strings.Builder
	node(s, &b, 0)
	if s.Below(16) == 15 {
		return damaged(s, b.String())
	}
	return b.String()
}

// File is a file of such texts: name = text, one after another.
func File(s *Script) string {
	var b strings.Builder
	for range 1 + s.Below(4) {
		b.WriteString(word(s, Keys()))
		b.WriteString(Pick(s, " = ", "=", "\n=\n", "= # said\n ", ","))
		if s.Below(4) == 3 {
			b.WriteString(value(s))
		} else {
			node(s, &b, 0)
		}
		b.WriteString(Pick(s, "\n", "\r\n", "\n\n# (\n", " ", ""))
	}
	if s.Below(16) == 15 {
		return damaged(s, b.String())
	}
	return b.String()
}

func word(s *Script, of []string) string { return of[s.Below(len(of))] }

func value(s *Script) string {
	switch s.Below(8) {
	case 6:
		return word(s, Oddities())
	case 7:
		return string(s.Bytes(12))
	}
	return word(s, Values())
}

// node writes (NAME=…).
func node(s *Script, b *strings.Builder, depth int) {
	b.WriteString(Pick(s, "(", "(", "(", " ( ", "(\n"))
	b.WriteString(word(s, Keys()))
	b.WriteString(Pick(s, "=", "=", "=", " = ", "=\n  "))
	if n := s.Below(broadest + 1); n == 0 || depth == deepest || !s.More() {
		b.WriteString(value(s))
	} else {
		for range n {
			node(s, b, depth+1)
		}
	}
	b.WriteString(Pick(s, ")", ")", ")", ")", " )", "\n)"))
}

// damaged changes a text at one place.
func damaged(s *Script, text string) string {
	at := 0
	if len(text) > 0 {
		at = s.Below(min(len(text), 1<<16))
	}
	switch s.Below(4) {
	case 0:
		return text[:at]
	case 1:
		return text[:at] + word(s, Oddities()) + text[at:]
	case 2:
		return text[:at] + text[min(at+1, len(text)):]
	}
	return text[:at] + text[at/2:]
}

// Repeated makes an input as long as size of a few pieces: what costs more than its length does shows there.
// It is head, then unit again and again, then tail as often, as parentheses want it, or once.
func Repeated(s *Script, size int) []byte {
	head, unit, tail := piece(s), piece(s), piece(s)
	pair := s.Bool()
	step := len(unit)
	if pair {
		step += len(tail)
	}
	times := max(1, (size-len(head)-len(tail))/max(1, step))
	out := append([]byte(nil), head...)
	for range times {
		out = append(out, unit...)
	}
	if !pair {
		times = 1
	}
	for range times {
		out = append(out, tail...)
	}
	return out[:min(len(out), size)]
}

func piece(s *Script) []byte {
	var b []byte
	for range 1 + s.Below(4) {
		switch s.Below(5) {
		case 0:
			b = append(b, word(s, Oddities())...)
		case 1:
			b = append(b, "("+word(s, Keys())+"="...)
		case 2:
			b = append(b, word(s, Values())...)
		case 3:
			b = append(b, s.Bytes(8)...)
		case 4:
			b = append(b, Text(s)...)
		}
	}
	return b[:min(len(b), 256)]
}

// Packet writes one packet of Oracle Net (tns.md 1.1): of a type that exists or not, with a length that is
// true or not, and a body of texts, numbers and bytes. large: lengths have four bytes.
func Packet(s *Script, large bool) []byte {
	typ := Pick[byte](s, 1, 2, 4, 5, 6, 11, 12, 13, 14, 3, 7, 9, 15, 19, 0, 0xff)
	return Frame(s, typ, Pick[byte](s, 0, 0, 0, 2, 4, 8, 0x20, 0xff), Body(s), large)
}

// Body is one of texts, numbers and bytes, one after the other.
func Body(s *Script) []byte {
	var b []byte
	for range 1 + s.Below(6) {
		switch n := Numbers()[s.Below(len(Numbers()))]; s.Below(6) {
		case 0:
			b = binary.BigEndian.AppendUint16(b, uint16(n))
		case 1:
			b = binary.BigEndian.AppendUint32(b, n)
		case 2:
			b = append(b, byte(n))
		case 3:
			b = append(b, Text(s)...)
		case 4:
			b = append(b, s.Bytes(32)...)
		case 5:
			b = append(b, make([]byte, min(n, 80))...)
		}
	}
	return b
}

// Frame puts a header before a body; a few are wrong.
func Frame(s *Script, typ, flags byte, body []byte, large bool) []byte {
	length := uint32(len(body) + 8)
	if s.Below(8) == 7 {
		length = Numbers()[s.Below(len(Numbers()))]
	}
	head := make([]byte, 8, 8+len(body))
	if large {
		binary.BigEndian.PutUint32(head, length)
	} else {
		binary.BigEndian.PutUint16(head, uint16(length))
	}
	head[4], head[5] = typ, flags
	return append(head, body...)
}
