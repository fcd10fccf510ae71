package nsgr

import (
	"bytes"
	"testing"
)

func addVectors(f *testing.F, add func(message []byte)) {
	for _, message := range vectors(f) {
		add(message)
	}
	for _, message := range captures(f) {
		add(message)
	}
	for _, rep := range []Representation{Linux32(), Unix64BigEndian()} {
		m, err := sized(rep, 3, 4)
		if err != nil {
			f.Fatal(err)
		}
		add(mustEncode(f, m))
	}
}

// FuzzDecode looks for panics, and for messages that are not written as they were read.
func FuzzDecode(f *testing.F) {
	addVectors(f, func(message []byte) { f.Add(message, uint8(0)) })
	f.Fuzz(func(t *testing.T, message []byte, known uint8) {
		rep := []Representation{{}, linux32, linux64, unix64}[known%4]
		m, err := Decode(message, rep)
		if err != nil {
			return
		}
		again, err := m.AppendTo(nil)
		if err != nil || !bytes.Equal(again, message) {
			t.Fatalf("%v\nread    %x\nwritten %x", err, message, again)
		}
	})
}

// FuzzContent spares the fuzzer the lengths around a record.
func FuzzContent(f *testing.F) {
	addVectors(f, func(message []byte) {
		m := mustDecode(f, message)
		c := cursor{}
		c.use(m.Representation)
		m.Records[1].walk(&c)
		f.Add(c.buf, uint8(m.Representation.PointerSize), m.Representation.BigEndian)
	})
	f.Fuzz(func(t *testing.T, content []byte, size uint8, bigEndian bool) {
		rep := Representation{PointerSize: 4 + 4*int(size>>3&1), LongSize: 8, BigEndian: bigEndian}
		r, err := decodeRecord(content, rep, 0)
		if err != nil {
			return
		}
		c := cursor{}
		c.use(rep)
		r.walk(&c)
		c.bytes(&r.Pad, len(r.Pad))
		if c.err != nil || !bytes.Equal(c.buf, content) {
			t.Fatalf("%v\nread    %x\nwritten %x", c.err, content, c.buf)
		}
		if !r.isGraph() {
			return
		}
		if fresh, err := New(rep, r.Graph); err == nil {
			mustDecode(t, mustEncode(t, fresh))
		}
	})
}

// FuzzCollector checks that how a stream is cut makes no difference, unless
// part of it cannot be a message.
func FuzzCollector(f *testing.F) {
	addVectors(f, func(message []byte) { f.Add(append(bytes.Clone(message), message...), uint16(7)) })
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		var c Collector
		var joined []byte
		whole := true
		for rest := stream; len(rest) > 0; {
			n := min(1+int(size), len(rest))
			for _, m := range collect(&c, rest[:n]) {
				_, err := Decode(m, linux64)
				whole = whole && len(m) >= MinMessage
				if err == nil && len(m) < MinMessage {
					t.Fatalf("%x decodes", m)
				}
				joined = append(joined, m...)
			}
			rest = rest[n:]
		}
		if len(joined)+c.Pending() != len(stream) || !bytes.Equal(joined, stream[:len(joined)]) {
			t.Fatalf("%d bytes came out and %d are pending of %d", len(joined), c.Pending(), len(stream))
		}
	})
}
