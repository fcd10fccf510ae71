package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"servicebroker/broker"
	"servicebroker/console"
	"servicebroker/intent"
)

// startup runs the instance and tells how it is.
func (m *cmctl) startup(ctx context.Context, words []string) error {
	if len(words) > 0 {
		return notResolved("startup " + words[0] + ": live take-over between two brokers is not offered by this version")
	}
	status, away, err := m.at.started(ctx)
	if err != nil {
		return err
	}
	m.introduce(status, away == nil)
	if away == nil {
		if m.brief {
			fmt.Fprintf(m.t.out, "Current instance %s is already started\n", m.at.name)
		}
		m.done()
		return nil
	}
	fmt.Fprintf(m.t.out, "Starting Oracle Connection Manager instance %s. Please wait...\n", m.at.name)
	if _, err := m.at.start(ctx); err != nil {
		return &netError{4012, "Unable to start Oracle Connection Manager instance.", err.Error()}
	}
	fmt.Fprintf(m.t.out, "CMAN for Linux: Version %s - Production\n", broker.VersionInfo().Release)
	return m.showStatus(ctx, nil)
}

func (m *cmctl) shutdown(ctx context.Context, words []string) error {
	request, err := shutdownRequest(words)
	if err != nil {
		return notResolved(err.Error())
	}
	if err := m.at.stop(ctx, request); err != nil {
		return err
	}
	m.done()
	return nil
}

// shutdownRequest reads [normal [timeout SECONDS] [notify] | abort].
func shutdownRequest(words []string) (r console.ShutdownRequest, err error) {
	for i := 0; i < len(words); i++ {
		switch strings.ToLower(words[i]) {
		case "normal", "notify": // clients learn of it in any case: their session ends
		case "abort":
			r.Abort = true
		case "timeout":
			if i++; i == len(words) {
				return r, errors.New("timeout is the last word: seconds have to follow")
			}
			seconds, err := strconv.ParseFloat(words[i], 64)
			if err != nil || seconds < 0 {
				return r, fmt.Errorf("timeout %s: that is no number of seconds", words[i])
			}
			r.Timeout = &seconds
		case "gateways", "gateway":
			return r, errors.New("there is one gateway, the broker itself: suspend it to keep new connects away, or shut the instance down")
		default:
			return r, fmt.Errorf("%q is not known here: use normal, normal timeout SECONDS, or abort", words[i])
		}
	}
	if r.Abort && r.Timeout != nil {
		return r, errors.New("abort waits for nothing: leave timeout out")
	}
	return r, nil
}

// reload tells what is to be warned of.
func (m *cmctl) reload(ctx context.Context, _ []string) error {
	result, err := m.at.client.Reload(ctx)
	if problem, is := errors.AsType[*console.APIError](err); is && problem.Status == http.StatusUnprocessableEntity {
		return &netError{4142, "CMAN.ORA file has an invalid format.", err.Error()}
	}
	if err != nil {
		return err
	}
	for _, one := range result.Messages {
		fmt.Fprintf(m.t.out, "%s:%d:%d: %s: %s\n", one.File, one.Line, one.Column, one.Severity, one.Text)
	}
	for _, one := range result.NeedsRestart {
		fmt.Fprintf(m.t.out, "Not in force before an upgrade (broker upgrade) or a restart: %s\n", one)
	}
	m.done()
	return nil
}

func (m *cmctl) closeConnections(ctx context.Context, words []string) error {
	if len(words) == 0 || !strings.HasPrefix("connections", strings.ToLower(words[0])) {
		return notResolved("say close connections, and which")
	}
	some, err := m.chosen(ctx, words[1:])
	if err != nil {
		return err
	}
	if len(some) == 0 {
		return noConnections()
	}
	for _, s := range some {
		if _, err := m.at.client.CloseSession(ctx, s.ID); err != nil && !notOffered(err) { // it may have ended by itself
			return err
		}
	}
	m.done()
	return nil
}

