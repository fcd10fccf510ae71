package sqlengine

import (
	"strconv"
	"strings"
	"time"
)

// A timeScan reads text by a format model.
type timeScan struct {
	text                                     string
	year, month, day, yearDay                int
	hour, minute, second, nanos, secondOfDay int
	afternoon, twelve                        bool
	zoneHours, zoneMinutes                   int
	zoneNegative, hasZone                    bool
	julian                                   int
	err                                      error
}

// parseTime reads text by a format model. Parts not given are those of now's month, first day, midnight.
func parseTime(text, model string, kind timeKind, now time.Time) (moment, error) {
	elements, err := parseTimeModel(model)
	if err != nil {
		return moment{}, err
	}
	s := &timeScan{
		text: strings.TrimSpace(text), year: now.Year(), month: int(now.Month()), day: 1, secondOfDay: -1, julian: -1,
	}
	for i, e := range elements {
		if s.text == "" {
			break
		}
		fixed := i+1 < len(elements) && elements[i+1].code != ""
		s.element(e, fixed)
	}
	if s.err != nil {
		return moment{}, s.err
	}
	if strings.TrimSpace(s.text) != "" {
		return moment{}, failure(1830, "date format picture ends before converting entire input string")
	}
	return s.moment(kind)
}

func (s *timeScan) fail(code int, text string) {
	if s.err == nil {
		s.err = failure(code, "%s", text)
	}
}

// element reads what one element of the model stands for. Fixed says that no separator follows, so that a number
// has exactly the code's width.
func (s *timeScan) element(e modelElement, fixed bool) {
	switch e.code {
	case "":
		s.literal(e.literal)
	case "FM", "FX", "DY", "DAY", "AD", "BC", "A.D.", "B.C.", "TZD":
		if strings.HasPrefix(e.code, "D") || strings.ContainsAny(e.code, "ABT") {
			s.word()
		}
	case "YYYY", "SYYYY", "RRRR", "IYYY":
		s.year = s.number(4, fixed)
		if e.code == "RRRR" && s.year < 100 {
			s.year = nearCentury(s.year)
		}
	case "RR", "YY", "YYY", "Y":
		s.shortYear(e.code, fixed)
	case "MONTH", "MON":
		s.monthName()
	case "MM":
		s.month = s.ranged(monthField, fixed)
	case "DD":
		s.day = s.ranged(dayField, fixed)
	case "DDD":
		s.yearDay = s.ranged(yearDayField, fixed)
	case "J":
		s.julian = s.number(7, fixed)
	default:
		s.clock(e.code, fixed)
	}
}

func (s *timeScan) clock(code string, fixed bool) {
	switch code {
	case "HH24":
		s.hour = s.ranged(hourField, fixed)
	case "HH", "HH12":
		s.twelve = true
		s.hour = s.ranged(halfDayField, fixed)
	case "MI":
		s.minute = s.ranged(minuteField, fixed)
	case "SS":
		s.second = s.ranged(secondField, fixed)
	case "SSSSS":
		s.secondOfDay = s.number(5, fixed)
	case "AM", "PM", "A.M.", "P.M.":
		s.afternoon = strings.HasPrefix(strings.ToUpper(s.word()), "P")
	case "X":
		if strings.HasPrefix(s.text, ".") || strings.HasPrefix(s.text, ",") {
			s.text = s.text[1:]
		}
	case "TZH", "TZR":
		s.zone(code == "TZR")
	case "TZM":
		s.zoneMinutes = s.number(2, fixed)
	default:
		if strings.HasPrefix(code, "FF") {
			s.fraction()
			return
		}
		s.fail(1820, "format code cannot appear in date input format")
	}
}

// literal skips separators; any punctuation matches any other, as Oracle allows.
func (s *timeScan) literal(text string) {
	for i := range len(text) {
		if s.text == "" {
			return
		}
		c := s.text[0]
		switch {
		case c == text[i]:
		case isLetterOrDigit(text[i]):
			s.fail(1861, "literal does not match format string")
			return
		case isLetterOrDigit(c), (c == '+' || c == '-') && text[i] == ' ':
			continue // the separator is missing in the input
		}
		s.text = s.text[1:]
	}
}

func isLetterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (s *timeScan) number(width int, fixed bool) int {
	s.text = strings.TrimLeft(s.text, " ")
	n := 0
	for n < len(s.text) && n < width && s.text[n] >= '0' && s.text[n] <= '9' {
		n++
	}
	if n == 0 || fixed && n < width {
		s.fail(1858, "a non-numeric character was found where a numeric was expected")
		return 0
	}
	value, _ := strconv.Atoi(s.text[:n])
	s.text = s.text[n:]
	return value
}

// A timeField is a number with limits, and the error for one beyond them.
type timeField struct {
	width, low, high int
	code             int
	problem          string
}

