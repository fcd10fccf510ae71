package ttc

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

func TestIntegers(t *testing.T) {
	for _, test := range []struct {
		bytes string
		read  func(*Reader) int64
		want  int64
	}{
		{"00", func(r *Reader) int64 { return int64(r.UB4()) }, 0},
		{"01 07", func(r *Reader) int64 { return int64(r.UB2()) }, 7},
		{"02 05 7b", func(r *Reader) int64 { return int64(r.UB2()) }, 1403},
		{"04 7f ff ff ff", func(r *Reader) int64 { return int64(r.UB4()) }, 1<<31 - 1},
		{"04 ff ff ff ff", func(r *Reader) int64 { return int64(r.UB4()) }, 1<<32 - 1},
		{"81 01", func(r *Reader) int64 { return int64(r.UB4()) }, 1<<32 - 1},
		{"81 7f", func(r *Reader) int64 { return int64(r.SB2()) }, -127},
		{"02 7f ff", func(r *Reader) int64 { return int64(r.SB2()) }, 32767},
		{"84 7f ff ff ff", func(r *Reader) int64 { return int64(r.SB4()) }, -(1<<31 - 1)},
		{"88 00 00 00 00 00 00 00 05", func(r *Reader) int64 { return r.SB8() }, -5},
	} {
		r := NewReader(unhex(t, test.bytes))
		if got := test.read(r); got != test.want || r.Err() != nil || r.Buffered() != 0 {
			t.Errorf("%s: got %d (error %v, %d bytes left), want %d", test.bytes, got, r.Err(), r.Buffered(), test.want)
		}
	}
}

func TestIntegersRefused(t *testing.T) {
	for _, test := range []struct {
		bytes string
		read  func(*Reader)
	}{
		{"03 01 02 03", func(r *Reader) { r.UB2() }},
		{"05 01 02 03 04 05", func(r *Reader) { r.UB4() }},
		{"09 01 02 03 04 05 06 07 08 09", func(r *Reader) { r.UB8() }},
		{"02 ff ff", func(r *Reader) { r.SB2() }},
		{"88 ff ff ff ff ff ff ff ff", func(r *Reader) { r.SB8() }},
		{"02 01 01", func(r *Reader) { r.Count(256) }},
		{"fd", func(r *Reader) { r.CLR() }},
	} {
		r := NewReader(unhex(t, test.bytes))
		test.read(r)
		if !errors.Is(r.Err(), ErrMalformed) {
			t.Errorf("%s: error %v, want one that wraps ErrMalformed", test.bytes, r.Err())
		}
	}
}

func TestIntegersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(-(1<<63-1), 1<<63-1).Draw(t, "v")
		r := NewReader(appendSB(nil, v))
		if got := r.SB8(); got != v || r.Err() != nil {
			t.Fatalf("SB8 of %d gives %d, error %v", v, got, r.Err())
		}
		u := rapid.Uint64().Draw(t, "u")
		r = NewReader(appendUB(nil, u))
		if got := r.UB8(); got != u || r.Err() != nil {
			t.Fatalf("UB8 of %d gives %d, error %v", u, got, r.Err())
		}
	})
}

func TestCLR(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 10000)
	for _, value := range [][]byte{nil, []byte("x"), long[:252], long[:253], long[:chunkSize], long[:chunkSize+1], long} {
		encoded := AppendCLR(nil, value)
		r := NewReader(encoded)
		if got := r.CLR(); !bytes.Equal(got, value) || r.Err() != nil || r.Buffered() != 0 {
			t.Errorf("CLR of %d bytes: got %d bytes, error %v, %d left", len(value), len(got), r.Err(), r.Buffered())
		}
		r = NewReader(appendDLC(nil, value))
		if got := r.DLC(); !bytes.Equal(got, value) || r.Err() != nil || r.Buffered() != 0 {
			t.Errorf("DLC of %d bytes: got %d bytes, error %v, %d left", len(value), len(got), r.Err(), r.Buffered())
		}
	}
	for _, null := range []string{"00", "ff", "fe 00"} {
		r := NewReader(unhex(t, null))
		if got := r.CLR(); got != nil || r.Err() != nil || r.Buffered() != 0 {
			t.Errorf("CLR %s gives %x, error %v, %d left; want NULL", null, got, r.Err(), r.Buffered())
		}
	}
}

