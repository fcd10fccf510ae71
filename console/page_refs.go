package console

import (
	"bytes"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"servicebroker/journal"
)

// refPage shows one explanation.
type refPage struct {
	*journal.Explanation
	Instance   string // of the broker
	At         string
	Who        string
	Asked      string
	Became     string
	Held, Took string
	Candidates []refCandidate
	Attempts   []refAttempt
}

type refCandidate struct {
	journal.Candidate
	Score, Inputs string
	Chosen        bool
}

type refAttempt struct {
	Key, Took, Went string
	Accepted        bool
}

func newRefPage(e *journal.Explanation, instance string) refPage {
	p := refPage{
		Explanation: e, Instance: instance, At: e.Time.UTC().Format("2006-01-02 15:04:05.000 MST"), Who: clientText(e), Asked: askedText(e.Query), Became: outcomeText(e),
	}
	if e.Held > 0 {
		p.Held = lasting(e.Held)
	}
	if e.Took > 0 {
		p.Took = lasting(e.Took)
	}
	for _, c := range e.Candidates {
		p.Candidates = append(p.Candidates, refCandidate{c, number(c.Score), inputsText(c.Inputs), c.Key == e.Chosen})
	}
	for _, a := range e.Attempts {
		p.Attempts = append(p.Attempts, refAttempt{a.Key, lasting(a.Took), attemptText(a), a.Error == ""})
	}
	return p
}

// findPage shows the explanations that somebody looks for.
type findPage struct {
	Instance string
	Query    string
	Problem  string // why there are none
	Rows     []pageConnect
}

// pageConnect is one connect in a list.
type pageConnect struct {
	Ref, When, Client, Asked, Became, Why string
	Outcome                               journal.Outcome
}

func pageConnects(all []*journal.Explanation, now time.Time) []pageConnect {
	var rows []pageConnect
	for _, e := range all {
		rows = append(rows, pageConnect{e.Ref, ago(e.Time, now), e.Client, askedText(e.Query), outcomeText(e), e.Text, e.Outcome})
	}
	return rows
}

// pageFound bounds the connects of one page.
const pageFound = 100

// find looks for what was typed: a REF, a CONNECTION_ID, a client's address or a service; for nothing, all are found.
func (v seen) search(typed string) []*journal.Explanation {
	if e := v.byRef(typed); e != nil {
		return []*journal.Explanation{e}
	}
	q := journal.FindQuery{Limit: pageFound, Service: typed}
	if _, err := netip.ParseAddrPort(typed); err == nil {
		q.Client, q.Service = typed, ""
	}
	if _, err := netip.ParseAddr(strings.Trim(typed, "[]")); err == nil {
		q.Client, q.Service = typed, ""
	}
	found := v.find(q)
	if len(found) == 0 {
		found = v.find(journal.FindQuery{Limit: pageFound, ConnectionID: typed})
	}
	return found
}

// serveFind returns the handler of the list of connects. Who types a REF is sent on to its page.
func (s *Server) serveFind() http.HandlerFunc {
	t := pageTemplate("refs.html")
	return func(w http.ResponseWriter, r *http.Request) {
		p := findPage{Instance: s.identity().Version.Instance, Query: strings.TrimSpace(r.URL.Query().Get("q"))}
		if s.Journal == nil {
			p.Problem = "This broker keeps no explanations."
			render(w, t, http.StatusOK, p)
			return
		}
		found := s.seen(r).search(p.Query)
		if len(found) == 1 && p.Query != "" {
			http.Redirect(w, r, "/refs/"+url.PathEscape(found[0].Ref), http.StatusSeeOther)
			return
		}
		if p.Rows = pageConnects(found, s.now()); len(p.Rows) == 0 {
			p.Problem = "No connect like that is kept: only the newest are."
		}
		render(w, t, http.StatusOK, p)
	}
}

// serveRef returns the handler of the page of one explanation.
func (s *Server) serveRef() http.HandlerFunc {
	found, missing := pageTemplate("ref.html"), pageTemplate("refs.html")
	return func(w http.ResponseWriter, r *http.Request) {
		instance, ref := s.identity().Version.Instance, r.PathValue("ref")
		if s.Journal != nil {
			if e := s.seen(r).byRef(ref); e != nil {
				render(w, found, http.StatusOK, newRefPage(e, instance))
				return
			}
		}
		render(w, missing, http.StatusNotFound, findPage{Instance: instance, Query: ref, Problem: "No explanation is kept under that REF: only the newest are."})
	}
}

// pageTemplate parses one page, with the pieces that several use.
func pageTemplate(name string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"lower": strings.ToLower}).ParseFS(assets, name, "pieces.html"))
}

// render sends a page, whole or not at all.
func render(w http.ResponseWriter, t *template.Template, status int, data any) {
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		writeError(w, http.StatusInternalServerError, "the page cannot be rendered: "+err.Error(), "use /api/v1/services")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(visibleHTML(text.Bytes())) // who asked has gone, or reads it
}
