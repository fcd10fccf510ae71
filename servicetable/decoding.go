package servicetable

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"servicebroker/moment"
)

// What can be wrong with the JSON form of a Registration or of Marks.
var (
	// ErrNewerFormat tells that it was written by a version to come, in a form that cannot be read by the rules of this one.
	ErrNewerFormat = errors.New("was written by a newer version")
	// ErrMalformed tells that it is no such form, or beyond what any table holds.
	ErrMalformed = errors.New("is not a registration")
)

// Bounds of what is read; what databases can send stays well below them (nsgr.md 6).
const (
	// MaxEncoded is the longest JSON form that is read, in bytes.
	MaxEncoded = 16 << 20
	maxText    = 256 << 10 // bytes of one text
	maxListed  = 64 << 10  // entries of one list
	maxLinks   = 1 << 20   // positions in Handler.Services, all handlers together
)

// UnmarshalJSON makes r what was written, and leaves it as it is if that cannot be read. Errors wrap ErrNewerFormat or
// ErrMalformed. What is read shares nothing with data.
func (r *Registration) UnmarshalJSON(data []byte) error {
	if len(data) > MaxEncoded {
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrMalformed, len(data), MaxEncoded)
	}
	var head struct {
		Format int          `json:"format"`
		Needs  capped[text] `json:"needs"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return malformed(err)
	}
	switch {
	case head.Format > Format:
		return fmt.Errorf("%w: in format %d, and this one reads up to %d", ErrNewerFormat, head.Format, Format)
	case head.Format < 1:
		return fmt.Errorf("%w: it names no format", ErrMalformed)
	case len(head.Needs) > 0:
		return fmt.Errorf("%w: it needs %.40q, which this one does not know", ErrNewerFormat, head.Needs[0])
	}
	var w written
	if err := json.Unmarshal(data, &w); err != nil {
		return malformed(err)
	}
	read, err := w.registration()
	if err != nil {
		return malformed(err)
	}
	*r = read
	return nil
}

// malformed wraps ErrMalformed around whatever does not say already what it is.
func malformed(err error) error {
	if errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func (w *written) registration() (Registration, error) {
	r := Registration{
		ID: ID(w.ID), Instance: string(w.Name), Host: string(w.Host), HostRaw: string(w.Raw), Flags: w.Flags, GUID: w.GUID,
		RegisteredAt: w.Since, LoadAt: w.LoadAt, LoadSource: string(w.Source),
		Peer: w.Peer, PeerDN: string(w.DN), ArrivedOn: string(w.At), Network: string(w.Net), Static: w.Static, Stale: w.Stale,
		Database: string(w.Owner), Tier: w.Tier, Zone: string(w.Zone), Marks: readMarks(w.Marks),
	}
	if err := cmp.Or(moment.InUTC("registered_at", &r.RegisteredAt), moment.InUTC("load_at", &r.LoadAt)); err != nil {
		return Registration{}, err
	}
	if w.Loads != nil {
		r.NodeLoad, r.NodeMax, r.Load, r.Max = w.Loads.NodeLoad, w.Loads.NodeMax, w.Loads.Load, w.Loads.Max
	}
	for _, e := range w.Ends {
		r.Endpoints = append(r.Endpoints, string(e))
	}
	for i := range w.Offers {
		o := &w.Offers[i]
		s := Service{Name: string(o.Name), Flags: o.Flags, Goodness: o.Goodness, Delta: o.Delta, Marks: readMarks(o.Marks)}
		if o.Weight != nil {
			s.Weight = WeightOf(*o.Weight)
		}
		r.Services = append(r.Services, s)
	}
	links := 0
	for i := range w.Takes {
		h, err := w.Takes[i].handler(len(r.Services))
		if links += len(h.Services); err == nil && links > maxLinks {
			err = fmt.Errorf("its handlers serve more than %d services together", maxLinks)
		}
		if err != nil {
			return Registration{}, err
		}
		r.Handlers = append(r.Handlers, h)
	}
	return r, nil
}

func (w *writtenHandler) handler(services int) (Handler, error) {
	h := Handler{
		ID: w.ID, Name: string(w.Name), Kind: Kind(w.Kind), Protocol: string(w.Protocol), Host: string(w.Host), Port: w.Port,
		Address: string(w.Address), Info: string(w.Info), Load: w.Load, Max: w.Max, Flags: w.Flags, Services: slices.Clone(w.Services),
	}
	if w.Port < 0 || w.Port > 65535 {
		return h, fmt.Errorf("handler %.40q has port %d", w.Name, w.Port)
	}
	for _, s := range w.Services {
		if s < 0 || s >= services {
			return h, fmt.Errorf("handler %.40q serves service number %d of %d", w.Name, s+1, services)
		}
	}
	return h, nil
}

func readMarks(list writtenMarks) (marks []Mark) {
	for _, m := range list {
		marks = append(marks, Mark{Kind: MarkKind(m.Kind), Cause: string(m.Cause), Since: m.Since, Until: m.Until})
	}
	return marks
}

// UnmarshalJSON reads a mark.
func (m *writtenMark) UnmarshalJSON(data []byte) error {
	type plain writtenMark
	if err := json.Unmarshal(data, (*plain)(m)); err != nil {
		return err
	}
	return cmp.Or(moment.InUTC("since", &m.Since), moment.InUTC("until", &m.Until))
}

// UnmarshalJSON makes m what was written. A mark of a kind that this version does not know is an error that wraps
// ErrNewerFormat, since whatever it keeps away would not be kept away.
func (m *Marks) UnmarshalJSON(data []byte) error {
	if len(data) > MaxEncoded {
		return fmt.Errorf("%w: marks in %d bytes, more than %d", ErrMalformed, len(data), MaxEncoded)
	}
	var list writtenMarks
	if err := json.Unmarshal(data, &list); err != nil {
		return malformed(err)
	}
	*m = readMarks(list)
	return nil
}

// capped is a list of which no more is read than maxListed entries.
type capped[T any] []T

// UnmarshalJSON reads the list.
func (c *capped[T]) UnmarshalJSON(data []byte) (err error) {
	*c, err = ReadList[T](data, maxListed)
	return err
}

// ReadList reads a list in JSON of most entries at most, entry by entry, so that one too long is given up before there is room
// for all of it. Of null it is nil.
func ReadList[T any](data []byte, most int) ([]T, error) {
	if bytes.Equal(data, []byte("null")) {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, fmt.Errorf("a list is wanted where %.20q is", data)
	}
	var list []T
	for d.More() {
		if len(list) == most {
			return nil, fmt.Errorf("a list has more than %d entries", most)
		}
		var v T
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// UnmarshalJSON reads either form of a text.
func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var h hexText
		if err := json.Unmarshal(data, &h); err != nil {
			return err
		}
		b, err := hex.DecodeString(h.Hex)
		if err != nil {
			return fmt.Errorf("a text in hex: %w", err)
		}
		*t = text(b)
	} else {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(s)
	}
	if len(*t) > maxText {
		return fmt.Errorf("a text has %d bytes, more than %d", len(*t), maxText)
	}
	return nil
}

// UnmarshalText reads 32 hex digits.
func (i *id16) UnmarshalText(data []byte) error {
	if len(data) != hex.EncodedLen(len(i)) {
		return fmt.Errorf("%.40q is not an identifier of 32 hex digits", data)
	}
	_, err := hex.Decode(i[:], data)
	return err
}

// UnmarshalText reads the word.
func (k *kindWord) UnmarshalText(word []byte) error {
	for known := Dedicated; known <= Pooled; known++ {
		if known.String() == string(word) {
			*k = kindWord(known)
			return nil
		}
	}
	return fmt.Errorf("%w: it has a handler of kind %.40q, which this one does not know", ErrNewerFormat, word)
}

// UnmarshalText reads the word.
func (k *markWord) UnmarshalText(word []byte) error {
	for known := Draining; known <= Holding; known++ {
		if known.String() == string(word) {
			*k = markWord(known)
			return nil
		}
	}
	return fmt.Errorf("%w: it carries the mark %.40q, which this one does not know", ErrNewerFormat, word)
}
