package ttc

import (
	"bytes"
	"testing"
)

// field is one field of a message as the reference lists it: its name, its
// bytes, and from which field version on it is there.
type field struct {
	name  string
	bytes string
	since byte
}

// checkLayouts compares what is appended with a list of fields, in every field
// version at which layouts change. Round trips alone would not notice if both
// directions were wrong in the same way.
func checkLayouts(t *testing.T, name string, fields []field, encode func(Dialect) []byte) {
	t.Helper()
	for _, version := range []byte{7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 24} {
		d := Dialect{FieldVersion: version, CLRText: true, RawScale: true, MaxString: 32767}
		got := encode(d)
		rest := got
		for _, f := range fields {
			if version < f.since {
				continue
			}
			want := unhex(t, f.bytes)
			if !bytes.HasPrefix(rest, want) {
				t.Errorf("%s, field version %d: %s is % x, want % x\nin % x", name, version, f.name, rest[:min(len(want), len(rest))], want, got)
				return
			}
			rest = rest[len(want):]
		}
		if len(rest) != 0 {
			t.Errorf("%s, field version %d: % x is left", name, version, rest)
		}
	}
}

// ttc.md 6.1.
func TestExecuteLayout(t *testing.T) {
	m := Execute{
		Options: 0x8429, Cursor: 5, SQL: []byte("abc"), PrefetchRows: 2, MaxLong: 1<<31 - 1, RowCounts: true, Iterations: 3,
		IsQuery: true, Flags: 0xc000, Orientation: 6, Position: 7, Binds: []Bind{{Type: TypeNumber, Flags: 1, Size: 22}},
	}
	checkLayouts(t, "execute", []field{
		{"message", "03", 0}, {"function", "5e", 0}, {"sequence", "01", 0}, {"token", "00", 18},
		{"options", "02 84 29", 0}, {"cursor", "01 05", 0}, {"has cursor", "00", 0}, {"SQL length", "01 03", 0}, {"has vector", "01", 0},
		{"vector length", "01 0d", 0}, {"two pointers", "00 00", 0}, {"prefetch buffer", "00", 0}, {"prefetch rows", "01 02", 0},
		{"longest", "04 7f ff ff ff", 0}, {"has binds", "01", 0}, {"binds", "01 01", 0}, {"five pointers", "00 00 00 00 00", 0},
		{"has defines", "00", 0}, {"defines", "00", 0}, {"registration, low", "00", 0}, {"three pointers", "00 01 00", 0}, {"ub4", "00", 0},
		{"pointer", "00", 0}, {"ub4", "00", 0}, {"registration, high", "00", 0}, {"wants row counts", "01", 0}, {"their number", "01 03", 0},
		{"pointer", "01", 0}, {"SQL signature", "00 00 00 00 00", 8}, {"chunks", "00 00", 9}, {"SQL", "03 61 62 63", 0},
		{"parse", "01 01", 0}, {"iterations", "01 03", 0}, {"2 to 6", "00 00 00 00 00", 0}, {"query", "01 01", 0}, {"8", "00", 0},
		{"flags", "02 c0 00", 0}, {"orientation", "01 06", 0}, {"position", "01 07", 0}, {"12", "00", 0},
		{"bind type", "02", 0}, {"bind flags", "01", 0}, {"precision", "00", 0}, {"scale", "00", 0}, {"size", "01 16", 0}, {"elements", "00", 0},
		{"continuation", "00", 0}, {"type id", "00", 0}, {"version", "00", 0}, {"charset", "00", 0}, {"form", "00", 0}, {"characters", "00", 0},
		{"collation", "00", 8},
	}, func(d Dialect) []byte { return AppendCall(nil, d, FunctionExecute, &m) })

	define := Execute{Options: OptionDefine | OptionFetch, Cursor: 1, Defines: []Bind{
		{Type: TypeCLOB, Flags: 1, Size: 4000, Continuation: LOBPrefetch, Charset: CharsetUTF8, Form: FormImplicit, Prefetch: 32768},
	}}
	checkLayouts(t, "define", []field{
		{"options", "01 50", 0}, {"cursor", "01 01", 0}, {"has cursor, SQL length", "00 00", 0}, {"vector", "01 01 0d 00 00 00", 0},
		{"prefetch rows", "00", 0}, {"longest", "00", 0}, {"binds", "00 00", 0}, {"five pointers", "00 00 00 00 00", 0},
		{"has defines", "01", 0}, {"defines", "01 01", 0}, {"registration and others", "00 00 01 00 00 00 00 00", 0}, {"row counts", "00 00 00", 0},
		{"SQL signature", "00 00 00 00 00", 8}, {"chunks", "00 00", 9}, {"vector", "00 00 00 00 00 00 00 00 00 00 00 00 00", 0},
		{"define type", "70", 0}, {"flags", "01", 0}, {"precision, scale", "00 00", 0}, {"size", "02 0f a0", 0}, {"elements", "00", 0},
		{"continuation", "04 02 00 00 00", 0}, {"type id, version", "00 00", 0}, {"charset", "02 03 69", 0}, {"form", "01", 0},
		{"prefetch", "02 80 00", 0}, {"collation", "00", 8},
	}, func(d Dialect) []byte { return define.AppendTo(nil, d) })
}

