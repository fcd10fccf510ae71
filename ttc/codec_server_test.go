package ttc

import (
	"testing"

	"pgregory.net/rapid"
)

// answerCodec makes a codec of a server's message, whose code the decoder is
// called behind.
func answerCodec[T any](name string, draw func(t *rapid.T) T, encode func(*T, Dialect) []byte, decode func(*T, *Reader, Dialect)) codec {
	return codec{
		name:   name,
		draw:   func(t *rapid.T, _ Dialect) any { return draw(t) },
		encode: func(m any, d Dialect) []byte { v := m.(T); return encode(&v, d) },
		decode: func(r *Reader, _ any, d Dialect) any {
			var v T
			r.Byte()
			decode(&v, r, d)
			return v
		},
	}
}

func drawColumn(t *rapid.T) Column {
	return Column{
		Name: drawText(t, "name"),
		Type: rapid.SampledFrom([]Type{
			TypeVarchar, TypeNumber, TypeDate, TypeTimestamp, TypeCLOB, TypeRaw, TypeRowID, TypeBinaryDouble,
		}).Draw(t, "type"),
		Precision:  rapid.Int8().Draw(t, "precision"),
		Scale:      rapid.Int8().Draw(t, "scale"),
		Size:       rapid.Uint32Range(0, 1<<20).Draw(t, "size"),
		Characters: rapid.Uint32().Draw(t, "characters"),
		Charset:    rapid.Uint16().Draw(t, "charset"),
		Form:       rapid.ByteRange(0, 2).Draw(t, "form"),
		Nullable:   rapid.Bool().Draw(t, "nullable"),
	}
}

func drawRowID(t *rapid.T) RowID {
	return RowID{
		Object: rapid.Uint32().Draw(t, "object"), File: rapid.Uint16().Draw(t, "file"),
		Block: rapid.Uint32().Draw(t, "block"), Row: rapid.Uint16().Draw(t, "row"),
	}
}

func drawCallEnd(t *rapid.T) CallEnd {
	m := CallEnd{
		Status:   rapid.Uint32().Draw(t, "status") | statusAlways,
		Sequence: rapid.Uint16().Draw(t, "sequence"),
		Code:     rapid.Uint32Range(0, 65535).Draw(t, "code"),
		Cursor:   rapid.Uint16().Draw(t, "cursor"),
		Position: rapid.Int16Range(0, 32767).Draw(t, "position"),
		Rows:     rapid.Uint64().Draw(t, "rows"),
		RowID:    drawRowID(t),
		Compiled: rapid.Bool().Draw(t, "compiled"),
		Call:     rapid.Byte().Draw(t, "call"),
	}
	if m.Code != 0 {
		m.Text = drawText(t, "text")
	}
	// More than 80 take the form with chunks.
	n := rapid.SampledFrom([]int{0, 0, 1, 3, 100, 300}).Draw(t, "batch errors")
	for range n {
		m.Batch = append(m.Batch, BatchError{
			Code: rapid.Uint16Min(1).Draw(t, "code"), Row: rapid.Uint32Range(1, 65535).Draw(t, "row"),
			Text: rapid.StringN(0, 5, 20).Draw(t, "text"),
		})
	}
	return m
}

func drawParameters(t *rapid.T) Parameters {
	m := Parameters{SCN: rapid.Uint64().Draw(t, "SCN"), Cursor: rapid.Uint32().Draw(t, "cursor")}
	if rapid.Bool().Draw(t, "row counts") {
		m.RowCounts = append([]uint64{}, rapid.SliceOfN(rapid.Uint64(), 0, 9).Draw(t, "counts")...)
	}
	return m
}

func drawIOVector(t *rapid.T) IOVector {
	n := rapid.SampledFrom([]int{0, 1, 3, 255, 256, 700}).Draw(t, "binds")
	var m IOVector
	for range n {
		m.Directions = append(m.Directions, rapid.SampledFrom([]Direction{DirectionIn, DirectionOut, DirectionInOut}).Draw(t, "direction"))
	}
	return m
}

