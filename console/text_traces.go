package console

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// WriteTraces writes traces as a table, one a line, as of now.
func WriteTraces(w io.Writer, list TraceList, now time.Time) error {
	var rows [][]string
	for _, v := range list.Traces {
		state := v.Ended
		if state == "" {
			state = "for another " + v.Until.Sub(now).Round(time.Second).String()
		}
		rows = append(rows, []string{v.ID, whose(v), strconv.FormatUint(v.Packets, 10), strconv.FormatUint(v.Lost, 10), state, v.File})
	}
	return table(w, "No traces.", "ID | WHOSE | PACKETS | LOST | STATE | FILE", rows)
}

// WriteTrace writes one on a line.
func WriteTrace(w io.Writer, v Trace) error {
	text := fmt.Sprintf("%s: %s, until %s, into %s", v.ID, whose(v), v.Until.Local().Format(time.TimeOnly), v.File)
	if v.Ended != "" {
		text = fmt.Sprintf("%s: %s: %s; %d packets in %s", v.ID, whose(v), v.Ended, v.Packets, v.File)
	}
	_, err := fmt.Fprintln(w, printable(text))
	return err
}

// whose says what a trace is of.
func whose(v Trace) string {
	switch {
	case v.Session != "":
		return "session " + v.Session
	case v.Client == "*":
		return "all clients"
	}
	return "clients " + v.Client
}
