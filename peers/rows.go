package peers

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"servicebroker/servicetable"
)

// rowsOf lists what a table has, by key: what several registrations of one instance say is together in one row. stored may be nil.
func rowsOf(snapshot *servicetable.Snapshot, stored func(*servicetable.Registration) bool, now time.Time) []Row {
	byKey := map[string]*Row{}
	for _, e := range snapshot.Services() {
		for i := range e.Instances {
			in := &e.Instances[i]
			if in.Registration.Static {
				continue
			}
			key := printable(strings.ToLower(in.Registration.Key()))
			row := byKey[key]
			if row == nil {
				row = &Row{Key: key, Offers: map[string]listed[string]{}}
				byKey[key] = row
			}
			state := stateOf(in)
			row.Offers[state] = append(row.Offers[state], printable(strings.ToLower(e.Name)))
			if in.Registration.Stale && stored != nil && stored(in.Registration) {
				row.Stored = true
			}
			if at := in.Registration.LoadAt; !at.IsZero() {
				age := max(0, now.Sub(at).Milliseconds())
				if row.LoadAge == nil || age < *row.LoadAge {
					row.LoadAge = &age
				}
			}
		}
	}
	rows := make([]Row, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		row := byKey[key]
		for state, names := range row.Offers {
			slices.Sort(names)
			row.Offers[state] = slices.Compact(names)
		}
		rows = append(rows, *row)
	}
	return rows
}

// printable is a text as it can be shown and compared: what no terminal should get is left out.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// stateOf is what an instance offers a service as, and what keeps clients from it.
func stateOf(in *servicetable.InstanceEntry) string {
	marks := in.Marks
	for _, h := range in.Handlers {
		marks = append(marks, h.Marks...)
	}
	words := []string{}
	for _, m := range marks {
		if word := m.Kind.String(); !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(append([]string{in.Status.String()}, words...), " ")
}

// digestOf is a short text that is equal for equal rows, load left out.
func digestOf(rows []Row) string {
	h := sha256.New()
	word := func(text string) { _, _ = io.WriteString(h, text+"\x00") }
	for i := range rows {
		word(rows[i].Key)
		for _, state := range slices.Sorted(maps.Keys(rows[i].Offers)) {
			word("\x01" + state)
			for _, name := range rows[i].Offers[state] {
				word(name)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// ledger knows the rows of a table that changes all the time, and spends no more on that than a small part of the time.
type ledger struct {
	Pause time.Duration // at least between two looks

	mu      sync.Mutex
	entry   *entry
	lookAt  time.Time // not before
	version uint64    // that entry is of
}

// entry is what a table had at one time. It is never changed.
type entry struct {
	rows     []Row
	digest   string
	version  uint64
	services int
	at       time.Time
}

// lookPart is the part of the time that looking may take: one in so much.
const lookPart = 20

// look returns what the table has, and 0; or where it was looked at a moment ago what it had then, and after how long to
// look again.
func (l *ledger) look(snapshot *servicetable.Snapshot, stored func(*servicetable.Registration) bool) (*entry, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.entry != nil && l.version == snapshot.Version() {
		return l.entry, 0
	}
	if l.entry != nil && now.Before(l.lookAt) {
		return l.entry, l.lookAt.Sub(now)
	}
	e := &entry{rows: rowsOf(snapshot, stored, now), version: snapshot.Version(), services: snapshot.ServiceCount(), at: now}
	e.digest = digestOf(e.rows)
	l.entry, l.version = e, e.version
	l.lookAt = now.Add(max(l.Pause, lookPart*time.Since(now)))
	return e, 0
}

// of returns what the table had at a version, nil where that has not been looked at.
func (l *ledger) of(version uint64) *entry {
	if !l.mu.TryLock() { // somebody is looking
		return nil
	}
	defer l.mu.Unlock()
	if l.version != version {
		return nil
	}
	return l.entry
}