// A length is never believed: what is allocated follows from what arrives.
func TestLengthsAreNotBelieved(t *testing.T) {
	for _, lie := range []string{
		"fe 04 3f ff ff ff 41",    // chunk
		"fe 04 ff ff ff ff 41",    // chunk beyond every limit
		"04 7f ff ff ff fe 01 05", // two lengths
	} {
		message := unhex(t, lie)
		allocated := testing.AllocsPerRun(10, func() {
			r := NewReader(message)
			r.CLR()
			r = NewReader(message)
			r.DLC()
			r = NewReader(message)
			r.Bytes(1 << 30)
			if r.Err() == nil {
				t.Fatalf("%s passes", lie)
			}
		})
		if allocated > 40 {
			t.Errorf("%s: %v allocations", lie, allocated)
		}
	}
}

func TestLimit(t *testing.T) {
	endless := func() ([]byte, error) { return bytes.Repeat([]byte{1, 'x'}, 100), nil }
	r := NewStreamReader(endless)
	r.Limit = 1000
	for i := 0; r.Err() == nil; i++ {
		if i > 1000 {
			t.Fatal("reads beyond the limit")
		}
		r.CLR()
	}
	if !errors.Is(r.Err(), ErrMalformed) {
		t.Errorf("error %v, want one that wraps ErrMalformed", r.Err())
	}
	r.Begin()
	if r.CLR(); r.Err() != nil {
		t.Errorf("after Begin: %v", r.Err())
	}
}

func TestFirstErrorSticks(t *testing.T) {
	broken := errors.New("connection lost")
	r := NewStreamReader(func() ([]byte, error) { return nil, broken })
	r.UB4()
	r.Skip(10)
	if r.CLR() != nil || r.Bytes(3) != nil || r.Peek() != 0 || r.UB8() != 0 || !errors.Is(r.Err(), broken) {
		t.Errorf("after a failure: error %v, want %v", r.Err(), broken)
	}
	r = NewReader([]byte{1, 5, 9})
	r.Bytes(-1)
	if r.Byte() != 0 || !errors.Is(r.Err(), ErrMalformed) {
		t.Errorf("a negative length gives %v", r.Err())
	}
	r.Discard()
	if r.Err() != nil || r.Buffered() != 0 {
		t.Error("Discard leaves something")
	}
}

// Pieces of any size, also empty ones, give the same bytes.
func TestStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := drawBytes(t, "message")
		rest := message
		r := NewStreamReader(func() ([]byte, error) {
			if len(rest) == 0 {
				return nil, io.EOF
			}
			n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
			piece := bytes.Clone(rest[:n])
			rest = rest[n:]
			return piece, nil
		})
		var got []byte
		for len(got) < len(message) {
			if rapid.Bool().Draw(t, "peek") && r.Peek() != message[len(got)] {
				t.Fatalf("Peek at %d differs", len(got))
			}
			got = append(got, r.Bytes(rapid.IntRange(1, len(message)-len(got)).Draw(t, "n"))...)
		}
		if !bytes.Equal(got, message) || r.Err() != nil {
			t.Fatalf("got % x, error %v, want % x", got, r.Err(), message)
		}
		if r.Byte(); !errors.Is(r.Err(), io.EOF) {
			t.Fatalf("at the end: %v", r.Err())
		}
	})
}

// What Bytes returned is not overwritten by what is read or appended later.
func TestSlicesAreIndependent(t *testing.T) {
	r := NewReader([]byte{1, 2, 3, 4, 5, 6})
	first := r.Bytes(3)
	_ = append(first, 9)
	if second := r.Bytes(3); !bytes.Equal(second, []byte{4, 5, 6}) {
		t.Errorf("appending to one value changed the next: % x", second)
	}
}
