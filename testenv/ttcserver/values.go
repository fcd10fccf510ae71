package ttcserver

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// bindValue gives a bind as the engine takes it.
func (s *session) bindValue(b *ttc.Bind, v ttc.Value) (sqlengine.Value, error) {
	if b.Flags&ttc.BindArray != 0 {
		return nil, notSupported("PL/SQL tables as binds")
	}
	raw := v.Bytes
	if len(raw) == 0 {
		return nil, nil
	}
	switch b.Type.Base() {
	case ttc.TypeVarchar, ttc.TypeChar, ttc.TypeLong, ttc.TypeRowID, ttc.TypeURowID:
		return ttc.Characters(raw, b.Form), nil
	case ttc.TypeNumber:
		text, err := ttc.DecodeNumber(raw)
		if err != nil {
			return nil, &sqlengine.Error{Code: 1722, Text: "invalid number"}
		}
		return sqlengine.Number(text), nil
	case ttc.TypeDate, ttc.TypeTimestamp, ttc.TypeTimestampTZ, ttc.TypeTimestampLTZ:
		t, err := ttc.DecodeTime(raw)
		if err != nil {
			return nil, &sqlengine.Error{Code: 1841, Text: "(full) year must be between -4713 and +9999, and not be 0"}
		}
		return t, nil
	case ttc.TypeRaw, ttc.TypeLongRaw:
		return raw, nil
	case ttc.TypeBinaryFloat:
		return typed(ttc.DecodeBinaryFloat(raw))
	case ttc.TypeBinaryDouble:
		return typed(ttc.DecodeBinaryDouble(raw))
	case ttc.TypeBoolean:
		return raw[len(raw)-1] != 0, nil
	case ttc.TypeCLOB, ttc.TypeBLOB:
		l, err := s.lobs.find(raw)
		if err != nil {
			return nil, err
		}
		return sqlengine.LOB{Character: l.character, Data: l.data}, nil
	case ttc.TypeCursor:
		return nil, nil // an OUT bind; its value means nothing
	}
	return nil, &sqlengine.Error{Code: 932, Text: fmt.Sprintf("inconsistent datatypes: binds of type %d are not supported", b.Type)}
}

func typed[T any](v T, err error) (sqlengine.Value, error) {
	if err != nil {
		return nil, &sqlengine.Error{Code: 1722, Text: "invalid number"}
	}
	return v, nil
}

// bindRow gives one row of binds as the engine takes it. Binds without a value
// of their own repeat that of an earlier bind of the same name.
func (s *session) bindRow(binds []ttc.Bind, values []ttc.Value, names []string) ([]sqlengine.Value, error) {
	row := make([]sqlengine.Value, len(binds))
	for i := range binds {
		if binds[i].Flags&ttc.BindRepeated != 0 {
			row[i] = repeated(row[:i], names, i)
			continue
		}
		v, err := s.bindValue(&binds[i], values[i])
		if err != nil {
			return nil, err
		}
		row[i] = v
	}
	return row, nil
}

func repeated(row []sqlengine.Value, names []string, index int) sqlengine.Value {
	for i := range row {
		if index < len(names) && names[i] == names[index] {
			return row[i]
		}
	}
	return nil
}

// asText gives a value as characters, for clients that ask for a column so.
func asText(v sqlengine.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case sqlengine.Number:
		return string(v)
	case []byte:
		return fmt.Sprintf("%X", v)
	case sqlengine.LOB:
		if v.Character {
			return string(v.Data)
		}
		return fmt.Sprintf("%X", v.Data)
	case time.Time:
		return strings.ToUpper(v.Format("02-Jan-06"))
	case float32:
		return strconv.FormatFloat(float64(v), 'G', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'G', -1, 64)
	case bool:
		return strings.ToUpper(strconv.FormatBool(v))
	}
	return ""
}

// asNumber gives a value as a NUMBER.
func asNumber(v sqlengine.Value) (string, error) {
	switch v := v.(type) {
	case sqlengine.Number:
		return string(v), nil
	case string:
		return strings.TrimSpace(v), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	}
	return "", errInconsistent(v, "NUMBER")
}

func errInconsistent(v sqlengine.Value, wanted string) error {
	return &sqlengine.Error{Code: 932, Text: fmt.Sprintf("inconsistent datatypes: expected %s got %T", wanted, v)}
}

// asFloat gives a value as a floating-point number.
func asFloat(v sqlengine.Value) (float64, error) {
	switch v := v.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	text, err := asNumber(v)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, &sqlengine.Error{Code: 1722, Text: "invalid number"}
	}
	return f, nil
}

// asBytes gives a value as bytes.
func asBytes(v sqlengine.Value) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return v, nil
	case sqlengine.LOB:
		return v.Data, nil
	case string:
		return []byte(v), nil
	}
	return nil, errInconsistent(v, "RAW")
}
