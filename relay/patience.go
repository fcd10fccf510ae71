package relay

import (
	"strings"
	"time"

	"servicebroker/descriptor"
)

// patience is how long the client says it waits for a connect, less what the
// answer needs to reach it; 0 if it does not say (tns.md 8). What it gives the
// transport alone is no matter any more.
func patience(asked *descriptor.Node) time.Duration {
	const margin = 500 * time.Millisecond
	for _, at := range []*descriptor.Node{asked, asked.Child("DESCRIPTION")} {
		if t, ok := seconds(at.Text("CONNECT_TIMEOUT")); ok {
			return max(t-margin, margin)
		}
	}
	return 0
}

// seconds reads a time-out as descriptors have it: seconds, or a number with ms, sec or min.
func seconds(text string) (time.Duration, bool) {
	number, unit := strings.ToLower(strings.TrimSpace(text)), time.Second
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"sec", time.Second}, {"min", time.Minute}, {"s", time.Second}} {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimSpace(rest), u.unit
			break
		}
	}
	n, err := time.ParseDuration(number + "s")
	if number == "" || err != nil || n <= 0 || n > 24*time.Hour {
		return 0, false
	}
	return time.Duration(float64(n) / float64(time.Second) * float64(unit)), true
}

// shorter is the shorter of two limits of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
