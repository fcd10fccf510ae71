package intent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"servicebroker/moment"
)

// format is the version of the file that this package writes, and the newest it reads. A field that older versions would
// lose on their next change needs a new one.
const format = 1

// document is the file. The sum is over the compact form of State, so that half-written or damaged text is never taken
// for what operators wanted.
type document struct {
	Format int             `json:"format"`
	Sum    string          `json:"crc32c"`
	State  json.RawMessage `json:"state"`
}

// state is what the file keeps.
type state struct {
	Next    uint64   `json:"next"` // number for the next ID: none is given out twice
	Intents []Intent `json:"intents"`
}

// DamagedError tells that the file could not be read, and was put aside. The store that Open returned with it is good.
type DamagedError struct {
	Path      string // of the file
	Aside     string // where its content is now
	Recovered bool   // the state before the last change is used; else there are no intents
	Err       error  // what is wrong with it
}

// Error says what was lost and where the rest is.
func (e *DamagedError) Error() string {
	use := "starting without any: set again those that are needed"
	if e.Recovered {
		use = "using those from before the last change: check them"
	}
	return fmt.Sprintf("intents %s: %v; kept as %s; %s (broker intents)", e.Path, e.Err, e.Aside, use)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Open returns the intents kept in the file at path, which need not exist; "" keeps them in memory only. Beside it a
// second file, path with .previous, holds the state before the last change. If the file is damaged the store is made
// from that, and is returned with a *DamagedError to be logged. With any other error there is no store; it wraps
// ErrNewerFormat where the file is of a version to come, and then nothing was touched. One process may have it open.
func Open(path string) (*Store, error) {
	s := &Store{path: path, next: 1}
	if path == "" {
		return s, nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("intents: %w: make the file readable for this user", err)
	}
	kept, err := decode(content)
	if errors.Is(err, ErrNewerFormat) {
		return nil, fmt.Errorf("intents %s: %w: start that version, or move the file away to begin without intents", path, err)
	}
	if err != nil {
		return s.recover(content, err)
	}
	s.adopt(kept, content)
	return s, nil
}

// Reread has the store hold what another process, which had the file meanwhile, has left there. A file that is not there was never
// written; after an error what held before holds on, and the error says what to do. No number is given out twice, whatever the file says.
func (s *Store) Reread() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" {
		return nil
	}
	content, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var kept state
	if err == nil {
		kept, err = decode(content)
	}
	if err != nil {
		return fmt.Errorf("intents %s: %w; those that were known before hold: check them, and set again what is missing", s.path, err)
	}
	kept.Next = max(kept.Next, s.next)
	s.adopt(kept, content)
	return nil
}

func (s *Store) previous() string { return s.path + ".previous" }

func (s *Store) adopt(kept state, content []byte) {
	s.next, s.saved = kept.Next, content
	s.publish(kept.Intents)
}

// recover puts damaged content aside and goes on from the state before it.
func (s *Store) recover(content []byte, cause error) (*Store, error) {
	damage := &DamagedError{Path: s.path, Err: cause}
	var err error
	if damage.Aside, err = putAside(s.path, content); err != nil {
		return nil, fmt.Errorf("intents %s: %w, and it cannot be put aside: %w: make room, or move it away", s.path, cause, err)
	}
	before, err := os.ReadFile(s.previous())
	if err == nil {
		if kept, err := decode(before); err == nil {
			s.adopt(kept, before)
			damage.Recovered = true
		} else if aside, err := putAside(s.previous(), before); err == nil {
			damage.Aside += " and " + aside
		}
	}
	// Until this is written the damaged file stays where it is, and the next start recovers once more.
	if err := s.save(s.All(), s.next); err != nil {
		return nil, err
	}
	return s, damage
}

// putAside copies content to the first of path.bad, path.bad2 … that is free, or has it already.
func putAside(path string, content []byte) (string, error) {
	for n := 1; ; n++ {
		aside := path + ".bad"
		if n > 1 {
			aside = fmt.Sprintf("%s%d", aside, n)
		}
		there, err := os.ReadFile(aside)
		if err == nil && bytes.Equal(there, content) {
			return aside, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return aside, writeFile(aside, content)
		}
		if err != nil {
			return "", err
		}
	}
}

// save writes the state to the file, and what it held before to the other one. A failure anywhere leaves at least one of
// them whole.
func (s *Store) save(list []Intent, next uint64) error {
	if s.path == "" {
		return nil
	}
	content, err := encode(state{Next: next, Intents: list})
	if err == nil && s.saved != nil {
		err = writeFile(s.previous(), s.saved)
	}
	if err == nil {
		err = writeFile(s.path, content)
	}
	if err != nil {
		return fmt.Errorf("intents are not saved: %w: make room for and writable %s", err, filepath.Dir(s.path))
	}
	s.saved = content
	return nil
}

// writeFile replaces the file at path as a whole, and returns when that is on disk.
func writeFile(path string, content []byte) (err error) {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename in the folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if closing := folder.Close(); err == nil {
		err = closing
	}
	return err
}

func encode(kept state) ([]byte, error) {
	if kept.Intents == nil {
		kept.Intents = []Intent{}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	content, err := json.MarshalIndent(document{Format: format, Sum: sum(text), State: text}, "", " ")
	return append(content, '\n'), err
}

func decode(content []byte) (state, error) {
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return state{}, fmt.Errorf("is damaged: %w", err)
	}
	if d.Format > format {
		return state{}, fmt.Errorf("format %d is %w, this one reads up to %d", d.Format, ErrNewerFormat, format)
	}
	if d.Format < 1 {
		return state{}, errors.New("is damaged: it names no format")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, d.State); err != nil {
		return state{}, fmt.Errorf("is damaged: %w", err)
	}
	if is := sum(compact.Bytes()); is != d.Sum {
		return state{}, fmt.Errorf("is damaged: its sum is %s, not %q as it says", is, shorten(d.Sum))
	}
	var kept state
	if err := json.Unmarshal(d.State, &kept); err != nil {
		return state{}, fmt.Errorf("is damaged: %w", err)
	}
	for n := range kept.Intents {
		i := &kept.Intents[n]
		if err := cmp.Or(moment.InUTC("created", &i.Created), moment.InUTC("deadline", &i.Deadline)); err != nil {
			return state{}, fmt.Errorf("is damaged: %s: %w", shorten(i.ID), err)
		}
	}
	return kept, nil
}

func sum(text []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
}
