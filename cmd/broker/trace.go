package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"servicebroker/console"
)

type traceCommand struct {
	Client  string `xor:"what" placeholder:"ADDRESS|NETWORK|*" help:"Trace clients from there."`
	Session string `xor:"what" placeholder:"ID" help:"Trace one open session."`
	Stop    string `xor:"what" placeholder:"ID|all" help:"End a trace, or all."`
	For     length `placeholder:"T" help:"How long. Default: 5min."`
	Data    bool   `help:"Write what is in packets, too, once the login is over: SQL and rows. What a login sends never is."`
	Follow  bool   `short:"f" help:"Print the trace as it is written, and end it when interrupted. On the broker's host."`
}

// Run begins or ends traces, or lists them.
func (c *traceCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	client := global.client()
	switch {
	case c.Stop != "":
		return c.stop(ctx, t, global, client)
	case c.Client == "" && c.Session == "":
		if c.Follow || c.Data || c.For != 0 {
			return &exitError{exitUsage, errors.New("whose packets? Say --client or --session")}
		}
		list, err := client.Traces(ctx)
		return show(t, global, list, err, func(w io.Writer, list console.TraceList) error {
			return console.WriteTraces(w, list, time.Now())
		})
	}
	trace, err := client.StartTrace(ctx, console.TraceRequest{Client: c.Client, Session: c.Session, Seconds: time.Duration(c.For).Seconds(), Data: c.Data})
	if err != nil || !c.Follow {
		return show(t, global, trace, err, console.WriteTrace)
	}
	return c.follow(ctx, t, client, trace)
}

func (c *traceCommand) stop(ctx context.Context, t *terminal, global *cli, client *console.Client) error {
	if !strings.EqualFold(c.Stop, "all") {
		trace, err := client.StopTrace(ctx, c.Stop)
		return show(t, global, trace, err, console.WriteTrace)
	}
	ended, err := stopTraces(ctx, client)
	return show(t, global, console.TraceList{Traces: ended}, err, func(w io.Writer, list console.TraceList) error {
		return console.WriteTraces(w, list, time.Now())
	})
}

// stopTraces ends all that are active.
func stopTraces(ctx context.Context, client *console.Client) (ended []console.Trace, err error) {
	list, err := client.Traces(ctx)
	if err != nil {
		return nil, err
	}
	ended = []console.Trace{}
	for _, one := range list.Traces {
		if one.Ended != "" {
			continue
		}
		trace, err := client.StopTrace(ctx, one.ID)
		switch {
		case err == nil:
			ended = append(ended, trace)
		case !notOffered(err): // else its time was over just now
			return ended, err
		}
	}
	return ended, nil
}

// followTrace is how often a file is looked at that is written.
const followTrace = 200 * time.Millisecond

// follow prints the file of a trace until that is over or the user has seen enough.
func (c *traceCommand) follow(ctx context.Context, t *terminal, client *console.Client, trace console.Trace) error {
	interrupted, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	file, err := openSoon(interrupted, trace.File)
	if err != nil {
		return fmt.Errorf("%w: the file is on the broker's host; the trace goes on, broker trace --stop %s ends it", err, trace.ID)
	}
	defer file.Close()
	ticks := time.NewTicker(followTrace)
	defer ticks.Stop()
	for over := false; ; {
		if _, err := io.Copy(t.out, file); err != nil {
			return err
		}
		if over {
			return nil
		}
		select {
		case <-ticks.C:
			over = isOver(interrupted, client, trace.ID)
		case <-interrupted.Done():
			_, err := client.StopTrace(ctx, trace.ID)
			return err
		}
	}
}

// openSoon opens a file that is about to be there.
func openSoon(ctx context.Context, path string) (*os.File, error) {
	ticks := time.NewTicker(followTrace)
	defer ticks.Stop()
	for range 10 {
		file, err := os.Open(path)
		if !errors.Is(err, os.ErrNotExist) {
			return file, err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
		}
	}
	return os.Open(path)
}

// isOver tells whether a trace has ended, or its broker.
func isOver(ctx context.Context, client *console.Client, id string) bool {
	list, err := client.Traces(ctx)
	if err != nil {
		return ctx.Err() == nil
	}
	for _, one := range list.Traces {
		if one.ID == id {
			return one.Ended != ""
		}
	}
	return true
}

// setTraceLevel does what the tools' trace level asks for: off ends all traces, any other
// traces every client for five minutes, from support on with what is in packets.
func setTraceLevel(ctx context.Context, client *console.Client, words []string) (said string, err error) {
	level := ""
	if len(words) > 0 {
		level = strings.ToLower(words[0])
	}
	number, err := strconv.Atoi(level)
	switch {
	case err != nil && level != "off" && level != "user" && level != "admin" && level != "support":
		return "", notResolved("say a level: off, user, admin or support")
	case level == "off", err == nil && number < 2:
		ended, err := stopTraces(ctx, client)
		return fmt.Sprintf("%d packet traces ended", len(ended)), err
	}
	trace, err := client.StartTrace(ctx, console.TraceRequest{Client: "*", Data: level == "support" || number >= 16})
	if err != nil {
		return "", err
	}
	return "packets of all clients go to " + trace.File + " until " + trace.Until.Local().Format(time.TimeOnly), nil
}
