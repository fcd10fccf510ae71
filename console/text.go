package console

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// WriteServices writes a table in the layout of `lsnrctl services`, which scripts read. Marks, which listeners do not
// have, are lines of their own below the instance or handler they are on.
func WriteServices(w io.Writer, list ServiceList) error {
	var b strings.Builder
	if len(list.Services) == 0 {
		b.WriteString("The listener supports no services\n")
	} else {
		b.WriteString("Services Summary...\n")
	}
	for _, s := range list.Services {
		fmt.Fprintf(&b, "Service \"%s\" has %d instance(s).\n", printable(s.Name), len(s.Instances))
		for _, in := range s.Instances {
			writeInstance(&b, in)
		}
	}
	b.WriteString("The command completed successfully\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeInstance(b *strings.Builder, in Instance) {
	fmt.Fprintf(b, "  Instance \"%s\", status %s, has %d handler(s) for this service...\n", printable(in.Name), printable(in.Status), len(in.Handlers))
	for _, m := range in.Marks {
		fmt.Fprintf(b, "    Mark: %s\n", markText(m))
	}
	if len(in.Handlers) == 0 {
		return
	}
	b.WriteString("    Handler(s):\n")
	for _, h := range in.Handlers {
		load := ""
		if h.Kind != "dedicated" {
			load = fmt.Sprintf(" current:%d max:%d", h.Load, h.Max)
		}
		fmt.Fprintf(b, "      \"%s\" established:%d refused:%d%s state:%s\n", printable(h.Name), h.Established, h.Refused, load, printable(h.State))
		info := printable(h.Info)
		if info == "" {
			info = "REMOTE SERVER"
		}
		fmt.Fprintf(b, "         %s\n", info)
		if h.Address != "" {
			fmt.Fprintf(b, "         %s\n", printable(h.Address))
		}
		for _, m := range h.Marks {
			fmt.Fprintf(b, "         Mark: %s\n", markText(m))
		}
	}
}

func markText(m Mark) string {
	text := printable(m.Mark) + " since " + m.Since.UTC().Format(time.RFC3339)
	if m.Until != nil {
		text += " until " + m.Until.UTC().Format(time.RFC3339)
	}
	if m.Cause != "" {
		text += " (" + printable(m.Cause) + ")"
	}
	return text
}

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

// WriteStatus writes how a broker is, one fact a line.
func WriteStatus(w io.Writer, s Status) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, printable(value)) }
	line("Instance", s.Instance)
	line("Version", s.Version)
	line("Started", s.Started.UTC().Format(time.RFC3339))
	line("Uptime", span(time.Duration(s.Uptime)*time.Millisecond))
	if s.Config == "" {
		line("Configuration", "built-in default")
	} else {
		line("Configuration", s.Config)
	}
	for _, e := range s.Listening {
		line("Listening", fmt.Sprintf("(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d))", e.Protocol, e.Host, e.Port))
	}
	if s.Ready {
		line("Ready", "yes")
	} else {
		line("Ready", "no: "+strings.Join(s.Reasons, "; "))
	}
	line("Services", fmt.Sprintf("%d (table version %d)", s.Services, s.TableVersion))
	line("Registrations", fmt.Sprint(s.Registrations))
	line("Sessions", fmt.Sprint(s.Sessions))
	return t.Flush()
}

// WriteVersion writes what a broker is, on one line.
func WriteVersion(w io.Writer, v Version) error {
	text := "broker " + v.Version
	if v.Commit != "" {
		text += " (" + v.Commit + ")"
	}
	_, err := fmt.Fprintf(w, "%s, %s, tells clients release %s\n", printable(text), printable(v.Go), printable(v.Release))
	return err
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