// onlyGateway checks which gateways are meant: none is all, and all there is, is 0.
func onlyGateway(words []string) bool {
	if len(words) == 0 || !strings.HasPrefix("gateways", strings.ToLower(words[0])) {
		return false
	}
	for _, id := range words[1:] {
		if id != "0" {
			return false
		}
	}
	return true
}

// suspend drains every service: new connects wait or are refused, sessions go on.
func (m *cmctl) suspend(ctx context.Context, words []string) error {
	failed := &netError{code: 4072, text: "Unable to suspend atleast one of the gateways."}
	if !onlyGateway(words) {
		failed.detail = "say suspend gateway 0: there is one gateway, the broker itself"
		return failed
	}
	b, err := learn(ctx, m.at.client)
	switch {
	case err != nil:
		return err
	case b.gateway.Suspended:
		failed.detail = "it is suspended already"
		return failed
	}
	_, err = m.at.client.SetIntent(ctx, console.IntentRequest{
		Kind: intent.Drain, Target: console.SuspendTarget(), Reason: "the gateway is suspended", Source: source("cmctl suspend"),
	})
	if err == nil {
		m.done()
	}
	return err
}

func (m *cmctl) resume(ctx context.Context, words []string) error {
	if !onlyGateway(words) {
		return notResolved("say resume gateways 0: there is one gateway, the broker itself")
	}
	list, err := m.at.client.Intents(ctx)
	if err != nil {
		return err
	}
	for _, one := range list.Intents {
		if !console.Suspends(one.Intent) {
			continue
		}
		if _, err := m.at.client.EndIntent(ctx, one.ID); err != nil {
			return err
		}
		m.done()
		return nil
	}
	return notResolved("the gateway is not suspended")
}

func (m *cmctl) savePassword(context.Context, []string) error {
	fmt.Fprintln(m.t.out, "There is no password: whoever may open the admin socket may administer the instance.")
	m.done()
	return nil
}

// set tells what takes the place of changing a setting at run time.
func (m *cmctl) set(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return m.help([]verb{{name: "aso_authentication_filter"}, {name: "connection_statistics"}, {name: "event"}, {name: "idle_timeout"}, {name: "inbound_connect_timeout"},
			{name: "log_directory"}, {name: "log_level"}, {name: "outbound_connect_timeout"}, {name: "password"}, {name: "session_timeout"}, {name: "trace_directory"}, {name: "trace_level"}}, nil)
	}
	name := strings.ToLower(words[0])
	on := len(words) > 1 && (strings.EqualFold(words[len(words)-1], "on") || strings.EqualFold(words[len(words)-1], "yes"))
	switch name {
	case "password":
		return m.savePassword(ctx, nil)
	case "connection_statistics", "event":
		if !on {
			return notResolved(name + ": that is always on and costs next to nothing")
		}
		m.done()
		return nil
	case "log_level":
		return m.setLogLevel(ctx, words[1:])
	case "trace_level":
		said, err := setTraceLevel(ctx, m.at.client, words[1:])
		if err == nil {
			fmt.Fprintln(m.t.out, said)
			m.done()
		}
		return err
	case "aso_authentication_filter", "idle_timeout", "inbound_connect_timeout", "log_directory", "outbound_connect_timeout", "session_timeout", "trace_directory":
		return notResolved(fmt.Sprintf("%s is not changed at run time alone: put (%s=%s) into PARAMETER_LIST of %s and reload", name, strings.ToUpper(name), strings.Join(words[1:], " "), m.configFile()))
	}
	return undefined("set " + words[0])
}

// setLogLevel holds until the configuration is read again.
func (m *cmctl) setLogLevel(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return notResolved("log_level: say off, user, admin or support")
	}
	now, err := m.at.client.SetLogLevel(ctx, words[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(m.t.out, "CMAN parameter log_level set to %s.\n", strings.ToUpper(now.Level))
	m.done()
	return nil
}

func (m *cmctl) configFile() string {
	if m.at.file != "" {
		return m.at.file
	}
	return "cman.ora"
}
