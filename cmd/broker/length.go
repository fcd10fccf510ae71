package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// length is a length of time as the configuration writes it too: seconds, or a number with ms, s, min, h or d.
type length time.Duration

// UnmarshalText reads one; it may have several parts, as in 1h30min.
func (l *length) UnmarshalText(text []byte) error {
	word := strings.ToLower(strings.ReplaceAll(string(text), " ", ""))
	if seconds, err := strconv.ParseFloat(word, 64); err == nil {
		word = strconv.FormatFloat(seconds, 'f', -1, 64) + "s"
	}
	if days, found := strings.CutSuffix(word, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return noLength(text)
		}
		word = strconv.FormatUint(n*24, 10) + "h"
	}
	d, err := time.ParseDuration(strings.ReplaceAll(word, "min", "m"))
	if err != nil || d < 0 {
		return noLength(text)
	}
	*l = length(d)
	return nil
}

func noLength(text []byte) error {
	return fmt.Errorf("%q is no length of time: write for example 90, 90s, 15min, 2h or 1d", text)
}
