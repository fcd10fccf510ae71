package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"servicebroker/console"
	"servicebroker/journal"
)

type eventsCommand struct {
	Follow   bool     `short:"f" help:"Go on with events as they happen, until interrupted."`
	Since    string   `placeholder:"AGE|TIME|ID" help:"Only those since then: 10min, 2h, 2030-05-06T12:00:00Z, or after the event of that id."`
	Kind     []string `help:"Only these kinds."`
	Service  string   `help:"Only those about this service."`
	Instance string   `help:"Only those about this instance, by name or as instance@host."`
	Limit    int      `placeholder:"N" help:"At most so many; with -f, so many earlier ones first. Default: 1000; with -f, 10."`
}

const (
	followedBefore = 10          // events of before that -f begins with
	followPause    = time.Second // before a broker that has gone is asked again
	followAgain    = 3           // times that one that has only ended the stream is asked sooner
)

func (c *eventsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	filter := console.EventFilter{Service: c.Service, Instance: c.Instance, Limit: c.Limit}
	for _, k := range c.Kind {
		filter.Kinds = append(filter.Kinds, journal.Kind(k))
	}
	if err := readSince(c.Since, &filter); err != nil {
		return &exitError{exitUsage, err}
	}
	if c.Follow {
		return c.follow(ctx, t, global, &filter)
	}
	list, err := global.client().Events(ctx, filter)
	return show(t, global, list, err, console.WriteEvents)
}

// readSince takes an id, a time or an age.
func readSince(text string, filter *console.EventFilter) error {
	if text == "" {
		return nil
	}
	if id, err := strconv.ParseUint(text, 10, 64); err == nil {
		filter.Since = &id
		return nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		filter.SinceTime = at
		return nil
	}
	var age length
	if err := age.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("--since %q is neither an age like 10min, nor a time like 2030-05-06T12:00:00Z, nor the id of an event", text)
	}
	filter.SinceTime = time.Now().Add(-time.Duration(age))
	return nil
}

// follow prints events until it is interrupted. A broker that ends is waited for, and asked for what was missed.
func (c *eventsCommand) follow(ctx context.Context, t *terminal, global *cli, filter *console.EventFilter) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if filter.Limit == 0 {
		filter.Limit = followedBefore
	}
	lines := json.NewEncoder(t.out)
	lines.SetEscapeHTML(false)
	reached, told, ends := false, false, 0
	for {
		err := global.client().Follow(ctx, filter, func(e journal.Event) error {
			reached, told, ends = true, false, 0
			if global.Output == "json" {
				return lines.Encode(e)
			}
			return console.WriteEvent(t.out, e)
		})
		reached = reached || filter.Since != nil
		pause := followPause
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (!reached || !errors.Is(err, console.ErrUnreachable)):
			return unreachable(err)
		case err == nil && ends < followAgain: // another generation may serve already
			ends++
			pause /= 10
		case !told:
			told = true
			fmt.Fprintln(t.err, "broker: the broker has gone; waiting for it to come back")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
