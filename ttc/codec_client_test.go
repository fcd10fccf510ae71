package ttc

import (
	"testing"

	"pgregory.net/rapid"
)

// body makes a codec of a call's body.
func body[T any, P interface {
	*T
	Body
	Decode(*Reader, Dialect)
}](name string, draw func(t *rapid.T, d Dialect) T) codec {
	return codec{
		name:   name,
		draw:   func(t *rapid.T, d Dialect) any { return draw(t, d) },
		encode: func(m any, d Dialect) []byte { v := m.(T); return P(&v).AppendTo(nil, d) },
		decode: func(r *Reader, _ any, d Dialect) any {
			var v T
			P(&v).Decode(r, d)
			return v
		},
	}
}

func drawBind(t *rapid.T) Bind {
	return Bind{
		Type: rapid.SampledFrom([]Type{
			TypeVarchar, TypeNumber, TypeDate, TypeTimestampTZ, TypeRaw, TypeCLOB, TypeLong, TypeBoolean, TypeCursor,
		}).Draw(t, "type"),
		Flags:        rapid.SampledFrom([]byte{BindIndicators, BindIndicators | BindArray, 3}).Draw(t, "flags"),
		Size:         rapid.Uint32().Draw(t, "size"),
		Elements:     rapid.Uint32().Draw(t, "elements"),
		Continuation: rapid.SampledFrom([]uint64{0, 16, LOBPrefetch, 1 << 40}).Draw(t, "continuation"),
		TypeID:       drawBytes(t, "type id"),
		Version:      rapid.Uint16().Draw(t, "version"),
		Charset:      rapid.SampledFrom([]uint16{0, CharsetUTF8, CharsetUTF16}).Draw(t, "charset"),
		Form:         rapid.ByteRange(0, 2).Draw(t, "form"),
		Prefetch:     rapid.Uint32().Draw(t, "prefetch"),
	}
}

func drawBinds(t *rapid.T, label string) []Bind {
	return rapid.SliceOfN(rapid.Custom(drawBind), 0, 4).Draw(t, label)
}

func drawExecute(t *rapid.T, _ Dialect) Execute {
	m := Execute{
		Options:      rapid.SampledFrom([]uint32{0x8061, 0x8069, 0x429, 0x20000, 0x8060, 1}).Draw(t, "options"),
		Cursor:       rapid.Uint32Range(0, 65535).Draw(t, "cursor"),
		SQL:          drawBytes(t, "SQL"),
		PrefetchRows: rapid.Uint32().Draw(t, "rows"),
		MaxLong:      rapid.Uint32().Draw(t, "longest"),
		RowCounts:    rapid.Bool().Draw(t, "row counts"),
		Binds:        drawBinds(t, "binds"),
		Iterations:   rapid.Uint32().Draw(t, "iterations"),
		IsQuery:      rapid.Bool().Draw(t, "query"),
		Flags:        rapid.Uint32().Draw(t, "flags"),
		Orientation:  rapid.Uint32().Draw(t, "orientation"),
		Position:     rapid.Uint32().Draw(t, "position"),
	}
	if rapid.Bool().Draw(t, "define") {
		m.Options |= OptionDefine
		m.Binds, m.Defines = nil, drawBinds(t, "defines")
	}
	return m
}

func drawEndToEnd(t *rapid.T, _ Dialect) EndToEnd {
	attribute := func(label string) *string {
		if !rapid.Bool().Draw(t, label+" set") {
			return nil
		}
		text := drawText(t, label)
		return &text
	}
	return EndToEnd{
		ClientID: attribute("client id"), Module: attribute("module"), Action: attribute("action"),
		ClientInfo: attribute("client info"), Operation: attribute("operation"),
	}
}

func drawLOBCall(t *rapid.T, _ Dialect) LOBCall {
	m := LOBCall{
		Operation: rapid.SampledFrom([]LOBOperation{
			LOBLength, LOBRead, LOBWrite, LOBTrim, LOBCreateTemp, LOBFreeTemp, LOBCopy, LOBIsOpen,
		}).Draw(t, "operation"),
		Source:            rapid.SliceOfN(rapid.Byte(), 1, 120).Draw(t, "source"),
		SourceOffset:      rapid.Uint64().Draw(t, "source offset"),
		DestinationOffset: rapid.Uint64().Draw(t, "destination offset"),
		HasCharset:        rapid.Bool().Draw(t, "has charset"),
		WantNull:          rapid.Bool().Draw(t, "want null"),
		SCN:               rapid.SliceOfN(rapid.Uint32(), 0, 3).Draw(t, "SCN"),
		HasAmount:         rapid.Bool().Draw(t, "has amount"),
	}
	if m.Operation == LOBCopy {
		m.Destination = rapid.SliceOfN(rapid.Byte(), 1, 120).Draw(t, "destination")
		m.DestinationLength = uint32(len(m.Destination))
	}
	if m.HasCharset {
		m.Charset = rapid.Uint16().Draw(t, "charset")
	}
	if m.HasAmount {
		m.Amount = rapid.Uint64Range(0, 1<<48).Draw(t, "amount")
	}
	if m.Operation == LOBWrite {
		m.Data = drawBytes(t, "data")
	}
	return m
}

