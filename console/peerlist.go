package console

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// PeerList is the answer of GET /api/v1/peers.
type PeerList struct {
	Brokers int        `json:"brokers"` // that share the load, this one among them
	Given   bool       `json:"given"`   // by BROKERS; else those that are alive
	Peers   []PeerView `json:"peers"`   // by name
}

// PeerView is one other broker with which the same databases register.
type PeerView struct {
	Name         string     `json:"name"`            // of its instance; "" before its first answer
	API          string     `json:"api"`             // its address
	State        string     `json:"state"`           // alive, away, starting (not known yet), self (it is this broker) or duplicate (it is there under another address, too)
	Since        time.Time  `json:"since"`           // of that
	Cause        string     `json:"cause"`           // why it does not answer; "" if it does
	Version      string     `json:"version"`         // of the program
	Generation   int        `json:"generation"`      // of its process; 0: not known
	Started      *time.Time `json:"started"`         // null before its first answer
	ClockOffset  int64      `json:"clock_offset_ms"` // how much its clock is ahead
	RoundTrip    int64      `json:"round_trip_ms"`
	TableVersion uint64     `json:"table_version"`
	Services     int        `json:"services"`
	Instances    int        `json:"instances"`

	Same            bool             `json:"same_table"`
	DiffersSince    *time.Time       `json:"differs_since"` // null where it does not
	Differences     []PeerDifference `json:"differences"`
	MoreDifferences int              `json:"more_differences"` // beyond those
	Settings        []string         `json:"settings"`         // parameters in which it differs, as far as brokers should agree

	Asked    uint64 `json:"asked"`    // questions on behalf of connects whose service is not here
	Answered uint64 `json:"answered"` // of them
	Offered  uint64 `json:"offered"`  // of these, with an instance
}

// PeerDifference is one thing in which a peer's table differs.
type PeerDifference struct {
	Instance string   `json:"instance"` // key
	Services []string `json:"services"` // the first few; none: the whole instance
	Count    int      `json:"count"`    // of the services
	Here     string   `json:"here"`     // state, "" : not there
	There    string   `json:"there"`
	Cause    string   `json:"cause"` // what that means, and what to look at
}

// States of a peer.
const (
	PeerStarting  = "starting"
	PeerAlive     = "alive"
	PeerAway      = "away"
	PeerSelf      = "self"
	PeerDuplicate = "duplicate"
)

func (s *Server) getPeers(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Peers != nil) {
		s.write(w, http.StatusOK, s.Peers())
	}
}

// getTable hands over to whoever knows what other brokers are to be told.
func (s *Server) getTable(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Table != nil) {
		s.Table.ServeHTTP(w, r)
	}
}

// WritePeers writes other brokers as a table, and below it in what they differ, as of now.
func WritePeers(w io.Writer, list PeerList, now time.Time) error {
	var rows [][]string
	for _, p := range list.Peers {
		services, instances, clock := fmt.Sprint(p.Services), fmt.Sprint(p.Instances), fmt.Sprintf("%d ms", p.ClockOffset)
		if p.unseen() {
			services, instances, clock = "-", "-", "-"
		}
		rows = append(rows, []string{p.Name, p.API, p.State, span(now.Sub(p.Since)), p.Version, generationText(p.Generation), services, instances, p.tableText(now), clock})
	}
	err := table(w, "No peers: this broker knows of no other. PEERS or CONSUL_ADDRESS would tell it of them.",
		"PEER | API | STATE | FOR | VERSION | GENERATION | SERVICES | INSTANCES | TABLE | CLOCK", rows)
	for _, p := range list.Peers {
		for _, line := range p.lines() {
			if err == nil {
				_, err = fmt.Fprintf(w, "%s: %s\n", printable(p.API), printable(line))
			}
		}
	}
	if err == nil {
		how := "those that are alive"
		if list.Given {
			how = "by BROKERS"
		}
		_, err = fmt.Fprintf(w, "Brokers that share the load: %d (%s)\n", list.Brokers, how)
	}
	return err
}

// unseen tells that the peer never answered: what it has, and what its clock says, is not known.
func (p *PeerView) unseen() bool { return p.Started == nil }

// lines tell what is worth knowing of a peer.
func (p *PeerView) lines() []string {
	var lines []string
	if p.Cause != "" {
		lines = append(lines, p.Cause)
	}
	for _, d := range p.Differences {
		lines = append(lines, d.line())
	}
	if p.MoreDifferences > 0 {
		lines = append(lines, fmt.Sprintf("and %d differences more", p.MoreDifferences))
	}
	if len(p.Settings) > 0 {
		lines = append(lines, "the configuration differs in "+strings.Join(p.Settings, ", "))
	}
	if p.ClockOffset > 2000 || p.ClockOffset < -2000 {
		lines = append(lines, "its clock differs: let both follow the same time servers")
	}
	return lines
}

func (d *PeerDifference) line() string {
	what := d.Instance
	if len(d.Services) > 0 {
		what += " " + strings.Join(d.Services, ", ")
		if more := d.Count - len(d.Services); more > 0 {
			what += fmt.Sprintf(" and %d more", more)
		}
	}
	if what == "" {
		return d.Cause
	}
	side := func(state, where string) string {
		if state == "" {
			return "absent " + where
		}
		return state + " " + where
	}
	return what + ": " + side(d.Here, "here") + ", " + side(d.There, "there") + ": " + d.Cause
}
