package sqlengine

import (
	"database/sql/driver"
	"math/big"
	"strings"
	"time"
)

// momentOf reads an argument as a time.
func momentOf(v driver.Value) (moment, error) {
	b, _ := v.([]byte)
	m, ok := decodeTime(b)
	if !ok {
		return moment{}, inconsistent("DATE", storedKind(v))
	}
	return m, nil
}

// ofMoment makes a function of a time and further arguments.
func ofMoment(f func(m moment, rest []driver.Value) (driver.Value, error)) func([]driver.Value) (driver.Value, error) {
	return func(args []driver.Value) (driver.Value, error) {
		m, err := momentOf(args[0])
		if err != nil {
			return nil, err
		}
		return f(m, args[1:])
	}
}

func timeFunctions() []scalar {
	return []scalar{
		{name: "o_add", args: 2, call: add},
		{name: "o_sub", args: 2, call: subtract},
		{name: "o_timestamp", args: 1, call: ofMoment(func(m moment, _ []driver.Value) (driver.Value, error) {
			return encodeTime(moment{wallClock(m), timestamp}), nil
		})},
		{name: "o_add_months", args: 2, call: ofMoment(func(m moment, rest []driver.Value) (driver.Value, error) {
			n, err := integer(rest[0])
			if err != nil {
				return nil, err
			}
			return storeChecked(moment{addMonths(m.Time, int(n), true), dateOnly})
		})},
		{name: "o_months_between", args: 2, call: monthsBetween},
		{name: "o_last_day", args: 1, call: ofMoment(func(m moment, _ []driver.Value) (driver.Value, error) {
			return encodeTime(moment{m.AddDate(0, 0, lastDay(m.Time)-m.Day()), dateOnly}), nil
		})},
		{name: "o_next_day", args: 2, call: ofMoment(nextDay)},
		{name: "o_trunc_time", args: 2, call: ofMoment(func(m moment, rest []driver.Value) (driver.Value, error) {
			t, err := truncateTime(wallClock(m), strings.ToUpper(text(rest[0])))
			return encodeTime(moment{t, dateOnly}), err
		})},
		{name: "o_round_time", args: 2, call: ofMoment(func(m moment, rest []driver.Value) (driver.Value, error) {
			t, err := roundTime(wallClock(m), strings.ToUpper(text(rest[0])))
			return encodeTime(moment{t, dateOnly}), err
		})},
		{name: "o_extract", args: 2, call: extractField},
		{name: "o_numtointerval", args: 2, call: func(a []driver.Value) (driver.Value, error) {
			f, err := float(a[0])
			if err != nil {
				return nil, err
			}
			switch unit := strings.ToUpper(text(a[1])); unit {
			case "YEAR":
				return encodeInterval(interval{months: int(f * 12)}), nil
			case "MONTH":
				return encodeInterval(interval{months: int(f)}), nil
			default:
				scale, known := intervalUnits[unit]
				if !known {
					return nil, failure(1760, "illegal argument for function")
				}
				return encodeInterval(interval{duration: time.Duration(f * float64(scale))}), nil
			}
		}},
		{name: "o_to_dsinterval", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			v, ok := parseInterval(text(a[0]), "DAY", "SECOND")
			if !ok {
				return nil, failure(1867, "the interval is invalid")
			}
			return encodeInterval(v), nil
		}},
	}
}

// zoneFunctions are those of time zones.
func zoneFunctions() []scalar {
	return []scalar{
		{name: "o_instant", args: 2, call: ofMoment(func(m moment, rest []driver.Value) (driver.Value, error) {
			if m.kind != timestampTZ {
				zone, err := parseZone(text(rest[0]))
				if err != nil {
					return nil, err
				}
				m.Time = inZone(m.Time, zone)
			}
			return encodeTime(moment{m.UTC(), timestamp}), nil
		})},
		{name: "o_utc", args: 1, call: ofMoment(func(m moment, _ []driver.Value) (driver.Value, error) {
			return encodeTime(moment{m.UTC(), timestamp}), nil
		})},
		{name: "o_at_zone", args: 2, call: ofMoment(func(m moment, rest []driver.Value) (driver.Value, error) {
			zone, err := parseZone(text(rest[0]))
			if err != nil {
				return nil, err
			}
			return encodeTime(moment{fixed(m.In(zone)), timestampTZ}), nil
		})},
		{name: "o_from_tz", args: 2, call: ofMoment(func(m moment, rest []driver.Value) (driver.Value, error) {
			zone, err := parseZone(text(rest[0]))
			if err != nil {
				return nil, err
			}
			return encodeTime(moment{fixed(inZone(m.Time, zone)), timestampTZ}), nil
		})},
		{name: "o_tz_offset", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			zone, err := parseZone(text(a[0]))
			if err != nil {
				return nil, err
			}
			_, offset := time.Now().In(zone).Zone()
			return zoneOf(offset / 60).String(), nil
		}},
	}
}

// wallClock is what the clock on the wall shows, as a time in UTC.
func wallClock(m moment) time.Time { return inZone(m.Time, time.UTC) }

// inZone is the same wall clock in another zone.
func inZone(t time.Time, zone *time.Location) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
}

// fixed replaces a region by its offset at that time.
func fixed(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.In(zoneOf(offset / 60))
}

// storeChecked stores a computed time if its year can be.
func storeChecked(m moment) (driver.Value, error) {
	if y := m.Year(); y < -4712 || y > 9999 {
		return nil, failure(1841, "(full) year must be between -4713 and +9999, and not be 0")
	}
	return encodeTime(m), nil
}

