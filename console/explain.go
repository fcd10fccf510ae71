package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"servicebroker/journal"
)

const refHint = "the newest explanations alone are kept: GET /api/v1/explanations lists them, GET /api/v1/explain?client=ADDRESS:PORT finds those of a client"

// getExplain tells what would become of a connect, or finds what became of earlier ones.
func (s *Server) getExplain(w http.ResponseWriter, r *http.Request) {
	var request ExplainRequest
	var connectionID, client string
	err := readQuery(r.URL.Query(), map[string]func(string) error{
		"descriptor": textInto(&request.Descriptor), "from": addressInto(&request.From), "user": textInto(&request.User),
		"program": textInto(&request.Program), "connection_id": textInto(&connectionID), "client": textInto(&client),
	})
	wouldBe := request != ExplainRequest{}
	found := connectionID != "" || client != ""
	switch {
	case err != nil:
		writeProblem(w, err, "")
	case wouldBe && found:
		writeError(w, http.StatusBadRequest, "this asks for two things at once",
			"ask what would become of a connect with descriptor, from, user and program, or what became of one with connection_id or client")
	case found && offered(w, r, s.Journal != nil):
		s.writeExplanations(w, s.seen(r).find(journal.FindQuery{ConnectionID: connectionID, Client: client, Limit: defaultListed}))
	case found:
	case request.Descriptor == "":
		writeError(w, http.StatusBadRequest, "it is not said which connect to explain",
			"give descriptor (a connect descriptor, Easy Connect text or service name); or connection_id or client for one that was made; or ask for /api/v1/explain/REF")
	case offered(w, r, s.Explain != nil):
		s.explain(w, r, request)
	}
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request, request ExplainRequest) {
	explanation, err := s.Explain(r.Context(), request)
	if err != nil {
		writeProblem(w, err, "write the descriptor as in tnsnames.ora, or as HOST:PORT/SERVICE")
		return
	}
	v := s.seen(r)
	if !v.by.whole() && !v.seesExplanation(explanation) {
		writeProblem(w, v.by.outside("what this connect asks for"), "")
		return
	}
	s.write(w, http.StatusOK, v.explanation(explanation))
}

// addressInto reads an IP address; with a port, that is left out.
func addressInto(field *netip.Addr) func(string) error {
	return func(value string) error {
		if at, err := netip.ParseAddrPort(value); err == nil {
			*field = at.Addr()
			return nil
		}
		address, err := netip.ParseAddr(value)
		if err != nil {
			return fmt.Errorf("%q is no IP address", value)
		}
		*field = address
		return nil
	}
}

// getExplanation answers with one that is kept.
func (s *Server) getExplanation(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Journal != nil) {
		return
	}
	ref := r.PathValue("ref")
	explanation := s.seen(r).byRef(ref)
	if explanation == nil {
		writeError(w, http.StatusNotFound, fmt.Sprintf("no explanation is kept under the REF %q", ref), refHint)
		return
	}
	s.write(w, http.StatusOK, explanation)
}

// getExplanations lists the newest.
func (s *Server) getExplanations(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Journal != nil) {
		return
	}
	filter := journal.FindQuery{Limit: 100}
	err := readQuery(r.URL.Query(), map[string]func(string) error{
		"outcome": outcomeInto(&filter.Outcome), "service": textInto(&filter.Service), "client": textInto(&filter.Client),
		"connection_id": textInto(&filter.ConnectionID), "limit": numberInto(&filter.Limit, maxListed),
	})
	if err != nil {
		writeProblem(w, err, "parameters are outcome, service, client, connection_id and limit")
		return
	}
	s.writeExplanations(w, s.seen(r).find(filter))
}

func outcomeInto(field *journal.Outcome) func(string) error {
	return func(value string) error {
		words := wordsOf([]journal.Outcome{journal.Relay, journal.Redirect, journal.Hold, journal.Refuse, journal.Drop, journal.Gone})
		if !slices.Contains(words, value) {
			return fmt.Errorf("there is no outcome %q; %soutcomes are %s", value, suggestion(value, words), strings.Join(words, ", "))
		}
		*field = journal.Outcome(value)
		return nil
	}
}

func (s *Server) writeExplanations(w http.ResponseWriter, all []*journal.Explanation) {
	s.write(w, http.StatusOK, ExplanationList{Explanations: append([]*journal.Explanation{}, all...)})
}
