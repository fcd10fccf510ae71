package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// inputsText words what a score was made of.
func inputsText(in journal.Inputs) string {
	var words []string
	say := func(is bool, format string, a ...any) {
		if is {
			words = append(words, fmt.Sprintf(format, a...))
		}
	}
	say(in.Status != "", "%s", in.Status)
	say(in.Tier != 0, "tier %d", in.Tier)
	say(in.Zone != "", "zone %s", in.Zone)
	if in.Measure == "" && in.Capacity == 0 && in.Weight == 0 { // passed over before anything was weighed
		return strings.Join(words, "; ")
	}
	words = append(words, reportText(in))
	say(in.Own != 0, "%s", ownText(in))
	say(in.Capacity != 0, "capacity %s", number(in.Capacity))
	say(in.Weight != 100, "weight %d %%", in.Weight)
	say(in.SlowStart > 0 && in.SlowStart < 1, "slow start: %s %% of its capacity", number(in.SlowStart*100))
	say(in.TauMS > 0, "sessions last %s on average", lasting(time.Duration(in.TauMS)*time.Millisecond))
	say(in.Brokers > 1, "%d brokers share the load", in.Brokers)
	return strings.Join(words, "; ")
}

// reportText words what was last reported of a candidate.
func reportText(in journal.Inputs) string {
	if in.Measure == "" {
		return "no load reported"
	}
	text := map[string]string{"sessions": "%s sessions", "handler": "handler load %s", "node": "node load %s", "goodness": "goodness %s"}[in.Measure]
	if text == "" {
		text = in.Measure + " %s"
	}
	text = strings.Replace(text, "%s", number(in.Reported), 1) + " reported"
	if in.ReportAgeMS > 0 {
		text += " " + lasting(time.Duration(in.ReportAgeMS)*time.Millisecond) + " ago"
	}
	if in.Aged != 0 && in.Aged != in.Reported {
		text += ", " + number(in.Aged) + " thought to be left"
	}
	return text
}

func ownText(in journal.Inputs) string {
	sign := ""
	if in.Own > 0 {
		sign = "+"
	}
	return sign + number(in.Own) + " by this broker since"
}

// number writes a figure with as many digits as tell something.
func number(f float64) string {
	const digits = 3
	if f >= 1000 || f <= -1000 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', digits, 64)
}

// lasting words a length of time down to the millisecond.
func lasting(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + " s"
	}
	return span(d)
}

// outcomeText words what became of a connect; where it has no REF it was never made.
func outcomeText(e *journal.Explanation) string {
	text := map[journal.Outcome]string{
		journal.Relay: "relayed", journal.Redirect: "redirected", journal.Hold: "held", journal.Refuse: "refused",
		journal.Drop: "closed without an answer", journal.Gone: "the client left before its answer",
	}[e.Outcome]
	if text == "" {
		text = string(e.Outcome)
	}
	if e.Ref == "" && e.Outcome != journal.Gone {
		text = "would be " + text
	}
	if e.Chosen != "" {
		text += map[bool]string{true: " by ", false: " to "}[e.Outcome == journal.Refuse] + e.Chosen
	}
	if e.Code != 0 {
		text += fmt.Sprintf(" with ORA-%05d", e.Code)
	}
	return text
}

// askedText words what a client asked for.
func askedText(q journal.Query) string {
	var words []string
	for _, pair := range [...][2]string{
		{"service", q.Service}, {"SID", q.SID}, {"instance", q.Instance}, {"server", q.Server}, {"colocation tag", q.ColocationTag},
	} {
		if pair[1] != "" {
			words = append(words, pair[0]+" "+pair[1])
		}
	}
	if len(words) == 0 {
		return "nothing by name"
	}
	return strings.Join(words, ", ")
}

// clientText words who a client is, as far as it says.
func clientText(e *journal.Explanation) string {
	text := e.Client
	for _, pair := range [...][2]string{{" program ", e.Program}, {" on ", e.Machine}, {" by ", e.User}} {
		if pair[1] != "" {
			text += pair[0] + pair[1]
		}
	}
	return strings.TrimSpace(text)
}

// targetText words what an intent is about.
func targetText(t intent.Target) string {
	var words []string
	for _, pair := range [...][2]string{
		{"database", t.Database}, {"service", t.Service}, {"instance", t.Instance}, {"node", t.Node}, {"network", t.Network}, {"registration", t.Quarantine},
	} {
		if pair[1] != "" {
			words = append(words, pair[0]+" "+pair[1])
		}
	}
	return strings.Join(words, ", ")
}

// kindText words what an intent wants.
func kindText(in intent.Intent) string {
	if in.Kind == intent.Weight {
		return fmt.Sprintf("weight %d %%", in.Value)
	}
	return string(in.Kind)
}

// waitsForSessions reports whether an intent is carried out only when sessions are over.
func waitsForSessions(v IntentView) bool {
	return v.Kind == intent.Drain || v.Kind == intent.Maintenance
}

// Plural words a number of things.
func Plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// progressText words how far an intent is, as of now.
func progressText(v IntentView, now time.Time) string {
	var words []string
	p := v.Progress
	if waitsForSessions(v) {
		words = append(words, fmt.Sprintf("%d of %s left", p.SessionsLeft, Plural(max(p.SessionsAtStart, p.SessionsLeft), "session")))
		if p.Ended > 0 {
			words = append(words, fmt.Sprintf("%d ended by the broker", p.Ended))
		}
		if p.Done {
			words = append(words, "done")
		}
	}
	switch {
	case p.DeadlinePassed:
		words = append(words, "deadline passed")
	case !v.Deadline.IsZero():
		words = append(words, "deadline in "+span(v.Deadline.Sub(now)))
	}
	return strings.Join(words, ", ")
}
