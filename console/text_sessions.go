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
		_, err := io.WriteString(w, "No sessions.\n")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tCLIENT\tPROGRAM\tUSER\tSERVICE\tINSTANCE\tUPSTREAM\tSTARTED\tIDLE\tFROM CLIENT\tTO CLIENT\tRULE\tREF")
	for _, s := range list.Sessions {
		fields := []string{
			s.ID, s.Client, s.CID.Program, s.CID.User, s.Service, s.Instance, s.Server.Local,
			span(now.Sub(s.Started)) + " ago", span(time.Duration(s.Idle) * time.Millisecond), bytesText(s.FromClient), bytesText(s.ToClient), s.Rule, s.Ref,
		}
		for i, f := range fields {
			if fields[i] = printable(f); fields[i] == "" {
				fields[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(fields, "\t"))
	}
	return t.Flush()
}
