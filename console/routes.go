package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// route is what one path offers, by method. HEAD is answered wherever GET is.
type route map[string]http.HandlerFunc

// routes lists all paths.
func (s *Server) routes() map[string]route {
	get := func(f http.HandlerFunc) route { return route{http.MethodGet: f} }
	return map[string]route{
		"/api/v1/services":                get(s.getServices),
		"/api/v1/services/{name}":         get(s.getService),
		"/api/v1/sessions":                {http.MethodGet: s.getSessions, http.MethodDelete: s.deleteSessions},
		"/api/v1/sessions/{id}":           {http.MethodDelete: s.deleteSession},
		"/api/v1/explain":                 get(s.getExplain),
		"/api/v1/explain/{ref}":           get(s.getExplanation),
		"/api/v1/explanations":            get(s.getExplanations),
		"/api/v1/intents":                 {http.MethodGet: s.getIntents, http.MethodPost: s.postIntent},
		"/api/v1/intents/{id}":            {http.MethodGet: s.getIntent, http.MethodDelete: s.deleteIntent},
		"/api/v1/events":                  get(s.getEvents),
		"/api/v1/held":                    get(s.getHeld),
		"/api/v1/certificates":            get(s.getCertificates),
		"/api/v1/limits":                  get(s.getLimits),
		"/api/v1/mirrors":                 get(s.getMirrors),
		"/api/v1/quarantine":              get(s.getQuarantine),
		"/api/v1/quarantine/{id}/approve": {http.MethodPost: s.postApprove},
		"/api/v1/quarantine/{id}/reject":  {http.MethodPost: s.postReject},
		"/api/v1/load":                    {http.MethodPut: s.putLoad},
		"/api/v1/reload":                  {http.MethodPost: s.postReload},
		"/api/v1/generations":             get(s.getGenerations),
		"/api/v1/upgrade":                 {http.MethodPost: s.postUpgrade},
		"/api/v1/shutdown":                {http.MethodPost: s.postShutdown},
		"/api/v1/traces":                  {http.MethodGet: s.getTraces, http.MethodPost: s.postTrace},
		"/api/v1/traces/{id}":             {http.MethodDelete: s.deleteTrace},
		"/api/v1/log-level":               {http.MethodPut: s.putLogLevel},
		"/api/v1/stats":                   get(s.getStats),
		"/api/v1/openapi.json":            get(serveDocument),
		"/show":                           get(s.getShowable),
		"/show/{what}":                    get(s.getShow),
		"/show/{what}/{how}":              get(s.getShow),
		"/api/v1/parameters":              get(s.getParameters),
		"/api/v1/rules":                   get(s.getRules),
		"/api/v1/version":                 get(s.getVersion),
		"/api/v1/whoami":                  get(s.getWhoami),
		"/api/v1/status":                  get(s.getStatus),
		"/api/v1/peers":                   get(s.getPeers),
		"/api/v1/table":                   get(s.getTable),
		"/api/v1/table/offers":            get(s.getTable),
		"/metrics":                        get(s.getMetrics),
		"/livez":                          get(s.getLive),
		"/readyz":                         get(s.getReady),
		"/readyz/{service}":               get(s.getServiceReady),
		"/style.css":                      get(serveStyle),
		"/refs":                           get(s.serveFind()),
		"/refs/{ref}":                     get(s.serveRef()),
		"/do":                             {http.MethodGet: s.serveDo(), http.MethodPost: s.postDo},
		"/{$}":                            get(s.servePage()),
	}
}

// AdminHandler returns the handler for the admin socket, over which a broker can be changed. Who may open the socket
// may do so.
func (s *Server) AdminHandler() http.Handler {
	answer := secured(s.mux())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.adminRequests.Add(1)
		s.adminOpen.Add(1)
		defer s.adminOpen.Add(-1)
		answer.ServeHTTP(w, withAccess(r, &Access{Who: peerOf(r.Context()), From: socketName, Role: Operator}))
	})
}

