// Package peers is about other brokers with which the same databases register: which of them are alive, whose table differs and
// why, and what they offer that this one has lost. A broker tells others by a Publisher, and looks at others by a Watcher.
// Nothing that a peer says changes the table: a peer that is away, slow or lying costs no connect that this broker can serve by itself.
package peers

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"servicebroker/moment"
	"servicebroker/servicetable"
)

// Format is the version of what brokers tell each other, all of it JSON. Fields that a reader does not know are ignored; the
// number grows only when what is written cannot be read by the rules of the one before.
const Format = 1

// Summary is what a broker tells of itself and its table.
type Summary struct {
	Format       int       `json:"format"`
	ID           string    `json:"id"`                   // of the broker: the same for as long as it has its state folder
	Name         string    `json:"name"`                 // of the instance
	Version      string    `json:"version"`              // of the program
	Generation   int       `json:"generation,omitempty"` // of its process, counted from 1; 0: not known
	Started      time.Time `json:"started"`
	Leaving      bool      `json:"leaving,omitempty"` // it takes no connects any more, or soon will not
	Time         time.Time `json:"time"`              // there, as this was written
	TableVersion uint64    `json:"table_version"`
	Digest       string    `json:"digest"` // of all rows, load left out: equal ones are of equal tables
	Services     int       `json:"services"`
	Instances    int       `json:"instances"`

	Config   string            `json:"config,omitempty"`   // digest of Settings
	Rows     listed[Row]       `json:"rows,omitempty"`     // where they were asked for
	Settings map[string]string `json:"settings,omitempty"` // likewise: digests of what brokers should have in common, by parameter
}

// Row is one instance in a table. Static services are not among them: they are a matter of the configuration.
type Row struct {
	Key     string                    `json:"key"`                   // "sales1@db1"
	LoadAge *int64                    `json:"load_age_ms,omitempty"` // nil where load was never reported
	Offers  map[string]listed[string] `json:"offers"`                // names of services by their state: "READY", "READY draining"
	Stored  bool                      `json:"stored,omitempty"`      // what is stale of it is known from disk since the start, and was not lost
}

// Answer is what a broker would give its own clients of what was asked for.
type Answer struct {
	Format        int                     `json:"format"`
	ID            string                  `json:"id"`
	Name          string                  `json:"name"`
	Registrations listed[json.RawMessage] `json:"registrations"` // in the form of servicetable
}

// Bounds of what is read from a peer.
const (
	maxSummary = 64 << 10 // bytes without rows
	maxDetail  = 24 << 20 // bytes with them
	maxAnswer  = 1 << 20  // bytes; who answers keeps to half of that
	maxListed  = 50_000   // entries of one list
	maxStates  = 64       // of one row
	maxWord    = 1024     // bytes of a text
	maxOffers  = 256      // registrations in an answer
	maxConfig  = 500      // settings
)

// errStranger says that whoever answers is no broker that can be a peer.
var errStranger = errors.New("what answers there is no broker of a version that can be a peer")

// decodeSummary reads a Summary. Nothing in it is longer than the bounds allow.
func decodeSummary(data []byte) (*Summary, error) {
	var s Summary
	if err := decode(data, &s, &s.Format); err != nil {
		return nil, err
	}
	if s.ID == "" || s.Digest == "" || len(s.Settings) > maxConfig {
		return nil, errStranger
	}
	if err := cmp.Or(moment.InUTC("started", &s.Started), moment.InUTC("time", &s.Time)); err != nil {
		return nil, fmt.Errorf("%w: %w", errStranger, err)
	}
	for _, word := range []*string{&s.ID, &s.Name, &s.Version, &s.Digest, &s.Config} {
		if len(*word) > maxWord {
			return nil, fmt.Errorf("%w: a text has %d bytes", errStranger, len(*word))
		}
		*word = printable(*word)
	}
	for i := range s.Rows {
		if err := s.Rows[i].tidy(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(s.Rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
	s.Rows = slices.CompactFunc(s.Rows, func(a, b Row) bool { return a.Key == b.Key })
	return &s, nil
}

// tidy makes a row what a broker that keeps to the rules would have sent, so that it can be compared and shown.
func (r *Row) tidy() error {
	if len(r.Offers) > maxStates || len(r.Key) > maxWord {
		return fmt.Errorf("%w: an instance has %d states, and a name of %d bytes", errStranger, len(r.Offers), len(r.Key))
	}
	r.Key = printable(r.Key)
	for state, names := range r.Offers {
		if state != printable(state) || len(state) > maxWord {
			return fmt.Errorf("%w: %.40q is no state", errStranger, state)
		}
		for i, name := range names {
			names[i] = printable(name[:min(len(name), maxWord)])
		}
	}
	return nil
}

// decodeAnswer reads an Answer and the registrations in it. Those that this version cannot read are left out and counted.
func decodeAnswer(data []byte) (who *Answer, all []servicetable.Registration, unread int, err error) {
	var a Answer
	if err := decode(data, &a, &a.Format); err != nil {
		return nil, nil, 0, err
	}
	if a.ID == "" || len(a.ID) > maxWord || len(a.Name) > maxWord {
		return nil, nil, 0, errStranger
	}
	a.ID, a.Name = printable(a.ID), printable(a.Name)
	for _, text := range a.Registrations[:min(len(a.Registrations), maxOffers)] {
		var r servicetable.Registration
		if err := json.Unmarshal(text, &r); err != nil || r.Instance == "" || r.Hop != "" {
			unread++
			continue
		}
		all = append(all, r)
	}
	return &a, all, unread + max(0, len(a.Registrations)-maxOffers), nil
}

func decode(data []byte, into any, format *int) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", errStranger, err)
	}
	if *format != Format {
		return fmt.Errorf("%w: it speaks format %d, and this one %d; bring both to one version", errStranger, *format, Format)
	}
	return nil
}

// listed is a list of which no more is read than maxListed entries.
type listed[T any] []T

// UnmarshalJSON reads the list.
func (l *listed[T]) UnmarshalJSON(data []byte) (err error) {
	*l, err = servicetable.ReadList[T](data, maxListed)
	return err
}
