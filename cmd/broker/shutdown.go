package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"servicebroker/console"
)

type shutdownCommand struct {
	Timeout *length `placeholder:"T" help:"How long open sessions may go on, for example 15min. Default: DRAIN_TIMEOUT."`
	Abort   bool    `help:"Cut open sessions at once."`
	// Generation ends what an upgrade has left, and nothing else.
	Generation int `placeholder:"N" help:"End that older generation alone, which keeps what an upgrade could not move: see broker generations."`
}

// Run lets the broker begin to end; it does not wait until that is done.
func (c *shutdownCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	if c.Abort && c.Timeout != nil {
		return &exitError{exitUsage, errors.New("--abort waits for nothing: leave --timeout out")}
	}
	request := console.ShutdownRequest{Abort: c.Abort, Generation: c.Generation}
	if c.Timeout != nil {
		seconds := time.Duration(*c.Timeout).Seconds()
		request.Timeout = &seconds
	}
	stopping, err := global.client().Shutdown(ctx, request)
	return show(t, global, stopping, err, func(w io.Writer, s console.Stopping) error {
		said := "The broker is not ready any more, and takes no new connects once SHUTDOWN_GRACE is over. Open sessions: %d\n"
		if c.Abort {
			said = "The broker ends now. Open sessions that are cut: %d\n"
		}
		if c.Generation != 0 {
			said = fmt.Sprintf("Generation %d ends once its sessions have, alone. Open sessions: %%d\n", c.Generation)
			if c.Abort {
				said = fmt.Sprintf("Generation %d ends now, alone. Open sessions that are cut: %%d\n", c.Generation)
			}
			s.Sessions, s.Before = s.Before, 0
		}
		_, err := fmt.Fprintf(w, said, s.Sessions)
		if err == nil && s.Before > 0 {
			_, err = fmt.Fprintf(w, "An older generation ends as well. Open sessions in it: %d\n", s.Before)
		}
		return err
	})
}