// ttc.md 6.2.
func TestColumnLayout(t *testing.T) {
	c := Column{Name: "NM", Type: TypeVarchar, Size: 40, Characters: 10, Charset: CharsetUTF8, Form: FormImplicit, Nullable: true}
	checkLayouts(t, "column", []field{
		{"type", "01", 0}, {"flags", "00", 0}, {"precision", "00", 0}, {"scale", "00", 0}, {"size", "01 28", 0}, {"elements", "00", 0},
		{"continuation", "00", 0}, {"type id", "00", 0}, {"version", "00", 0}, {"charset", "02 03 69", 0}, {"form", "01", 0},
		{"characters", "01 0a", 0}, {"collation", "00", 8}, {"nullable", "01", 0}, {"name length", "02", 0}, {"name", "01 02 02 4e 4d", 0},
		{"schema", "00", 0}, {"type name", "00", 0}, {"position", "01 03", 0}, {"flags", "00", 0}, {"domain schema", "00", 17}, {"domain", "00", 17},
		{"annotations", "00", 20}, {"vector dimensions", "00", 24}, {"vector format, flags", "00 00", 24},
	}, func(d Dialect) []byte { return c.appendTo(nil, d, 3) })
}

// ttc.md 6.6.
func TestCallEndLayout(t *testing.T) {
	m := CallEnd{
		Status: StatusTransaction, Sequence: 9, Code: 942, Text: "ORA-00942", Cursor: 300, Position: 14, Rows: 70000,
		RowID: RowID{Object: 1, File: 2, Block: 3, Row: 4}, Compiled: true, Call: 17, Batch: []BatchError{{Code: 1, Row: 5, Text: "x"}},
	}
	checkLayouts(t, "call end", []field{
		{"message", "04", 0}, {"status", "01 03", 0}, {"end-to-end sequence", "01 09", 0}, {"row number", "03 01 11 70", 0}, {"error", "02 03 ae", 0},
		{"array element errors", "00 00", 0}, {"cursor", "02 01 2c", 0}, {"position", "01 0e", 0}, {"SQL type, fatal", "00 00", 0},
		{"flags, cursor options", "00 00", 0}, {"UPI", "00", 0}, {"warning", "20", 0}, {"rowid", "01 01 01 02 00 01 03 01 04", 0},
		{"OS error", "00", 0}, {"statement", "00", 0}, {"call", "11", 0}, {"padding", "00", 0}, {"iterations", "03 01 11 70", 0},
		{"logical rowid", "00", 0}, {"batch codes", "01 01 02 01 01", 0}, {"batch rows", "01 01 02 01 05", 0},
		{"batch messages", "01 01 fe 01 01 01 78 00 00", 0}, {"error", "02 03 ae", 0}, {"rows", "03 01 11 70", 0},
		{"SQL type", "00", 14}, {"checksum", "00", 14}, {"text", "09 4f 52 41 2d 30 30 39 34 32", 0},
	}, func(d Dialect) []byte { return m.AppendTo(nil, d) })
}

// ttc.md 6.4 and 6.5.
func TestAnswerLayouts(t *testing.T) {
	parameters := Parameters{SCN: 1<<32 | 2, Cursor: 3, RowCounts: []uint64{1, 300}}
	checkLayouts(t, "parameters", []field{
		{"message", "08", 0}, {"values", "01 06", 0}, {"SCN", "01 02 01 01", 0}, {"cursor", "01 03", 0}, {"three more", "00 00 00", 0},
		{"transaction", "00", 0}, {"keyword pairs", "00", 0}, {"registration", "00", 0}, {"row counts", "01 02 01 01 02 01 2c", 0},
	}, func(d Dialect) []byte { return parameters.AppendTo(nil, d) })
	vector := IOVector{Directions: []Direction{DirectionOut, DirectionIn, DirectionInOut}}
	checkLayouts(t, "I/O vector", []field{
		{"message", "0b", 0}, {"flags", "00", 0}, {"binds", "01 03", 0}, {"times 256", "00", 0}, {"iterations", "01 01", 0},
		{"three lengths", "00 00 00", 0}, {"directions", "10 20 30", 0},
	}, func(d Dialect) []byte { return vector.AppendTo(nil, d) })
	warning := Warning{Code: 28002, Text: "soon"}
	checkLayouts(t, "warning", []field{
		{"message", "0f", 0}, {"number", "02 6d 62", 0}, {"length", "01 04", 0}, {"flags", "00", 0}, {"text", "04 73 6f 6f 6e", 0},
	}, func(d Dialect) []byte { return warning.AppendTo(nil, d) })
	version := Version{Banner: "db", Number: 0x13000000}
	checkLayouts(t, "version", []field{
		{"message", "08", 0}, {"length", "01 02", 0}, {"banner", "02 64 62", 0}, {"number", "04 13 00 00 00", 0},
	}, func(d Dialect) []byte { return version.AppendTo(nil, d) })
}

