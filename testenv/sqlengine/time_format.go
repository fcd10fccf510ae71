package sqlengine

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// formatTime writes a moment by a format model.
func formatTime(m moment, model string) (string, error) {
	elements, err := parseTimeModel(model)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fill := true
	for _, e := range elements {
		switch e.code {
		case "":
			b.WriteString(e.literal)
		case "FM":
			fill = !fill
		case "FX":
		default:
			text := timeElement(m, e)
			if !fill && e.code != "SSSSS" && !strings.HasPrefix(e.code, "FF") {
				text = strings.TrimRight(text, " ")
				if trimmed := strings.TrimLeft(text, "0"); trimmed != "" {
					text = trimmed
				} else if text != "" {
					text = "0"
				}
			}
			b.WriteString(text)
		}
	}
	return b.String(), nil
}

// timeElement writes one code.
func timeElement(m moment, e modelElement) string {
	isoYear, isoWeek := m.ISOWeek()
	switch e.code {
	case "YYYY", "SYYYY", "RRRR":
		return fmt.Sprintf("%04d", m.Year())
	case "YYY", "YY", "Y":
		return fmt.Sprintf("%04d", m.Year())[4-len(e.code):]
	case "RR":
		return fmt.Sprintf("%02d", m.Year()%100)
	case "Y,YYY":
		return fmt.Sprintf("%d,%03d", m.Year()/1000, m.Year()%1000)
	case "IYYY":
		return fmt.Sprintf("%04d", isoYear)
	case "IY":
		return fmt.Sprintf("%02d", isoYear%100)
	case "MONTH":
		return matchCase(fmt.Sprintf("%-9s", m.Month().String()), e.written)
	case "MON":
		return matchCase(m.Month().String()[:3], e.written)
	case "DAY":
		return matchCase(fmt.Sprintf("%-9s", m.Weekday().String()), e.written)
	case "DY":
		return matchCase(m.Weekday().String()[:3], e.written)
	case "MM":
		return twoDigits(int(m.Month()))
	case "Q":
		return strconv.Itoa((int(m.Month()) + 2) / 3)
	case "DDD":
		return fmt.Sprintf("%03d", m.YearDay())
	case "DD":
		return twoDigits(m.Day())
	case "D":
		return strconv.Itoa(int(m.Weekday()) + 1)
	case "IW":
		return twoDigits(isoWeek)
	case "WW":
		return twoDigits((m.YearDay()-1)/7 + 1)
	case "W":
		return strconv.Itoa((m.Day()-1)/7 + 1)
	case "J":
		return fmt.Sprintf("%07d", julianDay(m.Time))
	case "CC":
		return twoDigits((m.Year() + 99) / 100)
	}
	return clockElement(m, e)
}

// julianDay is the number of days since 4712 BC.
func julianDay(t time.Time) int {
	const unixEpoch = 2440588
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return int(day.Unix()/86400) + unixEpoch
}

// clockElement writes the codes of the time of day and its zone.
func clockElement(m moment, e modelElement) string {
	_, offset := m.Zone()
	switch e.code {
	case "HH24":
		return twoDigits(m.Hour())
	case "HH", "HH12":
		return twoDigits((m.Hour()+11)%12 + 1)
	case "MI":
		return twoDigits(m.Minute())
	case "SS":
		return twoDigits(m.Second())
	case "SSSSS":
		return fmt.Sprintf("%05d", m.Hour()*3600+m.Minute()*60+m.Second())
	case "AM", "PM":
		return matchCase(m.Format("PM"), e.written)
	case "A.M.", "P.M.":
		text := m.Format("PM")
		return matchCase(text[:1]+"."+text[1:]+".", e.written)
	case "X":
		return "."
	case "AD", "BC":
		return "AD"
	case "A.D.", "B.C.":
		return "A.D."
	case "TZH":
		sign := "+"
		if offset < 0 {
			sign = "-"
		}
		return sign + twoDigits(int(abs(int64(offset)))/3600)
	case "TZM":
		return twoDigits(int(abs(int64(offset))) / 60 % 60)
	case "TZR":
		return timeElementZone(m)
	case "TZD":
		return "GMT"
	case "DS":
		return m.Format("1/2/2006")
	case "DL":
		return m.Format("Monday, January 02, 2006")
	case "TS":
		return m.Format("3:04:05 PM")
	}
	return fractionElement(m, e.code)
}

func timeElementZone(m moment) string {
	_, offset := m.Zone()
	return zoneOf(offset / 60).String()
}

// fractionElement writes FF, FF1 … FF9.
func fractionElement(m moment, code string) string {
	digits := 6
	if len(code) == 3 {
		digits = int(code[2] - '0')
	}
	return fmt.Sprintf("%09d", m.Nanosecond())[:digits]
}
