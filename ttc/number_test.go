package ttc

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumberVectors(t *testing.T) {
	for _, test := range []struct{ text, bytes, back string }{
		{"0", "80", "0"},
		{"-0.00", "80", "0"},
		{"1", "c1 02", "1"},
		{"7", "c1 08", "7"},
		{"+10", "c1 0b", "10"},
		{"100", "c2 02", "100"},
		{"1234.5", "c2 0d 23 33", "1234.5"},
		{"0.5", "c0 33", "0.5"},
		{".05", "c0 06", "0.05"},
		{"0.001", "bf 0b", "0.001"},
		{"-1", "3e 64 66", "-1"},
		{"-123.45", "3d 64 4e 38 66", "-123.45"},
		{"-100", "3d 64 66", "-100"},
		{"1e125", "ff 0b", "1E+125"},
		{"1E-130", "80 02", "1E-130"},
		{"9.9e39", "d4 64", "9900000000000000000000000000000000000000"},
		{"1E-131", "80", "0"}, // too small
		{"12345678901234567890123456789012345678", "d3 0d 23 39 4f 5b 0d 23 39 4f 5b 0d 23 39 4f 5b 0d 23 39 4f",
			"12345678901234567890123456789012345678"},
		{"99999999999999999999999999999999999999999", "d5 0b", "1E+41"},
	} {
		got, err := AppendNumber(nil, test.text)
		if want := unhex(t, test.bytes); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got % x (error %v), want % x", test.text, got, err, want)
			continue
		}
		if back, err := DecodeNumber(got); err != nil || back != test.back {
			t.Errorf("% x: got %s (error %v), want %s", got, back, err, test.back)
		}
	}
}

func TestNumberRefused(t *testing.T) {
	for _, text := range []string{"", "-", ".", "1.2.3", "abc", "1e", "1ex", "0x10", "1 2", "NaN", "1e126", "--1", "１"} {
		if got, err := AppendNumber([]byte{9}, text); !errors.Is(err, ErrNumber) || !bytes.Equal(got, []byte{9}) {
			t.Errorf("%q: got % x, error %v; want ErrNumber and nothing appended", text, got, err)
		}
	}
	for _, b := range []string{"", "ff 65", "00", "c1", "c1 00", "c1 65", "80 01 30", "3e 66", "3e 66 66", strings.Repeat("c1", 23)} {
		if got, err := DecodeNumber(unhex(t, b)); err == nil && b != "ff 65" {
			t.Errorf("%s: decoded to %s", b, got)
		}
	}
}

// Up to 38 digits come back as exactly the same number, and the bytes sort as
// the numbers do.
func TestNumberRoundTrip(t *testing.T) {
	number := rapid.Custom(func(t *rapid.T) string {
		text := rapid.StringMatching(`-?[0-9]{1,38}`).Draw(t, "digits")
		if at := rapid.IntRange(0, 38).Draw(t, "point"); at > 0 && at < len(text) && text[at-1] != '-' {
			text = text[:at] + "." + text[at:]
		}
		if rapid.Bool().Draw(t, "exponent") {
			text += rapid.StringMatching(`[eE][+-]?[1-7]?[0-9]`).Draw(t, "exponent")
		}
		return text
	})
	exact := func(t *rapid.T, text string) *big.Rat {
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		encodedA, errA := AppendNumber(nil, a)
		encodedB, errB := AppendNumber(nil, b)
		if errA != nil || errB != nil {
			t.Fatalf("errors %v, %v", errA, errB)
		}
		back, err := DecodeNumber(encodedA)
		if err != nil || exact(t, back).Cmp(exact(t, a)) != 0 {
			t.Fatalf("%s came back as %s (error %v) from % x", a, back, err, encodedA)
		}
		if want := exact(t, a).Cmp(exact(t, b)); bytes.Compare(encodedA, encodedB) != want {
			t.Fatalf("% x and % x compare unlike %s and %s", encodedA, encodedB, a, b)
		}
	})
}

func BenchmarkAppendNumber(b *testing.B) {
	var buf []byte
	for b.Loop() {
		buf, _ = AppendNumber(buf[:0], "1234567.89")
	}
}
