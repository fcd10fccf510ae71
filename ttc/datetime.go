package ttc

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Lengths and offsets of dates and timestamps (ttc.md 8).
const (
	dateLength        = 7
	timestampLength   = 11
	timestampTZLength = 13
	zoneHourBase      = 20
	zoneMinuteBase    = 60
	zoneRegion        = 0x80 // in the hour of the zone: the zone is a region's number
	zoneLocal         = 0x40 // in the hour of the zone: the fields are in local time, not UTC
)

// AppendDate appends t, without fraction and zone, as a DATE.
func AppendDate(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	return append(dst, byte(year/100+100), byte(year%100+100), byte(month), byte(day),
		byte(t.Hour()+1), byte(t.Minute()+1), byte(t.Second()+1))
}

// AppendTimestamp appends t without its zone as a TIMESTAMP, whose fraction is
// left out if it is zero.
func AppendTimestamp(dst []byte, t time.Time) []byte {
	dst = AppendDate(dst, t)
	if t.Nanosecond() == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

// AppendTimestampTZ appends t as a TIMESTAMP WITH TIME ZONE: in UTC, with the
// offset of its zone.
func AppendTimestampTZ(dst []byte, t time.Time) []byte {
	_, offset := t.Zone()
	utc := t.UTC()
	dst = AppendDate(dst, utc)
	dst = binary.BigEndian.AppendUint32(dst, uint32(utc.Nanosecond()))
	return append(dst, byte(offset/3600+zoneHourBase), byte(offset%3600/60+zoneMinuteBase))
}

// DecodeTime reads a DATE, TIMESTAMP or TIMESTAMP WITH TIME ZONE; its length
// tells which. Without a zone, and with one given as a region's number, whose
// names are not known here, the result is in UTC.
func DecodeTime(b []byte) (time.Time, error) {
	if len(b) < dateLength || len(b) > timestampTZLength {
		return time.Time{}, fmt.Errorf("%w: date of %d bytes", ErrMalformed, len(b))
	}
	year := (int(b[0])-100)*100 + int(b[1]) - 100
	month, day := time.Month(b[2]), int(b[3])
	hour, minute, second := int(b[4])-1, int(b[5])-1, int(b[6])-1
	nanosecond := 0
	if len(b) >= timestampLength {
		nanosecond = int(binary.BigEndian.Uint32(b[dateLength:]))
	}
	t := time.Date(year, month, day, hour, minute, second, nanosecond, time.UTC)
	if t.Month() != month || t.Day() != day || t.Hour() != hour || t.Minute() != minute ||
		t.Second() != second || t.Nanosecond() != nanosecond || !inRange(t) {
		return time.Time{}, fmt.Errorf("%w: date % x", ErrMalformed, b)
	}
	if len(b) < timestampTZLength || b[11]&zoneRegion != 0 {
		return t, nil
	}
	offset := (int(b[11]&^zoneLocal)-zoneHourBase)*3600 + (int(b[12])-zoneMinuteBase)*60
	if offset < -15*3600 || offset > 15*3600 {
		return time.Time{}, fmt.Errorf("%w: time zone % x", ErrMalformed, b[11:])
	}
	if b[11]&zoneLocal != 0 {
		if t = t.Add(-time.Duration(offset) * time.Second); !inRange(t) {
			return time.Time{}, fmt.Errorf("%w: date % x, in a year without dates once it is in UTC", ErrMalformed, b)
		}
	}
	return t.In(time.FixedZone("", offset)), nil
}

// inRange tells whether t is in a year that has dates.
func inRange(t time.Time) bool { return t.Year() >= -4712 && t.Year() <= 9999 }

// AppendBinaryFloat appends f as a BINARY_FLOAT: so changed that the bytes
// sort as the numbers do.
func AppendBinaryFloat(dst []byte, f float32) []byte {
	bits := math.Float32bits(f)
	if bits&(1<<31) != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 31
	}
	return binary.BigEndian.AppendUint32(dst, bits)
}

// AppendBinaryDouble appends f as a BINARY_DOUBLE.
func AppendBinaryDouble(dst []byte, f float64) []byte {
	bits := math.Float64bits(f)
	if bits&(1<<63) != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

// DecodeBinaryFloat reads a BINARY_FLOAT.
func DecodeBinaryFloat(b []byte) (float32, error) {
	if len(b) != 4 {
		return 0, fmt.Errorf("%w: BINARY_FLOAT of %d bytes", ErrMalformed, len(b))
	}
	bits := binary.BigEndian.Uint32(b)
	if bits&(1<<31) != 0 {
		bits &^= 1 << 31
	} else {
		bits = ^bits
	}
	return math.Float32frombits(bits), nil
}

// DecodeBinaryDouble reads a BINARY_DOUBLE.
func DecodeBinaryDouble(b []byte) (float64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: BINARY_DOUBLE of %d bytes", ErrMalformed, len(b))
	}
	bits := binary.BigEndian.Uint64(b)
	if bits&(1<<63) != 0 {
		bits &^= 1 << 63
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits), nil
}
