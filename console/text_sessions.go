package console

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteSessions writes sessions as a table, one a line, as of now.
func WriteSessions(w io.Writer, list SessionList, now time.Time) error {
	if len(list.Sessions) == 0 {
		if _, err := io.WriteString(w, "No sessions.\n"); err != nil {
			return err
		}
		return writeOlder(w, list.Older)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tCLIENT\tPROGRAM\tMACHINE\tUSER\tSERVICE\tINSTANCE\tUPSTREAM\tSTARTED\tIDLE\tFROM CLIENT\tTO CLIENT\tRULE\tREF")
	for _, s := range list.Sessions {
		fields := []string{
			s.ID, s.Client, s.CID.Program, s.CID.Host, s.CID.User, s.Service, s.Instance, s.Server.Local,
			span(now.Sub(s.Started)) + " ago", span(time.Duration(s.Idle) * time.Millisecond), bytesText(s.FromClient), bytesText(s.ToClient), s.Rule, s.Ref,
		}
		writeRow(t, fields...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return writeOlder(w, list.Older)
}

// WriteClient writes who the client of a session is, and what the instance sees of it, as of now.
func WriteClient(w io.Writer, s Session, now time.Time) error {
	var b strings.Builder
	for _, pair := range [...][2]string{
		{"Client", s.Client}, {"Program", s.CID.Program}, {"Machine", s.CID.Host}, {"User", s.CID.User},
		{"Instance sees", s.Server.Local}, {"Instance", s.Instance}, {"Service", s.Service}, {"Session", s.ID},
		{"Started", ago(s.Started, now)}, {"Idle for", span(time.Duration(s.Idle) * time.Millisecond)}, {"REF", s.Ref},
	} {
		if pair[1] != "" {
			fmt.Fprintf(&b, "%-14s%s\n", pair[0], printable(pair[1]))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
