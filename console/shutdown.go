package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ShutdownRequest is the body of POST /api/v1/shutdown. An empty object ends the broker as the first SIGTERM does.
type ShutdownRequest struct {
	Timeout *float64 `json:"timeout,omitempty"` // seconds that open sessions may go on; null: DRAIN_TIMEOUT
	Abort   bool     `json:"abort,omitempty"`   // cut them at once
	// Generation is the older process that is to end alone, as GET /api/v1/generations numbers them; 0: the broker ends.
	Generation int `json:"generation,omitempty"`
}

// Limit returns how long open sessions may go on, and whether the request says so at all.
func (r ShutdownRequest) Limit() (limit time.Duration, set bool) {
	switch {
	case r.Abort:
		return 0, true
	case r.Timeout == nil:
		return 0, false
	}
	return time.Duration(*r.Timeout * float64(time.Second)), true
}

// maxShutdown bounds how long a shutdown may take, in seconds: a year, which is for ever.
const maxShutdown = 365 * 86400

// Stopping is the answer of POST /api/v1/shutdown: the broker is about to take no new connects.
type Stopping struct {
	Sessions int `json:"sessions"` // open when it began to end
	Before   int `json:"before"`   // open in an older generation, which ends as well
}

// postShutdown answers before anything happens, since afterwards there may be nobody left to answer.
func (s *Server) postShutdown(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Shutdown != nil) {
		return
	}
	request, err := readBody[ShutdownRequest](w, r, maxBody)
	if err == nil {
		err = request.check()
	}
	if err != nil {
		writeProblem(w, err, "send {} to wait as long as DRAIN_TIMEOUT says")
		return
	}
	stopping, err := s.whatStops(request)
	if err != nil {
		writeProblem(w, err, "broker generations tells which there are")
		return
	}
	text, err := json.Marshal(stopping)
	if err != nil {
		writeProblem(w, err, "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // so that it is whole although nothing follows
	w.Header().Set("Connection", "close")
	_, _ = w.Write(text)
	_ = http.NewResponseController(w).Flush() // who asked has gone, or reads it
	s.Shutdown(request)
}

// whatStops counts what a request is about.
func (s *Server) whatStops(r ShutdownRequest) (Stopping, error) {
	var all []Generation
	if s.Generations != nil {
		all = s.Generations()
	}
	stopping := Stopping{Sessions: len(s.sessions())}
	for _, g := range all {
		older := g.State == GenerationMoving || g.State == GenerationDraining
		switch {
		case older && (r.Generation == 0 || r.Generation == g.Number):
			stopping.Before += g.Sessions
			if r.Generation != 0 {
				return Stopping{Before: g.Sessions}, nil
			}
		case r.Generation != 0 && r.Generation == g.Number:
			return stopping, &APIError{http.StatusConflict, fmt.Sprintf("generation %d is no older one, but %s", g.Number, g.State), "leave generation out to end the broker"}
		}
	}
	if r.Generation != 0 {
		return stopping, fmt.Errorf("%w: generation %d", ErrNotFound, r.Generation)
	}
	return stopping, nil
}

func (r ShutdownRequest) check() error {
	if r.Generation < 0 {
		return fmt.Errorf("generation: %d is no number of one", r.Generation)
	}
	if r.Timeout == nil {
		return nil
	}
	seconds := *r.Timeout
	switch {
	case r.Abort:
		return fmt.Errorf("timeout and abort exclude each other")
	case seconds < 0 || seconds > maxShutdown:
		return fmt.Errorf("timeout: %v is no number of seconds from 0 to %d", seconds, maxShutdown)
	}
	return nil
}