func serverCodecs() []codec {
	return []codec{
		answerCodec("call end", drawCallEnd, func(m *CallEnd, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *CallEnd, r *Reader, d Dialect) { m.Decode(r, d) }),
		answerCodec("status", func(t *rapid.T) Status {
			return Status{rapid.Uint32().Draw(t, "status") | statusAlways, rapid.Uint16().Draw(t, "sequence")}
		}, func(m *Status, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *Status, r *Reader, _ Dialect) { m.Decode(r) }),
		answerCodec("warning", func(t *rapid.T) Warning {
			return Warning{Code: rapid.Uint16Min(1).Draw(t, "code"), Text: drawText(t, "text")}
		}, func(m *Warning, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *Warning, r *Reader, _ Dialect) { m.Decode(r) }),
		answerCodec("describe", func(t *rapid.T) Describe {
			return Describe{Token: make([]byte, describeToken), Columns: rapid.SliceOfN(rapid.Custom(drawColumn), 0, 5).Draw(t, "columns")}
		}, func(m *Describe, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *Describe, r *Reader, d Dialect) { m.Decode(r, d) }),
		answerCodec("auth reply", func(t *rapid.T) AuthReply { return AuthReply{Pairs: drawPairs(t)} },
			func(m *AuthReply, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *AuthReply, r *Reader, _ Dialect) { m.Decode(r) }),
		answerCodec("version", func(t *rapid.T) Version {
			return Version{Banner: drawText(t, "banner"), Number: rapid.Uint32().Draw(t, "number")}
		}, func(m *Version, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *Version, r *Reader, d Dialect) { m.Decode(r, d) }),
		answerCodec("row header", func(t *rapid.T) RowHeader {
			return RowHeader{
				Columns: rapid.IntRange(0, 1000).Draw(t, "columns"), Requested: rapid.Uint32().Draw(t, "requested"), Vector: drawBytes(t, "vector"),
			}
		}, func(m *RowHeader, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *RowHeader, r *Reader, _ Dialect) { m.Decode(r) }),
		answerCodec("io vector", drawIOVector, func(m *IOVector, d Dialect) []byte { return m.AppendTo(nil, d) },
			func(m *IOVector, r *Reader, _ Dialect) { m.Decode(r) }),
		{
			name:   "parameters",
			draw:   func(t *rapid.T, _ Dialect) any { return drawParameters(t) },
			encode: func(m any, d Dialect) []byte { v := m.(Parameters); return v.AppendTo(nil, d) },
			decode: func(r *Reader, m any, _ Dialect) any {
				var v Parameters
				r.Byte()
				v.Decode(r, m.(Parameters).RowCounts != nil)
				return v
			},
		},
		{
			name: "server piggyback",
			draw: func(t *rapid.T, _ Dialect) any { return drawServerPiggyback(t) },
			encode: func(m any, d Dialect) []byte {
				return m.(interface{ AppendTo([]byte, Dialect) []byte }).AppendTo(nil, d)
			},
			decode: func(r *Reader, _ any, _ Dialect) any { r.Byte(); return DecodeServerPiggyback(r) },
		},
	}
}

func drawServerPiggyback(t *rapid.T) any {
	if rapid.Bool().Draw(t, "return") {
		return &SessionReturn{
			Changed:   rapid.Bool().Draw(t, "changed"),
			SessionID: rapid.Uint32().Draw(t, "session"), Serial: rapid.Uint16().Draw(t, "serial"),
		}
	}
	return &SessionSync{Properties: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Property {
		return Property{Keyword: rapid.Uint16().Draw(t, "keyword"), Text: drawText(t, "text"), Value: drawText(t, "value")}
	}), 0, 4).Draw(t, "properties")}
}

func TestServerMessages(t *testing.T) {
	for _, c := range serverCodecs() {
		t.Run(c.name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { checkCodec(t, c) }) })
	}
}

func TestLOBReply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call := drawLOBCall(t, Dialect{})
		m := LOBReply{Source: call.Source, Destination: call.Destination}
		if m.HasData = rapid.Bool().Draw(t, "has data"); m.HasData {
			m.Data = drawBytes(t, "data")
		}
		if call.HasCharset {
			m.Charset = rapid.Uint16().Draw(t, "charset")
		}
		if call.HasAmount {
			m.Amount = rapid.Uint64().Draw(t, "amount")
		}
		m.Null = call.WantNull && rapid.Bool().Draw(t, "null")
		checkCodec(t, codec{
			draw:   func(*rapid.T, Dialect) any { return m },
			encode: func(_ any, d Dialect) []byte { return m.AppendTo(nil, &call, d) },
			decode: func(r *Reader, _ any, d Dialect) any {
				var got LOBReply
				got.Decode(r, &call, d)
				return got
			},
		})
	})
}
