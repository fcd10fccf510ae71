package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"servicebroker/journal"
	"servicebroker/testenv/fuzzing"
)

// names of parameters and fields, and values of them.
func requestWords() (names, values []string) {
	return []string{
			"service", "instance", "client", "upstream", "since", "kind", "limit", "descriptor", "from", "user", "program", "connection_id", "outcome", "summary", "q", "in", "gt", "to", "for", "using",
			"all", "target", "database", "node", "network", "reason", "weight", "deadline", "end_sessions", "load", "services", "delta", "goodness", "abort", "timeout", "level", "data", "session", "x",
		}, []string{
			"hr", "sales", "*", "", "1", "0", "-1", "18446744073709551616", "true", "legacy@db9", "sales1@db1", "drain", "hold", "approve", "10.0.0.0/8", "192.0.2.9", "2030-05-06T12:00:00Z", "refuse",
			"registered,died", "idle", "\x00", "\n", "é", "<script>", "((", "(CONNECT_DATA=(SERVICE_NAME=hr))", "//h/hr", "null", "1e9", "00:01:00", strings.Repeat("long", 100),
		}
}

// body is JSON of such words, or nearly.
func body(s *fuzzing.Script, depth int) string {
	names, values := requestWords()
	switch kind := s.Below(10); {
	case kind < 5 && depth < 3:
		var b strings.Builder
		for i := range 1 + s.Below(3) {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(strconv.Quote(names[s.Below(len(names))]) + ":" + body(s, depth+1))
		}
		return "{" + b.String() + "}"
	case kind == 5:
		return fuzzing.Pick(s, "null", "true", "1e400", "-1", "[", "{}", "[]", "5", "0.5", "\"a\"}")
	case kind == 6:
		return "[" + body(s, depth+1) + "]"
	case kind == 7:
		return string(s.Bytes(20))
	}
	return strconv.Quote(values[s.Below(len(values))])
}

