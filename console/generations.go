package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Generation is one of the processes of a broker that follow each other by upgrades.
type Generation struct {
	Number        int        `json:"number"` // 1 for one that succeeded nobody
	PID           int        `json:"pid"`
	Version       string     `json:"version"` // of the program; "" while it is not known
	Started       time.Time  `json:"started"`
	State         string     `json:"state"`         // starting, serving, moving (what it has, to the next one), draining (what cannot be moved) or ending (nothing is left)
	Sessions      int        `json:"sessions"`      // relayed ones that are open
	Clients       int        `json:"clients"`       // connections of clients, sessions among them
	Registrations int        `json:"registrations"` // connections of databases
	Until         *time.Time `json:"until"`         // when what is left is cut; null: never, or it serves
}

// States of a generation.
const (
	GenerationStarting = "starting"
	GenerationServing  = "serving"
	GenerationMoving   = "moving"
	GenerationDraining = "draining"
	GenerationEnding   = "ending"
)

// GenerationList is the answer of GET /api/v1/generations: the oldest first.
type GenerationList struct {
	Generations []Generation `json:"generations"`
}

// Upgraded is the answer of POST /api/v1/upgrade.
type Upgraded struct {
	From        int        `json:"from"` // number of the generation that handed over
	FromVersion string     `json:"from_version"`
	Generation  int        `json:"generation"` // number of the one that serves
	PID         int        `json:"pid"`
	Version     string     `json:"version"`
	Began       time.Time  `json:"began"`
	ServedAfter int64      `json:"served_after_ms"` // when the new one served
	Took        int64      `json:"took_ms"`         // all of it
	Complete    bool       `json:"complete"`        // all that can move has moved; else it still does
	Moved       []Moved    `json:"moved"`
	Left        Generation `json:"left"` // what stays in the old one
}

// Moved tells how many things of a kind a successor took.
type Moved struct {
	What   string `json:"what"`
	Moved  int    `json:"moved"`
	Stayed int    `json:"stayed"`
}

// words is what things are called, one of them otherwise than several.
func (m *Moved) words() string {
	one := map[string]string{"registrations": "registration", "sessions": "session", "clients that wait": "client that waits"}
	if text, known := one[m.What]; known && m.Moved == 1 {
		return text
	}
	return m.What
}

func (s *Server) getGenerations(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Generations != nil) {
		s.write(w, http.StatusOK, GenerationList{append([]Generation{}, s.Generations()...)})
	}
}

// older are the generations, this one apart, that keep sessions from before an upgrade.
func (s *Server) older() (keeping []Generation) {
	if s.Generations == nil {
		return nil
	}
	for _, g := range s.Generations() {
		if g.Sessions > 0 && g.PID != os.Getpid() && g.State != GenerationStarting && g.State != GenerationServing {
			keeping = append(keeping, g)
		}
	}
	return keeping
}

// writeOlder tells of sessions that are not listed.
func writeOlder(w io.Writer, older []Generation) error {
	for _, g := range older {
		until := ""
		if g.Until != nil {
			until = " until " + g.Until.Local().Format(time.TimeOnly)
		}
		if _, err := fmt.Fprintf(w, "Not listed: %s in generation %d%s (broker generations)\n", Plural(g.Sessions, "session"), g.Number, until); err != nil {
			return err
		}
	}
	return nil
}

// upgradeTime bounds how long the answer to a wish for an upgrade may take.
const upgradeTime = 2 * time.Minute

// postUpgrade answers when the successor serves and all that can move has moved. What is started is never the asker's choice.
func (s *Server) postUpgrade(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Upgrade != nil) {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(upgradeTime))
	u, err := s.Upgrade(r.Context())
	if err != nil {
		writeProblem(w, err, "broker generations tells which there are")
		return
	}
	text, err := json.Marshal(u)
	if err != nil {
		writeProblem(w, err, "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Connection", "close") // whoever asks again is answered by the successor
	_, _ = w.Write(text)
}

// WriteProblem answers with an error: an *APIError as it stands, any other one as the asker's mistake.
func WriteProblem(w http.ResponseWriter, err error) { writeProblem(w, err, "") }

// Generations returns the processes of the broker.
func (c *Client) Generations(ctx context.Context) (GenerationList, error) {
	return get[GenerationList](ctx, c, "/api/v1/generations")
}

// Upgrade lets the broker hand over to a new process of its program, and returns when that serves.
func (c *Client) Upgrade(ctx context.Context) (Upgraded, error) {
	patient := *c
	patient.Timeout = max(patient.Timeout, upgradeTime)
	return call[Upgraded](ctx, &patient, "POST /api/v1/upgrade", nil)
}

// WriteGenerations writes them as a table, as of now.
func WriteGenerations(w io.Writer, list GenerationList, now time.Time) error {
	var rows [][]string
	for _, g := range list.Generations {
		until := "-"
		if g.Until != nil {
			until = g.Until.Local().Format(time.TimeOnly) + ", in " + span(max(g.Until.Sub(now), 0))
		}
		started := "-"
		if !g.Started.IsZero() {
			started = g.Started.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{
			strconv.Itoa(g.Number), g.State, strconv.Itoa(g.PID), orDash(printable(g.Version)), started, strconv.Itoa(g.Sessions), strconv.Itoa(g.Clients - g.Sessions), strconv.Itoa(g.Registrations), until,
		})
	}
	return table(w, "There are no generations.", "GENERATION | STATE | PID | VERSION | STARTED | SESSIONS | OTHER CLIENTS | REGISTRATIONS | CUT AT", rows)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// WriteUpgraded tells how an upgrade went, as of now.
func WriteUpgraded(w io.Writer, u Upgraded, now time.Time) error {
	version := "version " + u.Version
	if u.Version != u.FromVersion {
		version += ", before " + u.FromVersion
	}
	lines := []string{fmt.Sprintf("Generation %d serves: process %d, %s. It took %d ms, %d ms of them until it served.", u.Generation, u.PID, version, u.Took, u.ServedAfter)}
	for _, m := range u.Moved {
		line := fmt.Sprintf("Moved: %d %s", m.Moved, m.words())
		if m.Stayed > 0 {
			line += fmt.Sprintf("; %d stay", m.Stayed)
		}
		lines = append(lines, line)
	}
	switch left := u.Left; {
	case !u.Complete:
		lines = append(lines, "It is still taking over: broker generations tells how far it is.")
	case left.Clients == 0 && left.Registrations == 0:
		lines = append(lines, fmt.Sprintf("Nothing is left in generation %d, which ends.", u.From))
	default:
		line := fmt.Sprintf("Left in generation %d until they end: sessions %d, other clients %d, registrations %d", u.From, left.Sessions, left.Clients-left.Sessions, left.Registrations)
		if left.Until != nil {
			line += fmt.Sprintf("; cut at %s, in %s (DRAIN_TIMEOUT)", left.Until.Local().Format(time.TimeOnly), span(max(left.Until.Sub(now), 0)))
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
