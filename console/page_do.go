package console

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"servicebroker/intent"
)

// formPath is where the page's forms are, and where they go.
const formPath = "/do"

// formKey signs forms, so that no page but this broker's can have made them.
type formKey struct {
	once   sync.Once
	secret [sha256.Size]byte
}

// mark is what the forms of somebody carry.
func (k *formKey) mark(by *Access) string {
	k.once.Do(func() { _, _ = rand.Read(k.secret[:]) }) // which never fails
	h := hmac.New(sha256.New, k.secret[:])
	h.Write([]byte(by.From + "\x00" + by.Who))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// doPage asks whether somebody means it.
type doPage struct {
	Broker   string // instance
	Do       string
	Title    string
	Means    string // what it does
	Mark     string
	Service  string
	Instance string
	ID       string
	Reasoned bool // a reason can be given
}

// deed is what a form can ask for.
type deed struct {
	title, means string
	reasoned     bool
	run          func(s *Server, w http.ResponseWriter, r *http.Request, form url.Values)
}

// deeds are all of them, by the word in the form.
func deeds() map[string]deed {
	onID := func(answer func(*Server, http.ResponseWriter, *http.Request)) func(*Server, http.ResponseWriter, *http.Request, url.Values) {
		return func(s *Server, w http.ResponseWriter, r *http.Request, form url.Values) {
			r.SetPathValue("id", form.Get("id"))
			setBody(r, Decision{Reason: form.Get("reason"), Source: "the page"})
			answer(s, w, r)
		}
	}
	return map[string]deed{
		"drain": {"Drain", "It gets no new connects. Sessions go on until they end by themselves.", true, func(s *Server, w http.ResponseWriter, r *http.Request, form url.Values) {
			setBody(r, IntentRequest{Kind: intent.Drain, Target: intent.Target{Service: form.Get("service"), Instance: form.Get("instance")}, Reason: form.Get("reason"), Source: "the page"})
			s.postIntent(w, r)
		}},
		"end":     {"End", "What the operator wanted holds no longer.", false, onID((*Server).deleteIntent)},
		"approve": {"Approve", "It is used like any other.", true, onID((*Server).postApprove)},
		"reject":  {"Reject", "It is not used, and not asked about again.", true, onID((*Server).postReject)},
	}
}

// setBody gives a request the body that a program would have sent.
func setBody(r *http.Request, body any) {
	text, _ := json.Marshal(body) // of texts alone, which always can be
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
}

// serveDo returns the handler of the question whether something is meant.
func (s *Server) serveDo() http.HandlerFunc {
	t := pageTemplate("do.html")
	return func(w http.ResponseWriter, r *http.Request) {
		by, q := accessOf(r), r.URL.Query()
		d, known := deeds()[q.Get("do")]
		switch {
		case by.Role != Operator:
			writeProblem(w, s.refusal(by, formPath, http.MethodPost), "")
		case !known:
			writeError(w, http.StatusNotFound, "there is nothing like that to do", "go back to the page")
		default:
			render(w, t, http.StatusOK, doPage{
				Broker: s.identity().Version.Instance, Do: q.Get("do"), Title: d.title, Means: d.means, Mark: s.forms.mark(by),
				Service: q.Get("service"), Instance: q.Get("instance"), ID: q.Get("id"), Reasoned: d.reasoned,
			})
		}
	}
}

// postDo does what a form asks for, as a program would, and goes back to the page.
func (s *Server) postDo(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "the form cannot be read", "go back to the page and try again")
		return
	}
	d, known := deeds()[r.PostForm.Get("do")]
	if !known || !hmac.Equal([]byte(r.PostForm.Get("mark")), []byte(s.forms.mark(accessOf(r)))) {
		writeError(w, http.StatusForbidden, "this form is not of this broker's page, or older than the broker", "go back to the page and try again")
		return
	}
	var answer kept
	d.run(s, &answer, r, r.PostForm)
	if answer.status < http.StatusBadRequest {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var problem errorBody
	_ = json.Unmarshal(answer.text.Bytes(), &problem) // every refusal is one
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, strings.TrimSpace(problem.Error+"\n"+problem.Hint)+"\n") // who asked has gone, or reads it
}

// kept is an answer that is looked at before it is sent.
type kept struct {
	header http.Header
	status int
	text   bytes.Buffer
}

// Header returns what nobody sends.
func (k *kept) Header() http.Header {
	if k.header == nil {
		k.header = http.Header{}
	}
	return k.header
}

// WriteHeader keeps the status.
func (k *kept) WriteHeader(status int) { k.status = status }

// Write keeps a part of the answer.
func (k *kept) Write(b []byte) (int, error) { return k.text.Write(b) }
