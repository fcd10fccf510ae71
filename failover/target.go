package failover

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"servicebroker/servicetable"
)

// target is what is probed: an address that handlers share, or one stale instance.
type target struct {
	key       string
	candidate servicetable.Candidate     // whom a probe asks
	hands     []*hand                    // the handlers there; none if it was only asked for
	stale     *servicetable.Registration // the instance to be probed in depth; nil for an address
	since     time.Time                  // when it became stale, or was last asked for
	sweep     uint64                     // the reading of the table that it was last seen in

	seq      uint64 // counts what was learnt of it
	aliveAt  time.Time
	down     bool // the latest it is known to have done is not to answer
	downAt   time.Time
	cause    string
	failedAt time.Time // of the latest probe that failed
	err      error     // of that
	failures int       // probes in vain since it last answered
	why      string    // for what it is suspected

	begun   time.Time // of the latest probe
	running bool
	due     time.Time
	place   int           // in the queue, from 1; 0: not queued
	done    chan struct{} // closed when the next probe has returned; nil if nobody waits
}

func (t *target) queued() bool { return t.place > 0 }

func (t *target) awaited() bool { return t.done != nil }

func (t *target) finished() {
	if t.done != nil {
		close(t.done)
		t.done = nil
	}
}

// freshly reports whether t answered within the time given, and nothing else was learnt since.
func (t *target) freshly(now time.Time, within time.Duration) bool {
	return !t.down && !t.aliveAt.IsZero() && now.Sub(t.aliveAt) <= within
}

// hand is one handler as marks name it. Two registrations that use the same name share it.
type hand struct {
	key          string // as the table writes it
	registration *servicetable.Registration
	name         string
	services     []string // folded, sorted
	several      bool     // registrations use that name
	targets      []*target
	sweep        uint64

	failing   bool // none of its targets answered when last heard of
	failingAt time.Time
	cause     string
	ejected   bool
	ejectedAt time.Time
	spared    bool // told so
}

// answeredAgain reports whether some target of h answered since it failed.
func (h *hand) answeredAgain() bool {
	return slices.ContainsFunc(h.targets, func(t *target) bool { return !t.down && !t.aliveAt.Before(h.failingAt) && !t.aliveAt.IsZero() })
}

func (h *hand) allDown() bool {
	return len(h.targets) > 0 && !slices.ContainsFunc(h.targets, func(t *target) bool { return !t.down })
}

func (h *hand) everAlive() bool {
	return slices.ContainsFunc(h.targets, func(t *target) bool { return !t.aliveAt.IsZero() })
}

// addressOf names where h listens; "" for nowhere.
func addressOf(h *servicetable.Handler) string {
	var room [keyRoom]byte
	return string(appendAddress(room[:0], h))
}

// keyRoom is enough for most names of targets, so that they can be looked up without an allocation.
const keyRoom = 128

// appendAddress appends what addressOf returns.
func appendAddress(b []byte, h *servicetable.Handler) []byte {
	if h == nil || h.Port == 0 {
		return b
	}
	from, bracketed := len(b), strings.IndexByte(h.Host, ':') >= 0
	b = append(append(b, h.Protocol...), '/')
	if bracketed {
		b = append(b, '[')
	}
	b = append(b, h.Host...)
	if bracketed {
		b = append(b, ']')
	}
	b = strconv.AppendInt(append(b, ':'), int64(h.Port), 10)
	for i, c := range b[from:] {
		switch {
		case c >= utf8.RuneSelf:
			return append(b[:from], strings.ToLower(string(b[from:]))...)
		case 'A' <= c && c <= 'Z':
			b[from+i] = c + 'a' - 'A'
		}
	}
	return b
}
