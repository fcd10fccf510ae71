package console

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// changing are all requests that change something.
func changing() []string {
	return []string{
		"POST /api/v1/intents", "DELETE /api/v1/intents/d1", "POST /api/v1/quarantine/q1/approve", "POST /api/v1/quarantine/q1/reject",
		"PUT /api/v1/load", "DELETE /api/v1/sessions", "DELETE /api/v1/sessions/17", "POST /api/v1/reload",
	}
}

// looking are all paths that show something of operators' business.
func looking() []string {
	return []string{
		"/api/v1/intents", "/api/v1/held", "/api/v1/quarantine", "/api/v1/parameters", "/api/v1/rules", "/api/v1/events", "/api/v1/explanations",
		"/api/v1/explain?descriptor=sales", "/api/v1/explain?client=192.0.2.1", "/api/v1/sessions", "/refs", "/",
	}
}

func TestNothingIsChangedOverThePlainAddress(t *testing.T) {
	o := newOperated(t)
	id := o.Identity()
	id.Socket = "/run/broker/admin.sock"
	o.Identity = func() Identity { return id }
	for _, what := range changing() {
		method, path, _ := strings.Cut(what, " ")
		wantRefused(t, o.Handler(), []wrong{{method, path, `{}`, 403, "nothing can be changed over it", "--api unix:/run/broker/admin.sock"}})
	}
	if len(o.closed)+len(o.loads)+len(o.store.All()) > 0 {
		t.Errorf("it was done nevertheless: %+v", o)
	}
	o.Identity = nil
	wantRefused(t, o.Handler(), []wrong{{"POST", "/api/v1/reload", "", 403, "", "ADMIN_SOCKET"}})
	for _, path := range looking() {
		if w := ask(o.Server, "GET", path); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestMethods(t *testing.T) {
	o := newOperated(t)
	for _, c := range []struct {
		h                   http.Handler
		method, path, allow string
	}{
		{o.AdminHandler(), "PATCH", "/api/v1/intents", "GET, HEAD, POST"},
		{o.AdminHandler(), "POST", "/api/v1/sessions", "DELETE, GET, HEAD"},
		{o.AdminHandler(), "GET", "/api/v1/load", "PUT"},
		{o.AdminHandler(), "GET", "/api/v1/reload", "POST"},
		{o.AdminHandler(), "HEAD", "/api/v1/reload", "POST"},
		{o.AdminHandler(), "PUT", "/api/v1/events", "GET, HEAD"},
		{o.AdminHandler(), "POST", "/api/v1/explain", "GET, HEAD"},
		{o.AdminHandler(), "GET", "/api/v1/quarantine/q1/approve", "POST"},
		{o.Handler(), "PATCH", "/api/v1/intents", "GET, HEAD"},
		{o.Handler(), "GET", "/api/v1/load", ""},
		{o.Handler(), "OPTIONS", "/api/v1/sessions/17", ""},
	} {
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, httptest.NewRequest(c.method, "http://127.0.0.1"+c.path, nil))
		if body := wantAnswer(t, w, 405); w.Header().Get("Allow") != c.allow || !strings.Contains(body, `"hint":"`) || strings.Contains(body, `"hint":""`) {
			t.Errorf("%s %s: Allow %q, want %q; %s", c.method, c.path, w.Header().Get("Allow"), c.allow, body)
		}
	}
}

// A broker without a function says that it does not offer what that does.
func TestWhatIsNotOffered(t *testing.T) {
	o := operated{Server: &Server{}}
	all := changing()
	for _, path := range looking() {
		if path != "/" && path != "/refs" && path != "/api/v1/sessions" {
			all = append(all, "GET "+path)
		}
	}
	all = append(all, "GET /api/v1/intents/d1", "GET /api/v1/explain/K7M2QX4P")
	for _, what := range all {
		method, path, _ := strings.Cut(what, " ")
		if body := wantAnswer(t, o.request(method, path, "{}"), 404); !strings.Contains(body, "does not offer "+method) {
			t.Errorf("%s: %s", what, body)
		}
	}
}

// Only the broker's own names are answered to over TCP: a page of another site may have any other one point here.
func TestNames(t *testing.T) {
	s := testServer(tableOf(nil))
	s.Hosts = []string{"broker1.example.com"}
	for host, own := range map[string]bool{
		"127.0.0.1:8521": true, "192.0.2.1": true, "[2001:db8::1]:8521": true, "[::1]": true, "localhost:8521": true, "LOCALHOST": true,
		"broker1.example.com:8521": true, "Broker1.Example.COM.": true, "": true,
		"evil.example.net": false, "evil.example.net:8521": false, "localhost.evil.example.net": false, "broker1": false, "127.0.0.1.evil.example.net:8521": false,
		"xbroker1.example.com": false, "a:b:c": false,
	} {
		for _, path := range []string{"/api/v1/services", "/", "/style.css", "/nothing"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if (w.Code != http.StatusMisdirectedRequest) != own {
				t.Errorf("%q asked for %s: %d", host, path, w.Code)
			}
			if !own && (strings.Contains(w.Body.String(), "cman1") || w.Header().Get("Content-Security-Policy") == "") {
				t.Errorf("%q is told %s with %v", host, w.Body, w.Header())
			}
		}
		for _, path := range []string{"/livez", "/readyz", "/readyz/none"} { // probes come by any name
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			if s.Handler().ServeHTTP(w, r); !slices.Contains([]int{200, 503}, w.Code) {
				t.Errorf("%q asked for %s: %d", host, path, w.Code)
			}
		}
	}
	r := httptest.NewRequest("GET", "http://anything/api/v1/version", nil)
	w := httptest.NewRecorder()
	s.AdminHandler().ServeHTTP(w, r)
	wantAnswer(t, w, 200)
}
