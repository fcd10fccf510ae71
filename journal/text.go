package journal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Kinds returns all kinds of event.
func Kinds() []Kind {
	return []Kind{
		Registered, Died, Stale, ServiceUp, ServiceDown, Status, Moved, Ejected, Restored, SessionsLost, HoldBegan, HoldEnded,
		IntentSet, IntentEnded, Drained, Quarantined, Approved, Rejected, Administered, Undecodable, Started, Stopping, ConfigLoaded, ConfigRejected, Upgraded, UpgradeFailed, PredecessorEnded,
		PeerUp, PeerDown, PeerDiffers, PeerAgrees,
	}
}

// String returns e in one line, for logs. What others chose is quoted where it could be mistaken for more than one word.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(e.ID, 10))
	b.WriteString(" ")
	b.WriteString(oneLine(string(e.Kind))) // which may be another process's
	for _, pair := range [...][2]string{
		{"service", e.Service}, {"instance", e.Instance}, {"host", e.Host}, {"database", e.Database}, {"status", e.Status}, {"reason", e.Reason},
	} {
		writePair(&b, pair[0], pair[1])
	}
	if e.Card > 0 {
		writePair(&b, "card", strconv.Itoa(e.Card))
	}
	said := ": "
	for _, text := range [...]string{e.Cause, e.Detail} {
		if text != "" {
			b.WriteString(said + oneLine(text))
			said = "; "
		}
	}
	return b.String()
}

// Summary returns e in one line, for logs: Ref, what came of it, who asked for what, how long it took, and why it came
// out so. What others chose is quoted where it could be mistaken for more than one word.
func (e *Explanation) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Ref, e.Outcome)
	if e.Code != 0 {
		fmt.Fprintf(&b, " ORA-%05d", e.Code)
	}
	attempts := ""
	if len(e.Attempts) > 1 {
		attempts = strconv.Itoa(len(e.Attempts))
	}
	for _, pair := range [...][2]string{
		{"to", e.Chosen}, {"client", e.Client}, {"service", e.Query.Service}, {"sid", e.Query.SID}, {"instance", e.Query.Instance},
		{"server", e.Query.Server}, {"user", e.User}, {"program", e.Program}, {"machine", e.Machine}, {"connection_id", e.ConnectionID},
		{"route", e.Route}, {"policy", e.Policy}, {"attempts", attempts}, {"held", short(e.Held)}, {"took", short(e.Took)},
	} {
		writePair(&b, pair[0], pair[1])
	}
	if e.Text != "" {
		b.WriteString(": " + oneLine(e.Text))
	}
	return b.String()
}

// short writes a duration in as many digits as people read; "" for none.
func short(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func writePair(b *strings.Builder, key, value string) {
	if value == "" {
		return
	}
	b.WriteString(" " + key + "=")
	if quoted := strconv.Quote(value); len(quoted) > len(value)+2 || strings.ContainsAny(value, " =,;") {
		value = quoted
	}
	b.WriteString(value)
}

// oneLine escapes what is not printable, line ends above all.
func oneLine(text string) string {
	unprintable := func(r rune) bool { return !strconv.IsPrint(r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, unprintable) {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
