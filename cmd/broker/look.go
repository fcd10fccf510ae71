package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"servicebroker/broker"
	"servicebroker/console"
)

// client returns the client of the API that the command line chooses: --api, else the
// admin socket of the default instance if it is there, else its console address. The
// default instance is that of $TNS_ADMIN/cman.ora, as for broker serve, else the built-in
// one.
func (c *cli) client() *console.Client {
	return &console.Client{API: cmp.Or(c.API, defaultAPI()), CA: cmp.Or(c.CA, os.Getenv("BROKER_API_CA")), Authorize: c.authorization}
}

func defaultAPI() string {
	config := broker.DefaultConfig()
	for _, one := range []*broker.Config{defaultInstance(), config} {
		if one == nil {
			continue
		}
		if path, err := one.SocketPath(); err == nil && answers("unix", path) {
			return "unix:" + path
		}
		if one.ConsoleAddress != "" && answers("tcp", one.ConsoleAddress) {
			return "http://" + one.ConsoleAddress
		}
	}
	return "http://" + config.ConsoleAddress
}

// defaultInstance is that of $TNS_ADMIN/cman.ora, nil if there is none.
func defaultInstance() *broker.Config {
	folder := os.Getenv("TNS_ADMIN")
	if folder == "" {
		return nil
	}
	config, _ := broker.ReadConfig(filepath.Join(folder, "cman.ora"), "")
	return config
}

// answers tells whether somebody listens there: a dead broker may have left its socket.
func answers(network, address string) bool {
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// unreachable gives an error of the client its exit code.
func unreachable(err error) error {
	problem, refused := errors.AsType[*console.APIError](err)
	if errors.Is(err, console.ErrUnreachable) || refused && slices.Contains([]int{http.StatusUnauthorized, http.StatusTooManyRequests}, problem.Status) {
		return &exitError{exitUnreachable, err}
	}
	return err
}

// show prints an answer of the API as JSON or in the words of write.
func show[T any](t *terminal, c *cli, answer T, err error, write func(io.Writer, T) error) error {
	switch {
	case err != nil:
		return unreachable(err)
	case c.Output == "json":
		return writeJSON(t.out, answer)
	}
	return write(t.out, answer)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

type servicesCommand struct {
	Name string `arg:"" optional:"" help:"Only this service."`
}

func (c *servicesCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	write := console.WriteServices
	if global.Compat != "" {
		b, err := global.learn(ctx)
		if err != nil {
			return err
		}
		write = b.compatServices
	}
	if c.Name == "" {
		list, err := global.client().Services(ctx)
		return show(t, global, list, err, write)
	}
	list, err := global.client().Service(ctx, c.Name)
	return show(t, global, list, err, write)
}

// learn asks the broker what the layouts of other tools need to know.
func (c *cli) learn(ctx context.Context) (*answering, error) {
	b, err := learn(ctx, c.client())
	if err != nil {
		return nil, unreachable(err)
	}
	b.layout = c.Compat
	return b, nil
}

type statusCommand struct{}

func (c *statusCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	if global.Compat != "" {
		b, err := global.learn(ctx)
		if err != nil {
			return err
		}
		return b.compatStatus(t.out, b.status)
	}
	status, err := global.client().Status(ctx)
	return show(t, global, status, err, console.WriteStatus)
}

type sessionsCommand struct {
	Service  string `help:"Only sessions of this service."`
	Instance string `help:"Only sessions on this instance, by name or as instance@host."`
	Client   string `placeholder:"HOST[:PORT]" help:"Only sessions of this client address."`
	Upstream string `placeholder:"HOST:PORT" help:"Only the session that an instance sees as coming from this address of the broker."`
}

// Run lists sessions. With --upstream the question is who somebody is, and nobody is no answer.
func (c *sessionsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Sessions(ctx, console.SessionFilter{Service: c.Service, Instance: c.Instance, Client: c.Client, Upstream: c.Upstream})
	if err == nil && c.Upstream != "" && len(list.Sessions) == 0 {
		return fmt.Errorf("no open session looks to an instance as coming from %s; of one that was redirected the instance sees the client itself", c.Upstream)
	}
	return show(t, global, list, err, func(w io.Writer, l console.SessionList) error {
		if global.Compat != "" {
			return compatSessions(w, l)
		}
		if c.Upstream != "" && len(l.Sessions) == 1 {
			return console.WriteClient(w, l.Sessions[0], time.Now())
		}
		return console.WriteSessions(w, l, time.Now())
	})
}

type heldCommand struct{}

func (c *heldCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Held(ctx)
	return show(t, global, list, err, asOfNow(console.WriteHeld))
}

type statsCommand struct{}

func (c *statsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	stats, err := global.client().Stats(ctx)
	if global.Compat != "" {
		return show(t, global, stats, err, console.WriteCMANStats)
	}
	return show(t, global, stats, err, console.WriteStats)
}

type parametersCommand struct{}

func (c *parametersCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Parameters(ctx)
	if global.Compat != "" {
		return show(t, global, list, err, compatParameters)
	}
	return show(t, global, list, err, console.WriteParameters)
}

type rulesCommand struct{}

func (c *rulesCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Rules(ctx)
	if global.Compat != "" {
		return show(t, global, list, err, console.WriteCMANRules)
	}
	return show(t, global, list, err, console.WriteRules)
}

// asOfNow gives a rendering that tells ages the present time.
func asOfNow[T any](write func(io.Writer, T, time.Time) error) func(io.Writer, T) error {
	return func(w io.Writer, answer T) error { return write(w, answer, time.Now()) }
}

type versionCommand struct{}

// Run shows this program's version, and the broker's where one answers.
func (c *versionCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	if global.Compat != "" {
		b, err := global.learn(ctx)
		if err != nil {
			return err
		}
		return b.compatVersion(t.out)
	}
	mine := broker.VersionInfo()
	running, err := global.client().Version(ctx)
	if errors.Is(err, console.ErrUnreachable) && global.API == "" {
		return show(t, global, mine, nil, console.WriteVersion)
	}
	if err != nil {
		return unreachable(err)
	}
	if global.Output == "json" {
		return writeJSON(t.out, map[string]any{"program": mine, "broker": running})
	}
	if err := console.WriteVersion(t.out, mine); err != nil {
		return err
	}
	fmt.Fprint(t.out, "running: ")
	return console.WriteVersion(t.out, running)
}
