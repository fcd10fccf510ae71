package broker

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"time"

	"servicebroker/moment"
	"servicebroker/servicetable"
)

// The table on disk is a text of lines, each a sum over the rest of it, a space, and JSON. The first says what the file is. What
// follows is written a number of lines at a time, of which the last one, the fact, says how many there were and what their sum
// is, and of when the table is that they make. So a file can be cut off anywhere and is still the table of the fact before, and
// whatever else befalls it is noticed, and costs the lines that it befalls. Nothing in it refers to another place in it.
const warmFormat = 1 // of the file; that of the registrations in it is servicetable's

// warmLine is one line; exactly one of the pointers is set, or Gone.
type warmLine struct {
	File     *warmHead  `json:"file,omitempty"`
	Instance *warmEntry `json:"instance,omitempty"`
	Departed *warmEntry `json:"departed,omitempty"`
	Gone     bool       `json:"gone,omitempty"` // what the key stood for
	Fact     *warmFact  `json:"fact,omitempty"`
	Key      string     `json:"key,omitempty"` // of an instance or what departed: whatever is said of one later counts
}

// warmHead is what the file says of itself.
type warmHead struct {
	Format int    `json:"format"`
	Broker string `json:"broker"` // version that wrote it
}

// warmFact is what the lines before it make.
type warmFact struct {
	AsOf    time.Time `json:"as_of"` // registrations of which nothing else is said were live then
	Version uint64    `json:"table_version"`
	Lines   int       `json:"lines"` // since the fact before
	Sum     uint32    `json:"sum"`   // over them
}

// warmEntry is one registration in the file.
type warmEntry struct {
	Registration servicetable.Registration `json:"registration"`
	Heard        time.Time                 `json:"heard,omitzero"` // when it was live last, or left; zero: as of the file's time
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumDigits is the length of a line's sum.
const sumDigits = 8

// warmWriter writes lines.
type warmWriter struct {
	to    io.Writer
	bytes int64 // written
	lines int   // since the last fact
	sum   uint32
	err   error // the first one
}

func (w *warmWriter) put(l *warmLine) {
	text, err := json.Marshal(l)
	if w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return
	}
	line := fmt.Appendf(make([]byte, 0, len(text)+sumDigits+2), "%08x %s\n", crc32.Checksum(text, castagnoli), text)
	if _, w.err = w.to.Write(line); w.err != nil {
		return
	}
	w.bytes += int64(len(line))
	w.lines++
	w.sum = crc32.Update(w.sum, castagnoli, line)
}

// conclude writes the fact that makes a table of what was put.
func (w *warmWriter) conclude(asOf time.Time, version uint64) {
	w.put(&warmLine{Fact: &warmFact{AsOf: asOf, Version: version, Lines: w.lines, Sum: w.sum}})
	w.lines, w.sum = 0, 0
}

// warmRead is what was found on disk.
type warmRead struct {
	head     warmHead
	fact     warmFact
	entries  []warmEntry // with the time when each was heard of last
	departed []warmEntry
	cut      int // so many bytes at the end were not written to their end
}

// errDamagedTable tells of a file that is not what it should be.
var errDamagedTable = errors.New("the file is damaged")

// maxWarm bounds how many registrations are read.
const maxWarm = 100_000

// warmReader puts together what lines say.
type warmReader struct {
	*warmRead
	all     map[string]*warmLine // by key
	pending []*warmLine          // since the last fact
	lines   int                  // since then, whatever they are
	sum     uint32
	whole   int   // so far the file is a table
	wrong   error // the first thing, or that the file is of a version to come
}

// decodeWarm reads as much of a file as can be read, and returns what was wrong with the rest.
func decodeWarm(text []byte, now time.Time) (warmRead, error) {
	r := &warmReader{warmRead: &warmRead{}, all: map[string]*warmLine{}}
	for rest, at := text, 0; len(rest) > 0; at = len(text) - len(rest) {
		var line []byte
		line, rest = cutLine(rest)
		l, err := decodeLine(line)
		if at == 0 && (err != nil || l.File == nil) {
			return *r.warmRead, errors.Join(fmt.Errorf("%w: it does not say what it is", errDamagedTable), err)
		}
		r.take(l, line, err)
		if l != nil && l.Fact != nil {
			r.whole = len(text) - len(rest)
		}
		if r.head.Format > warmFormat {
			return *r.warmRead, r.wrong
		}
	}
	if r.whole == 0 { // it is put in place only when it is whole
		r.complain(fmt.Errorf("%w: its end is missing", errDamagedTable))
		r.apply()
	} else if r.cut = len(text) - r.whole; r.wrong != nil {
		r.apply()
	}
	r.finish(now)
	return *r.warmRead, r.wrong
}

// cutLine cuts the first line off, with its end.
func cutLine(text []byte) (line, rest []byte) {
	if at := bytes.IndexByte(text, '\n'); at >= 0 {
		return text[:at+1], text[at+1:]
	}
	return text, nil
}

