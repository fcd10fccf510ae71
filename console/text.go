package console

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// span words a length of time in its two greatest units at most.
func span(d time.Duration) string {
	switch s := int(max(d, 0).Seconds()); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
	}
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
