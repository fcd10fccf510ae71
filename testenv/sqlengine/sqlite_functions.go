package sqlengine

import (
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// A scalar is one of the engine's own functions in SQLite. It is told its arguments in stored form, which it must not
// keep, and yields a stored value. Unless it says so, a function that gets a NULL yields NULL.
type scalar struct {
	name string
	args int32 // -1 for any number
	call func(args []driver.Value) (driver.Value, error)
	// nulls lets the function see NULLs; changing says that it may differ from call to call.
	nulls, changing bool
}

// registerFunctions makes the engine's functions known to every connection it will open.
func (e *Engine) registerFunctions() error {
	var errs []error
	for _, group := range [...][]scalar{
		conversionFunctions(), numberFunctions(), textFunctions(), regexpFunctions(), rawFunctions(), timeFunctions(), zoneFunctions(),
		e.sessionFunctions(),
	} {
		for _, f := range group {
			errs = append(errs, e.driver.RegisterFunction(f.name, &sqlite.FunctionImpl{
				NArgs: f.args, Deterministic: !f.changing, VolatileArgs: true,
				Scalar: f.invoke,
			}))
		}
	}
	for name, make := range aggregateFunctions() {
		errs = append(errs, e.driver.RegisterFunction(name, &sqlite.FunctionImpl{
			NArgs: 1, Deterministic: true, VolatileArgs: true,
			MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return make(), nil },
		}))
	}
	return errors.Join(errs...)
}

func (f scalar) invoke(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	if !f.nulls {
		for _, a := range args {
			if a == nil {
				return nil, nil
			}
		}
	}
	v, err := f.call(args)
	if text, ok := v.(string); ok && text == "" && err == nil && f.name != "o_clob" && f.name != "o_put" {
		return nil, nil // an empty string is NULL
	}
	return v, err
}

// number reads an argument as a NUMBER.
func number(v driver.Value) (decimal, error) {
	switch v := v.(type) {
	case int64:
		return decimalOf(v), nil
	case float64:
		return decimalOfFloat(v)
	case string:
		d, ok := parseDecimal(v)
		if !ok {
			return decimal{}, failure(1722, "invalid number")
		}
		return d.fit()
	case []byte:
		if len(v) > 0 && v[0] == tagNumber {
			return decodeNumber(v), nil
		}
		return decimal{}, inconsistent("NUMBER", storedKind(v))
	}
	return decimal{}, nil
}

// text reads an argument as text; times by the default formats.
func text(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return formatFloat(v)
	case int64:
		return decimalOf(v).String()
	case []byte:
		if len(v) == 0 {
			return ""
		}
		switch v[0] {
		case tagNumber:
			return decodeNumber(v).String()
		case tagInterval:
			i, _ := decodeInterval(v)
			return i.String()
		case tagTime:
			m, _ := decodeTime(v)
			out, err := formatTime(m, defaultSettings()["NLS_"+timeFormatName(storedKind(v))+"_FORMAT"])
			if err == nil {
				return out
			}
			return m.String()
		}
		return hexUpper(v[1:])
	}
	return ""
}

// integer reads an argument as a plain integer, cutting a fraction.
func integer(v driver.Value) (int64, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	d, err := number(v)
	if err != nil {
		return 0, err
	}
	n, ok := d.int64()
	if !ok {
		return 0, failure(1426, "numeric overflow")
	}
	return n, nil
}

// bytesOf reads a RAW or BLOB argument.
func bytesOf(v driver.Value) []byte {
	switch v := v.(type) {
	case []byte:
		if len(v) > 0 && v[0] == tagRaw {
			return v[1:]
		}
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func raw(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return append([]byte{tagRaw}, b...)
}

func isFloat(args []driver.Value) bool {
	for _, a := range args {
		if _, ok := a.(float64); ok {
			return true
		}
	}
	return false
}

func float(v driver.Value) (float64, error) {
	if f, ok := v.(float64); ok {
		return f, nil
	}
	if s, ok := v.(string); ok {
		return parseFloat(s)
	}
	d, err := number(v)
	return d.float(), err
}
