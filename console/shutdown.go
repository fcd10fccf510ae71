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
	text, err := json.Marshal(Stopping{Sessions: len(s.sessions())})
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

func (r ShutdownRequest) check() error {
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
