package console

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// showable is what can be asked for under /show, as Connection Manager's REST interface has it for services.
func (s *Server) showable() map[string]func(w io.Writer, words []string) error {
	return map[string]func(io.Writer, []string) error{
		"status": func(w io.Writer, _ []string) error {
			return WriteCMANStatus(w, s.status(s.snapshot()), s.gateway())
		},
		"services": func(w io.Writer, _ []string) error {
			snapshot := s.snapshot()
			return WriteCMANServices(w, s.serviceList(snapshot, snapshot.Services()), s.status(snapshot), s.gateway())
		},
		"gateways": func(w io.Writer, _ []string) error { return WriteCMANGateways(w, s.gateway()) },
		"connections": func(w io.Writer, words []string) error {
			how := words[0]
			filter, err := ParseConnectionFilter(words[1:])
			if err != nil {
				return err
			}
			return WriteCMANConnections(w, filter.Choose(SessionList{Sessions: s.sessions()}, s.now()), how, s.now())
		},
		"rules":      func(w io.Writer, _ []string) error { return WriteCMANRules(w, s.ruleList()) },
		"parameters": func(w io.Writer, _ []string) error { return WriteCMANParameters(w, s.parameterList(), false) },
		"defaults":   func(w io.Writer, _ []string) error { return WriteCMANParameters(w, s.parameterList(), true) },
		"all":        func(w io.Writer, _ []string) error { return WriteCMANAll(w, s.parameterList(), s.ruleList()) },
		"events":     func(w io.Writer, _ []string) error { return WriteCMANEvents(w) },
		"stats":      func(w io.Writer, _ []string) error { return WriteCMANStats(w, s.stats()) },
		"version":    func(w io.Writer, _ []string) error { return WriteCMANVersion(w, s.status(s.snapshot())) },
	}
}

// getShowable lists what can be asked for.
func (s *Server) getShowable(w http.ResponseWriter, _ *http.Request) {
	writePlain(w, []byte("/show/"+strings.Join(slices.Sorted(maps.Keys(s.showable())), "\n/show/")+"\n"))
}

// getShow answers in the words of cmctl. Connections can be asked for as count, info or detail, with cmctl's filters as the query.
func (s *Server) getShow(w http.ResponseWriter, r *http.Request) {
	what, how := strings.ToLower(r.PathValue("what")), strings.ToLower(r.PathValue("how"))
	write, found := s.showable()[what]
	if !found || how != "" && (what != "connections" || how != "count" && how != "info" && how != "detail") {
		writeError(w, http.StatusNotFound, "there is nothing at "+r.URL.Path,
			suggestion(what, slices.Collect(maps.Keys(s.showable())))+"GET /show lists what there is")
		return
	}
	if how == "" {
		how = "count"
	}
	words := []string{how}
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		words = append(words, name, r.URL.Query().Get(name))
	}
	var b bytes.Buffer
	if err := write(&b, words); err != nil {
		writeError(w, http.StatusBadRequest, err.Error(), "filters are those of cmctl show connections: in, gt, from, to, for, using")
		return
	}
	writePlain(w, b.Bytes())
}

func writePlain(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text) // who asked has gone, or reads it
}

// gateway is the broker as the only gateway that it has.
func (s *Server) gateway() Gateway {
	g := Gateway{Stats: s.stats()}
	if s.Intents != nil {
		g.Suspended = slices.ContainsFunc(s.Intents(), func(v IntentView) bool { return Suspends(v.Intent) })
	}
	return g
}

func (s *Server) ruleList() RuleList {
	if s.Rules == nil {
		return RuleList{}
	}
	return RuleList{Rules: s.Rules()}
}

func (s *Server) parameterList() ParameterList {
	if s.Parameters == nil {
		return ParameterList{}
	}
	return ParameterList{Parameters: s.Parameters()}
}
