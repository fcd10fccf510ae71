package console

import (
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"servicebroker/intent"
)

// submit sends a form as somebody.
func (o *operated) submit(logins *Logins, who string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "https://broker1:1525/do", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.SetBasicAuth(who, who+" has a password")
	w := httptest.NewRecorder()
	o.RESTHandler(logins).ServeHTTP(w, r)
	return w
}

// form opens a form as somebody and returns what it carries.
func (o *operated) form(t *testing.T, logins *Logins, who, query string) url.Values {
	t.Helper()
	text := wantPage(t, o.as(logins, who, "GET /do?"+query, ""))
	form := url.Values{}
	for _, field := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		form.Set(field[1], field[2])
	}
	return form
}

// wantPage returns a page.
func wantPage(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestOperatorsUseThePage(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	for _, c := range []struct{ who, query string }{
		{"operator", "do=drain&service=sales&instance=sales1@db1"}, {"hroperator", "do=drain&service=hr&instance=legacy@db9"},
		{"operator", "do=end&id=" + o.store.All()[0].ID}, {"operator", "do=approve&id=q1"}, {"hroperator", "do=reject&id=q3"},
	} {
		form := o.form(t, logins, c.who, c.query)
		form.Set("reason", "it is time")
		if w := o.submit(logins, c.who, form); w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Errorf("%s: %d %s", c.query, w.Code, w.Body)
		}
	}
	kinds := ""
	for _, in := range o.store.All() {
		kinds += string(in.Kind) + " of " + in.Target.String() + " by " + in.Source + " for " + in.Reason + "\n"
	}
	for _, want := range []string{
		"drain of service=sales instance=sales1@db1 by operator from 192.0.2.1 (the page) for it is time", "drain of service=hr instance=legacy@db9 by hroperator",
		"approve of service=sales instance=evil@h1 quarantine=q1", "reject of service=hr instance=hr1@h2 quarantine=q3",
	} {
		if !strings.Contains(kinds, want) {
			t.Errorf("%s\nwant %s", kinds, want)
		}
	}
}

// A form does what its maker meant, for whom it was made, and no more than he may.
func TestFormsOfOthersDoNothing(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	before := len(o.store.All())
	good := o.form(t, logins, "operator", "do=drain&service=sales&instance=sales1@db1")
	with := func(name, value string) url.Values {
		form := url.Values{}
		for n := range good {
			form.Set(n, good.Get(n))
		}
		form.Set(name, value)
		return form
	}
	foreign := o.form(t, logins, "hroperator", "do=drain&service=sales")
	for name, c := range map[string]struct {
		who  string
		form url.Values
		code int
	}{
		"no mark": {"operator", with("mark", ""), 403}, "another mark": {"operator", with("mark", foreign.Get("mark")), 403}, "an unknown deed": {"operator", with("do", "brew"), 403},
		"somebody else's": {"hroperator", good, 403}, "a viewer": {"viewer", good, 403}, "beyond his services": {"hroperator", foreign, 403},
		"an id that is not there": {"operator", func() url.Values { f := with("do", "end"); f.Set("id", "none"); return f }(), 404},
	} {
		if w := o.submit(logins, c.who, c.form); w.Code != c.code || strings.Contains(w.Body.String(), "<") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(o.store.All()) != before {
		t.Errorf("%v", o.store.All())
	}
	for _, who := range []string{"viewer", "console"} {
		if w := o.as(logins, who, "GET /do?do=drain&service=sales", ""); w.Code != 403 {
			t.Errorf("%s: %d %s", who, w.Code, w.Body)
		}
	}
	if w := o.as(logins, "operator", "GET /do?do=brew", ""); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
	text := wantPage(t, o.as(logins, "operator", "GET /do?do=drain&service="+url.QueryEscape(`"><script>`), ""))
	if strings.Contains(text, "<script>") {
		t.Error(text)
	}
}

// Only who can change things is shown what he can click.
func TestThePageShowsWhatMayBeDone(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	o.store.Add(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "hr"}})
	for who, want := range map[string][]string{
		"operator":   {"do=drain&amp;service=hr", "do=drain&amp;service=sales.example.com&amp;instance=sales1%40db1", "do=end", "do=approve&amp;id=q1", "for <b>operator from 192.0.2.1, operator</b>"},
		"hroperator": {"do=drain&amp;service=hr", "do=end", "do=approve&amp;id=q3", "operator of hr*"}, "viewer": {"for <b>viewer from 192.0.2.1, viewer</b>"}, "console": {},
	} {
		text := wantPage(t, o.as(logins, who, "GET /", ""))
		for _, one := range want {
			if !strings.Contains(text, one) {
				t.Errorf("%s is not shown %s", who, one)
			}
		}
		if !strings.HasSuffix(who, "operator") && strings.Contains(text, "/do?") || who == "hroperator" && strings.Contains(text, "sales") {
			t.Errorf("%s is shown what he may not do", who)
		}
	}
}