// decodeLine reads a line if it is as it was written.
func decodeLine(line []byte) (*warmLine, error) {
	var sum [sumDigits / 2]byte
	if len(line) < sumDigits+2 || line[sumDigits] != ' ' || line[len(line)-1] != '\n' {
		return nil, fmt.Errorf("%w: there is no sum before %.40q", errDamagedTable, line)
	}
	text := line[sumDigits+1 : len(line)-1]
	if _, err := hex.Decode(sum[:], line[:sumDigits]); err != nil || !bytes.Equal(sum[:], sumOf(text)) {
		return nil, fmt.Errorf("%w: the sum over %.40q is wrong", errDamagedTable, text)
	}
	l := &warmLine{}
	if err := json.Unmarshal(text, l); err != nil {
		if errors.Is(err, servicetable.ErrNewerFormat) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %.40q: %w", errDamagedTable, text, err)
	}
	if !l.sound() {
		return nil, fmt.Errorf("%w: %.40q is no line of a table", errDamagedTable, text)
	}
	if err := l.settle(); err != nil {
		return nil, fmt.Errorf("%w: %.40q: %w", errDamagedTable, text, err)
	}
	return l, nil
}

// sound tells whether a line says one thing at most, none if that is of a kind to come, and if it is the head, in which format.
func (l *warmLine) sound() bool {
	said := 0
	for _, is := range [...]bool{l.File != nil, l.Instance != nil, l.Departed != nil, l.Gone, l.Fact != nil} {
		if is {
			said++
		}
	}
	return said <= 1 && (l.File == nil || l.File.Format > 0)
}

// settle makes the times of a line such as can be written again.
func (l *warmLine) settle() error {
	var err error
	for _, e := range []*warmEntry{l.Instance, l.Departed} {
		if e != nil {
			err = cmp.Or(err, moment.InUTC("heard", &e.Heard))
		}
	}
	if l.Fact != nil {
		err = cmp.Or(err, moment.InUTC("as_of", &l.Fact.AsOf))
	}
	return err
}

func sumOf(text []byte) []byte {
	s := crc32.Checksum(text, castagnoli)
	return []byte{byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}
}

// take notes one line, or what is wrong with it.
func (r *warmReader) take(l *warmLine, line []byte, err error) {
	switch {
	case errors.Is(err, servicetable.ErrNewerFormat):
		r.complain(err)
	case err != nil: // told by the next fact; without one, it is where the file was cut off
	case l.File != nil:
		if r.head = *l.File; r.head.Format > warmFormat {
			r.complain(fmt.Errorf("%w: %s, in format %d, and this one reads up to %d", servicetable.ErrNewerFormat, r.head.Broker, r.head.Format, warmFormat))
		}
	case l.Fact != nil:
		if l.Fact.Lines != r.lines || l.Fact.Sum != r.sum {
			r.complain(fmt.Errorf("%w: not all is as it was written before %s", errDamagedTable, l.Fact.AsOf.Format(time.RFC3339)))
		}
		r.apply()
		r.fact, r.lines, r.sum = *l.Fact, 0, 0
		return
	default:
		r.pending = append(r.pending, l)
	}
	r.lines++
	r.sum = crc32.Update(r.sum, castagnoli, line)
}

// complain notes what is wrong; that a newer version wrote it counts more than what damage there is.
func (r *warmReader) complain(err error) {
	if r.wrong == nil || errors.Is(err, servicetable.ErrNewerFormat) && !errors.Is(r.wrong, servicetable.ErrNewerFormat) {
		r.wrong = err
	}
}

// apply takes what is pending as said.
func (r *warmReader) apply() {
	for _, l := range r.pending {
		switch {
		case l.Gone:
			delete(r.all, l.Key)
		case len(r.all) < maxWarm || r.all[l.Key] != nil:
			r.all[l.Key] = l
		default:
			r.complain(fmt.Errorf("%w: it has more than %d registrations", errDamagedTable, maxWarm))
		}
	}
	r.pending = nil
}

// finish sorts out what is there in the end.
func (r *warmReader) finish(now time.Time) {
	for _, l := range r.all {
		to, e := &r.entries, l.Instance
		if l.Departed != nil {
			to, e = &r.departed, l.Departed
		}
		if e == nil { // of a kind to come
			continue
		}
		if e.Heard.IsZero() {
			e.Heard = r.fact.AsOf
		}
		if e.Heard.After(now) { // by a clock that was wrong
			e.Heard = now
		}
		*to = append(*to, *e)
	}
	for _, all := range [][]warmEntry{r.entries, r.departed} {
		slices.SortFunc(all, func(a, b warmEntry) int { return strings.Compare(string(a.Registration.ID), string(b.Registration.ID)) })
	}
}
