package ttc

import "encoding/binary"

// chunkSize is how long the chunks are that long values are cut into.
const chunkSize = 32767

// appendUB appends a variable-length unsigned integer (ttc.md 4).
func appendUB(dst []byte, v uint64) []byte {
	n := 0
	for rest := v; rest > 0; rest >>= 8 {
		n++
	}
	dst = append(dst, byte(n))
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// appendSB appends a variable-length signed integer.
func appendSB(dst []byte, v int64) []byte {
	if v >= 0 {
		return appendUB(dst, uint64(v))
	}
	at := len(dst)
	dst = appendUB(dst, uint64(-v))
	dst[at] |= 0x80
	return dst
}

// appendCount appends the length of something as ub4.
func appendCount(dst []byte, n int) []byte { return appendUB(dst, uint64(n)) }

// AppendCLR appends a length-prefixed value, in chunks if it is long. Nothing
// at all is NULL.
func AppendCLR(dst, value []byte) []byte {
	if len(value) <= maxShortLength {
		dst = append(dst, byte(len(value)))
		return append(dst, value...)
	}
	dst = append(dst, longLength)
	for len(value) > 0 {
		n := min(len(value), chunkSize)
		dst = appendUB(dst, uint64(n))
		dst = append(dst, value[:n]...)
		value = value[n:]
	}
	return append(dst, 0)
}

// appendDLC appends a value with two lengths.
func appendDLC(dst, value []byte) []byte {
	dst = appendCount(dst, len(value))
	if len(value) == 0 {
		return dst
	}
	return AppendCLR(dst, value)
}

func appendDLCText(dst []byte, text string) []byte { return appendDLC(dst, []byte(text)) }

// appendText appends the characters of a call's argument, whose length was
// announced earlier.
func appendText(dst []byte, text []byte, d Dialect) []byte {
	if len(text) == 0 || !d.CLRText {
		return append(dst, text...)
	}
	return AppendCLR(dst, text)
}

// appendPointer appends the byte that says whether something is there.
func appendPointer(dst []byte, there bool) []byte {
	if there {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendPair(dst []byte, p Pair) []byte {
	dst = appendDLCText(dst, p.Key)
	dst = appendDLCText(dst, p.Value)
	return appendUB(dst, uint64(p.Flags))
}

// appendZeros appends n zero bytes: n empty pointers or integers.
func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

func appendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

func appendUint16LE(dst []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(dst, v) }
