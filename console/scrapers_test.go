package console

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What people have: checks that run cmctl or lsnrctl and look at its lines. They are written here as such checks are,
// from the outputs in features.md 1.8 and 2.6, line by line and with anchors.

// gatewayCheck reads `show gateways`: a state and figures for each gateway.
func gatewayCheck(output string) (states []string, figures []map[string]int) {
	field := regexp.MustCompile(`^(Number of active connections|Peak active connections|Total connections refused|Total connections)\s+(\d+)$`)
	state := regexp.MustCompile(`^Gateway state\s*(\w+)`)
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "Gateway ID"):
			states, figures = append(states, ""), append(figures, map[string]int{})
		case state.MatchString(line):
			states[len(states)-1] = state.FindStringSubmatch(line)[1]
		case field.MatchString(line):
			m := field.FindStringSubmatch(line)
			figures[len(figures)-1][m[1]], _ = strconv.Atoi(m[2])
		}
	}
	return states, figures
}

func TestGatewayCheck(t *testing.T) {
	states, figures := gatewayCheck(text(t, func(w io.Writer) error {
		return WriteCMANGateways(w, Gateway{Stats: Stats{Sessions: 12, Peak: 40, Total: 1234, Refused: 5}})
	}))
	if len(states) != 1 || states[0] != "READY" {
		t.Fatalf("states %q", states)
	}
	for name, want := range map[string]int{"Number of active connections": 12, "Peak active connections": 40, "Total connections": 1234, "Total connections refused": 5} {
		if got, found := figures[0][name]; !found || got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// handlerCheck reads from `show services` how full Connection Manager's own handlers are, in per cent.
func handlerCheck(output string) map[string]float64 {
	handler := regexp.MustCompile(`^\s*"(cm.*)"\sestablished:(\d+)\srefused:(\d+)\scurrent:(\d+)\smax:(\d+)\sstate:(\w+)$`)
	full := map[string]float64{}
	for line := range strings.Lines(output) {
		if m := handler.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil && m[6] == "ready" {
			current, _ := strconv.ParseFloat(m[4], 64)
			most, _ := strconv.ParseFloat(m[5], 64)
			full[m[1]] = 100 * current / most
		}
	}
	return full
}

func TestHandlerCheck(t *testing.T) {
	for most, want := range map[int]float64{0: 0, 50: 20} {
		full := handlerCheck(text(t, func(w io.Writer) error {
			return WriteCMANServices(w, view(), published(), Gateway{Stats: Stats{Sessions: 10, Max: most}})
		}))
		if len(full) != 2 || full["cmgw001"] < want || full["cmgw001"] > want+0.01 || full["cmon"] > 1 {
			t.Errorf("max %d: %v", most, full)
		}
	}
}

// serviceCheck reads the table from any of the outputs that have it: which status each instance has for each service.
func serviceCheck(output string) map[string]string {
	service := regexp.MustCompile(`^(?:Proxy )?[Ss]ervice "([^"]+)" has (\d+) instance\(s\)\.$`)
	instance := regexp.MustCompile(`^  Instance "([^"]+)", status (\w+), has (\d+) handler\(s\) for this service\.\.\.$`)
	found, at := map[string]string{}, ""
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if m := service.FindStringSubmatch(line); m != nil {
			at = m[1]
		} else if m := instance.FindStringSubmatch(line); m != nil {
			found[at+"/"+m[1]] = m[2]
		}
	}
	return found
}

func TestServiceCheck(t *testing.T) {
	want := map[string]string{
		"sales.example.com/sales1": "READY", "sales.example.com/sales2": "BLOCKED", "sales1XDB/sales1": "READY", "sales2XDB/sales2": "BLOCKED", "hr/legacy": "UNKNOWN",
	}
	st := testServer(tableOf(registrations()))
	status := st.all().status(st.snapshot())
	status.Summary = summary(st.snapshot().Services())
	for name, write := range map[string]func(io.Writer) error{
		"cmctl show services": func(w io.Writer) error { return WriteCMANServices(w, view(), status, Gateway{}) },
		"lsnrctl services":    func(w io.Writer) error { return WriteListenerServices(w, view(), status, Normal) },
		"lsnrctl status":      func(w io.Writer) error { return WriteListenerStatus(w, status) },
	} {
		got := serviceCheck(text(t, write))
		if name == "cmctl show services" {
			if got["cmgw/cman"] != "READY" || got["cmon/cman"] != "READY" {
				t.Errorf("%s: its own services: %v", name, got)
			}
			delete(got, "cmgw/cman")
			delete(got, "cmon/cman")
		}
		for key, status := range want {
			if got[key] != status {
				t.Errorf("%s: %s is %q, want %q", name, key, got[key], status)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// statusCheck reads names and values: those begin in column 27.
func statusCheck(output string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > 26 && line[25] == ' ' && !strings.HasPrefix(line, " ") {
			facts[strings.TrimRight(line[:26], " ")] = line[26:]
		}
	}
	return facts
}

func TestStatusCheck(t *testing.T) {
	facts := statusCheck(text(t, func(w io.Writer) error { return WriteCMANStatus(w, published(), Gateway{}) }))
	date := regexp.MustCompile(`^\d\d-(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)-\d{4} \d\d:\d\d:\d\d$`)
	span := regexp.MustCompile(`^\d+ days \d+ hr\. \d+ min\. \d+ sec$`)
	if facts["Instance name"] != "cman_cman1.example.com" || !date.MatchString(facts["Start date"]) || !span.MatchString(facts["Uptime"]) || facts["Num of gateways started"] != "1" {
		t.Errorf("cmctl: %v", facts)
	}
	facts = statusCheck(text(t, func(w io.Writer) error { return WriteListenerStatus(w, listenerBroker()) }))
	if facts["Alias"] != "LISTENER" || !date.MatchString(facts["Start Date"]) || !span.MatchString(facts["Uptime"]) || facts["Security"] != "ON: Local OS Authentication" {
		t.Errorf("lsnrctl: %v", facts)
	}
}

func TestConnectionCheck(t *testing.T) {
	count := regexp.MustCompile(`(?m)^Number of connections: (\d+)$`)
	for _, how := range []string{"count", "info", "detail"} {
		m := count.FindStringSubmatch(text(t, func(w io.Writer) error { return WriteCMANConnections(w, openSessions(), how, noon()) }))
		if m == nil || m[1] != "2" {
			t.Errorf("%s: %v", how, m)
		}
	}
}
