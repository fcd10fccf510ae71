package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"servicebroker/intent"
)

const quarantineHint = "GET /api/v1/quarantine lists what waits for a decision"

func (s *Server) getQuarantine(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Quarantine != nil) {
		s.write(w, http.StatusOK, QuarantineList{Quarantine: append([]QuarantineEntry{}, s.seen(r).quarantine()...)})
	}
}

func (s *Server) postApprove(w http.ResponseWriter, r *http.Request) { s.decide(w, r, intent.Approve) }
func (s *Server) postReject(w http.ResponseWriter, r *http.Request)  { s.decide(w, r, intent.Reject) }

// Decision is the body of POST /api/v1/quarantine/{id}/approve and …/reject; it may be left out.
type Decision struct {
	Reason string `json:"reason,omitempty"`
	Source string `json:"source,omitempty"` // who decides, and by what
}

func (s *Server) decide(w http.ResponseWriter, r *http.Request, kind intent.Kind) {
	if !offered(w, r, s.Quarantine != nil && s.SetIntent != nil) {
		return
	}
	id := r.PathValue("id")
	asked := IntentRequest{Kind: kind, Target: intent.Target{Quarantine: id}}
	if r.ContentLength != 0 {
		d, err := readBody[Decision](w, r, maxBody)
		if err != nil {
			writeProblem(w, err, "")
			return
		}
		asked.Reason, asked.Source = d.Reason, d.Source
	}
	in, err := asked.intent()
	if err == nil {
		in.Target, err = s.seen(r).quarantinedAt(in.Target)
	}
	if err != nil {
		writeProblem(w, err, quarantineHint)
		return
	}
	s.set(w, r, in)
}

// quarantinedAt returns the target that names the one entry which a wider one is about: by its id, since another
// registrant that calls itself the same is not meant, and in words that people recognise.
func (v seen) quarantinedAt(t intent.Target) (intent.Target, error) {
	if v.Server.Quarantine == nil {
		return t, &APIError{http.StatusNotFound, "this broker quarantines nothing", "give it REGISTRANT rules"}
	}
	var found []QuarantineEntry
	var ids []string
	for _, e := range v.quarantine() {
		if e.isAt(t) {
			found, ids = append(found, e), append(ids, e.ID)
		}
	}
	switch len(found) {
	case 0:
		return t, &APIError{http.StatusNotFound, "nothing like that is quarantined: " + targetText(t), quarantineHint}
	case 1:
		return intent.Target{Service: found[0].Service, Instance: found[0].Instance, Quarantine: found[0].ID}, nil
	}
	return t, &APIError{http.StatusConflict, fmt.Sprintf("%d quarantined registrations are like that", len(found)),
		"decide on each by its id, POST /api/v1/quarantine/{id}/approve or reject: " + strings.Join(ids[:min(len(ids), 10)], ", ")}
}

// isAt reports whether e fits all fields that t has.
func (e *QuarantineEntry) isAt(t intent.Target) bool {
	name, host, _ := strings.Cut(e.Instance, "@")
	narrow := t
	narrow.Quarantine, narrow.Network = "", ""
	peer, err := netip.ParseAddr(e.Peer)
	return (t.Quarantine == "" || strings.EqualFold(t.Quarantine, e.ID)) &&
		(t.Network == "" || err == nil && t.MatchesClient(peer)) &&
		narrow.Matches(intent.Subject{Database: e.Database, Service: e.Service, Instance: name, Host: host})
}
