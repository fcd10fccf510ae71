package console

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// What listeners print above their services, or in their place.
const (
	servicesHeading = "Services Summary...\n"
	noServices      = "The listener supports no services\n"
)

// WriteServices writes a table in the layout of `lsnrctl services`, which scripts read. Marks, which listeners do not
// have, are lines of their own below the instance or handler they are on, and so is that an instance is from disk.
func WriteServices(w io.Writer, list ServiceList) error {
	var b strings.Builder
	writeTable(&b, list)
	b.WriteString(listenerDone)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeTable(b *strings.Builder, list ServiceList) {
	if len(list.Services) == 0 {
		b.WriteString(noServices)
	} else {
		b.WriteString(servicesHeading)
	}
	for _, s := range list.Services {
		writeServiceLine(b, s.Name, len(s.Instances))
		for _, in := range s.Instances {
			writeInstance(b, in)
		}
	}
}

func writeServiceLine(b *strings.Builder, name string, instances int) {
	fmt.Fprintf(b, "Service \"%s\" has %d instance(s).\n", printable(name), instances)
}

func writeInstanceLine(b *strings.Builder, name, status string, handlers int) {
	fmt.Fprintf(b, "  Instance \"%s\", status %s, has %d handler(s) for this service...\n", printable(name), printable(status), handlers)
}

func writeInstance(b *strings.Builder, in Instance) {
	writeInstanceLine(b, in.Name, in.Status, len(in.Handlers))
	if in.StoredAt != nil {
		fmt.Fprintf(b, "    Known from before the start, by the table on disk; heard of last %s\n", in.StoredAt.UTC().Format(time.RFC3339))
	}
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
