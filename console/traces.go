package console

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// TraceRequest is the body of POST /api/v1/traces: either Client or Session.
type TraceRequest struct {
	Client  string  `json:"client,omitempty"`  // address, network, or * for everybody
	Session string  `json:"session,omitempty"` // id
	Seconds float64 `json:"seconds,omitempty"` // 0: five minutes
	Data    bool    `json:"data,omitempty"`    // what is in packets, too, once the login is over
}

// Trace is a packet trace that is active, or was one of the last to be.
type Trace struct {
	ID      string    `json:"id"`
	Client  string    `json:"client"`  // "" for one of a session
	Session string    `json:"session"` // "" for one of clients
	Data    bool      `json:"data"`
	File    string    `json:"file"` // on the broker's host
	Began   time.Time `json:"began"`
	Until   time.Time `json:"until"`
	Ended   string    `json:"ended"` // why it is over; "" while it is active
	Packets uint64    `json:"packets"`
	Bytes   int64     `json:"bytes"` // written so far
	Lost    uint64    `json:"lost"`  // packets for which the disk had no time
}

// TraceList is the answer of GET /api/v1/traces.
type TraceList struct {
	Traces []Trace `json:"traces"` // oldest first
}

// LogLevel is how much is logged.
type LogLevel struct {
	Level string `json:"level"` // off, user, admin or support
}

const tracesHint = "GET /api/v1/traces lists those that are active"

func (s *Server) getTraces(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Traces != nil) {
		s.write(w, http.StatusOK, TraceList{Traces: append([]Trace{}, s.Traces()...)})
	}
}

func (s *Server) postTrace(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.StartTrace != nil) {
		return
	}
	const example = `send for example {"client": "192.0.2.7", "seconds": 300}`
	asked, err := readBody[TraceRequest](w, r, maxBody)
	switch {
	case err != nil:
		writeProblem(w, err, "")
		return
	case (asked.Client == "") == (asked.Session == ""):
		writeError(w, http.StatusBadRequest, "whose packets are to be traced is not clear: give either client or session", example)
		return
	case asked.Seconds < 0:
		writeError(w, http.StatusBadRequest, "seconds is less than 0", example)
		return
	}
	trace, err := s.StartTrace(asked)
	if err != nil {
		writeProblem(w, err, example+"; sessions are listed by GET /api/v1/sessions")
		return
	}
	s.write(w, http.StatusOK, trace)
}

func (s *Server) deleteTrace(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.StopTrace != nil) {
		return
	}
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Sprintf("%q is no id of a trace", r.PathValue("id")), "ids are numbers; "+tracesHint)
		return
	}
	trace, err := s.StopTrace(id)
	if err != nil {
		writeProblem(w, err, tracesHint)
		return
	}
	s.write(w, http.StatusOK, trace)
}

// putLogLevel changes how much is logged, until the configuration is read again.
func (s *Server) putLogLevel(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.SetLogLevel != nil) {
		return
	}
	asked, err := readBody[LogLevel](w, r, maxBody)
	if err != nil {
		writeProblem(w, err, "")
		return
	}
	now, err := s.SetLogLevel(asked.Level)
	if err != nil {
		writeProblem(w, err, `send for example {"level": "support"}`)
		return
	}
	s.write(w, http.StatusOK, now)
}
