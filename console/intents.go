package console

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"servicebroker/intent"
)

// IntentRequest is the body of POST /api/v1/intents.
type IntentRequest struct {
	Kind        intent.Kind   `json:"kind"`
	Target      intent.Target `json:"target"`
	Value       *uint32       `json:"value,omitempty"` // of a weight: per cent
	Deadline    time.Time     `json:"deadline,omitzero"`
	EndSessions bool          `json:"end_sessions,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Source      string        `json:"source,omitempty"` // who asks, and by what
}

// intent returns what r asks for. Whether it makes sense is for whoever carries it out to say, but for what an intent
// cannot tell: whether a value was given.
func (r *IntentRequest) intent() (intent.Intent, error) {
	in := intent.Intent{Kind: r.Kind, Target: r.Target, Deadline: r.Deadline, EndSessions: r.EndSessions, Reason: r.Reason, Source: r.Source}
	var err error
	if in.Kind, err = intent.ParseKind(string(r.Kind)); err != nil {
		return in, err
	}
	if in.Target, err = intent.ParseTarget(r.Target); err != nil {
		return in, err
	}
	switch {
	case in.Kind == intent.Weight && r.Value == nil:
		return in, errors.New(`the weight has no value: give "value" in per cent of the capacity, 100 is all of it, 0 keeps connects away`)
	case in.Kind != intent.Weight && r.Value != nil:
		return in, fmt.Errorf(`a %s has no value: leave "value" out`, in.Kind)
	case r.Value != nil:
		in.Value = *r.Value
	}
	return in, nil
}

func (s *Server) getIntents(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Intents != nil) {
		s.write(w, http.StatusOK, IntentList{Intents: append([]IntentView{}, s.seen(r).intents()...)})
	}
}

func (s *Server) getIntent(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Intents != nil) {
		return
	}
	id := r.PathValue("id")
	for _, one := range s.seen(r).intents() {
		if one.ID == id {
			s.write(w, http.StatusOK, one)
			return
		}
	}
	writeError(w, http.StatusNotFound, fmt.Sprintf("there is no intent %q", id), intentsHint)
}

const intentsHint = "GET /api/v1/intents lists those in force; one that was undone or has ended is gone"

func (s *Server) postIntent(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.SetIntent != nil) {
		return
	}
	asked, err := readBody[IntentRequest](w, r, maxBody)
	if err != nil {
		writeProblem(w, err, "")
		return
	}
	in, err := asked.intent()
	if err == nil && (in.Kind == intent.Approve || in.Kind == intent.Reject) {
		in.Target, err = s.seen(r).quarantinedAt(in.Target)
	}
	if err != nil {
		writeProblem(w, err, `send for example {"kind": "drain", "target": {"service": "orders", "instance": "orders1@db7"}}`)
		return
	}
	s.set(w, r, in)
}

// set puts an intent in force and answers with it.
func (s *Server) set(w http.ResponseWriter, r *http.Request, in intent.Intent) {
	by := accessOf(r)
	in.Source = by.source(in.Source)
	aboutChange(r, in)
	if !by.mayTouch(in.Target) {
		writeProblem(w, by.outside("a "+string(in.Kind)+" of "+targetText(in.Target)), "")
		return
	}
	view, err := s.SetIntent(r.Context(), in)
	if err != nil {
		writeProblem(w, err, "GET /api/v1/services lists databases, services, instances and hosts")
		return
	}
	s.write(w, http.StatusOK, view)
}

func (s *Server) deleteIntent(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.EndIntent != nil) {
		return
	}
	id := r.PathValue("id")
	one, found := s.seen(r).intent(id)
	if found {
		aboutChange(r, one)
	} else if !accessOf(r).whole() {
		writeError(w, http.StatusNotFound, fmt.Sprintf("there is no intent %q", id), intentsHint)
		return
	}
	view, err := s.EndIntent(r.Context(), id)
	if err != nil {
		writeProblem(w, err, intentsHint)
		return
	}
	s.write(w, http.StatusOK, view)
}