func lastDay(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// addMonths keeps the day, or takes the month's last; a month's last day stays one if keepLast.
func addMonths(t time.Time, n int, keepLast bool) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	day := min(t.Day(), lastDay(first))
	if keepLast && t.Day() == lastDay(t) {
		day = lastDay(first)
	}
	return first.AddDate(0, 0, day-1)
}

func monthsBetween(a []driver.Value) (driver.Value, error) {
	x, err := momentOf(a[0])
	if err != nil {
		return nil, err
	}
	y, err := momentOf(a[1])
	if err != nil {
		return nil, err
	}
	months := decimalOf(int64((x.Year()-y.Year())*12 + int(x.Month()) - int(y.Month())))
	if x.Day() == y.Day() || x.Day() == lastDay(x.Time) && y.Day() == lastDay(y.Time) {
		return encodeNumber(months), nil
	}
	seconds := func(m moment) int64 {
		return int64(m.Day())*86400 + int64(m.Hour())*3600 + int64(m.Minute())*60 + int64(m.Second())
	}
	part, err := divideDecimals(decimalOf(seconds(x)-seconds(y)), decimalOf(31*86400))
	if err != nil {
		return nil, err
	}
	sum, err := addDecimals(months, part)
	return encodeNumber(sum), err
}

func nextDay(m moment, rest []driver.Value) (driver.Value, error) {
	wanted := strings.ToUpper(text(rest[0]))
	for i := 1; i <= 7 && len(wanted) >= 3; i++ {
		if next := m.AddDate(0, 0, i); strings.HasPrefix(strings.ToUpper(next.Weekday().String()), wanted[:3]) {
			return storeChecked(moment{next, dateOnly})
		}
	}
	return nil, failure(1846, "not a valid day of the week")
}

// truncateTime cuts a time to the unit of a format model.
func truncateTime(t time.Time, model string) (time.Time, error) {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch model {
	case "DD", "DDD", "J":
		return day, nil
	case "YYYY", "YEAR", "YY", "Y", "YYY", "SYYYY", "RRRR":
		return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC), nil
	case "MM", "MON", "MONTH", "RM":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC), nil
	case "Q":
		return time.Date(t.Year(), (t.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC), nil
	case "IW":
		return day.AddDate(0, 0, -(int(t.Weekday())+6)%7), nil
	case "D", "DAY", "DY":
		return day.AddDate(0, 0, -int(t.Weekday())), nil
	case "W":
		return day.AddDate(0, 0, -(t.Day()-1)%7), nil
	case "HH", "HH12", "HH24":
		return t.Truncate(time.Hour), nil
	case "MI":
		return t.Truncate(time.Minute), nil
	}
	return t, failure(1898, "too many precision specifiers")
}

// roundTime rounds to the nearer of two units: months from the 16th, quarters from the 16th of their second month,
// years from July, other units from their middle.
func roundTime(t time.Time, model string) (time.Time, error) {
	low, err := truncateTime(t, model)
	if err != nil {
		return t, err
	}
	high, up := low.AddDate(0, 0, 1), false
	switch model {
	case "YYYY", "YEAR", "YY", "Y", "YYY", "SYYYY", "RRRR":
		high, up = low.AddDate(1, 0, 0), t.Month() >= time.July
	case "MM", "MON", "MONTH", "RM":
		high, up = low.AddDate(0, 1, 0), t.Day() >= 16
	case "Q":
		high, up = low.AddDate(0, 3, 0), !t.Before(low.AddDate(0, 1, 15))
	default:
		switch model {
		case "IW", "D", "DAY", "DY", "W":
			high = low.AddDate(0, 0, 7)
		case "HH", "HH12", "HH24":
			high = low.Add(time.Hour)
		case "MI":
			high = low.Add(time.Minute)
		}
		up = t.Sub(low) >= high.Sub(t)
	}
	if up {
		return high, nil
	}
	return low, nil
}

// extractField is EXTRACT(field FROM time or interval).
func extractField(a []driver.Value) (driver.Value, error) {
	b, _ := a[1].([]byte)
	if v, ok := decodeInterval(b); ok {
		return extractInterval(text(a[0]), v)
	}
	m, err := momentOf(a[1])
	if err != nil {
		return nil, err
	}
	_, offset := m.Zone()
	parts := map[string]int{
		"YEAR": m.Year(), "MONTH": int(m.Month()), "DAY": m.Day(), "HOUR": m.Hour(), "MINUTE": m.Minute(),
		"TIMEZONE_HOUR": offset / 3600, "TIMEZONE_MINUTE": offset / 60 % 60,
	}
	if n, found := parts[text(a[0])]; found {
		return encodeNumber(decimalOf(int64(n))), nil
	}
	if text(a[0]) == "SECOND" {
		return encodeNumber(unscaled(big.NewInt(int64(m.Second())*1e9+int64(m.Nanosecond())), 9)), nil
	}
	return nil, failure(30076, "invalid extract field for extract source")
}

func extractInterval(field string, v interval) (driver.Value, error) {
	d := v.duration
	parts := map[string]int64{
		"YEAR": int64(v.months / 12), "MONTH": int64(v.months % 12), "DAY": int64(d / (24 * time.Hour)),
		"HOUR": int64(d / time.Hour % 24), "MINUTE": int64(d / time.Minute % 60),
	}
	if n, found := parts[field]; found {
		return encodeNumber(decimalOf(n)), nil
	}
	if field == "SECOND" {
		return encodeNumber(unscaled(big.NewInt(int64(d%time.Minute)), 9)), nil
	}
	return nil, failure(30076, "invalid extract field for extract source")
}
