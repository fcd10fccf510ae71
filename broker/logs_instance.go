package broker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/relay"
)

// recordField is one part of a record of <instance>.log.
type recordField struct{ name, value string }

// maxRecordField bounds one field of a record.
const maxRecordField = 2 << 10

// logRecord is one line of <instance>.log, features.md 2.8: what a descriptor is, so that
// it can be read as one.
func logRecord(at time.Time, event string, fields ...recordField) string {
	record := descriptor.Node{Name: "LOG_RECORD", Children: make([]*descriptor.Node, 0, 2+len(fields))}
	add := func(name, value string) {
		if len(value) > maxRecordField {
			value = strings.ToValidUTF8(value[:maxRecordField], "") + "..."
		}
		record.Children = append(record.Children, &descriptor.Node{Name: name, Value: descriptor.Escape(value)})
	}
	add("TIMESTAMP", listenerTime(at))
	add("EVENT", event)
	for _, f := range fields {
		if f.value != "" {
			add(f.name, f.value)
		}
	}
	return record.String()
}

// Families of events, in the words of EVENT_GROUP.
const (
	groupInitAndTerm = "init_and_term"
	groupConnections = "conn_hdlg"
	groupLoad        = "reg_and_load"
	groupWakeUp      = "wake_up"
	groupTimer       = "timer"
	groupCommands    = "cmd_proc"
	groupRelay       = "relay"
)

// eventGroups are all words of EVENT_GROUP; what the broker has no events of is there too.
var eventGroups = []string{groupInitAndTerm, "memory_ops", groupConnections, "proc_mgmt", groupLoad, groupWakeUp, groupTimer, groupCommands, groupRelay}

// eventGroup is the family of an event by who logs it.
func eventGroup(component, event string) string {
	switch component {
	case "registration":
		return groupLoad
	case "prober":
		return groupTimer
	case "console", "admin":
		return groupCommands
	case "relay":
		if event == "session over" {
			return groupRelay
		}
		return groupConnections
	}
	switch event {
	case "administrative command", "operator's intent", "operator's intent ended", "configuration reloaded":
		return groupCommands
	case "refused", "no CONNECT":
		return groupConnections
	case "service moved":
		return groupLoad
	case "drain: the deadline is over, sessions ended", "sessions ended: their instance is gone and does not answer":
		return groupTimer
	}
	return groupInitAndTerm
}

// setEventGroup reads EVENT_GROUP.
func setEventGroup(c *Config, n *descriptor.Node) error {
	c.EventGroups = nil
	for _, word := range listOf(n) {
		switch word = strings.ToLower(word); {
		case word == "none":
			c.EventGroups = []string{}
		case word == "all":
			c.EventGroups = nil
			return nil
		case word == "process_mgmt":
			c.EventGroups = append(c.EventGroups, "proc_mgmt")
		case slices.Contains(eventGroups, word):
			c.EventGroups = append(c.EventGroups, word)
		default:
			return unknownWord(word, append([]string{"all", "none"}, eventGroups...)...)
		}
	}
	return nil
}

// instanceHandler writes what is logged to <instance>.log as well.
type instanceHandler struct {
	b          *Broker
	component  string
	attributes []recordField
	prefix     string
}

// Enabled is for levels that LOG_LEVEL lets through.
func (h *instanceHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.b.logs.level.Level() && h.b.logs.files.Load() != nil
}

// Handle writes one record, unless EVENT_GROUP keeps it away. What is wrong is always written.
func (h *instanceHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn && !h.b.wantsGroup(eventGroup(h.component, r.Message)) {
		return nil
	}
	fields := slices.Clone(h.attributes)
	if r.Level >= slog.LevelWarn {
		fields = append(fields, recordField{"SEVERITY", r.Level.String()})
	}
	r.Attrs(func(a slog.Attr) bool {
		fields = append(fields, h.field(a)...)
		return true
	})
	if files := h.b.logs.files.Load(); files != nil {
		files.instance.Line(logRecord(r.Time, r.Message, fields...))
	}
	return nil
}

// WithAttrs returns a handler that adds attributes to every record.
func (h *instanceHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	with := *h
	with.attributes = slices.Clip(h.attributes)
	for _, a := range attributes {
		if a.Key == "component" {
			with.component = a.Value.String()
			continue
		}
		with.attributes = append(with.attributes, h.field(a)...)
	}
	return &with
}

// WithGroup returns a handler that puts a name before those of all further attributes.
func (h *instanceHandler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.prefix += name + "_"
	}
	return &with
}

func (h *instanceHandler) field(a slog.Attr) []recordField {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		group := h.WithGroup(a.Key).(*instanceHandler)
		var all []recordField
		for _, one := range value.Group() {
			all = append(all, group.field(one)...)
		}
		return all
	}
	return []recordField{{strings.ToUpper(h.prefix + a.Key), value.String()}}
}

// wantsGroup tells whether EVENT_GROUP wants a family; without it all are.
func (b *Broker) wantsGroup(group string) bool {
	wanted := b.settings().config.EventGroups
	return wanted == nil || slices.Contains(wanted, group)
}

// record writes one record that is of no interest on standard output.
func (b *Broker) record(group, event string, fields ...recordField) {
	if files := b.logs.files.Load(); files != nil && b.logs.level.Level() <= slog.LevelInfo && b.wantsGroup(group) {
		files.instance.Line(logRecord(time.Now(), event, fields...))
	}
}

// logEstablished writes down where a client got to; others log refusals and ends.
func (b *Broker) logEstablished(r *relay.ConnectReport) {
	if e := r.Explanation; e.Outcome == journal.Relay {
		b.record(groupConnections, "connection established", recordField{"REF", e.Ref}, recordField{"CLIENT", e.Client}, recordField{"PROGRAM", e.Program},
			recordField{"SERVICE", e.Query.Service}, recordField{"SID", e.Query.SID}, recordField{"HANDLER", e.Chosen}, recordField{"RULE", e.Rule},
			recordField{"CONNECT_MS", fmt.Sprint(e.Took.Milliseconds())})
	}
}