var (
	monthField      = timeField{2, 1, 12, 1843, "not a valid month"}
	dayField        = timeField{2, 1, 31, 1847, "day of month must be between 1 and last day of month"}
	yearDayField    = timeField{3, 1, 366, 1848, "day of year must be between 1 and 365 (366 for leap year)"}
	hourField       = timeField{2, 0, 23, 1850, "hour must be between 0 and 23"}
	halfDayField    = timeField{2, 1, 12, 1849, "hour must be between 1 and 12"}
	minuteField     = timeField{2, 0, 59, 1851, "minutes must be between 0 and 59"}
	secondField     = timeField{2, 0, 59, 1852, "seconds must be between 0 and 59"}
	zoneHourField   = timeField{2, 0, 15, 1874, "time zone hour must be between -15 and 15"}
	zoneMinuteField = timeField{2, 0, 59, 1875, "time zone minute must be between -59 and 59"}
)

func (s *timeScan) ranged(f timeField, fixed bool) int {
	n := s.number(f.width, fixed)
	if n < f.low || n > f.high {
		s.fail(f.code, f.problem)
	}
	return n
}

func (s *timeScan) word() string {
	n := 0
	for n < len(s.text) && (isLetterOrDigit(s.text[n]) && s.text[n] > '9' || s.text[n] == '.') {
		n++
	}
	word := s.text[:n]
	s.text = s.text[n:]
	return word
}

func (s *timeScan) shortYear(code string, fixed bool) {
	width := len(code)
	if !fixed {
		width = 4
	}
	year := s.number(width, false)
	switch {
	case year >= 100:
		s.year = year
	case code == "RR":
		s.year = nearCentury(year)
	default:
		s.year = s.year/100*100 + year
	}
}

// nearCentury is the rule of RR: 00 to 49 is this century, 50 to 99 the last.
func nearCentury(year int) int {
	if year < 50 {
		return 2000 + year
	}
	return 1900 + year
}

func (s *timeScan) monthName() {
	if s.text != "" && s.text[0] >= '0' && s.text[0] <= '9' {
		s.month = s.ranged(monthField, false)
		return
	}
	word := strings.ToUpper(s.word())
	for m := time.January; m <= time.December; m++ {
		name := strings.ToUpper(m.String())
		if word == name || word == name[:3] {
			s.month = int(m)
			return
		}
	}
	s.fail(1843, "not a valid month")
}

func (s *timeScan) fraction() {
	n := 0
	for n < len(s.text) && n < 9 && s.text[n] >= '0' && s.text[n] <= '9' {
		n++
	}
	s.nanos, _ = strconv.Atoi((s.text[:n] + "000000000")[:9])
	s.text = s.text[n:]
}

// zone reads an offset: hours for TZH, hours and minutes or "UTC" for TZR.
func (s *timeScan) zone(region bool) {
	s.hasZone = true
	s.text = strings.TrimLeft(s.text, " ")
	if region && s.text != "" && isLetterOrDigit(s.text[0]) && s.text[0] > '9' {
		name := s.word()
		if up := strings.ToUpper(name); up != "UTC" && up != "GMT" && up != "Z" {
			s.fail(1882, "timezone region not found")
		}
		return
	}
	if s.text != "" && (s.text[0] == '+' || s.text[0] == '-') {
		s.zoneNegative = s.text[0] == '-'
		s.text = s.text[1:]
	}
	s.zoneHours = s.ranged(zoneHourField, false)
	if region && strings.HasPrefix(s.text, ":") {
		s.text = s.text[1:]
		s.zoneMinutes = s.ranged(zoneMinuteField, false)
	}
}

// moment puts the parts together.
func (s *timeScan) moment(kind timeKind) (moment, error) {
	if s.twelve {
		s.hour %= 12
		if s.afternoon {
			s.hour += 12
		}
	}
	if s.secondOfDay >= 0 {
		s.hour, s.minute, s.second = 0, 0, s.secondOfDay
	}
	if s.year < 1 || s.year > 9999 {
		return moment{}, failure(1841, "(full) year must be between -4713 and +9999, and not be 0")
	}
	zone := time.UTC
	if kind == timestampTZ {
		minutes := s.zoneHours*60 + s.zoneMinutes
		if s.zoneNegative {
			minutes = -minutes
		}
		zone = zoneOf(minutes)
	}
	if kind == dateOnly {
		s.nanos = 0
	}
	if s.yearDay > 0 {
		s.month, s.day = 1, s.yearDay
	}
	t := time.Date(s.year, time.Month(s.month), s.day, s.hour, s.minute, s.second, s.nanos, zone)
	if s.julian >= 0 {
		t = time.Unix(int64(s.julian-2440588)*86400, 0).In(time.UTC)
	} else if s.yearDay == 0 && t.Day() != s.day {
		return moment{}, failure(1839, "date not valid for month specified")
	}
	return moment{t, kind}, nil
}
