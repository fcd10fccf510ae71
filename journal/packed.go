package journal

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"time"
)

// packed is an explanation in one piece of memory, about a quarter of what it takes otherwise: thousands are kept, and few are ever looked at.
// It is no format: nothing but this process reads it.
type packed string

// pack returns e in one piece, by a packer that has packed others before, or none.
func (e *Explanation) pack(by *packer) packed {
	by.packs, by.out, by.said = true, by.out[:0], 0
	e.codeAsked(by)
	e.codeAnswer(by)
	return packed(by.out)
}

// explanation returns what was packed, whose texts are parts of it; nil for nothing.
func (p packed) explanation() *Explanation {
	if p == "" {
		return nil
	}
	e, c := new(Explanation), packer{in: string(p)}
	e.codeAsked(&c)
	e.codeAnswer(&c)
	return e
}

// asked makes that of e what was packed which queries are about.
func (p packed) asked(e *Explanation) { e.codeAsked(&packer{in: string(p)}) }

// ref is the Ref of what was packed, without the rest.
func (p packed) ref() (ref string) {
	c := packer{in: string(p)}
	c.text(&ref)
	return ref
}

// codeAsked packs or unpacks the first half of e. The descriptor comes early, since other texts are parts of it.
func (e *Explanation) codeAsked(c *packer) {
	c.text(&e.Ref)
	c.text(&e.Query.Descriptor)
	c.time(&e.Time)
	for _, text := range [...]*string{
		&e.Client, &e.Program, &e.Machine, &e.User, &e.ConnectionID, &e.Query.Service, &e.Query.SID, &e.Query.Instance, &e.Query.Server,
		&e.Query.ColocationTag, (*string)(&e.Outcome),
	} {
		c.text(text)
	}
}

// codeAnswer packs or unpacks the rest.
func (e *Explanation) codeAnswer(c *packer) {
	c.word(&e.Route)
	c.word(&e.Rule)
	c.word(&e.Policy)
	c.natural(&e.Version)
	e.Logged = list(c, e.Logged)
	for i := range e.Logged {
		c.word(&e.Logged[i])
	}
	e.Candidates = list(c, e.Candidates)
	for i := range e.Candidates {
		e.Candidates[i].code(c)
	}
	e.Attempts = list(c, e.Attempts)
	for i := range e.Attempts {
		e.Attempts[i].code(c)
	}
	c.int(&e.Omitted)
	c.int(&e.Code)
	c.word(&e.Chosen)
	c.word(&e.Text)
	c.duration(&e.Held)
	c.duration(&e.Took)
}

func (a *Candidate) code(c *packer) {
	c.word(&a.Key)
	c.real(&a.Score)
	c.word(&a.PassedOver)
	in := &a.Inputs
	c.word(&in.Status)
	c.int(&in.Tier)
	c.word(&in.Zone)
	c.real(&in.Reported)
	c.word(&in.Measure)
	c.integer(&in.ReportAgeMS)
	c.real(&in.Aged)
	c.real(&in.Own)
	c.real(&in.Capacity)
	c.integer(&in.TauMS)
	c.int(&in.Brokers)
	weight := uint64(in.Weight)
	c.natural(&weight)
	in.Weight = uint32(weight)
	c.real(&in.SlowStart)
}

func (a *Attempt) code(c *packer) {
	c.word(&a.Key)
	c.duration(&a.Took)
	c.word(&a.Error)
	c.truth(&a.Hedged)
}

// list packs the length of a list and returns it, or returns one of the length that was packed.
func list[T any](c *packer, s []T) []T {
	n := len(s)
	if s == nil {
		n = -1
	}
	c.int(&n)
	switch {
	case c.packs:
		return s
	case n < 0:
		return nil
	}
	return make([]T, n)
}

// packer writes values one after the other, or reads them in the same order. What it reads it has written itself.
type packer struct {
	packs bool
	out   []byte   // while it packs
	words [16]span // of out, the last that word has put
	said  int      // how many it has
	in    string   // while it unpacks
	at    int      // what of in has been read
}

type span struct{ at, length int }

// shortest is the length of a text from which on it is worth looking whether it is there already.
const shortest = 3

// text is a length and the bytes, or a length and where they are already, be it within others.
func (c *packer) text(s *string) {
	if !c.packs {
		c.getText(s)
		return
	}
	start := c.putText(*s)
	if len(*s) < shortest {
		return
	}
	if at := bytes.Index(c.out[:start], c.out[len(c.out)-len(*s):]); at >= 0 {
		c.out = c.out[:start]
		c.putPlace(span{at, len(*s)})
	}
}

// word is text for what is seldom a part of others, but often the same as one of the last words.
func (c *packer) word(s *string) {
	if !c.packs {
		c.getText(s)
		return
	}
	if len(*s) >= shortest {
		for _, w := range c.words[:min(c.said, len(c.words))] {
			if w.length == len(*s) && string(c.out[w.at:w.at+w.length]) == *s {
				c.putPlace(w)
				return
			}
		}
	}
	c.putText(*s)
	c.words[c.said%len(c.words)] = span{len(c.out) - len(*s), len(*s)}
	c.said++
}

// putText puts the text itself, and returns where that begins.
func (c *packer) putText(s string) (start int) {
	start = len(c.out)
	c.put(uint64(len(s)) << 1)
	c.out = append(c.out, s...)
	return start
}

func (c *packer) putPlace(w span) {
	c.put(uint64(w.length)<<1 | 1)
	c.put(uint64(w.at))
}

func (c *packer) getText(s *string) {
	n := c.get()
	start := c.at
	if n&1 != 0 {
		start = int(c.get())
	} else {
		c.at += int(n >> 1)
	}
	*s = c.in[start : start+int(n>>1)]
}

func (c *packer) put(n uint64) { c.out = binary.AppendUvarint(c.out, n) }

func (c *packer) get() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := c.in[c.at]
		c.at++
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (c *packer) natural(n *uint64) {
	if c.packs {
		c.put(*n)
		return
	}
	*n = c.get()
}

// integer has its sign in the last bit, so that small ones are short.
func (c *packer) integer(n *int64) {
	if c.packs {
		c.put(uint64(*n)<<1 ^ uint64(*n>>63))
		return
	}
	u := c.get()
	*n = int64(u>>1) ^ -int64(u&1)
}

func (c *packer) int(n *int) {
	wide := int64(*n)
	c.integer(&wide)
	*n = int(wide)
}

func (c *packer) duration(d *time.Duration) { c.integer((*int64)(d)) }

// real has its bits in the opposite order, so that round numbers are short.
func (c *packer) real(f *float64) {
	if c.packs {
		c.put(bits.Reverse64(math.Float64bits(*f)))
		return
	}
	*f = math.Float64frombits(bits.Reverse64(c.get()))
}

func (c *packer) truth(b *bool) {
	if c.packs {
		n := uint64(0)
		if *b {
			n = 1
		}
		c.put(n)
		return
	}
	*b = c.get() == 1
}

// time keeps the zone as a distance from UTC, as JSON does.
func (c *packer) time(t *time.Time) {
	var b [16]byte
	if c.packs {
		out, err := t.AppendBinary(b[:0])
		if err != nil { // a zone that cannot be told
			out, _ = t.UTC().AppendBinary(b[:0])
		}
		c.put(uint64(len(out)))
		c.out = append(c.out, out...)
		return
	}
	n := int(c.get())
	copy(b[:], c.in[c.at:c.at+n])
	_ = t.UnmarshalBinary(b[:n])
	c.at += n
}
