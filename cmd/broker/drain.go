package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
)

type drainCommand struct {
	wish
	Timeout     *length `placeholder:"T" help:"When sessions have to be over, for example 15min; 0 is at once. Default: whenever they end by themselves."`
	EndSessions bool    `name:"end-sessions" help:"End those that are left when the time is up."`
	Wait        bool    `help:"Wait until none is left, and show how many are. Interrupting stops the waiting, not the drain."`
}

const (
	drainPoll    = 500 * time.Millisecond // between questions how far a drain is
	drainSilence = 60                     // questions in a row that may go unanswered, as when the broker is restarted
)

func (c *drainCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	request := console.IntentRequest{Kind: intent.Drain, EndSessions: c.EndSessions}
	if c.EndSessions && c.Timeout == nil {
		return &exitError{exitUsage, errors.New("--end-sessions needs --timeout: say when they are to be ended, 0 for at once")}
	}
	if c.Timeout != nil {
		request.Deadline = time.Now().Add(time.Duration(*c.Timeout))
	}
	view, err := c.set(ctx, global, request)
	if err != nil || !c.Wait {
		return show(t, global, view, err, asOfNow(console.WriteIntent))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	w := drainWait{t: t, client: global.client(), text: global.Output == "text", bar: isTerminal(t.out)}
	last, err := w.run(ctx, view)
	if !w.text {
		if failed := writeJSON(t.out, last); failed != nil {
			return failed
		}
	}
	return err
}

// drainWait shows a drain until it is over.
type drainWait struct {
	t      *terminal
	client *console.Client
	text   bool
	bar    bool // redraw one line; else write one where something changed
	shown  string
}

// run returns what was last heard of the drain, and why sessions are left if some are.
func (w *drainWait) run(ctx context.Context, view console.IntentView) (console.IntentView, error) {
	ticks := time.NewTicker(drainPoll)
	defer ticks.Stop()
	for silent := 0; ; {
		w.show(view)
		if over, err := drainOver(view); over {
			w.end()
			return view, err
		}
		select {
		case <-ctx.Done():
			w.end()
			return view, fmt.Errorf("stopped waiting with %d sessions left; the drain goes on: broker resume --id %s undoes it", view.Progress.SessionsLeft, view.ID)
		case <-ticks.C:
		}
		next, err := w.client.Intent(ctx, view.ID)
		var problem *console.APIError
		switch {
		case err == nil:
			view, silent = next, 0
		case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
			w.end()
			return view, fmt.Errorf("the drain %s is no longer in force: somebody undid or replaced it", view.ID)
		case ctx.Err() == nil:
			if silent++; silent > drainSilence {
				w.end()
				return view, unreachable(err)
			}
		}
	}
}

// drainOver reports whether there is nothing more to wait for.
func drainOver(v console.IntentView) (bool, error) {
	switch {
	case v.Progress.Done:
		return true, nil
	case v.Progress.DeadlinePassed && !v.EndSessions:
		return true, fmt.Errorf("the time is up and %d sessions are left: wait on, or end them with broker close", v.Progress.SessionsLeft)
	}
	return false, nil
}

// show tells how far the drain is, if that has changed.
func (w *drainWait) show(v console.IntentView) {
	if !w.text {
		return
	}
	line := drainLine(v, w.bar, time.Now())
	if line == w.shown {
		return
	}
	if w.bar {
		fmt.Fprintf(w.t.out, "\r%s\x1b[K", line)
	} else {
		fmt.Fprintln(w.t.out, line)
	}
	w.shown = line
}

// end leaves the line that was redrawn.
func (w *drainWait) end() {
	if w.text && w.bar && w.shown != "" {
		fmt.Fprintln(w.t.out)
	}
}

// drainLine words how far a drain is, with a bar if that is wanted. Without one, the time left is not told: each
// change would be a line.
func drainLine(v console.IntentView, bar bool, now time.Time) string {
	p := v.Progress
	start := max(p.SessionsAtStart, p.SessionsLeft)
	line := fmt.Sprintf("%s: %d of %d sessions left", v.ID, p.SessionsLeft, start)
	if p.Ended > 0 {
		line += fmt.Sprintf(", %d ended", p.Ended)
	}
	if p.Done {
		line += ", drained"
	}
	if !bar {
		return line
	}
	const width = 30
	full := width
	if start > 0 {
		full = width * (start - p.SessionsLeft) / start
	}
	line = "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "] " + line
	if left := v.Deadline.Sub(now); !v.Deadline.IsZero() && !p.Done && left > 0 {
		line += fmt.Sprintf(", %s until the deadline", left.Round(time.Second))
	}
	return line
}

// isTerminal reports whether a person watches what is written.
func isTerminal(w io.Writer) bool {
	f, is := w.(*os.File)
	if !is {
		return false
	}
	about, err := f.Stat()
	return err == nil && about.Mode()&os.ModeCharDevice != 0
}
