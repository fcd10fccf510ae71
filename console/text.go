package console

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// span words a length of time in its greatest unit, and the next smaller one where that is not zero.
func span(d time.Duration) string {
	units := []struct {
		name    string
		seconds int
	}{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}}
	s, i := int(max(d, 0).Seconds()), 0
	for i < len(units)-1 && s < units[i].seconds {
		i++
	}
	text := fmt.Sprintf("%d %s", s/units[i].seconds, units[i].name)
	if i == len(units)-1 {
		return text
	}
	if rest := s % units[i].seconds / units[i+1].seconds; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
	}
	return text
}

// bytesText words a number of bytes with two to four digits.
func bytesText(n uint64) string {
	const units = "kMGTPE"
	if n < 10_000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1000, 0
	for f >= 10_000 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	return fmt.Sprintf("%.0f %cB", f, units[unit])
}

// printable replaces what could move a terminal's cursor or end a line: names come from the network.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, text)
}
