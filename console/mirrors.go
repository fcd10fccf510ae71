package console

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// MirrorList is the answer of GET /api/v1/mirrors.
type MirrorList struct {
	Mirrors []MirrorView `json:"mirrors"`
}

// MirrorView is one copy of the table that is kept elsewhere.
type MirrorView struct {
	Name        string     `json:"name"`        // what keeps it: "dns", "dns-update", "consul"
	Destination string     `json:"destination"` // where it is, for people
	State       string     `json:"state"`       // current, behind, failing, standby (another broker keeps it) or starting
	Version     uint64     `json:"version"`     // of the table
	Applied     uint64     `json:"applied"`     // of the table as it is in the copy
	Lag         uint64     `json:"lag"`         // changes that the copy does not have; 0 if state is standby
	Writer      string     `json:"writer"`      // the broker that keeps it, if state is standby and that is known; else empty
	Syncs       uint64     `json:"syncs"`       // times the copy was brought up to date, or that was tried
	Failures    int        `json:"failures"`    // in a row
	Error       string     `json:"error"`       // why the last one failed; empty if it did not
	LastError   *time.Time `json:"last_error"`  // null: never
	LastSuccess *time.Time `json:"last_success"`
	Notes       []string   `json:"notes"` // what else people should know: names that could not be published, records that a parent zone needs
}

// States of a mirror.
const (
	MirrorStarting = "starting"
	MirrorCurrent  = "current"
	MirrorBehind   = "behind"
	MirrorFailing  = "failing"
	MirrorStandby  = "standby"
)

func (s *Server) getMirrors(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Mirrors != nil) {
		s.write(w, http.StatusOK, MirrorList{Mirrors: append([]MirrorView{}, s.Mirrors()...)})
	}
}

// WriteMirrors writes copies of the table as a table, and below it what is wrong or worth knowing, as of now.
func WriteMirrors(w io.Writer, list MirrorList, now time.Time) error {
	var rows [][]string
	for _, m := range list.Mirrors {
		success := "never"
		if m.LastSuccess != nil {
			success = span(now.Sub(*m.LastSuccess)) + " ago"
		}
		state, applied, lag := m.State, fmt.Sprintf("%d of %d", m.Applied, m.Version), fmt.Sprint(m.Lag)
		if m.State == MirrorStandby { // the other broker tells how far it is
			applied, lag, success = "-", "-", "-"
			if m.Writer != "" {
				state += " (" + printable(m.Writer) + " writes)"
			}
		}
		rows = append(rows, []string{m.Name, m.Destination, state, applied, lag, success, fmt.Sprint(m.Failures)})
	}
	err := table(w, "No mirrors: the table is published nowhere. DNS_ADDRESS, DNS_UPDATE and CONSUL_ADDRESS would do that.",
		"MIRROR | DESTINATION | STATE | VERSION | LAG | LAST SUCCESS | FAILURES", rows)
	for _, m := range list.Mirrors {
		var lines []string
		if m.Error != "" {
			when := ""
			if m.LastError != nil {
				when = span(now.Sub(*m.LastError)) + " ago: "
			}
			lines = append(lines, "failed "+cmp.Or(when, ": ")+m.Error)
		}
		for _, line := range append(lines, m.Notes...) {
			if err == nil {
				_, err = fmt.Fprintf(w, "%s: %s\n", m.Name, strings.TrimSpace(printable(line)))
			}
		}
	}
	return err
}
