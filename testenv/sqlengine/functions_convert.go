package sqlengine

import (
	"database/sql/driver"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

func conversionFunctions() []scalar {
	specs := new(specCache)
	return []scalar{
		{name: "o_num", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			d, err := number(a[0])
			if err != nil {
				return nil, err
			}
			return encodeNumber(d), nil
		}},
		{name: "o_int", args: 1, call: func(a []driver.Value) (driver.Value, error) { return orError(integer(a[0])) }},
		{name: "o_double", args: 1, call: func(a []driver.Value) (driver.Value, error) { return orError(float(a[0])) }},
		{name: "o_float", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			f, err := float(a[0])
			return float64(float32(f)), err
		}},
		{name: "o_text", args: -1, call: func(a []driver.Value) (driver.Value, error) {
			if len(a) > 1 && isTime(a[0]) {
				return toCharacters(a)
			}
			return text(a[0]), nil
		}},
		{name: "o_to_char", args: 2, call: toCharacters},
		{name: "o_to_number", args: 2, call: func(a []driver.Value) (driver.Value, error) {
			d, err := parseNumberModel(text(a[0]), text(a[1]))
			if err != nil {
				return nil, err
			}
			return encodeNumber(d), nil
		}},
		{name: "o_time", args: 2, call: func(a []driver.Value) (driver.Value, error) {
			if isTime(a[0]) {
				return a[0], nil
			}
			return toTimeValue(text(a[0]), text(a[1]), dateOnly)
		}},
		{name: "o_to_time", args: 3, call: func(a []driver.Value) (driver.Value, error) {
			kinds := map[string]timeKind{"DATE": dateOnly, "TIMESTAMP": timestamp, "TIMESTAMP_TZ": timestampTZ}
			return toTimeValue(text(a[0]), text(a[1]), kinds[text(a[2])])
		}},
		{name: "o_rowid", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			id, err := integer(a[0])
			return rowIDText(id), err
		}},
		{name: "o_put", args: 3, nulls: true, call: func(a []driver.Value) (driver.Value, error) {
			spec, err := specs.get(text(a[1]))
			if err != nil {
				return nil, err
			}
			return spec.put(a[0], text(a[2]))
		}},
	}
}

func orError[T any](v T, err error) (driver.Value, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func parseFloat(s string) (float64, error) {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "NAN":
		return math.NaN(), nil
	case "INF", "INFINITY":
		return math.Inf(1), nil
	case "-INF", "-INFINITY":
		return math.Inf(-1), nil
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, failure(1722, "invalid number")
	}
	return f, nil
}

// toCharacters is TO_CHAR(x, model).
func toCharacters(a []driver.Value) (driver.Value, error) {
	if b, ok := a[0].([]byte); ok && len(b) > 0 {
		switch b[0] {
		case tagTime:
			m, _ := decodeTime(b)
			return orError(formatTime(m, text(a[1])))
		case tagInterval:
			return text(b), nil
		case tagRaw:
			return hexUpper(b[1:]), nil
		}
	}
	d, err := number(a[0])
	if err != nil {
		return nil, err
	}
	return orError(formatNumber(d, text(a[1])))
}

func toTimeValue(s, model string, kind timeKind) (driver.Value, error) {
	m, err := parseTime(s, model, kind, time.Now())
	if err != nil {
		return nil, err
	}
	return encodeTime(m), nil
}

// A columnSpec tells o_put what a column takes.
type columnSpec struct {
	typ  datatype
	name string // quoted, for messages
	// update words the message for a NULL; cast cuts text instead of refusing it.
	update, cast bool
}

// writtenSpec is a columnSpec in JSON.
type writtenSpec struct {
	Type         datatype
	Name         string
	Update, Cast bool
}

// text is the spec as an argument of o_put.
func (s columnSpec) text() string {
	b, err := json.Marshal(writtenSpec{s.typ, s.name, s.update, s.cast})
	if err != nil {
		return "" // cannot be: these are plain values
	}
	return string(b)
}

// A specCache keeps the parsed specs.
type specCache struct {
	mu    sync.RWMutex
	specs map[string]*columnSpec
}

// maxSpecs bounds the cache; casts can make any number of specs.
const maxSpecs = 5000

func (c *specCache) get(text string) (*columnSpec, error) {
	c.mu.RLock()
	s := c.specs[text]
	c.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	var w writtenSpec
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return nil, failure(604, "column specification cannot be read: %v", err)
	}
	s = &columnSpec{w.Type, w.Name, w.Update, w.Cast}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.specs == nil || len(c.specs) >= maxSpecs {
		c.specs = map[string]*columnSpec{}
	}
	c.specs[strings.Clone(text)] = s
	return s, nil
}