// ttc.md 6, 7 and 9.
func TestOtherCallLayouts(t *testing.T) {
	auth := Auth{User: "me", Mode: AuthLogon, Pairs: []Pair{{Key: "K", Value: "V", Flags: 1}}}
	checkLayouts(t, "auth", []field{
		{"has user", "01", 0}, {"length", "01 02", 0}, {"mode", "01 01", 0}, {"pointer", "01", 0}, {"pairs", "01 01", 0}, {"two pointers", "01 01", 0},
		{"user", "02 6d 65", 0}, {"key", "01 01 01 4b", 0}, {"value", "01 01 01 56", 0}, {"flags", "01 01", 0},
	}, func(d Dialect) []byte { return auth.AppendTo(nil, d) })
	call := LOBCall{
		Operation: LOBRead, Source: []byte{0xaa, 0xbb}, SourceOffset: 1, DestinationOffset: 2, HasCharset: true, Charset: CharsetUTF8,
		WantNull: true, HasAmount: true, Amount: 4,
	}
	checkLayouts(t, "LOB", []field{
		{"has source", "01", 0}, {"length", "01 02", 0}, {"has destination", "00", 0}, {"length", "00", 0}, {"short offsets", "00 00", 0},
		{"has charset", "01", 0}, {"short amount", "00", 0}, {"wants null", "01", 0}, {"operation", "01 02", 0}, {"SCN", "00 00", 0},
		{"offsets", "01 01 01 02", 0}, {"has amount", "01", 0}, {"arrays", "00 00 00 00 00 00", 0}, {"locator", "aa bb", 0},
		{"charset", "02 03 69", 0}, {"amount", "01 04", 0},
	}, func(d Dialect) []byte { return call.AppendTo(nil, d) })
	text := "m1"
	endToEnd := EndToEnd{Module: &text}
	checkLayouts(t, "end to end", []field{
		{"two pointers", "00 00", 0}, {"flags", "01 08", 0}, {"client id", "00 00", 0}, {"module", "01 01 02", 0}, {"action", "00 00", 0},
		{"ECID", "00 00", 0}, {"unused", "00 00", 0}, {"client info", "00 00", 0}, {"unused", "00 00 00 00", 0}, {"operation", "00 00", 0},
		{"text", "02 6d 31", 0},
	}, func(d Dialect) []byte { return endToEnd.AppendTo(nil, d) })
	checkLayouts(t, "version", []field{{"fixed", "01 02 01 00 01 01", 0}, {"one more", "01 01", 11}}, func(d Dialect) []byte {
		return (&VersionCall{}).AppendTo(nil, d)
	})
	schema := SetSchema{Schema: "S"}
	checkLayouts(t, "schema", []field{{"pointer", "01", 0}, {"length", "01 01", 0}, {"text", "01 53", 0}}, func(d Dialect) []byte {
		return schema.AppendTo(nil, d)
	})
	closed := Cursors{IDs: []uint32{1, 300}}
	checkLayouts(t, "piggyback", []field{
		{"message", "11", 0}, {"function", "69", 0}, {"sequence", "01", 0}, {"token", "00", 18}, {"pointer", "01", 0}, {"count", "01 02", 0}, {"ids", "01 01 02 01 2c", 0},
	}, func(d Dialect) []byte { return AppendPiggyback(nil, d, FunctionCloseCursors, &closed) })
	values := KeyValues{Namespace: "N", Flags: 0x21, Pairs: []Pair{{Key: "K", Value: "V"}}}
	checkLayouts(t, "key values", []field{
		{"pointer", "01", 0}, {"length", "01 01", 0}, {"pointer", "01", 0}, {"pairs", "01 01", 0}, {"flags", "01 21", 0}, {"pointer", "00", 0},
		{"namespace", "01 4e", 0}, {"pair", "01 01 01 4b 01 01 01 56 00", 0},
	}, func(d Dialect) []byte { return values.AppendTo(nil, d) })
}

// Raw text: the characters of a call stand alone, but for pairs.
func TestRawTextLayouts(t *testing.T) {
	d := Dialect{FieldVersion: 12}
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"auth", (&Auth{User: "me", Pairs: []Pair{{Key: "K"}}}).AppendTo(nil, d), "01 01 02 00 01 01 01 01 01 6d 65 01 01 01 4b 00 00"},
		{"schema", (&SetSchema{Schema: "S"}).AppendTo(nil, d), "01 01 01 53"},
		{"version", (&Version{Banner: "db"}).AppendTo(nil, d), "08 01 02 64 62 00"},
		{"tag", (&SessionRelease{Tag: "T"}).AppendTo(nil, d), "01 01 01 00 54"},
	} {
		if want := unhex(t, test.want); !bytes.Equal(test.got, want) {
			t.Errorf("%s: % x, want % x", test.name, test.got, want)
		}
	}
}
