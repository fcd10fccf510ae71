package sqlengine

import (
	"database/sql/driver"
	"strconv"
	"strings"
	"time"
)

// storedBind gives a bind in stored form, and what type it has.
func storedBind(v Value) (driver.Value, datatype, *Error) {
	switch v := v.(type) {
	case nil:
		return nil, ofKind(kindUnknown), nil
	case string:
		if v == "" {
			return nil, textOf(bindSize(0)), nil
		}
		return v, textOf(bindSize(len(v))), nil
	case Number:
		d, ok := parseDecimal(string(v))
		if !ok {
			return nil, datatype{}, failure(1722, "invalid number")
		}
		return storedDecimal(d)
	case int:
		return storedDecimal(decimalOf(int64(v)))
	case int64:
		return storedDecimal(decimalOf(v))
	case uint64:
		d, _ := parseDecimal(strconv.FormatUint(v, 10))
		return storedDecimal(d)
	case []byte:
		if len(v) == 0 {
			return nil, ofKind(kindRaw), nil
		}
		return append([]byte{tagRaw}, v...), ofKind(kindRaw), nil
	case float64:
		return v, ofKind(kindDouble), nil
	case float32:
		return float64(v), ofKind(kindFloat), nil
	case bool:
		if v {
			return int64(1), ofKind(kindBool), nil
		}
		return int64(0), ofKind(kindBool), nil
	case time.Time:
		return storedTime(v)
	case LOB:
		if v.Character {
			return string(v.Data), ofKind(kindCLOB), nil
		}
		return append([]byte{tagRaw}, v.Data...), ofKind(kindBLOB), nil
	}
	return nil, datatype{}, failure(932, "inconsistent datatypes: binds of type %T are not known", v)
}

// bindSize rounds a text's size up as Oracle does for binds, so that few statements differ by it only.
func bindSize(n int) int {
	for _, size := range [...]int{32, 128, 2000, usualVarchar} {
		if n <= size {
			return size
		}
	}
	return maxVarchar
}

func storedDecimal(d decimal) (driver.Value, datatype, *Error) {
	d, err := d.fit()
	if err != nil {
		return nil, datatype{}, ownError(err)
	}
	return encodeNumber(d), ofKind(kindNumber), nil
}

// storedTime takes a time without a fraction and in UTC for a DATE.
func storedTime(t time.Time) (driver.Value, datatype, *Error) {
	if t.Year() < -4712 || t.Year() > 9999 {
		return nil, datatype{}, failure(1841, "(full) year must be between -4713 and +9999, and not be 0")
	}
	switch {
	case t.Location() != time.UTC:
		_, offset := t.Zone()
		return encodeTime(moment{t.In(zoneOf(offset / 60)), timestampTZ}), ofKind(kindTimestampTZ), nil
	case t.Nanosecond() != 0:
		return encodeTime(moment{t, timestamp}), ofKind(kindTimestamp), nil
	}
	return encodeTime(moment{t, dateOnly}), ofKind(kindDate), nil
}

// value gives a stored value as the caller sees it.
func value(stored driver.Value, t datatype) Value {
	switch v := stored.(type) {
	case nil:
		return nil
	case int64:
		if t.Kind == kindBool {
			return v != 0
		}
		return Number(strconv.FormatInt(v, 10))
	case float64:
		if t.Kind == kindFloat {
			return float32(v)
		}
		return v
	case string:
		if t.Kind == kindCLOB {
			return LOB{Character: true, Data: []byte(v)}
		}
		if v == "" {
			return nil
		}
		return v
	case []byte:
		return bytesValue(v, t)
	}
	return nil
}

func bytesValue(v []byte, t datatype) Value {
	if len(v) == 0 {
		return nil
	}
	switch v[0] {
	case tagNumber:
		if t.Kind == kindDouble {
			return decodeNumber(v).float()
		}
		return decodeNumber(v).number()
	case tagTime:
		m, _ := decodeTime(v)
		return m.Time
	case tagInterval:
		i, _ := decodeInterval(v)
		return i.String()
	}
	if t.Kind == kindBLOB {
		return LOB{Data: v[1:]}
	}
	return v[1:]
}

// storedKind tells from a stored value what its type is.
func storedKind(stored driver.Value) datatype {
	switch v := stored.(type) {
	case int64:
		return ofKind(kindNumber)
	case float64:
		return ofKind(kindDouble)
	case string:
		return textOf(bindSize(len(v)))
	case []byte:
		if len(v) == 0 {
			break
		}
		switch v[0] {
		case tagNumber:
			return ofKind(kindNumber)
		case tagTime:
			m, _ := decodeTime(v)
			return ofKind([...]kind{kindDate, kindTimestamp, kindTimestampTZ}[m.kind])
		case tagInterval:
			return ofKind(kindInterval)
		}
		return ofKind(kindRaw)
	}
	return ofKind(kindUnknown)
}

// String writes an interval as Oracle does.
func (v interval) String() string {
	sign := "+"
	if v.months != 0 {
		months := v.months
		if months < 0 {
			sign, months = "-", -months
		}
		return sign + twoDigits(months/12) + "-" + twoDigits(months%12)
	}
	d := v.duration
	if d < 0 {
		sign, d = "-", -d
	}
	days := strconv.Itoa(int(d / (24 * time.Hour)))
	days = strings.Repeat("0", max(0, 9-len(days))) + days
	rest := time.Time{}.Add(d % (24 * time.Hour))
	return sign + days + " " + rest.Format("15:04:05.000000000")
}

// rowIDLength is the length of a ROWID's text.
const rowIDLength = 18

const rowIDDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// rowIDText writes a SQLite rowid as a ROWID: a made-up object and file, the rowid as block and row.
func rowIDText(id int64) string {
	out := []byte("AAAE5FAAH")
	block, row := uint64(id)>>8, uint64(id)&0xFF
	for shift := 30; shift >= 0; shift -= 6 {
		out = append(out, rowIDDigits[block>>shift&63])
	}
	for shift := 12; shift >= 0; shift -= 6 {
		out = append(out, rowIDDigits[row>>shift&63])
	}
	return string(out)
}
