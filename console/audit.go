package console

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"servicebroker/intent"
	"servicebroker/journal"
)

// change is what a request is about to change, as far as its handler has found out. It is filled in while the request is
// answered.
type change struct {
	service  string // "" where it is about none in particular
	instance string
	host     string
	about    string // what is changed, for people
	quiet    bool   // it is a figure that a program sends again and again
}

type changeKey struct{}

// changeOf returns the change that a request makes; of one that makes none, a value that nobody reads.
func changeOf(r *http.Request) *change {
	if c, ok := r.Context().Value(changeKey{}).(*change); ok {
		return c
	}
	return new(change)
}

// noteChange notes what a request changes.
func noteChange(r *http.Request, service, about string) {
	c := changeOf(r)
	c.service, c.about = service, about
}

// aboutChange notes that a request is about an intent.
func aboutChange(r *http.Request, in intent.Intent) {
	c := changeOf(r)
	c.service, c.about = in.Target.Service, string(in.Kind)+" of "+targetText(in.Target)
	c.instance, c.host, _ = strings.Cut(in.Target.Instance, "@")
	if c.host == "" {
		c.host = in.Target.Node
	}
}

// answered is an answer of which the status is remembered.
type answered struct {
	http.ResponseWriter
	status int
}

// WriteHeader sends the status.
func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the answer, with status 200 before the first if there was none.
func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap returns the answer itself.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// audited answers a request that changes something and tells in the log and in the journal who changed what, or tried to.
func (s *Server) audited(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var c change
		a := &answered{ResponseWriter: w}
		answer(a, r.WithContext(context.WithValue(r.Context(), changeKey{}, &c)))
		s.audit(r, &c, a.status)
	}
}

// audit writes down one change. What is sent again and again is written down where it fails; what anyone can send, who has no
// credentials, never is.
func (s *Server) audit(r *http.Request, c *change, status int) {
	const most = 300 // bytes of what others chose
	about, request := c.about[:min(len(c.about), most)], r.Method+" "+r.URL.Path[:min(len(r.URL.Path), most)]
	by, done := accessOf(r), status < http.StatusBadRequest
	outcome := "done"
	if !done {
		outcome = fmt.Sprintf("refused with status %d", status)
	}
	if log := cmp.Or(s.Audit, s.Log); log != nil {
		level := slog.LevelInfo
		if c.quiet && done || by.anyone() {
			level = slog.LevelDebug
		}
		log.Log(r.Context(), level, "change", "who", by.Who, "from", by.From, "request", request, "about", about, "outcome", outcome)
	}
	if s.Journal == nil || c.quiet && done || by.anyone() {
		return
	}
	detail := request + " " + outcome
	if about != "" {
		detail = about + ": " + detail
	}
	s.Journal.Add(journal.Event{Kind: journal.Administered, Service: c.service, Instance: c.instance, Host: c.host, Reason: "USER", Cause: by.String(), Detail: detail})
}