func clientCodecs() []codec {
	return []codec{
		body("auth", func(t *rapid.T, _ Dialect) Auth {
			return Auth{User: drawText(t, "user"), Mode: rapid.Uint32().Draw(t, "mode"), Pairs: drawPairs(t)}
		}),
		body("execute", drawExecute),
		body("reexecute", func(t *rapid.T, _ Dialect) Reexecute {
			n := rapid.Uint32()
			return Reexecute{n.Draw(t, "cursor"), n.Draw(t, "iterations"), n.Draw(t, "options 1"), n.Draw(t, "options 2")}
		}),
		body("fetch", func(t *rapid.T, _ Dialect) Fetch {
			return Fetch{Cursor: rapid.Uint32().Draw(t, "cursor"), Rows: rapid.Uint32().Draw(t, "rows")}
		}),
		body("cursors", func(t *rapid.T, _ Dialect) Cursors {
			return Cursors{IDs: rapid.SliceOfN(rapid.Uint32(), 0, 20).Draw(t, "ids")}
		}),
		body("end to end", drawEndToEnd),
		body("set schema", func(t *rapid.T, _ Dialect) SetSchema { return SetSchema{Schema: drawText(t, "schema")} }),
		body("key values", func(t *rapid.T, _ Dialect) KeyValues {
			return KeyValues{Namespace: drawText(t, "namespace"), Flags: rapid.Uint16().Draw(t, "flags"), Pairs: drawPairs(t)}
		}),
		body("session state", func(t *rapid.T, _ Dialect) SessionState {
			return SessionState{State: rapid.Uint64().Draw(t, "state")}
		}),
		body("alter session", func(t *rapid.T, _ Dialect) AlterSession { return AlterSession{Pairs: drawPairs(t)} }),
		body("end user security", func(t *rapid.T, _ Dialect) EndUserSecurity {
			return EndUserSecurity{Pairs: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) KeyTextBinary {
				return KeyTextBinary{rapid.Uint32().Draw(t, "flags"), drawText(t, "key"), drawText(t, "text"), drawBytes(t, "binary")}
			}), 0, 3).Draw(t, "pairs")}
		}),
		body("session release", func(t *rapid.T, _ Dialect) SessionRelease {
			return SessionRelease{Tag: drawText(t, "tag"), Mode: rapid.Uint32().Draw(t, "mode")}
		}),
		body("LOB call", drawLOBCall),
		body("version call", func(*rapid.T, Dialect) VersionCall { return VersionCall{} }),
	}
}

func TestClientMessages(t *testing.T) {
	for _, c := range clientCodecs() {
		t.Run(c.name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { checkCodec(t, c) }) })
	}
}

func TestHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkCodec(t, codec{
			draw: func(t *rapid.T, d Dialect) any {
				h := Header{
					Message:  rapid.SampledFrom([]MessageCode{MessageFunction, MessagePiggyback, MessageOneWay}).Draw(t, "message"),
					Function: Function(rapid.Byte().Draw(t, "function")), Sequence: rapid.Byte().Draw(t, "sequence"),
				}
				if d.FieldVersion >= fieldVersionToken {
					h.Token = rapid.Uint64().Draw(t, "token")
				}
				return h
			},
			encode: func(m any, d Dialect) []byte { return m.(Header).AppendTo(nil, d) },
			decode: func(r *Reader, _ any, d Dialect) any {
				var h Header
				h.Decode(r, MessageCode(r.Byte()), d)
				return h
			},
		})
	})
}

// One driver writes the amount of a LOB write before the data, others after.
func TestLOBWriteAmountAfterData(t *testing.T) {
	m := LOBCall{Operation: LOBWrite, Source: []byte("locator"), SourceOffset: 1, HasAmount: true, Amount: 3, Data: []byte("abc")}
	encoded := m.AppendTo(nil, Dialect{})
	swapped := append(encoded[:len(encoded)-7], 14, 3, 'a', 'b', 'c', 1, 3)
	var got LOBCall
	r := NewReader(swapped)
	got.Decode(r, Dialect{})
	if diff := compare(m, got); r.Err() != nil || diff != "" {
		t.Errorf("error %v, difference (-want +got):\n%s", r.Err(), diff)
	}
}
