package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"servicebroker/console"
)

// show looks. `show idle connections` is another form of `show connections in idle`.
func (m *cmctl) show(ctx context.Context, words []string) error {
	if len(words) > 1 && strings.HasPrefix("connections", strings.ToLower(words[1])) {
		switch state := strings.ToLower(words[0]); state {
		case "idle", "established", "connecting", "terminated":
			words = append(append([]string{words[1]}, words[2:]...), "in", state)
		}
	}
	if len(words) == 0 {
		return m.help(m.shows(), nil)
	}
	return dispatch(ctx, m.shows(), words)
}

// shows are all that can be shown; of words that begin alike the first is meant.
func (m *cmctl) shows() []verb {
	return []verb{
		{"all", "", "parameters and rules", m.showAll},
		{"connections", "[count|info|detail] [FILTERS]", "sessions", m.showConnections},
		{"defaults", "", "settings as they are where cman.ora says nothing", func(ctx context.Context, _ []string) error { return m.showParameters(ctx, true) }},
		{"events", "", "kinds of events that are kept", func(context.Context, []string) error { return console.WriteCMANEvents(m.t.out) }},
		{"gateways", "", "the broker, as the only gateway that it has", m.showGateways},
		{"parameters", "", "settings in force", func(ctx context.Context, _ []string) error { return m.showParameters(ctx, false) }},
		{"rules", "", "rules in force", m.showRules},
		{"services", "", "services, instances and handlers", m.showServices},
		{"status", "", "how the instance is", m.showStatus},
		{"stats", "", "what it has carried", m.showStats},
		{"version", "", "which release it claims to be", m.showVersion},
		{"adrbase", "", "there is no diagnostic repository", m.showADR},
		{"tunnels", "", "there are none", m.showTunnels},
	}
}

func (m *cmctl) showStatus(ctx context.Context, _ []string) error {
	b, err := learn(ctx, m.at.client)
	if err != nil {
		return err
	}
	return console.WriteCMANStatus(m.t.out, b.status, b.gateway)
}

func (m *cmctl) showServices(ctx context.Context, _ []string) error {
	b, err := learn(ctx, m.at.client)
	if err != nil {
		return err
	}
	list, err := m.at.client.Services(ctx)
	if err != nil {
		return err
	}
	return console.WriteCMANServices(m.t.out, list, b.status, b.gateway)
}

func (m *cmctl) showGateways(ctx context.Context, _ []string) error {
	b, err := learn(ctx, m.at.client)
	if err != nil {
		return err
	}
	return console.WriteCMANGateways(m.t.out, b.gateway)
}

func (m *cmctl) showStats(ctx context.Context, _ []string) error {
	stats, err := m.at.client.Stats(ctx)
	if err != nil {
		return err
	}
	return console.WriteCMANStats(m.t.out, stats)
}

func (m *cmctl) showVersion(ctx context.Context, _ []string) error {
	status, err := m.at.client.Status(ctx)
	if err != nil {
		return err
	}
	return console.WriteCMANVersion(m.t.out, status)
}

func (m *cmctl) showRules(ctx context.Context, _ []string) error {
	rules, err := m.at.client.Rules(ctx)
	if err != nil {
		return err
	}
	return console.WriteCMANRules(m.t.out, rules)
}

func (m *cmctl) showParameters(ctx context.Context, defaults bool) error {
	settings, err := m.at.client.Parameters(ctx)
	if err != nil {
		return err
	}
	return console.WriteCMANParameters(m.t.out, settings, defaults)
}

func (m *cmctl) showAll(ctx context.Context, _ []string) error {
	settings, err := m.at.client.Parameters(ctx)
	if err != nil {
		return err
	}
	rules, err := m.at.client.Rules(ctx)
	if err != nil {
		return err
	}
	return console.WriteCMANAll(m.t.out, settings, rules)
}

func (m *cmctl) showADR(context.Context, []string) error {
	fmt.Fprintln(m.t.out, "There is no diagnostic repository: the log goes to standard output, and to LOG_DIRECTORY if that is set.")
	m.done()
	return nil
}

func (m *cmctl) showTunnels(context.Context, []string) error {
	fmt.Fprintln(m.t.out, "Number of connections: 0")
	m.done()
	return nil
}

// showConnections counts sessions, or lists them. Where none fits there is nothing to list.
func (m *cmctl) showConnections(ctx context.Context, words []string) error {
	how := "count"
	if len(words) > 0 {
		if form, found := find([]verb{{name: "count"}, {name: "info"}, {name: "detail"}}, words[0]); found && strings.ToLower(words[0]) != "in" {
			how, words = form.name, words[1:]
		}
	}
	some, err := m.chosen(ctx, words)
	if err != nil {
		return err
	}
	if len(some) == 0 && how != "count" {
		return noConnections()
	}
	return console.WriteCMANConnections(m.t.out, some, how, time.Now())
}

func noConnections() error { return &netError{4049, "Specified connections do not exist", ""} }

// chosen returns the sessions that fit cmctl's filters.
func (m *cmctl) chosen(ctx context.Context, words []string) ([]console.Session, error) {
	filter, err := console.ParseConnectionFilter(words)
	if err != nil {
		return nil, notResolved(err.Error())
	}
	list, err := m.at.client.Sessions(ctx, console.SessionFilter{})
	return filter.Choose(list, time.Now()), err
}
