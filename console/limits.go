package console

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// LimitList is the answer of GET /api/v1/limits.
type LimitList struct {
	Limits []LimitView `json:"limits"` // those in force, the widest first
}

// LimitView is one limit in force, and what it did since the broker was started.
type LimitView struct {
	Of        string  `json:"of"`        // whose: "all services", "service sales", "tenant a", "rule (RULE=…)", "each client", "address 192.0.2.1:1521", "connections"
	Unit      string  `json:"unit"`      // what is counted: connects/s, sessions, bytes/s, connections, connects
	Parameter string  `json:"parameter"` // that sets it; empty for one that is built in
	Most      float64 `json:"most"`      // how much there may be
	Now       int     `json:"now"`       // how many there are, or client addresses that are refused now; 0 for rates
	Waiting   int     `json:"waiting"`   // connects that wait for a turn, or pieces of sessions that wait for bandwidth
	Refused   uint64  `json:"refused"`   // connects, or connections that had to go
}

func (s *Server) getLimits(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Limits != nil) {
		s.write(w, http.StatusOK, LimitList{Limits: append([]LimitView{}, s.Limits()...)})
	}
}

// decimals is how many there are in a number, as far as people care.
func decimals(f float64) int {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	_, after, _ := strings.Cut(text, ".")
	return len(after)
}

// WriteLimits writes the limits in force as a table.
func WriteLimits(w io.Writer, list LimitList) error {
	var rows [][]string
	for _, l := range list.Limits {
		rows = append(rows, []string{
			l.Of, strconv.FormatFloat(l.Most, 'f', min(3, decimals(l.Most)), 64) + " " + l.Unit, fmt.Sprint(l.Now), fmt.Sprint(l.Waiting), fmt.Sprint(l.Refused), l.Parameter,
		})
	}
	return table(w, "No limits.", "LIMIT OF | MOST | NOW | WAITING | REFUSED | SET BY", rows)
}
