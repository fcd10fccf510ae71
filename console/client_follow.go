package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"servicebroker/journal"
)

// Bounds of a stream that is followed.
const (
	maxStreamLine = 1 << 20
	streamSilence = 4 * streamHeartbeat // after which the broker is taken to be gone
)

// Follow hands every event that f chooses to each, from f.Since or f.SinceTime on, else f.Limit earlier ones and then those to
// come. It keeps f.Since at the last one, so that another call with f goes on where this one ended: that is when the
// broker ends (nil) or does not answer (ErrUnreachable), when ctx ends, or with an error of each.
func (c *Client) Follow(ctx context.Context, f *EventFilter, each func(journal.Event) error) error {
	base, transport, err := c.transport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	ctx, heard, stop := untilSilent(ctx, streamSilence)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+withQuery("/api/v1/events", f.query()), nil)
	if err != nil {
		return c.badAPI(err.Error())
	}
	request.Header.Set("Accept", streamType)
	response, err := c.do(request, transport)
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return c.ended(ctx, err)
	case err != nil:
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != streamType {
		return c.decode(response, new(EventList))
	}
	reader := streamReader{filter: f, each: each}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxStreamLine)
	for lines.Scan() {
		heard()
		if err := reader.take(lines.Text()); err != nil {
			return err
		}
	}
	return c.ended(ctx, lines.Err())
}

// untilSilent returns a context that ends when heard has not been called for so long; its cause is a deadline then.
func untilSilent(ctx context.Context, limit time.Duration) (_ context.Context, heard, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	silence := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() { silence.Reset(limit) }, func() { silence.Stop(); cancel(nil) }
}

// ended tells why a stream is over: ctx, silence, or what went wrong with the connection.
func (c *Client) ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	}
	return c.unreachable(err)
}

// streamReader takes a stream line by line.
type streamReader struct {
	filter *EventFilter
	each   func(journal.Event) error
	id     *uint64 // of what is being read, which counts once it is whole
}

func (r *streamReader) take(line string) error {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case name == "id":
		if id, err := strconv.ParseUint(value, 10, 64); err == nil {
			r.id = &id
		}
	case name == "data":
		var e journal.Event
		if err := json.Unmarshal([]byte(value), &e); err != nil {
			return fmt.Errorf("an event cannot be read: %w", err)
		}
		return r.each(e)
	case line == "" && r.id != nil:
		r.filter.Since = r.id
	}
	return nil
}
