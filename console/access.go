package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"servicebroker/intent"
	"servicebroker/servicetable"
)

// Role is what somebody may do.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // look
	Operator Role = "operator" // look, and change what is to be changed
)

// Roles returns all roles.
func Roles() []Role { return []Role{Viewer, Operator} }

// Access says who asks, and what he is shown and may change. It is never changed.
type Access struct {
	Who      string   // name of the credential, or of the user at the other end of the admin socket; "" for anyone
	From     string   // address, or "admin socket"
	Role     Role     // what he may do
	Services []string // patterns of the services that he has to do with; none: all, and the broker itself

	still func() bool // whether the credentials are good yet; nil: they always are
}

// String names who asks, for logs and for others to read.
func (a *Access) String() string {
	if a.Who == "" {
		return a.From
	}
	return a.Who + " from " + a.From
}

// anyone tells that it is not known who asks.
func (a *Access) anyone() bool { return a.Who == "" && a.From != socketName }

// whole tells that somebody has to do with all services.
func (a *Access) whole() bool { return len(a.Services) == 0 }

// sees tells whether somebody has to do with a service.
func (a *Access) sees(service string) bool {
	return a.whole() || service != "" && slices.ContainsFunc(a.Services, func(p string) bool { return servicetable.ServiceFits(p, service) })
}

// covers tells whether somebody has to do with all services that a pattern means.
func (a *Access) covers(pattern string) bool {
	return a.whole() || pattern != "" && slices.ContainsFunc(a.Services, func(p string) bool { return servicetable.ServicesCovered(p, pattern) })
}

// mayTouch tells whether all that a target means is somebody's.
func (a *Access) mayTouch(t intent.Target) bool { return a.covers(t.Service) }

// outside is the answer about what is not somebody's to change.
func (a *Access) outside(what string) error {
	return &APIError{http.StatusForbidden, what + " is not among the services of these credentials",
		"they are for " + strings.Join(a.Services, ", ") + ": name such a service as the target, or use credentials for all services"}
}

// source is who is behind a change: over the admin socket whoever says so, otherwise what the credentials say, whatever is
// claimed besides.
func (a *Access) source(claimed string) string {
	switch {
	case a.From != socketName:
		claimed = strings.TrimSuffix(fmt.Sprintf("%s (%s)", a, claimed), " ()")
	case claimed == "":
		claimed = a.From
	}
	return claimed
}

// socketName is where those come from who ask over the admin socket.
const socketName = "admin socket"

type accessKey struct{}

// withAccess lets a request be answered as somebody's.
func withAccess(r *http.Request, a *Access) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), accessKey{}, a))
}

// accessOf returns whose a request is; nobody's is one that may nothing.
func accessOf(r *http.Request) *Access {
	if a, ok := r.Context().Value(accessKey{}).(*Access); ok {
		return a
	}
	return &Access{Services: []string{""}}
}

// openPaths need no credentials anywhere: probes of health cannot have any, and the style of a page tells nothing.
func openPaths() []string { return []string{"/livez", "/readyz", "/style.css"} }

// scopedPaths are answered to those, too, who have to do with some services alone: what they are told is about these. Whatever
// is not listed here is for those who have to do with all.
func scopedPaths() []string {
	return []string{
		"/api/v1/services", "/api/v1/services/{name}", "/api/v1/sessions", "/api/v1/sessions/{id}", "/api/v1/explain", "/api/v1/explain/{ref}",
		"/api/v1/explanations", "/api/v1/intents", "/api/v1/intents/{id}", "/api/v1/events", "/api/v1/held", "/api/v1/quarantine",
		"/api/v1/quarantine/{id}/approve", "/api/v1/quarantine/{id}/reject", "/api/v1/load", "/api/v1/stats", "/api/v1/openapi.json", "/show",
		"/show/{what}", "/show/{what}/{how}", "/api/v1/version", "/api/v1/status", "/api/v1/whoami", "/readyz/{service}", "/refs", "/refs/{ref}", "/{$}", "/do",
	}
}

// refusal says why somebody may not ask for a path with a method; nil if he may.
func (s *Server) refusal(a *Access, path, method string) error {
	change := method != http.MethodGet
	switch {
	case !change && slices.Contains(openPaths(), path):
		return nil
	case change && a.Role != Operator && a.anyone():
		return &APIError{http.StatusForbidden, "this address only shows: nothing can be changed over it", s.socketHint()}
	case change && a.Role != Operator:
		return &APIError{http.StatusForbidden, fmt.Sprintf("the credentials of %s are for looking only", a.Who), "use those of an operator: role operator in REST_CREDENTIALS"}
	case !a.whole() && !slices.Contains(scopedPaths(), path):
		return &APIError{http.StatusForbidden, "this is about the whole broker, and the credentials of " + a.Who + " are for some services alone",
			"use credentials without services in REST_CREDENTIALS, or the admin socket"}
	}
	return nil
}
