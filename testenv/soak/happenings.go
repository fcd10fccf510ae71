package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"servicebroker/testenv/stage"
)

// how is what a disturbance may do to clients, though a broker keeps all that it promises.
type how int

const (
	harmless      how = iota
	brokerDied        // CONNECTs unanswered then, and sessions that it carried, are lost
	successorDied     // whoever came to it is lost
	generationEnd     // sessions over TLS end with it
	instanceDied      // its sessions are lost; who is redirected to it before that can be known finds nobody
	instanceDeaf      // who is redirected to it before that can be known finds nobody
	fewFiles          // a broker has no descriptors left
)

// happening is a disturbance as it took place.
type happening struct {
	text   string
	how    how
	broker *site  // whom it struck; nil: none
	on     *donor // the instance that it struck; nil: none

	began, done time.Time
	healed      time.Time // zero: not yet
}

// chronicle is what happened.
type chronicle struct {
	mu  sync.Mutex
	all []*happening
}

// begin notes that something is about to happen.
func (c *chronicle) begin(h *happening) *happening {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.began = time.Now()
	c.all = append(c.all, h)
	return h
}

// struck notes that it has happened, and heal that it is over.
func (c *chronicle) struck(h *happening) { c.note(&h.done) }
func (c *chronicle) heal(h *happening)   { c.note(&h.healed) }

func (c *chronicle) note(at *time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*at = time.Now()
}

// during returns what was going on between two times.
func (c *chronicle) during(from, to time.Time) (some []happening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.all {
		if h.began.Before(to) && (h.healed.IsZero() || h.healed.After(from)) {
			some = append(some, *h)
		}
	}
	return some
}

// forget drops what was over by a time.
func (c *chronicle) forget(by time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.all[:0]
	for _, h := range c.all {
		if h.healed.IsZero() || h.healed.After(by) {
			kept = append(kept, h)
		}
	}
	c.all = kept
}

func (h *happening) String() string {
	over := "goes on"
	if !h.healed.IsZero() {
		over = "over " + h.healed.Format(precise)
	}
	return fmt.Sprintf("%s (%s, done %s, %s)", h.text, h.began.Format(precise), h.done.Format(precise), over)
}

// onItsWay is how long what was sent before a fault may take to be seen.
const onItsWay = 200 * time.Millisecond

// excuses tells why a connect may have failed by what happened and what was seen of it at the broker; "" if it may not.
func (h *happening) excuses(t *trial, s sighting) string {
	done := h.done
	if done.IsZero() {
		done = time.Now()
	}
	alive := s.Began.Before(done) && (s.Ended.IsZero() || s.Ended.After(h.began))
	switch h.how {
	case brokerDied:
		if h.broker == s.site && alive {
			return "lost in flight"
		}
	case successorDied:
		if h.broker == s.site && alive && s.Began.After(h.began) {
			return "lost in flight"
		}
	}
	switch h.how {
	case generationEnd, successorDied: // which may come to serve, too
		if h.broker == s.site && t.secure && s.Began.Before(done) && (s.Ended.IsZero() || s.Ended.After(done)) {
			return "lost in flight"
		}
	case fewFiles:
		if h.broker == s.site && (s.Answer == stage.Refused || s.Answer == stage.NoAnswer) {
			return "no descriptors"
		}
	case instanceDied, instanceDeaf:
		return h.excusesAt(done, t, s)
	}
	return ""
}

// excusesAt is excuses of what befalls an instance.
func (h *happening) excusesAt(done time.Time, t *trial, s sighting) string {
	switch {
	case s.Answer == stage.Redirected && !strings.Contains(s.Text, h.on.port()):
	case s.Answer == stage.Redirected && s.Answered.Before(h.began):
		return "lost in flight"
	case s.Answer == stage.Redirected && s.Answered.Before(done.Add(detection)):
		return "in window"
	case h.how == instanceDied && (s.Answer == stage.Accepted || t.secure) && s.Began.Before(done.Add(onItsWay)) &&
		(s.Answered.IsZero() || s.Answered.Before(done.Add(onItsWay))):
		return "lost in flight"
	}
	return ""
}

// detection is within which a broker has to notice an instance to which it sends clients: a probe interval, of which a
// machine that has a lot to do needs some more.
const detection = probeInterval + probeInterval/2
