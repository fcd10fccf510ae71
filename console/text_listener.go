package console

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// DisplayMode is how much lsnrctl shows of services.
type DisplayMode string

// The display modes.
const (
	Compact DisplayMode = "COMPACT" // without handlers
	Normal  DisplayMode = "NORMAL"
	Verbose DisplayMode = "VERBOSE" // with loads and marks
	Raw     DisplayMode = "RAW"     // name-value text
)

// ParseDisplayMode reads one in any case.
func ParseDisplayMode(word string) (DisplayMode, error) {
	switch mode := DisplayMode(strings.ToUpper(word)); mode {
	case Compact, Normal, Verbose, Raw:
		return mode, nil
	}
	return "", fmt.Errorf("%q is no display mode: use raw, compact, normal or verbose", word)
}

// WriteListenerStatus writes how a broker is as `lsnrctl status` does.
func WriteListenerStatus(w io.Writer, s Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Connecting to %s\n", ListenerAddress(s))
	b.WriteString("STATUS of the LISTENER\n------------------------\n")
	fact(&b, compatWidth, "Alias", s.Instance)
	fact(&b, compatWidth, "Version", "TNSLSNR for Linux: Version "+s.Release+" - Production")
	fact(&b, compatWidth, "Start Date", compatTime(s.Started))
	fact(&b, compatWidth, "Uptime", uptime(time.Duration(s.Uptime)*time.Millisecond))
	fact(&b, compatWidth, "Trace Level", cmp.Or(s.TraceLevel, "off"))
	fact(&b, compatWidth, "Security", "ON: Local OS Authentication")
	fact(&b, compatWidth, "SNMP", "OFF")
	if s.Config != "" {
		fact(&b, compatWidth, "Listener Parameter File", s.Config)
	}
	logFile := "standard output"
	if s.LogDir != "" {
		logFile = strings.TrimSuffix(s.LogDir, "/") + "/listener.log"
	}
	fact(&b, compatWidth, "Listener Log File", logFile)
	writeEndpoints(&b, s.Listening)
	writeSummary(&b, compatSummary(s.Summary))
	b.WriteString(listenerDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteListenerServices writes a table as `lsnrctl services` does.
func WriteListenerServices(w io.Writer, list ServiceList, s Status, mode DisplayMode) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Connecting to %s\n", ListenerAddress(s))
	switch mode {
	case Raw:
		writeRaw(&b, compatList(list))
	case Compact:
		writeSummary(&b, compatSummary(shortened(list)))
	case Verbose:
		writeTable(&b, list)
		writeLoads(&b, list)
	default:
		writeTable(&b, compatList(list))
	}
	b.WriteString(listenerDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// shortened leaves handlers and figures out.
func shortened(list ServiceList) []ServiceSummary {
	short := make([]ServiceSummary, len(list.Services))
	for i, s := range list.Services {
		short[i].Name = s.Name
		for _, in := range s.Instances {
			short[i].Instances = append(short[i].Instances, InstanceSummary{Name: in.Name, Status: in.Status, Handlers: len(in.Handlers)})
		}
	}
	return short
}

// writeLoads writes what balancing goes by, a line for each instance of a service.
func writeLoads(b *strings.Builder, list ServiceList) {
	b.WriteString("Loads Summary...\n")
	for _, s := range list.Services {
		for _, in := range s.Instances {
			fmt.Fprintf(b, "  Service \"%s\" on \"%s\": node load %d of %d, instance load %d of %d, goodness %d, delta %d\n",
				printable(s.Name), printable(in.Key), in.NodeLoad, in.NodeMax, in.Load, in.Max, in.Goodness, in.Delta)
		}
	}
}

// writeRaw writes a table in the form in which a listener tells it (tns.md 10.3).
func writeRaw(b *strings.Builder, list ServiceList) {
	for _, s := range list.Services {
		fmt.Fprintf(b, "(SERVICE=(SERVICE_NAME=%s)", printable(s.Name))
		for i, in := range s.Instances {
			fmt.Fprintf(b, "(INSTANCE=(INSTANCE_NAME=%s)(NUM=%d)(INSTANCE_STATUS=%s)(NUMREL=%d)", printable(in.Name), i+1, printable(in.Status), len(in.Handlers))
			for _, h := range in.Handlers {
				fmt.Fprintf(b, "(HANDLER=(HANDLER_DISPLAY=%s)(STA=%s)(HANDLER_MAXLOAD=%d)(HANDLER_LOAD=%d)(ESTABLISHED=%d)(REFUSED=%d)(HANDLER_INFO=%s)%s)",
					printable(h.Name), printable(h.State), h.Max, h.Load, h.Established, h.Refused, printable(h.Info), printable(h.Address))
			}
			b.WriteByte(')')
		}
		b.WriteString(")\n")
	}
}

// WriteListenerVersion writes what a broker claims to be as `lsnrctl version` does.
func WriteListenerVersion(w io.Writer, s Status) error {
	_, err := fmt.Fprintf(w, "Connecting to %s\nTNSLSNR for Linux: Version %s - Production\n%s", ListenerAddress(s), printable(s.Release), listenerDone)
	return err
}
