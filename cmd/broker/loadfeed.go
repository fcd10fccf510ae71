package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"servicebroker/console"
)

// loadFeed reports the load of an instance that registers by itself.
type loadFeed struct {
	client  *console.Client
	log     *slog.Logger
	healthy func(context.Context) error // whether there is an instance to report on
	report  func() console.LoadReport
	state   string // what was logged last, so that it is logged once
}

// run reports every interval until ctx ends. What may pass is tried again: the broker is restarted, the instance not
// registered yet, its listener away. A broker that takes no changes where it is asked ends it.
func (f *loadFeed) run(ctx context.Context, interval time.Duration) error {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		final, err := f.once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case final:
			return fmt.Errorf("the load cannot be reported: %w", err)
		case err != nil:
			f.tell(slog.LevelWarn, "load not reported", "cause", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

// once makes one report. An instance that does not answer is not reported to be idle. An error is final if no later
// report will fare better.
func (f *loadFeed) once(ctx context.Context) (final bool, err error) {
	if err := f.healthy(ctx); err != nil {
		return false, err
	}
	taken, err := f.client.SetLoad(ctx, f.report())
	if err != nil {
		return isFinal(err), err
	}
	f.tell(slog.LevelInfo, "load is being reported", "instance", taken.Instance)
	return false, nil
}

// tell logs a state when it is entered.
func (f *loadFeed) tell(level slog.Level, text, key, value string) {
	state := text + " " + value
	if state != f.state {
		f.log.Log(context.Background(), level, text, key, value)
	}
	f.state = state
}

// isFinal tells what only another command line can mend from what may pass.
func isFinal(err error) bool {
	var answer *console.APIError
	if errors.As(err, &answer) {
		return answer.Status != http.StatusNotFound && answer.Status < http.StatusInternalServerError
	}
	return !errors.Is(err, console.ErrUnreachable)
}

// loadReport is the load of the instance as of now. Without services their goodness stays as it registered.
func (c *registerCommand) loadReport(port int) console.LoadReport {
	node, nodeMax := nodeLoad()
	sessions, delta := establishedOn(port), uint32(1)
	report := console.LoadReport{Instance: c.Instance, Load: &sessions, NodeLoad: &node, NodeMax: &nodeMax}
	if c.Max > 0 {
		report.Max = &c.Max
	}
	for _, name := range c.Service {
		if report.Services == nil {
			report.Services = map[string]console.ServiceLoad{}
		}
		report.Services[name] = console.ServiceLoad{Goodness: &sessions, Delta: &delta}
	}
	return report
}
