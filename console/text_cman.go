package console

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// Gateway is the broker as Connection Manager would show one of its gateways: the only one it has.
type Gateway struct {
	Stats     Stats
	Suspended bool // takes no new connects
}

// SuspendTarget is what a drain is about that suspends a gateway: every service.
func SuspendTarget() intent.Target { return intent.Target{Service: "*"} }

// Suspends reports whether an intent keeps new connects away from everything.
func Suspends(i intent.Intent) bool {
	return i.Kind == intent.Drain && i.Target == SuspendTarget()
}

// WriteCMANStatus writes how a broker is as `cmctl show status` does.
func WriteCMANStatus(w io.Writer, s Status, g Gateway) error {
	var b strings.Builder
	b.WriteString("Status of the Instance\n----------------------\n")
	fact(&b, compatWidth, "Instance name", strings.ToLower(s.Instance))
	fact(&b, compatWidth, "Version", cmanVersion(s))
	fact(&b, compatWidth, "Start date", compatTime(s.Started))
	fact(&b, compatWidth, "Uptime", uptime(time.Duration(s.Uptime)*time.Millisecond))
	fact(&b, compatWidth, "Num of gateways started", "1")
	fact(&b, compatWidth, "Average Load level", fmt.Sprint(loadLevel(g.Stats)))
	fact(&b, compatWidth, "Log Level", strings.ToUpper(s.LogLevel))
	fact(&b, compatWidth, "Trace Level", strings.ToUpper(cmp.Or(s.TraceLevel, "off")))
	fact(&b, compatWidth, "Instance Config file", cmp.Or(s.Config, "built-in default"))
	fact(&b, compatWidth, "Instance Log directory", cmp.Or(s.LogDir, "standard output"))
	fact(&b, compatWidth, "Instance Trace directory", cmp.Or(s.TraceDir, s.LogDir, "standard output"))
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

func cmanVersion(s Status) string { return "CMAN for Linux: Version " + s.Release + " - Production" }

// loadLevel is how full the broker is, in per cent; 0 where it has no limit.
func loadLevel(s Stats) int {
	if s.Max <= 0 {
		return 0
	}
	return 100 * s.Sessions / s.Max
}

// WriteCMANVersion writes what a broker claims to be as `cmctl show version` does.
func WriteCMANVersion(w io.Writer, s Status) error {
	_, err := io.WriteString(w, printable(cmanVersion(s))+"\n"+cmanDone)
	return err
}

// WriteCMANServices writes a table as `cmctl show services` does: the gateway and the administration come first.
func WriteCMANServices(w io.Writer, list ServiceList, s Status, g Gateway) error {
	var b strings.Builder
	b.WriteString(servicesHeading)
	state := "ready"
	if g.Suspended {
		state = "blocked"
	}
	most := g.Stats.Max
	if most <= 0 {
		most = noLimit
	}
	writeOwn(&b, "Proxy service \"cmgw\"", s, fmt.Sprintf("\"cmgw001\" established:%d refused:%d current:%d max:%d state:%s",
		g.Stats.Total, g.Stats.Refused, g.Stats.Sessions, most, state))
	writeOwn(&b, "Service \"cmon\"", s, fmt.Sprintf("\"cmon\" established:%d refused:0 current:%d max:%d state:ready", s.AdminRequests, s.AdminOpen, noLimit))
	for _, one := range compatList(list).Services {
		writeServiceLine(&b, one.Name, len(one.Instances))
		for _, in := range one.Instances {
			writeInstance(&b, in)
		}
	}
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeOwn writes a service that is the broker itself.
func writeOwn(b *strings.Builder, name string, s Status, handler string) {
	fmt.Fprintf(b, "%s has 1 instance(s).\n", name)
	writeInstanceLine(b, "cman", "READY", 1)
	fmt.Fprintf(b, "    Handler(s):\n      %s\n         <machine: %s, pid: %d>\n         (ADDRESS=(PROTOCOL=ipc)(KEY=#%d.1)(KEYPATH=%s))\n",
		handler, printable(s.Machine), s.PID, s.PID, printable(path.Dir(s.Socket)))
}

// WriteCMANGateways writes the broker as `cmctl show gateways` shows gateways.
func WriteCMANGateways(w io.Writer, g Gateway) error {
	var b strings.Builder
	state := "READY"
	if g.Suspended {
		state = "SUSPENDED"
	}
	for _, pair := range [...][2]string{
		{"Gateway ID", "0"}, {"Gateway state", state}, {"Number of active connections", fmt.Sprint(g.Stats.Sessions)},
		{"Peak active connections", fmt.Sprint(max(g.Stats.Peak, g.Stats.Sessions))}, {"Total connections", fmt.Sprint(g.Stats.Total)},
		{"Total connections refused", fmt.Sprint(g.Stats.Refused)},
	} {
		fact(&b, gatewayWidth, pair[0], pair[1])
	}
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCMANRules writes rules as `cmctl show rules` does.
func WriteCMANRules(w io.Writer, list RuleList) error {
	var b strings.Builder
	writeRuleList(&b, list)
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeRuleList(b *strings.Builder, list RuleList) {
	fmt.Fprintf(b, "Number of filtering rules currently in effect: %d\n(rule_list=\n", len(list.Rules))
	for _, r := range list.Rules {
		fmt.Fprintf(b, "  %s\n", printable(r.Text))
	}
	b.WriteString(")\n")
}

// WriteCMANParameters writes settings as `cmctl show parameters` does, or their defaults.
func WriteCMANParameters(w io.Writer, list ParameterList, defaults bool) error {
	var b strings.Builder
	writeParameterLines(&b, list, defaults)
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeParameterLines(b *strings.Builder, list ParameterList, defaults bool) {
	sorted := slices.SortedFunc(slices.Values(list.Parameters), func(a, b Parameter) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range sorted {
		value := p.Value
		if defaults {
			value = p.Default
		}
		fmt.Fprintf(b, "%-26s| %s\n", printable(strings.ToLower(p.Name)), printable(value))
	}
}

// WriteCMANAll writes what `cmctl show all` does: settings, then rules.
func WriteCMANAll(w io.Writer, settings ParameterList, rules RuleList) error {
	var b strings.Builder
	writeParameterLines(&b, settings, false)
	writeRuleList(&b, rules)
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCMANEvents writes which kinds of events are kept, as `cmctl show events` does for its groups.
func WriteCMANEvents(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Event Groups:\n")
	for _, kind := range journal.Kinds() {
		fmt.Fprintf(&b, "%s\n", kind)
	}
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCMANStats writes what was carried as `cmctl show stats` might.
func WriteCMANStats(w io.Writer, s Stats) error {
	var b strings.Builder
	for _, pair := range [...]struct {
		name  string
		value uint64
	}{
		{"Number of active connections", uint64(s.Sessions)}, {"Peak active connections", uint64(max(s.Peak, s.Sessions))}, {"Total connections", s.Total},
		{"Total connections redirected", s.Redirected}, {"Total connections refused", s.Refused}, {"Connects on hold", uint64(s.Held)},
		{"Bytes received from clients", s.FromClient}, {"Bytes sent to clients", s.ToClient},
	} {
		fact(&b, gatewayWidth, pair.name, fmt.Sprint(pair.value))
	}
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}