// put converts a value to the column's type and checks that it fits.
func (s *columnSpec) put(v driver.Value, format string) (driver.Value, error) {
	if str, ok := v.(string); ok && str == "" && s.typ.Kind != kindCLOB {
		v = nil
	}
	if v == nil {
		if !s.typ.NotNull || s.cast {
			return nil, nil
		}
		if s.update {
			return nil, failure(1407, "cannot update (%s) to NULL", s.name)
		}
		return nil, failure(1400, "cannot insert NULL into (%s)", s.name)
	}
	switch s.typ.Kind.group() {
	case groupNumber:
		return s.putNumber(v)
	case groupTime:
		return s.putTime(v, format)
	case groupRaw:
		return s.putRaw(v)
	case groupText:
		return s.putText(v, format)
	case groupInterval:
		if b, ok := v.([]byte); ok && len(b) > 0 && b[0] == tagInterval {
			return b, nil
		}
		i, ok := parseInterval(text(v), "DAY", "SECOND")
		if !ok {
			return nil, failure(1867, "the interval is invalid")
		}
		return encodeInterval(i), nil
	}
	return v, nil
}

func (s *columnSpec) putNumber(v driver.Value) (driver.Value, error) {
	switch s.typ.Kind {
	case kindFloat:
		f, err := float(v)
		return float64(float32(f)), err
	case kindDouble:
		return orError(float(v))
	}
	d, err := number(v)
	if err != nil {
		return nil, err
	}
	if s.typ.Precision > 0 {
		if d = d.round(s.typ.Scale); d.point > s.typ.Precision-s.typ.Scale {
			return nil, failure(1438, "value larger than specified precision allowed for this column")
		}
	}
	return encodeNumber(d), nil
}

func (s *columnSpec) putTime(v driver.Value, format string) (driver.Value, error) {
	kind := map[kind]timeKind{kindDate: dateOnly, kindTimestamp: timestamp, kindTimestampTZ: timestampTZ}[s.typ.Kind]
	if str, ok := v.(string); ok {
		return toTimeValue(str, format, kind)
	}
	m, err := momentOf(v)
	if err != nil {
		return nil, err
	}
	if kind == timestampTZ {
		if m.kind != timestampTZ {
			m.Time = inZone(m.Time, zoneOf(0))
		}
	} else {
		m.Time = wallClock(m)
	}
	unit := time.Second
	if kind != dateOnly {
		unit = time.Duration(math.Pow10(9 - s.typ.Scale))
		m.Time = m.Round(unit)
	} else {
		m.Time = m.Truncate(unit)
	}
	m.kind = kind
	return storeChecked(m)
}

func (s *columnSpec) putRaw(v driver.Value) (driver.Value, error) {
	var b []byte
	switch v := v.(type) {
	case string:
		decoded, err := hexToRaw(v)
		if err != nil {
			return nil, err
		}
		b = append([]byte{tagRaw}, decoded...)
	case []byte:
		b = v
	}
	if len(b) == 0 || b[0] != tagRaw {
		return nil, inconsistent(kindName(s.typ.Kind), storedKind(v))
	}
	if s.typ.Kind == kindRaw {
		if len(b) == 1 {
			return s.put(nil, "")
		}
		if size := len(b) - 1; s.typ.Size > 0 && size > s.typ.Size {
			return nil, s.tooLarge(size)
		}
	}
	return b, nil
}

func (s *columnSpec) tooLarge(size int) error {
	return failure(12899, "value too large for column %s (actual: %d, maximum: %d)", s.name, size, s.typ.Size)
}

func (s *columnSpec) putText(v driver.Value, format string) (driver.Value, error) {
	str, ok := v.(string)
	if !ok {
		if isTime(v) {
			out, err := toCharacters([]driver.Value{v, format})
			if err != nil {
				return nil, err
			}
			str, _ = out.(string)
		} else {
			str = text(v)
		}
	}
	if s.typ.Kind == kindCLOB || s.typ.Kind == kindLong || s.typ.Size == 0 {
		return str, nil
	}
	size := utf8.RuneCountInString(str)
	if size > s.typ.Size {
		if !s.cast {
			return nil, s.tooLarge(size)
		}
		str = string([]rune(str)[:s.typ.Size])
	}
	if s.typ.Kind == kindChar && size < s.typ.Size {
		str += strings.Repeat(" ", s.typ.Size-size)
	}
	return str, nil
}
