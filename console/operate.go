package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

const sessionsHint = "GET /api/v1/sessions lists those that are open"

// deleteSession ends one session.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.CloseSession != nil) {
		return
	}
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Sprintf("%q is no id of a session", r.PathValue("id")), "ids are numbers; "+sessionsHint)
		return
	}
	name := strconv.FormatUint(id, 10)
	noteChange(r, "", "session "+name)
	mine := accessOf(r).whole()
	for _, one := range s.seen(r).sessions() {
		if one.ID == name {
			noteChange(r, one.Service, "session "+name+" of "+one.Client+" on "+one.Instance)
			mine = true
		}
	}
	err = fmt.Errorf("%w: session %d", ErrNotFound, id)
	if mine {
		err = s.CloseSession(id)
	}
	if err != nil {
		writeProblem(w, err, sessionsHint)
		return
	}
	s.write(w, http.StatusOK, Closed{Closed: []string{name}})
}

// deleteSessions ends those that a filter chooses. Without one it would end all, which takes all=true.
func (s *Server) deleteSessions(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.CloseSession != nil) {
		return
	}
	q := r.URL.Query()
	all := q.Get("all") == "true"
	q.Del("all")
	filter, err := parseFilter(q)
	switch {
	case err != nil:
		writeError(w, http.StatusBadRequest, err.Error(), "filters are service, instance, client and upstream")
		return
	case filter == SessionFilter{} && !all:
		writeError(w, http.StatusBadRequest, "that would end every session", "give service, instance, client or upstream; or all=true if it is meant")
		return
	}
	closed := Closed{Closed: []string{}}
	noteChange(r, filter.Service, "sessions: "+filter.String())
	for _, one := range s.seen(r).sessions() {
		if !filter.matches(&one) {
			continue
		}
		id, err := strconv.ParseUint(one.ID, 10, 64)
		if err == nil {
			err = s.CloseSession(id)
		}
		switch {
		case errors.Is(err, ErrNotFound): // it ended by itself just now
		case err != nil:
			writeProblem(w, fmt.Errorf("%d sessions were ended, but not session %s: %w", len(closed.Closed), one.ID, err), sessionsHint)
			return
		default:
			closed.Closed = append(closed.Closed, one.ID)
		}
	}
	noteChange(r, filter.Service, fmt.Sprintf("%d sessions: %s", len(closed.Closed), filter))
	s.write(w, http.StatusOK, closed)
}

func (s *Server) postReload(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Reload != nil) {
		return
	}
	result, err := s.Reload(r.Context())
	var problem *APIError
	switch {
	case errors.As(err, &problem):
		writeProblem(w, err, "")
	case err != nil:
		writeError(w, http.StatusUnprocessableEntity, "nothing was changed: "+err.Error(), "put the configuration right and reload again")
	default:
		result.Changed = append([]string{}, result.Changed...)
		result.NeedsRestart = append([]string{}, result.NeedsRestart...)
		result.Messages = append([]ConfigMessage{}, result.Messages...)
		s.write(w, http.StatusOK, result)
	}
}

func (s *Server) getParameters(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Parameters != nil) {
		s.write(w, http.StatusOK, ParameterList{Parameters: append([]Parameter{}, s.Parameters()...)})
	}
}

func (s *Server) getRules(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Rules != nil) {
		s.write(w, http.StatusOK, s.ruleList())
	}
}
