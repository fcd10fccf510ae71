package console

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"servicebroker/journal"
)

// WriteExplanation writes what became of a connect, or would become of one, and why.
func WriteExplanation(w io.Writer, e *journal.Explanation) error {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s%s\n", name, printable(value))
		}
	}
	line("REF", e.Ref)
	if !e.Time.IsZero() {
		line("Time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	line("Client", clientText(e))
	line("Connection ID", e.ConnectionID)
	line("Asked for", askedText(e.Query))
	line("Descriptor", e.Query.Descriptor)
	line("Outcome", outcomeText(e))
	line("", e.Text)
	line("Rule", e.Rule)
	for _, rule := range e.Logged {
		line("Logged", rule)
	}
	line("Route", e.Route)
	line("Policy", e.Policy)
	if e.Version > 0 {
		line("Table", fmt.Sprintf("version %d", e.Version))
	}
	if e.Held > 0 {
		line("Held for", lasting(e.Held))
	}
	if e.Took > 0 {
		line("Took", lasting(e.Took))
	}
	writeCandidates(&b, e)
	writeAttempts(&b, e.Attempts)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCandidates writes a table, with a line of its own for why one was passed over.
func writeCandidates(b *strings.Builder, e *journal.Explanation) {
	if len(e.Candidates) == 0 {
		b.WriteString("\nNo candidates.\n")
		return
	}
	width := len("CANDIDATE")
	for _, c := range e.Candidates {
		width = max(width, len([]rune(c.Key)))
	}
	fmt.Fprintf(b, "\n    %-*s  %8s  %s\n", width, "CANDIDATE", "SCORE", "INPUTS")
	for i, c := range e.Candidates {
		fmt.Fprintf(b, "%2d  %-*s  %8s  %s\n", i+1, width, printable(c.Key), number(c.Score), printable(inputsText(c.Inputs)))
		if c.PassedOver != "" {
			fmt.Fprintf(b, "    %*s  %8s  passed over: %s\n", width, "", "", printable(c.PassedOver))
		}
	}
	if e.Omitted > 0 {
		fmt.Fprintf(b, "    and %d more, not kept\n", e.Omitted)
	}
}

func writeAttempts(b *strings.Builder, attempts []journal.Attempt) {
	if len(attempts) == 0 {
		return
	}
	b.WriteString("\nAttempts:\n")
	for i, a := range attempts {
		fmt.Fprintf(b, "%2d  %s  %s  %s\n", i+1, printable(a.Key), lasting(a.Took), printable(attemptText(a)))
	}
}

// attemptText words how a dial went.
func attemptText(a journal.Attempt) string {
	text := "accepted"
	if a.Error != "" {
		text = a.Error
	}
	if a.Hedged {
		text += " (another one was started meanwhile)"
	}
	return text
}

// WriteExplanations writes explanations as a table, one a line, as of now.
func WriteExplanations(w io.Writer, list ExplanationList, now time.Time) error {
	if len(list.Explanations) == 0 {
		_, err := io.WriteString(w, "No explanations. The newest 10,000 or so are kept.\n")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "REF\tWHEN\tCLIENT\tASKED FOR\tOUTCOME\tWHY")
	for _, e := range list.Explanations {
		writeRow(t, e.Ref, ago(e.Time, now), e.Client, askedText(e.Query), outcomeText(e), e.Text)
	}
	return t.Flush()
}

// writeRow writes one line of a table; fields that are empty show as a dash.
func writeRow(w io.Writer, fields ...string) {
	for i, f := range fields {
		if fields[i] = printable(f); fields[i] == "" {
			fields[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(fields, "\t"))
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return span(now.Sub(t)) + " ago"
}