// Handler returns the handler for the plain address, which only looks. It answers under names of its own alone, so that
// no page of another site can read it through a browser by pointing a name of theirs at it.
func (s *Server) Handler() http.Handler {
	m := s.mux()
	if s.MetricsAddress != "" {
		elsewhere := s.metricsElsewhere
		m = besides(m, "/metrics", s.dispatch("/metrics", route{http.MethodGet: elsewhere}))
	}
	return secured(s.ownName(letLook(m)))
}

// besides answers one path otherwise.
func besides(all http.Handler, path string, one http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			one.ServeHTTP(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// letLook lets anyone look, at everything.
func letLook(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, withAccess(r, &Access{From: r.RemoteAddr, Role: Viewer}))
	})
}

// HealthHandler returns the handler for an address of its own: metrics and health, and nothing else. Who scrapes them
// may know the broker by any name.
func (s *Server) HealthHandler() http.Handler {
	m := http.NewServeMux()
	for path, offered := range s.routes() {
		if path == "/metrics" || isHealth(path) {
			m.Handle(path, s.dispatch(path, offered))
		}
	}
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "there is nothing at "+r.URL.Path, "this address has /metrics, /livez, /readyz and /readyz/SERVICE alone")
	})
	return secured(letLook(m))
}

func isHealth(path string) bool {
	return path == "/livez" || path == "/readyz" || strings.HasPrefix(path, "/readyz/")
}

// metricsElsewhere tells where they are.
func (s *Server) metricsElsewhere(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, "metrics are not on this address", "METRICS_ADDRESS has them: ask http://"+s.MetricsAddress+"/metrics")
}

// mux answers all paths to those whose access is in the request.
func (s *Server) mux() http.Handler {
	m := http.NewServeMux()
	for path, offered := range s.routes() {
		m.Handle(path, s.dispatch(path, offered))
	}
	m.HandleFunc("/", s.notFound)
	return m
}

// allowed lists the methods that somebody may use.
func (offered route) allowed(a *Access) string {
	var allowed []string
	for method := range offered {
		if a.Role == Operator || method == http.MethodGet {
			allowed = append(allowed, method)
		}
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return strings.Join(allowed, ", ")
}

// dispatch chooses by method, and by what somebody may do. Whatever changes something is audited, refused or not.
func (s *Server) dispatch(path string, offered route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, method := accessOf(r), r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		answer, found := offered[method]
		if !found {
			allow := offered.allowed(by)
			w.Header().Set("Allow", allow)
			writeError(w, http.StatusMethodNotAllowed, "the method "+r.Method+" is not offered here", methodHint(allow))
			return
		}
		if err := s.refusal(by, path, method); err != nil {
			answer = func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, err, "") }
		}
		if method != http.MethodGet {
			answer = s.audited(answer)
		}
		answer(w, r)
	}
}

func methodHint(allow string) string {
	switch allow {
	case "":
		return "this address takes changes only, and those over the admin socket"
	case "GET, HEAD":
		return "this address can only be read: use GET"
	}
	return "use one of " + allow
}

func (s *Server) socketHint() string {
	if socket := s.identity().Socket; socket != "" {
		return "ask over the admin socket, as the user that runs the broker: broker --api unix:" + socket
	}
	return "changes are taken over the admin socket alone, and this broker has none: set STATE_DIRECTORY or ADMIN_SOCKET"
}

// secured adds what keeps a browser from doing anything else with an answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// ownName lets requests through that are made under a name of this server. Probes of health may use any.
func (s *Server) ownName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHealth(r.URL.Path) && !s.isOwnName(r.Host) {
			writeError(w, http.StatusMisdirectedRequest, "this broker does not go by the name of "+r.Host,
				"ask by its IP address, as localhost, or by the host name in CONSOLE_ADDRESS; METRICS_ADDRESS answers to any name")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) isOwnName(asked string) bool {
	host := asked
	if h, _, err := net.SplitHostPort(asked); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "" || strings.EqualFold(host, "localhost") {
		return true // only a name can be pointed elsewhere
	}
	return slices.ContainsFunc(s.Hosts, func(own string) bool { return strings.EqualFold(own, host) })
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, "there is nothing at "+r.URL.Path, "the API begins at /api/v1/services; the page is at /")
}
