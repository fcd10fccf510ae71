package console

import (
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// RESTHandler returns the handler for an address with TLS at which credentials say who asks and what he may. Changes have to
// come as JSON, which no page of another site can make a browser send.
func (s *Server) RESTHandler(logins *Logins) http.Handler {
	answer := s.mux()
	return secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		by, err := s.login(logins, r)
		if err != nil {
			s.refuseLogin(w, err)
			return
		}
		if err := foreign(r); err != nil {
			writeProblem(w, err, "")
			return
		}
		answer.ServeHTTP(w, withAccess(r, by))
	}))
}

// login finds out who asks. Where no credentials are needed, those who have none are nobody.
func (s *Server) login(logins *Logins, r *http.Request) (*Access, error) {
	from := r.RemoteAddr
	if slices.Contains(openPaths(), r.URL.Path) && r.Header.Get("Authorization") == "" {
		return &Access{From: from, Role: Viewer, Services: []string{""}}, nil
	}
	var host netip.Addr
	if at, err := netip.ParseAddrPort(from); err == nil {
		host = at.Addr().Unmap().WithZone("")
		from = host.String()
	}
	c, err := logins.Check(r, host)
	if err != nil {
		return nil, err
	}
	return &Access{Who: c.Name, From: from, Role: c.Role, Services: c.Services, still: func() bool { return logins.knows(c) }}, nil
}

// refuseLogin answers those who are not let in. Nobody is told which part of his credentials is wrong.
func (s *Server) refuseLogin(w http.ResponseWriter, err error) {
	var wait tooManyFailures
	switch {
	case errors.As(err, &wait):
		seconds := int(math.Ceil(wait.wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		writeError(w, http.StatusTooManyRequests, err.Error(), fmt.Sprintf("wait %d seconds, then try with the right ones", seconds))
	case errors.Is(err, errBusyLogin):
		w.Header().Set("Retry-After", "5")
		writeError(w, http.StatusServiceUnavailable, err.Error(), "try again in a few seconds; tokens are not kept waiting")
	default:
		w.Header().Add("WWW-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", s.realm()))
		w.Header().Add("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", s.realm()))
		writeError(w, http.StatusUnauthorized, err.Error(), "give name and password, or a token, of REST_CREDENTIALS: curl -u NAME, or broker --credentials FILE (BROKER_API_CREDENTIALS)")
	}
}

// realm is what a browser asks for a password of.
func (s *Server) realm() string {
	name := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, s.identity().Version.Instance)
	return strings.TrimSpace("service broker " + name)
}

// foreign says what is wrong with a change that a page of another site may have made a browser send, with the credentials that
// the browser knows. nil: none may have.
func foreign(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		return &APIError{http.StatusForbidden, "a browser sends this for a page of another site", "change things from the broker's own page, or from a program"}
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodDelete || err == nil && kind == "application/json" || r.URL.Path == formPath {
		return nil // a form has a mark of its own
	}
	return &APIError{http.StatusUnsupportedMediaType, "changes are taken as JSON alone", "send Content-Type: application/json, also where there is no body"}
}
