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
func (v seen) showable() map[string]func(w io.Writer, words []string) error {
	all := map[string]func(io.Writer, []string) error{
		"status": func(w io.Writer, _ []string) error {
			return WriteCMANStatus(w, v.status(v.snapshot()), v.gateway())
		},
		"services": func(w io.Writer, _ []string) error {
			snapshot := v.snapshot()
			return WriteCMANServices(w, v.serviceList(snapshot, v.entries(snapshot)), v.status(snapshot), v.gateway())
		},
		"gateways": func(w io.Writer, _ []string) error { return WriteCMANGateways(w, v.gateway()) },
		"connections": func(w io.Writer, words []string) error {
			how := words[0]
			filter, err := ParseConnectionFilter(words[1:])
			if err != nil {
				return err
			}
			return WriteCMANConnections(w, filter.Choose(SessionList{Sessions: v.sessions()}, v.now()), how, v.now())
		},
		"rules":      func(w io.Writer, _ []string) error { return WriteCMANRules(w, v.ruleList()) },
		"parameters": func(w io.Writer, _ []string) error { return WriteCMANParameters(w, v.parameterList(), false) },
		"defaults":   func(w io.Writer, _ []string) error { return WriteCMANParameters(w, v.parameterList(), true) },
		"all":        func(w io.Writer, _ []string) error { return WriteCMANAll(w, v.parameterList(), v.ruleList()) },
		"events":     func(w io.Writer, _ []string) error { return WriteCMANEvents(w) },
		"stats":      func(w io.Writer, _ []string) error { return WriteCMANStats(w, v.stats()) },
		"version":    func(w io.Writer, _ []string) error { return WriteCMANVersion(w, v.status(v.snapshot())) },
	}
	if !v.by.whole() { // these are the broker's, and name services of others
		for _, what := range []string{"rules", "parameters", "defaults", "all"} {
			delete(all, what)
		}
	}
	return all
}

// getShowable lists what can be asked for.
func (s *Server) getShowable(w http.ResponseWriter, r *http.Request) {
	writePlain(w, []byte("/show/"+strings.Join(slices.Sorted(maps.Keys(s.seen(r).showable())), "\n/show/")+"\n"))
}

// getShow answers in the words of cmctl. Connections can be asked for as count, info or detail, with cmctl's filters as the query.
func (s *Server) getShow(w http.ResponseWriter, r *http.Request) {
	what, how := strings.ToLower(r.PathValue("what")), strings.ToLower(r.PathValue("how"))
	v := s.seen(r)
	write, found := v.showable()[what]
	if !found || how != "" && (what != "connections" || how != "count" && how != "info" && how != "detail") {
		writeError(w, http.StatusNotFound, "there is nothing at "+r.URL.Path,
			suggestion(what, slices.Collect(maps.Keys(v.showable())))+"GET /show lists what there is")
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
func (v seen) gateway() Gateway {
	g := Gateway{Stats: v.stats()}
	if v.Server.Intents != nil {
		g.Suspended = slices.ContainsFunc(v.Server.Intents(), func(one IntentView) bool { return Suspends(one.Intent) })
	}
	return g
}

func (s *Server) ruleList() RuleList {
	if s.Rules == nil {
		return RuleList{}
	}
	return RuleList{Rules: append([]RuleView{}, s.Rules()...)}
}

func (s *Server) parameterList() ParameterList {
	if s.Parameters == nil {
		return ParameterList{}
	}
	return ParameterList{Parameters: s.Parameters()}
}
