package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"servicebroker/broker"
	"servicebroker/console"
)

type lsnrctlCommand struct {
	Words []string `arg:"" optional:"" help:"A command of lsnrctl with its arguments, the instance last. None: a conversation."`
}

// lsnrctl is a conversation about brokers in the words of listeners.
type lsnrctl struct {
	tool
	global *cli
	name   string // of the current instance; "": the default one
	mode   console.DisplayMode
	at     *administered // of the command that is being executed
	status console.Status
}

// Run executes one command, or converses if there is none.
func (c *lsnrctlCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	l := &lsnrctl{global: global, mode: console.Normal}
	l.tool = tool{t: t, name: "LSNRCTL", prompt: func() string { return "LSNRCTL> " }, execute: l.execute, fail: listenerFailure}
	if err := l.banner(); err != nil {
		return err
	}
	if len(c.Words) > 0 && c.Words[0] != "-h" {
		return l.once(ctx, c.Words)
	}
	return l.converse(ctx)
}

// listenerFailure gives an error the number that lsnrctl would.
func listenerFailure(err error) error {
	problem, refused := errors.AsType[*console.APIError](err)
	if refused && (problem.Status == http.StatusForbidden || problem.Status == http.StatusUnauthorized) {
		return &netError{1190, "The user is not authorized to execute the requested listener command", err.Error()}
	}
	return numbered(err, func(string) error { return nobodyThere(err) })
}

// nobodyThere is how lsnrctl tells that nobody listens.
func nobodyThere(cause error) error {
	errno, known := errors.AsType[syscall.Errno](cause)
	if !known {
		return noListener(cause.Error())
	}
	text := errno.Error()
	return noListener(fmt.Sprintf("TNS-12560: TNS:protocol adapter error\n TNS-00511: No listener\n  Linux Error: %d: %s%s\n%v", errno, strings.ToUpper(text[:1]), text[1:], cause))
}

// verbs are all commands.
func (l *lsnrctl) verbs() []verb {
	return []verb{
		{"start", "[INSTANCE]", "run it in the background and wait until it answers", l.start},
		{"stop", "[INSTANCE]", "take no new connects, and end when sessions are over", l.about(0, l.stop)},
		{"status", "[INSTANCE]", "how it is, with the services that it knows", l.about(0, l.showStatus)},
		{"services", "[INSTANCE]", "services, instances and handlers", l.about(0, l.services)},
		{"version", "[INSTANCE]", "which release it claims to be", l.about(0, l.version)},
		{"reload", "[INSTANCE]", "read the configuration again; sessions and registrations are not touched", l.about(0, l.reload)},
		{"save_config", "[INSTANCE]", "nothing: settings are those of the file", l.about(0, l.saveConfig)},
		{"trace", "LEVEL [INSTANCE]", "traces the packets of all clients for five minutes, or with off no more", l.trace},
		{"quit", "", "leave", leave},
		{"exit", "", "leave", leave},
		{"set", "NAME VALUE", "displaymode or current_listener; of other settings it tells where they are changed", l.set},
		{"show", "NAME", "a setting", l.show},
		{"help", "[COMMAND]", "list commands, or explain one", func(_ context.Context, words []string) error { return l.help(l.verbs(), words) }},
	}
}

func (l *lsnrctl) execute(ctx context.Context, words []string) error {
	return dispatch(ctx, l.verbs(), words)
}

// about lets a command find its instance: the word at that place, else the current one. It has to run.
func (l *lsnrctl) about(place int, run func(context.Context) error) func(context.Context, []string) error {
	return func(ctx context.Context, words []string) error {
		if err := l.find(ctx, words, place); err != nil {
			return err
		}
		status, away, err := l.at.started(ctx)
		if err != nil {
			return err
		}
		if l.status = status; away != nil {
			fmt.Fprintf(l.t.out, "Connecting to %s\n", console.ListenerAddress(status))
			return nobodyThere(l.at.absent(away))
		}
		return run(ctx)
	}
}

// find finds the instance. LISTENER is what scripts call the only one.
func (l *lsnrctl) find(ctx context.Context, words []string, place int) (err error) {
	name := l.name
	if len(words) > place {
		name = words[place]
	}
	if strings.EqualFold(name, "LISTENER") {
		if at, err := administer(ctx, l.global, name); err == nil && at.problem == nil {
			l.at = at
			return nil
		}
		name = ""
	}
	l.at, err = administer(ctx, l.global, name)
	return err
}

func (l *lsnrctl) done() { fmt.Fprintln(l.t.out, "The command completed successfully") }

// connecting tells whom a command is sent to.
func (l *lsnrctl) connecting() {
	fmt.Fprintf(l.t.out, "Connecting to %s\n", console.ListenerAddress(l.status))
}

func (l *lsnrctl) showStatus(context.Context) error {
	return console.WriteListenerStatus(l.t.out, l.status)
}

func (l *lsnrctl) version(context.Context) error {
	return console.WriteListenerVersion(l.t.out, l.status)
}

func (l *lsnrctl) services(ctx context.Context) error {
	list, err := l.at.client.Services(ctx)
	if err != nil {
		return err
	}
	return console.WriteListenerServices(l.t.out, list, l.status, l.mode)
}

func (l *lsnrctl) reload(ctx context.Context) error {
	l.connecting()
	if _, err := l.at.client.Reload(ctx); err != nil {
		return err
	}
	l.done()
	return nil
}

func (l *lsnrctl) stop(ctx context.Context) error {
	l.connecting()
	if err := l.at.stop(ctx, console.ShutdownRequest{}); err != nil {
		return err
	}
	l.done()
	return nil
}

func (l *lsnrctl) saveConfig(context.Context) error {
	l.connecting()
	fmt.Fprintf(l.t.out, "No changes to save for %s.\n", l.at.name)
	l.done()
	return nil
}

func (l *lsnrctl) start(ctx context.Context, words []string) error {
	if err := l.find(ctx, words, 0); err != nil {
		return err
	}
	_, away, err := l.at.started(ctx)
	switch {
	case err != nil:
		return err
	case away == nil:
		return &netError{1106, "Listener using listener name " + l.at.name + " has already been started", ""}
	}
	fmt.Fprintf(l.t.out, "Starting %s: please wait...\n\nTNSLSNR for Linux: Version %s - Production\n", l.at.name, broker.VersionInfo().Release)
	s, err := l.at.start(ctx)
	if err != nil {
		return &netError{12560, "TNS:protocol adapter error", err.Error() + "\n\nListener failed to start. See the error message(s) above..."}
	}
	if l.status, err = l.at.client.Status(ctx); err != nil {
		return err
	}
	if l.at.file != "" {
		fmt.Fprintf(l.t.out, "System parameter file is %s\n", l.at.file)
	}
	fmt.Fprintf(l.t.out, "Log messages written to %s\nListening on: %s\n\n", s.log, console.ListenerAddress(l.status))
	return l.showStatus(ctx)
}
