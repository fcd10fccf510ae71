package ttc

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimeVectors(t *testing.T) {
	at := time.Date(2026, 11, 21, 2, 28, 56, 123456789, time.FixedZone("", 5*3600+1800))
	for _, test := range []struct {
		name   string
		append func([]byte, time.Time) []byte
		bytes  string
		back   time.Time
	}{
		{"DATE", AppendDate, "78 7e 0b 15 03 1d 39", time.Date(2026, 11, 21, 2, 28, 56, 0, time.UTC)},
		{"TIMESTAMP", AppendTimestamp, "78 7e 0b 15 03 1d 39 07 5b cd 15", time.Date(2026, 11, 21, 2, 28, 56, 123456789, time.UTC)},
		{"TIMESTAMP WITH TIME ZONE", AppendTimestampTZ, "78 7e 0b 14 15 3b 39 07 5b cd 15 19 5a", at},
	} {
		got := test.append(nil, at)
		if want := unhex(t, test.bytes); !bytes.Equal(got, want) {
			t.Errorf("%s: got % x, want % x", test.name, got, want)
		}
		if back, err := DecodeTime(got); err != nil || !back.Equal(test.back) {
			t.Errorf("%s: came back as %v (error %v), want %v", test.name, back, err, test.back)
		}
	}
	if got := AppendTimestamp(nil, at.Truncate(time.Second)); len(got) != dateLength {
		t.Errorf("a TIMESTAMP without fraction has %d bytes, want %d", len(got), dateLength)
	}
}

func TestTimeRefused(t *testing.T) {
	for _, b := range []string{
		"", "78 7e 0b 15 03 1d", "78 7e 0d 15 03 1d 39", "78 7e 02 1e 01 01 01", "78 7e 0b 15 1a 1d 39", "78 7e 0b 15 03 1d 3e",
		"78 7e 0b 15 03 1d 39 ff ff ff ff", "78 7e 0b 15 03 1d 39 00 00 00 00 40 3c", "78 7e 0b 15 03 1d 39 00 00 00 00 25 3c", "78 7e 0b 15 00 1d 39", "ff ff 0b 15 03 1d 39",
		"78 7e 0b 15 03 1d 39 00 00 00 00 14 3c 00", "c7 c7 0c 1f 18 01 01 00 00 00 00 4f 3c", "35 58 01 01 02 01 01 00 00 00 00 59 3c",
	} {
		if got, err := DecodeTime(unhex(t, b)); err == nil {
			t.Errorf("%s: decoded to %v", b, got)
		}
	}
	// A zone by number cannot be named, but the moment is known.
	region := unhex(t, "78 7e 0b 14 15 3b 39 00 00 00 00 83 c8")
	if got, err := DecodeTime(region); err != nil || !got.Equal(time.Date(2026, 11, 20, 20, 58, 56, 0, time.UTC)) {
		t.Errorf("with a region: %v, error %v", got, err)
	}
	local := unhex(t, "78 7e 0b 15 03 1d 39 00 00 00 00 59 5a") // 02:28:56 at +05:30
	if got, err := DecodeTime(local); err != nil || !got.Equal(time.Date(2026, 11, 20, 20, 58, 56, 0, time.UTC)) {
		t.Errorf("in local time: %v, error %v", got, err)
	}
}

func TestTimeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.Int64Range(-62135596800+86400, 253402300799-86400).Draw(t, "seconds") // years 1 to 9999
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "zone")*60)
		at := time.Unix(seconds, rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).In(zone)
		back, err := DecodeTime(AppendTimestampTZ(nil, at))
		if err != nil || !back.Equal(at) || back.Format("-07:00") != at.Format("-07:00") {
			t.Fatalf("%v came back as %v, error %v", at, back, err)
		}
		back, err = DecodeTime(AppendTimestamp(nil, at))
		if wall := "2006-01-02T15:04:05.999999999"; err != nil || back.Format(wall) != at.Format(wall) {
			t.Fatalf("%v came back as %v, error %v", at, back, err)
		}
	})
}

func TestFloats(t *testing.T) {
	if got := AppendBinaryDouble(nil, 1.5); !bytes.Equal(got, unhex(t, "bf f8 00 00 00 00 00 00")) {
		t.Errorf("1.5: % x", got)
	}
	if got := AppendBinaryFloat(nil, -1.5); !bytes.Equal(got, unhex(t, "40 3f ff ff")) {
		t.Errorf("-1.5: % x", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		encodedA, encodedB := AppendBinaryDouble(nil, a), AppendBinaryDouble(nil, b)
		if back, err := DecodeBinaryDouble(encodedA); err != nil || math.Float64bits(back) != math.Float64bits(a) {
			t.Fatalf("%v came back as %v, error %v", a, back, err)
		}
		if (a < b) != (bytes.Compare(encodedA, encodedB) < 0) && a != b {
			t.Fatalf("%v and %v do not sort: % x, % x", a, b, encodedA, encodedB)
		}
		f := rapid.Float32().Draw(t, "f")
		if back, err := DecodeBinaryFloat(AppendBinaryFloat(nil, f)); err != nil || math.Float32bits(back) != math.Float32bits(f) {
			t.Fatalf("%v came back as %v, error %v", f, back, err)
		}
	})
	if _, err := DecodeBinaryDouble(make([]byte, 7)); err == nil {
		t.Error("a BINARY_DOUBLE of 7 bytes passes")
	}
	if _, err := DecodeBinaryFloat(nil); err == nil {
		t.Error("a BINARY_FLOAT of no bytes passes")
	}
}

func TestCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		form := rapid.ByteRange(0, 2).Draw(t, "form")
		if got := Characters(AppendCharacters(nil, text, form), form); got != text {
			t.Fatalf("%q came back as %q in form %d", text, got, form)
		}
	})
	if got := AppendCharacters(nil, "a€😀", FormNational); !bytes.Equal(got, unhex(t, "0061 20ac d83d de00")) {
		t.Errorf("UTF-16: % x", got)
	}
}

func TestRowID(t *testing.T) {
	id := RowID{Object: 0x12345, File: 4, Block: 131, Row: 7}
	if got := id.String(); got != "AAASNFAAEAAAACDAAH" {
		t.Errorf("as text: %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		id := drawRowID(t)
		if id == (RowID{}) {
			return
		}
		if back, err := ParseRowID(id.String()); err != nil || back != id {
			t.Fatalf("%+v came back as %+v, error %v", id, back, err)
		}
	})
	for _, text := range []string{"", "AAASNFAAEAAAACDAA", "AAASNFAAEAAAACDAA*", "//////AAEAAAACDAAH", "AAASNF///AAAACDAAH"} {
		if id, err := ParseRowID(text); err == nil {
			t.Errorf("%q passes as %+v", text, id)
		}
	}
}
