package journal

import (
	"math"
	"net/netip"
	"strings"
)

// Keep keeps a copy of e, which is given a Ref and the time of now where it has none, and cut to size. One that was kept
// under the same Ref is replaced.
func (j *Journal) Keep(e *Explanation) {
	if e.Ref == "" {
		e.Ref = j.NewRef()
	}
	if e.Time.IsZero() {
		e.Time = j.now()
	}
	e.cut()
	j.kept.mu.Lock()
	defer j.kept.mu.Unlock()
	if !j.kept.started() {
		size := orElse(j.MaxExplanations, 10_000)
		j.kept.start(size, 1)
		j.byRef = make(map[string]uint64, size)
	}
	if number, had := j.byRef[e.Ref]; had {
		*j.kept.at(number) = ""
	}
	if j.kept.full() {
		if oldest := j.kept.drop(); oldest != "" {
			delete(j.byRef, oldest.ref())
		}
	}
	p := e.pack(&j.packer)
	j.byRef[p.ref()] = j.kept.next // whose text is there anyway
	j.kept.push(p)
}

// ByRef returns the explanation with that Ref as a person may write it ("k7m2qx4p", "(REF=K7M2QX4P)"); nil if none is kept.
func (j *Journal) ByRef(ref string) *Explanation { return j.byRefPacked(ref).explanation() }

func (j *Journal) byRefPacked(ref string) packed {
	j.kept.mu.Lock()
	defer j.kept.mu.Unlock()
	number, found := j.byRef[ref]
	if !found {
		number, found = j.byRef[canonicalRef(ref)]
	}
	if !found {
		return ""
	}
	return *j.kept.at(number)
}

// FindQuery says which explanations are wanted: those that fit every field that is set.
type FindQuery struct {
	ConnectionID string                  // as the client's trace or error shows it
	Client       string                  // its address, or address:port
	Service      string                  // asked for, any case, with or without its domain; * stands for any text
	Outcome      Outcome                 // what came of it
	Only         func(*Explanation) bool // if set, those for which it is true; it must not ask the journal
	Limit        int                     // at most so many; 0: all
}

// Find returns the explanations that fit, newest first.
func (j *Journal) Find(q FindQuery) []*Explanation {
	client := parseEnd(q.Client)
	bounded{&q.ConnectionID, maxWord}.cut() // as Keep did
	limit := orElse(q.Limit, math.MaxInt)
	var found []*Explanation
	next := new(Explanation) // what is asked about of the one that is looked at
	j.kept.backward(func(p *packed) bool {
		if *p == "" {
			return true
		}
		if p.asked(next); !q.fits(next, client) {
			return true
		}
		if e := p.explanation(); q.Only == nil || q.Only(e) {
			found = append(found, e)
		}
		return len(found) < limit
	})
	return found
}

// Recent returns the n newest explanations, newest first.
func (j *Journal) Recent(n int) []*Explanation {
	if n <= 0 {
		return nil
	}
	return j.Find(FindQuery{Limit: n})
}

func (q *FindQuery) fits(e *Explanation, client end) bool {
	return (q.ConnectionID == "" || q.ConnectionID == e.ConnectionID) &&
		(q.Outcome == "" || q.Outcome == e.Outcome) &&
		(q.Service == "" || serviceFits(q.Service, e.Query.Service)) &&
		(q.Client == "" || client.fits(e.Client))
}

// end is one end of a connection as a person names it.
type end struct {
	text string
	addr netip.Addr // invalid where text is no address
	port uint16     // 0 for any
}

func parseEnd(text string) end {
	text = strings.TrimSpace(text)
	if both, err := netip.ParseAddrPort(text); err == nil {
		return end{text, both.Addr().Unmap().WithZone(""), both.Port()}
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return end{text: text}
	}
	return end{text: text, addr: addr.Unmap().WithZone("")}
}

func (wanted end) fits(client string) bool {
	if wanted.text == client {
		return true
	}
	is := parseEnd(client)
	return wanted.addr.IsValid() && wanted.addr == is.addr && (wanted.port == 0 || wanted.port == is.port)
}
