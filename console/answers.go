package console

import (
	"encoding/json"
	"errors"
	"net/http"

	"servicebroker/intent"
)

// write sends a JSON answer.
func (s *Server) write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := encoder(w).Encode(answer); err != nil && s.Log != nil {
		s.Log.Debug("console answer not sent", "cause", err.Error())
	}
}

func writeError(w http.ResponseWriter, status int, text, hint string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = encoder(w).Encode(errorBody{Error: text, Hint: hint}) // who asked has gone, or reads it
}

// writeProblem is the one place where an error becomes a status. The hint is for errors that have none of their own.
func writeProblem(w http.ResponseWriter, err error, hint string) {
	var problem *APIError
	switch {
	case errors.As(err, &problem):
		if problem.Hint != "" {
			hint = problem.Hint
		}
		writeError(w, problem.Status, problem.Message, hint)
	case errors.Is(err, ErrNotFound), errors.Is(err, intent.ErrNotFound):
		writeError(w, http.StatusNotFound, err.Error(), hint)
	default:
		writeError(w, http.StatusBadRequest, err.Error(), hint)
	}
}

// offered answers that something is not there where the broker has no function for it.
func offered(w http.ResponseWriter, r *http.Request, is bool) bool {
	if !is {
		writeError(w, http.StatusNotFound, "this broker does not offer "+r.Method+" "+r.URL.Path, "GET /api/v1/status tells what it is")
	}
	return is
}

func encoder(w http.ResponseWriter) *json.Encoder {
	e := json.NewEncoder(jsonWriter{w})
	e.SetEscapeHTML(false) // no browser takes it for HTML, and people read it
	return e
}
