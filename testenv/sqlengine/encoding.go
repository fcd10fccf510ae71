package sqlengine

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// How values lie in SQLite. Text is TEXT, a binary float REAL. Everything else is a BLOB whose first byte tells what
// it is and whose remaining bytes sort as the values do, so that comparing, sorting, indexing, MIN and MAX are
// SQLite's own, exact to the last of 40 digits. INTEGER is what SQLite itself computes (counts, lengths, levels).
const (
	tagNumber   = 1
	tagTime     = 2
	tagRaw      = 3
	tagInterval = 4
)

// encodeNumber gives the stored form: the base-100 exponent, then pairs of digits, complemented for negatives.
func encodeNumber(d decimal) []byte {
	if d.isZero() {
		return []byte{tagNumber, 0x80}
	}
	e := d.pairExponent()
	out := make([]byte, 0, len(d.digits)/2+4)
	if d.negative {
		out = append(out, tagNumber, byte(0x3F-e))
	} else {
		out = append(out, tagNumber, byte(0xC0+e))
	}
	digit := func(i int) byte {
		if i < 0 || i >= len(d.digits) {
			return 0
		}
		return d.digits[i] - '0'
	}
	start := d.point - 2*e // -1 if the first pair begins with a zero
	for i := start; i < len(d.digits); i += 2 {
		pair := digit(i)*10 + digit(i+1)
		if d.negative {
			out = append(out, 101-pair)
		} else {
			out = append(out, pair+1)
		}
	}
	if d.negative {
		out = append(out, 102)
	}
	return out
}

// decodeNumber reads what encodeNumber wrote.
func decodeNumber(stored []byte) decimal {
	if len(stored) < 3 || stored[0] != tagNumber {
		return decimal{}
	}
	e, pairs := int(stored[1])-0xC0, stored[2:]
	negative := stored[1] < 0x80
	if negative {
		e, pairs = 0x3F-int(stored[1]), pairs[:len(pairs)-1]
	}
	d := decimal{negative: negative, point: 2 * e, digits: make([]byte, 0, 2*len(pairs))}
	for _, p := range pairs {
		if negative {
			p = 101 - p
		} else {
			p--
		}
		d.digits = append(d.digits, '0'+p/10%10, '0'+p%10)
	}
	return d.normal()
}

// The kinds of point in time, by what they carry.
type timeKind uint8

const (
	dateOnly timeKind = iota // to the second
	timestamp
	timestampTZ
)

// A moment is a DATE or a TIMESTAMP. Without a time zone, the wall clock is kept in UTC.
type moment struct {
	time.Time
	kind timeKind
}

// encodeTime gives the stored form: year to second, then nanoseconds unless it is a DATE, then for a time zone the
// offset in minutes; a time zone's wall clock is that of UTC.
func encodeTime(m moment) []byte {
	t := m.UTC()
	out := make([]byte, 0, 15)
	out = append(out, tagTime)
	out = binary.BigEndian.AppendUint16(out, uint16(t.Year()+5000))
	out = append(out, byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()))
	if m.kind == dateOnly {
		return out
	}
	out = binary.BigEndian.AppendUint32(out, uint32(t.Nanosecond()))
	if m.kind == timestampTZ {
		_, offset := m.Zone()
		out = binary.BigEndian.AppendUint16(out, uint16(offset/60+10000))
	}
	return out
}

// Lengths of the stored forms.
const (
	storedDate        = 8
	storedTimestamp   = 12
	storedTimestampTZ = 14
)

// decodeTime reads what encodeTime wrote.
func decodeTime(stored []byte) (moment, bool) {
	if len(stored) < storedDate || stored[0] != tagTime {
		return moment{}, false
	}
	year := int(binary.BigEndian.Uint16(stored[1:])) - 5000
	nanos, kind, zone := 0, dateOnly, time.UTC
	if len(stored) >= storedTimestamp {
		nanos, kind = int(binary.BigEndian.Uint32(stored[8:])), timestamp
	}
	t := time.Date(year, time.Month(stored[3]), int(stored[4]), int(stored[5]), int(stored[6]), int(stored[7]), nanos, time.UTC)
	if len(stored) >= storedTimestampTZ {
		kind = timestampTZ
		zone = zoneOf(int(binary.BigEndian.Uint16(stored[12:])) - 10000)
	}
	return moment{t.In(zone), kind}, true
}

// zoneOf is the zone a number of minutes east of Greenwich.
func zoneOf(minutes int) *time.Location {
	sign := "+"
	if minutes < 0 {
		sign = "-"
	}
	m := int(abs(int64(minutes)))
	return time.FixedZone(sign+twoDigits(m/60)+":"+twoDigits(m%60), minutes*60)
}

func twoDigits(n int) string {
	text := strconv.Itoa(n)
	if len(text) == 1 {
		return "0" + text
	}
	return text
}

// An interval is a DAY TO SECOND interval in nanoseconds, or a YEAR TO MONTH interval in months.
type interval struct {
	duration time.Duration
	months   int
}

func encodeInterval(v interval) []byte {
	out := binary.BigEndian.AppendUint32([]byte{tagInterval}, uint32(int32(v.months))^1<<31)
	return binary.BigEndian.AppendUint64(out, uint64(v.duration)^1<<63)
}

func decodeInterval(stored []byte) (interval, bool) {
	if len(stored) != 13 || stored[0] != tagInterval {
		return interval{}, false
	}
	return interval{
		months:   int(int32(binary.BigEndian.Uint32(stored[1:]) ^ 1<<31)),
		duration: time.Duration(binary.BigEndian.Uint64(stored[5:]) ^ 1<<63),
	}, true
}

func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "Nan"
	case math.IsInf(f, 1):
		return "Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(f, 'G', -1, 64)
}
