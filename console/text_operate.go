package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"servicebroker/journal"
)

// table writes a heading and rows, or what to say where there are none.
func table(w io.Writer, none, heading string, rows [][]string) error {
	if len(rows) == 0 {
		_, err := io.WriteString(w, none+"\n")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(heading, " | ", "\t"))
	for _, fields := range rows {
		writeRow(t, fields...)
	}
	return t.Flush()
}

// WriteEvents writes events, one a line.
func WriteEvents(w io.Writer, list EventList) error {
	if len(list.Events) == 0 {
		_, err := io.WriteString(w, "No events.\n")
		return err
	}
	for _, e := range list.Events {
		if err := WriteEvent(w, e); err != nil {
			return err
		}
	}
	return nil
}

// WriteEvent writes one event on a line: its time, then as logs have it.
func WriteEvent(w io.Writer, e journal.Event) error {
	_, err := fmt.Fprintf(w, "%s %s\n", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), printable(e.String()))
	return err
}

// WriteIntents writes intents as a table, one a line, as of now.
func WriteIntents(w io.Writer, list IntentList, now time.Time) error {
	var rows [][]string
	head := "ID | KIND | TARGET | SET | PROGRESS | REASON | BY"
	shared := slices.ContainsFunc(list.Intents, func(v IntentView) bool { return v.Shared != "" })
	if shared {
		head += " | AT"
	}
	for _, v := range list.Intents {
		row := []string{v.ID, kindText(v.Intent), targetText(v.Target), ago(v.Created, now), progressText(v, now), v.Reason, v.Source}
		if shared {
			row = append(row, atText(v))
		}
		rows = append(rows, row)
	}
	return table(w, "No intents.", head, rows)
}

// atText says where an intent was set.
func atText(v IntentView) string {
	if v.Shared == SharedNotYet {
		return strings.TrimSpace(v.Origin + " (other brokers do not know it yet)")
	}
	return v.Origin
}

// WriteIntent writes one intent on a line.
func WriteIntent(w io.Writer, v IntentView, now time.Time) error {
	text := fmt.Sprintf("%s: %s of %s", v.ID, kindText(v.Intent), targetText(v.Target))
	if p := progressText(v, now); p != "" {
		text += ": " + p
	}
	if v.Shared == SharedNotYet {
		text += "; other brokers do not know it yet, and will as soon as Consul is there"
	}
	_, err := fmt.Fprintln(w, printable(text))
	return err
}

// WriteTakenBack writes an intent that holds no more.
func WriteTakenBack(w io.Writer, v IntentView, now time.Time) error {
	text := fmt.Sprintf("taken back: %s %s of %s, set", v.ID, kindText(v.Intent), targetText(v.Target))
	if v.Origin != "" {
		text += " at " + v.Origin
	}
	text += " " + ago(v.Created, now)
	if v.Reason != "" {
		text += " (" + v.Reason + ")"
	}
	if p := v.Progress; waitsForSessions(v) {
		text += fmt.Sprintf("; %d of %s were left", p.SessionsLeft, Plural(max(p.SessionsAtStart, p.SessionsLeft), "session"))
	}
	if v.Shared == SharedNotYet {
		text += "; other brokers do not know it yet, and will as soon as Consul is there"
	}
	_, err := fmt.Fprintln(w, printable(text))
	return err
}

// WriteAllTakenBack writes intents that hold no more, one a line.
func WriteAllTakenBack(w io.Writer, list IntentList, now time.Time) error {
	for _, v := range list.Intents {
		if err := WriteTakenBack(w, v, now); err != nil {
			return err
		}
	}
	return nil
}

