package console

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteStatus writes how a broker is, in the layout of `lsnrctl status`: one fact a line, then where it listens, then
// which instances offer what.
func WriteStatus(w io.Writer, s Status) error {
	var b strings.Builder
	b.WriteString("STATUS of the BROKER\n--------------------\n")
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-26s%s\n", name, printable(value))
		}
	}
	line("Alias", s.Instance)
	line("Version", "Service broker "+s.Version)
	line("Start Date", strings.ToUpper(s.Started.UTC().Format("02-Jan-2006 15:04:05 MST")))
	line("Uptime", uptime(time.Duration(s.Uptime)*time.Millisecond))
	if s.Ready {
		line("Ready", "yes")
	} else {
		line("Ready", "no: "+strings.Join(s.Reasons, "; "))
	}
	for _, note := range s.Notes {
		line("Note", note)
	}
	line("Route", s.Route)
	if s.Config == "" {
		line("Configuration File", "none: built-in default")
	} else {
		line("Configuration File", s.Config)
	}
	line("Last Reload", reloadText(s.LastReload))
	if s.Generation > 0 {
		line("Generation", fmt.Sprintf("%d since %s", s.Generation, strings.ToUpper(s.Started.UTC().Format("02-Jan-2006 15:04:05 MST"))))
	}
	line("DNS", s.DNS.text())
	line("Consul", s.Consul.text())
	line("Peers", s.Peers.text())
	line("Console", s.Console)
	line("REST", s.REST)
	line("Table", fmt.Sprintf("version %d: %d service(s), %d instance(s)", s.TableVersion, s.Services, s.Registrations))
	line("Open Sessions", fmt.Sprint(s.Sessions))
	writeEndpoints(&b, s.Listening)
	writeSummary(&b, s.Summary)
	b.WriteString(listenerDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// text is "" for none.
func (d *DNSPlace) text() string {
	if d == nil {
		return ""
	}
	text := "zone " + d.Zone
	if d.Address != "" {
		text += " at " + d.Address
	}
	if d.Primary != "" {
		text += ", written to " + d.Primary
	}
	return text
}

// text is "" for none.
func (c *ConsulPlace) text() string {
	switch {
	case c == nil:
		return ""
	case c.Problem != "":
		return c.Address + ": " + c.Problem
	}
	return c.Address + ": this broker is known there"
}

// text is "" for none.
func (p *PeerCount) text() string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d alive", p.Alive, p.Known)
}

// reloadText tells of a reload in one line.
func reloadText(r *ReloadReport) string {
	if r == nil {
		return ""
	}
	text := strings.ToUpper(r.At.UTC().Format("02-Jan-2006 15:04:05 MST")) + ", by " + r.By + ": "
	switch {
	case !r.OK:
		return text + "nothing was changed: " + strings.Join(strings.Fields(r.Error), " ")
	case len(r.NeedsRestart) > 0:
		return text + "in force, save for what needs broker upgrade (or a restart): " + strings.Join(r.NeedsRestart, ", ")
	}
	return text + "in force"
}

func writeEndpoints(b *strings.Builder, listening []Endpoint) {
	b.WriteString("Listening Endpoints Summary...\n")
	for _, e := range listening {
		fmt.Fprintf(b, "  (DESCRIPTION=(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d)))\n", printable(e.Protocol), printable(e.Host), e.Port)
	}
}

func writeSummary(b *strings.Builder, services []ServiceSummary) {
	if len(services) == 0 {
		b.WriteString(noServices)
		return
	}
	b.WriteString(servicesHeading)
	for _, s := range services {
		writeServiceLine(b, s.Name, len(s.Instances))
		for _, in := range s.Instances {
			writeInstanceLine(b, in.Name, in.Status, in.Handlers)
		}
	}
}

// uptime words a length of time as listeners do.
func uptime(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	return fmt.Sprintf("%d days %d hr. %d min. %d sec", s/86400, s/3600%24, s/60%60, s%60)
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
