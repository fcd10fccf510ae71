package console

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"servicebroker/servicetable"
)

// Stats is the answer of GET /api/v1/stats: what the broker has carried since it was started.
type Stats struct {
	Sessions   int    `json:"sessions"`    // open now
	Peak       int    `json:"peak"`        // most that were open at once
	Total      uint64 `json:"total"`       // that were begun
	Redirected uint64 `json:"redirected"`  // connects sent to an instance's own address
	Refused    uint64 `json:"refused"`     // connects that were refused, by whomever
	Held       int    `json:"held"`        // connects that wait now
	Max        int    `json:"max"`         // sessions that may be open at once; 0: no limit
	FromClient uint64 `json:"from_client"` // bytes
	ToClient   uint64 `json:"to_client"`   // bytes
}

func (s *Server) getStats(w http.ResponseWriter, r *http.Request) {
	s.write(w, http.StatusOK, s.seen(r).stats())
}

// WriteStats writes what was carried, one fact a line.
func WriteStats(w io.Writer, st Stats) error {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%-26s%v\n", name, value) }
	open := fmt.Sprint(st.Sessions)
	if st.Max > 0 {
		open = fmt.Sprintf("%d of at most %d", st.Sessions, st.Max)
	}
	line("Open sessions", open)
	line("Most at once", max(st.Peak, st.Sessions))
	line("Sessions since the start", st.Total)
	line("Connects redirected", st.Redirected)
	line("Connects refused", st.Refused)
	line("Connects on hold", st.Held)
	line("Bytes from clients", bytesText(st.FromClient))
	line("Bytes to clients", bytesText(st.ToClient))
	_, err := io.WriteString(w, b.String())
	return err
}

// stats are those of Stats, else what sessions and counters tell. Counters are of instances, which several may share: those
// who have to do with some services alone are told of sessions.
func (v seen) stats() Stats {
	if v.Server.Stats != nil && v.by.whole() {
		return v.Server.Stats()
	}
	open := v.sessions()
	st := Stats{Sessions: len(open), Peak: len(open)}
	for i := range open {
		st.FromClient += open[i].FromClient
		st.ToClient += open[i].ToClient
	}
	if v.Server.Held != nil {
		st.Held = len(v.held())
	}
	if v.Counters == nil || !v.by.whole() {
		return st
	}
	counted := map[string]bool{} // a handler serves several services
	for _, e := range v.snapshot().Services() {
		for i := range e.Instances {
			v.addCounts(&st, &e.Instances[i], counted)
		}
	}
	return st
}

func (s *Server) addCounts(st *Stats, in *servicetable.InstanceEntry, counted map[string]bool) {
	for _, h := range in.Handlers {
		key := in.Registration.HandlerKey(h.Handler)
		if counted[key] {
			continue
		}
		counted[key] = true
		established, refused := s.Counters(key)
		st.Total += established
		st.Refused += refused
	}
}
