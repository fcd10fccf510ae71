package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"servicebroker/console"
)

// set changes how this program shows things. A broker's settings are those of its file.
func (l *lsnrctl) set(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return l.help(append([]verb{{name: "current_listener"}, {name: "displaymode"}, {name: "rawmode"}}, listenerSettings()...), nil)
	}
	switch name := strings.ToLower(words[0]); name {
	case "displaymode":
		return l.setMode(words[1:])
	case "rawmode":
		if len(words) > 1 && strings.EqualFold(words[1], "on") {
			return l.setMode([]string{"raw"})
		}
		return l.setMode([]string{"normal"})
	case "current_listener":
		if len(words) > 1 {
			l.name = words[1]
		}
		return l.showCurrent(ctx)
	case "password":
		fmt.Fprintln(l.t.out, "There is no password: whoever may open the admin socket may administer the broker.")
		l.done()
		return nil
	default:
		if v, found := find(listenerSettings(), name); found {
			if v.name == "trc_level" {
				return l.trace(ctx, words[1:])
			}
			return unsettable(v.name, words[1:])
		}
		return undefined("set " + words[0])
	}
}

// trace begins and ends packet traces.
func (l *lsnrctl) trace(ctx context.Context, words []string) error {
	return l.about(1, func(ctx context.Context) error {
		said, err := setTraceLevel(ctx, l.at.client, words)
		if err != nil {
			return err
		}
		l.connecting()
		fmt.Fprintln(l.t.out, said)
		l.done()
		return nil
	})(ctx, words)
}

// unsettable tells that a listener's setting is not changed at run time, as a listener with ADMIN_RESTRICTIONS does.
func unsettable(name string, values []string) error {
	v, _ := find(listenerSettings(), name)
	return notResolved(fmt.Sprintf("%s %s: %s", name, strings.Join(values, " "), v.about))
}

// listenerSettings are what lsnrctl can show and set; about tells how it is changed.
func listenerSettings() []verb {
	const inFile = "put it into PARAMETER_LIST of cman.ora and reload"
	return []verb{
		{name: "trc_file", about: "each trace has a file of its own, see broker trace"}, {name: "trc_directory", about: "put (TRACE_DIRECTORY=…) into PARAMETER_LIST of cman.ora and reload"},
		{name: "trc_level", about: "say off, user, admin or support"}, {name: "log_file", about: "its name is listener.log"},
		{name: "log_directory", about: inFile}, {name: "log_status", about: "the log is always on; without LOG_DIRECTORY there is no file"},
		{name: "inbound_connect_timeout", about: inFile}, {name: "startup_waittime", about: "the broker starts at once"},
		{name: "save_config_on_stop", about: "there is nothing to save: settings are those of the file"},
		{name: "dynamic_registration", about: "use REGISTRATION_INVITED_NODES in cman.ora and reload"},
		{name: "snmp_visible", about: "ask /metrics instead"},
	}
}

func (l *lsnrctl) setMode(words []string) error {
	if len(words) == 0 {
		return errors.New("say which: raw, compact, normal or verbose")
	}
	mode, err := console.ParseDisplayMode(words[0])
	if err != nil {
		return err
	}
	l.mode = mode
	return l.showMode()
}

func (l *lsnrctl) showMode() error {
	_, err := fmt.Fprintf(l.t.out, "Service display mode is %s\n", l.mode)
	return err
}

func (l *lsnrctl) showCurrent(ctx context.Context) error {
	name := l.name
	if name == "" {
		name = "LISTENER"
		if err := l.find(ctx, nil, 0); err == nil && l.at.name != "" {
			name = l.at.name
		}
	}
	_, err := fmt.Fprintf(l.t.out, "Current Listener is %s\n", name)
	return err
}

// show tells a setting.
func (l *lsnrctl) show(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return l.help(append([]verb{{name: "current_listener"}, {name: "displaymode"}, {name: "rawmode"}, {name: "rules"}}, listenerSettings()...), nil)
	}
	switch name := strings.ToLower(words[0]); name {
	case "displaymode":
		return l.showMode()
	case "rawmode":
		state := map[bool]string{true: "ON", false: "OFF"}[l.mode == console.Raw]
		_, err := fmt.Fprintf(l.t.out, "Raw mode is %s\n", state)
		return err
	case "current_listener":
		return l.showCurrent(ctx)
	case "rules":
		return l.about(1, l.showRules)(ctx, words)
	default:
		if v, found := find(listenerSettings(), name); found {
			return l.about(1, func(ctx context.Context) error { return l.showSetting(ctx, v.name) })(ctx, words)
		}
		return undefined("show " + words[0])
	}
}

func (l *lsnrctl) showRules(ctx context.Context) error {
	rules, err := l.at.client.Rules(ctx)
	if err != nil {
		return err
	}
	l.connecting()
	for _, r := range rules.Rules {
		fmt.Fprintln(l.t.out, r.Text)
	}
	l.done()
	return nil
}

// showSetting tells one of a listener's settings as it is with this broker.
func (l *lsnrctl) showSetting(ctx context.Context, name string) error {
	value := ""
	switch name {
	case "trc_level":
		value = cmp.Or(l.status.TraceLevel, "off")
	case "log_file":
		value = "listener.log"
	case "log_directory":
		value = l.status.LogDir
	case "log_status", "dynamic_registration":
		value = "ON"
	case "save_config_on_stop", "snmp_visible":
		value = "OFF"
	case "startup_waittime":
		value = "0"
	case "inbound_connect_timeout":
		settings, err := l.at.client.Parameters(ctx)
		if err != nil {
			return err
		}
		for _, p := range settings.Parameters {
			if strings.EqualFold(p.Name, name) {
				value = p.Value
			}
		}
	}
	l.connecting()
	fmt.Fprintf(l.t.out, "%s parameter \"%s\" set to %s\n", l.at.name, name, value)
	l.done()
	return nil
}
