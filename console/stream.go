package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"servicebroker/journal"
)

const streamType = "text/event-stream"

// Bounds of streams of events. Whoever reads too slowly is cut off, and goes on later by the id it has got to; nobody
// waits for it.
const (
	maxStreams      = 64
	maxStreamsEach  = 16               // of one credential
	streamBatch     = 200              // events written at once
	streamHeartbeat = 15 * time.Second // so that both ends and what is between them know that the other one is there
	streamPatience  = 10 * time.Second // for one write
)

// openStreams counts streams of events.
type openStreams struct {
	mu    sync.Mutex
	total int
	of    map[string]int // by the name of the credential
}

// enter counts one more, unless there are too many: then it returns how many.
func (o *openStreams) enter(who string) (tooMany int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.total >= maxStreams:
		return o.total
	case who != "" && o.of[who] >= maxStreamsEach:
		return o.of[who]
	case o.of == nil:
		o.of = map[string]int{}
	}
	o.total++
	o.of[who]++
	return 0
}

func (o *openStreams) leave(who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total--
	if o.of[who]--; o.of[who] == 0 {
		delete(o.of, who)
	}
}

func (o *openStreams) open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}

// stream is one stream of events, and how far it has got.
type stream struct {
	by      seen
	w       http.ResponseWriter
	control *http.ResponseController
	filter  journal.Filter
	last    uint64 // id up to which everything was sent or did not fit
}

// streamEvents sends events as they happen, in the form of Server-Sent Events: since an id or a time, else from now on,
// with as many earlier ones as the limit says. It ends with the client, or with the broker.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request, f EventFilter) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			writeError(w, http.StatusBadRequest, fmt.Sprintf("Last-Event-ID: %q is no id of an event", id), "leave it out to begin with what happens from now on")
			return
		}
		f.Since = &n
	}
	by := accessOf(r)
	if open := s.streams.enter(by.Who); open > 0 {
		writeError(w, http.StatusServiceUnavailable, fmt.Sprintf("%d streams of events are open already", open), "try later, or ask for /api/v1/events without Accept: "+streamType)
		return
	}
	defer s.streams.leave(by.Who)
	one := stream{by: s.seen(r), w: w, control: http.NewResponseController(w)}
	_ = one.control.SetReadDeadline(time.Time{}) // that of the request would end the stream; who cannot have one needs none
	w.Header().Set("Content-Type", streamType)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if err := s.sendEvents(r, &one, f); err != nil && s.Log != nil {
		s.Log.Debug("stream of events ended", "cause", err.Error())
	}
}

// sendEvents sends until the client or the broker is gone.
func (s *Server) sendEvents(r *http.Request, one *stream, f EventFilter) error {
	if err := one.begin(s.Journal, f); err != nil {
		return err
	}
	beat := time.NewTicker(streamHeartbeat)
	defer beat.Stop()
	for stopping := false; ; {
		changed := s.Journal.Changed()
		more, err := one.sendNew(s.Journal)
		switch {
		case err != nil:
			return err
		case more:
			continue
		case stopping:
			return nil
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := one.send(nil); err != nil {
				return err
			}
			if still := one.by.by.still; still != nil && !still() {
				return errWrongLogin
			}
		case <-s.Stopping:
			stopping = true // what has just happened is still sent
		case <-r.Context().Done():
			return nil
		}
	}
}

// begin sends what comes before the events that are new from now on.
func (s *stream) begin(j *journal.Journal, f EventFilter) error {
	s.filter = f.forJournal()
	var past []journal.Event
	switch {
	case f.Since != nil:
		s.last = *f.Since
	case !f.SinceTime.IsZero(): // read from the oldest on
	default:
		s.last = j.Last()
		if f.Limit > 0 {
			for _, e := range s.by.listEvents(s.filter) {
				if e.ID <= s.last { // a newer one is sent in its turn
					past = append(past, e)
				}
			}
		}
	}
	s.filter.Limit = streamBatch
	return s.send(past)
}

// sendNew sends the next events that fit, and tells whether there may be more.
func (s *stream) sendNew(j *journal.Journal) (more bool, err error) {
	newest := j.Last()
	s.filter.Since = after(s.last)
	events := s.by.listEvents(s.filter)
	more = len(events) == streamBatch
	switch {
	case more:
		s.last = events[len(events)-1].ID
	case len(events) > 0:
		s.last = max(newest, events[len(events)-1].ID)
	default:
		s.last = newest // none of those before fits: they are not looked at again
	}
	if len(events) == 0 {
		return false, nil
	}
	return more, s.send(events)
}

// send writes events, or without any a sign of life; either tells how far the stream has got.
func (s *stream) send(events []journal.Event) error {
	var text bytes.Buffer
	for i := range events {
		data, err := json.Marshal(&events[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "id: %d\ndata: %s\n\n", events[i].ID, visibleJSON(data))
	}
	if len(events) == 0 {
		fmt.Fprintf(&text, ": alive\nretry: 2000\nid: %d\n\n", s.last)
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(streamPatience)) // who cannot have one cannot be slow either
	_, err := s.w.Write(text.Bytes())
	if err == nil {
		err = s.control.Flush()
	}
	_ = s.control.SetWriteDeadline(time.Time{}) // with HTTP/2 it would end the stream though nobody writes
	return err
}