// FuzzRequests asks for anything, as anybody: the answer is one that was meant, what says that it is JSON is,
// and whoever has to do with hr learns of sales no more than they said themselves.
func FuzzRequests(f *testing.F) {
	paths := make([]string, 0, 64)
	for path := range new(Server).routes() {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i := range paths {
		f.Add([]byte{byte(i), byte(i % 3), 0, 1, byte(i), 2, 1, 1, 0, 0, 0}, uint8(i%4))
	}
	f.Fuzz(func(t *testing.T, script []byte, who uint8) {
		s := fuzzing.Read(script)
		o := shared(t)
		path, method := paths[s.Below(len(paths))], fuzzing.Pick(s, http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut, "HEAD", "OPTIONS", "PROPFIND")
		names, values := requestWords()
		said := ""
		for strings.Contains(path, "{") {
			begin, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
			word := fuzzing.Pick(s, o.journal.Recent(1)[0].Ref, o.store.All()[0].ID, o.store.All()[1].ID, values[s.Below(len(values))])
			path = path[:begin] + url.PathEscape(word) + path[end+1:]
			said += word
		}
		query := url.Values{}
		for range s.Below(4) {
			query.Add(names[s.Below(len(names))], values[s.Below(len(values))])
		}
		text := ""
		if method == http.MethodPost || method == http.MethodPut {
			text = body(s, 0)
		}
		r := httptest.NewRequest(method, "https://127.0.0.1/", strings.NewReader(text))
		r.URL.Path, r.URL.RawQuery = mustUnescape(path), query.Encode()
		r.Header.Set("Content-Type", fuzzing.Pick(s, "application/json", "application/json", "text/plain", ""))
		r.Header.Set("Accept", fuzzing.Pick(s, "", "application/json", "text/html", ";;;"))
		access := fuzzing.Pick(fuzzing.Read([]byte{who}), Access{Role: Operator}, Access{Role: Viewer}, Access{Role: Viewer, Services: []string{"hr"}}, Access{Role: Operator, Services: []string{"hr"}})
		access.Who, access.From = "hrviewer", "192.0.2.1:1"
		w := httptest.NewRecorder()
		secured(o.mux()).ServeHTTP(w, withAccess(r, &access))
		checkResponse(t, r, w)
		told := strings.ToLower(w.Body.String())
		said = strings.ToLower(said + text + query.Encode() + r.URL.Path)
		if len(access.Services) > 0 && !strings.Contains(r.URL.Path, "openapi") && r.URL.Path != "/style.css" {
			for _, word := range []string{"sales", "scott", "db1", "192.0.2.50"} {
				if strings.Contains(told, word) && !strings.Contains(said, word) && !strings.Contains(said, "al") {
					t.Fatalf("%s %s %s tells of %s: %s", method, r.URL, text, word, w.Body)
				}
			}
		}
	})
}

func mustUnescape(path string) string {
	if p, err := url.PathUnescape(path); err == nil {
		return p
	}
	return path
}

func checkResponse(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	switch {
	case w.Code < 200 || w.Code == http.StatusInternalServerError || w.Code > 599:
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	case strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && r.Method != "HEAD" && !json.Valid(w.Body.Bytes()):
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	case strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && strings.Contains(w.Body.String(), "<script>"):
		t.Fatalf("%s %s: a script goes through: %s", r.Method, r.URL, w.Body)
	case w.Header().Get("X-Content-Type-Options") != "nosniff":
		t.Fatalf("%s %s: %v", r.Method, r.URL, w.Header())
	}
}

// FuzzFilters: a filter that is read travels on and is read again the same; and a stream of events is read
// whatever its lines are.
func FuzzFilters(f *testing.F) {
	f.Add("since=5&kind=registered,died&limit=3&service=a", "id: 5\ndata: {\"id\":5,\"kind\":\"started\"}\n\n")
	f.Add("service=x&client=10.0.0.1&upstream=:1521", ": comment\nid:\nid: 18446744073709551616\n\ndata: {}\n")
	f.Add("since=2030-05-06T12:00:00.5%2B02:00", "data: [\n")
	f.Add("since=2026-01-01T00:00:00%2B24:60", "")
	f.Add("since=9999-12-31T23:59:59-01:00", "")
	f.Fuzz(func(t *testing.T, text, stream string) {
		q, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		if filter, err := parseEventFilter(q); err == nil {
			again, err := parseEventFilter(filter.query())
			if err != nil || again.query().Encode() != filter.query().Encode() {
				t.Fatalf("%+v became %+v, %v", filter, again, err)
			}
			filter.forJournal()
		}
		if filter, err := parseFilter(q); err == nil {
			if again, err := parseFilter(filter.query()); err != nil || again != filter {
				t.Fatalf("%+v became %+v, %v", filter, again, err)
			}
		}
		var seen uint64
		reader := streamReader{filter: &EventFilter{}, each: func(e journal.Event) error { seen++; return nil }}
		for line := range strings.Lines(stream) {
			if reader.take(strings.TrimRight(line, "\n")) != nil {
				break
			}
		}
		if n := uint64(strings.Count(stream, "data:")); seen > n {
			t.Fatalf("%d events of %d", seen, n)
		}
	})
}

// FuzzPasswords: a line of credentials that is read costs a bounded amount of work to check.
func FuzzPasswords(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw")
	f.Add("$2a$10$abcdefghijklmnopqrstuuJ5nB0vQv3J1X9zX0W1Z2Y3X4W5V6U7T")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw")
	f.Add(strings.Repeat("x", 400) + "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw")
	f.Add("$argon2id$v=19$m=64,t=1,p=1" + strings.Repeat("x", 400) + "$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw")
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5" + strings.Repeat("\n", 400) + "a2V5a2V5aw")
	f.Fuzz(func(t *testing.T, text string) {
		if checkHash(text) != nil {
			return
		}
		if a, err := parseArgon(text); err == nil && (a.memory > maxArgonMemory || a.time > maxArgonTime || a.threads > 16 || a.threads < 1) {
			t.Fatalf("%+v", a)
		}
		if len(text) > 400 {
			t.Fatalf("a hash of %d bytes", len(text))
		}
	})
}