// WriteHeld writes for which services connects wait, then each of them, as of now.
func WriteHeld(w io.Writer, list HeldList, now time.Time) error {
	if list.Total == 0 {
		_, err := io.WriteString(w, "No connect waits.\n")
		return err
	}
	var services, connects [][]string
	for _, s := range list.Services {
		services = append(services, []string{s.Service, fmt.Sprint(s.Waiting), span(now.Sub(s.Oldest))})
	}
	if err := table(w, "", "SERVICE | WAITING | LONGEST", services); err != nil {
		return err
	}
	for _, h := range list.Held {
		connects = append(connects, []string{h.Client, h.Service, span(now.Sub(h.Since)), span(h.Until.Sub(now)), h.Ref, h.Cause})
	}
	if _, err := fmt.Fprintf(w, "\n%d of %d connects that wait:\n", len(list.Held), list.Total); err != nil {
		return err
	}
	return table(w, "", "CLIENT | SERVICE | WAITS FOR | REFUSED IN | REF | CAUSE", connects)
}

// WriteQuarantine writes what waits for a decision as a table, one a line, as of now.
func WriteQuarantine(w io.Writer, list QuarantineList, now time.Time) error {
	var rows [][]string
	for _, q := range list.Quarantine {
		state := "waits"
		if q.Rejected {
			state = "rejected"
		}
		rows = append(rows, []string{q.ID, state, q.Service, q.Instance, q.Peer, q.Database, ago(q.Since, now), q.Cause})
	}
	return table(w, "Nothing is quarantined.", "ID | STATE | SERVICE | INSTANCE | REGISTERED FROM | CLAIMED BY | SINCE | CAUSE", rows)
}

// WriteClosed writes how many sessions were ended.
func WriteClosed(w io.Writer, c Closed) error {
	text := "No session was ended."
	if n := len(c.Closed); n > 0 {
		text = fmt.Sprintf("%d session(s) ended: %s", n, strings.Join(c.Closed[:min(n, 20)], ", "))
		if n > 20 {
			text += " …"
		}
	}
	_, err := fmt.Fprintln(w, printable(text))
	return err
}

// WriteReload writes what a reload did.
func WriteReload(w io.Writer, r ReloadResult) error {
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", printable(m.File), m.Line, m.Column, printable(m.Severity), printable(m.Text))
	}
	from := r.Config
	if from == "" {
		from = "built-in default"
	}
	fmt.Fprintf(&b, "Reloaded: %s\n", printable(from))
	if len(r.Changed) == 0 && len(r.NeedsRestart) == 0 {
		b.WriteString("Nothing has changed.\n")
	}
	for _, c := range r.Changed {
		fmt.Fprintf(&b, "Changed: %s\n", printable(c))
	}
	for _, c := range r.NeedsRestart {
		fmt.Fprintf(&b, "Not in force before an upgrade (broker upgrade) or a restart: %s\n", printable(c))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteParameters writes the settings as a table, one a line.
func WriteParameters(w io.Writer, list ParameterList) error {
	var rows [][]string
	for _, p := range list.Parameters {
		rows = append(rows, []string{p.Name, p.Value, p.Default, p.Where, p.Meaning})
	}
	return table(w, "No parameters.", "PARAMETER | VALUE | DEFAULT | SET AT | MEANING", rows)
}

// WriteRules writes the rules as a table, in the order in which they are tried.
func WriteRules(w io.Writer, list RuleList) error {
	var rows [][]string
	for _, r := range list.Rules {
		last := "never"
		if r.Last != nil {
			last = r.Last.Local().Format("2006-01-02 15:04:05")
		}
		rows = append(rows, []string{r.Name, fmt.Sprint(r.Matched), last, r.Whole(), r.Where})
	}
	return table(w, "No rules.", "RULE | MATCHED | LAST | TEXT | AT", rows)
}

// Whole is the rule as written, with what it has of the group it stands in.
func (r *RuleView) Whole() string {
	if r.Group == "" {
		return r.Text
	}
	about := "group " + r.Group
	if len(r.Services) > 0 {
		about += " for " + strings.Join(r.Services, ",")
	}
	if len(r.DNs) > 0 {
		about += " with DN " + strings.Join(r.DNs, " or ")
	}
	return about + ": " + r.Text
}
