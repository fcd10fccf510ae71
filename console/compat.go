package console

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// The renderings named after CMAN and the listener are for scripts that read what cmctl and lsnrctl print. Where their
// layout is public it is kept to the byte, final full stop, column widths and lower case included; docs/compat.md tells where it is not.

// compatWidth is where values begin in a status, both of a listener and of a Connection Manager.
const compatWidth = 26

// gatewayWidth is where values begin in what is told of a gateway or a connection.
const gatewayWidth = 35

// Ends of an output: Connection Manager's has a full stop.
const (
	listenerDone = "The command completed successfully\n"
	cmanDone     = "The command completed successfully.\n"
)

// noLimit stands for a maximum that does not exist. Scripts divide by it.
const noLimit = 1<<31 - 1

// WriteBanner writes what the tools of Oracle Net begin with, such as tool "CMCTL", for the release that the broker
// claims. In the place of Oracle's copyright, which is not on this program, it says what answers.
func WriteBanner(w io.Writer, tool string, v Version, now time.Time) error {
	_, err := fmt.Fprintf(w, "\n%s for Linux: Version %s - Production on %s\n\nService broker %s answers as this tool does.\n\n",
		tool, printable(v.Release), compatTime(now), printable(v.Version))
	return err
}

// compatTime writes a time as the tools do: in the place where it was measured, months in English.
func compatTime(t time.Time) string {
	return strings.ToUpper(t.Format("02-Jan-2006 15:04:05"))
}

// compatStatus is what a listener would call the status. It has no word for one that outlived its registration.
func compatStatus(status string) string {
	if status == "STALE" {
		return "UNKNOWN"
	}
	return status
}

// compatList is a table as a listener would tell it: without what only this broker knows.
func compatList(list ServiceList) ServiceList {
	plain := ServiceList{Version: list.Version, Services: make([]Service, len(list.Services))}
	for i, s := range list.Services {
		plain.Services[i] = Service{Name: s.Name, Instances: make([]Instance, len(s.Instances))}
		for j, in := range s.Instances {
			in.Status, in.Marks = compatStatus(in.Status), nil
			in.Handlers = append([]Handler(nil), in.Handlers...)
			for k := range in.Handlers {
				in.Handlers[k].Marks = nil
			}
			plain.Services[i].Instances[j] = in
		}
	}
	return plain
}

func compatSummary(list []ServiceSummary) []ServiceSummary {
	plain := make([]ServiceSummary, len(list))
	for i, s := range list {
		plain[i] = ServiceSummary{Name: s.Name, Instances: append([]InstanceSummary(nil), s.Instances...)}
		for j := range plain[i].Instances {
			plain[i].Instances[j].Status = compatStatus(plain[i].Instances[j].Status)
		}
	}
	return plain
}

// firstEndpoint is the address by which the tools say that they connect.
func firstEndpoint(s Status) Endpoint {
	at := Endpoint{Protocol: "tcp", Host: s.Machine, Port: 1521}
	if len(s.Listening) > 0 {
		at = s.Listening[0]
	}
	if a, err := netip.ParseAddr(at.Host); err == nil && a.IsUnspecified() && s.Machine != "" {
		at.Host = s.Machine
	}
	return at
}

// ListenerAddress is a broker's address as lsnrctl writes it.
func ListenerAddress(s Status) string {
	at := firstEndpoint(s)
	return fmt.Sprintf("(DESCRIPTION=(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d)))", printable(at.Protocol), printable(at.Host), at.Port)
}

// CMANAddress is a broker's address as cmctl writes it.
func CMANAddress(s Status) string {
	at := firstEndpoint(s)
	return fmt.Sprintf("(DESCRIPTION=(address=(protocol=%s)(host=%s)(port=%d)))", printable(at.Protocol), printable(at.Host), at.Port)
}

// fact writes a name and its value, which begins in column width.
func fact(b *strings.Builder, width int, name, value string) {
	fmt.Fprintf(b, "%-*s%s\n", width, name, printable(value))
}
