package sqlengine

import (
	"database/sql/driver"
	"math/big"
	"time"
)

// add is a + b for numbers, and for a time or an interval beside a number of days or an interval.
func add(a []driver.Value) (driver.Value, error) {
	if isTime(a[1]) {
		a[0], a[1] = a[1], a[0]
	}
	if isTime(a[0]) {
		return shift(a[0], a[1], 1)
	}
	if v, w, ok := intervals(a); ok {
		return encodeInterval(interval{v.duration + w.duration, v.months + w.months}), nil
	}
	return binaryNumber(addDecimals, func(x, y float64) float64 { return x + y })(a)
}

// subtract is a - b; of two times it is days for DATEs and an interval otherwise.
func subtract(a []driver.Value) (driver.Value, error) {
	switch {
	case isTime(a[0]) && isTime(a[1]):
		return difference(a)
	case isTime(a[0]):
		return shift(a[0], a[1], -1)
	}
	if v, w, ok := intervals(a); ok {
		return encodeInterval(interval{v.duration - w.duration, v.months - w.months}), nil
	}
	return binaryNumber(func(x, y decimal) (decimal, error) { return addDecimals(x, y.neg()) },
		func(x, y float64) float64 { return x - y })(a)
}

func isTime(v driver.Value) bool {
	b, ok := v.([]byte)
	return ok && len(b) > 0 && b[0] == tagTime
}

func intervals(a []driver.Value) (v, w interval, ok bool) {
	x, _ := a[0].([]byte)
	y, _ := a[1].([]byte)
	v, ok1 := decodeInterval(x)
	w, ok2 := decodeInterval(y)
	return v, w, ok1 && ok2
}

// shift moves a time by days or an interval, forwards or backwards.
func shift(at, by driver.Value, direction int) (driver.Value, error) {
	m, err := momentOf(at)
	if err != nil {
		return nil, err
	}
	b, _ := by.([]byte)
	if v, ok := decodeInterval(b); ok {
		m.Time = addMonths(m.Time, direction*v.months, false).Add(time.Duration(direction) * v.duration)
		return storeChecked(m)
	}
	days, err := number(by)
	if err != nil {
		return nil, err
	}
	seconds, err := multiplyDecimals(days, decimalOf(86400))
	if err != nil {
		return nil, err
	}
	n, ok := seconds.round(0).int64()
	if !ok || abs(n) > 1<<39 {
		return nil, failure(1841, "(full) year must be between -4713 and +9999, and not be 0")
	}
	t := wallClock(m).Truncate(time.Second)
	return storeChecked(moment{time.Unix(t.Unix()+int64(direction)*n, 0).UTC(), dateOnly})
}

func difference(a []driver.Value) (driver.Value, error) {
	x, err := momentOf(a[0])
	if err != nil {
		return nil, err
	}
	y, err := momentOf(a[1])
	if err != nil {
		return nil, err
	}
	if x.kind == dateOnly && y.kind == dateOnly {
		days, err := divideDecimals(unscaled(big.NewInt(x.Unix()-y.Unix()), 0), decimalOf(86400))
		return encodeNumber(days), err
	}
	return encodeInterval(interval{duration: x.Sub(y.Time)}), nil
}
