package relay

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// loopGuard remembers, for a short while, the connects that were redirected, so
// that one that comes back is recognised though its driver does not say so
// (tns.md 4.2). Two things identify a connect: its CONNECTION_ID, or, for
// drivers that send none, the INSTANCE_NAME that we put in together with
// address and service. Address and service alone never do: many clients share
// an address.
type loopGuard struct {
	mu       sync.Mutex
	recent   map[string]string // where to, of those redirected within the current period
	previous map[string]string // and within the one before
	turned   time.Time
}

// A redirected client returns at once if at all. Keys live one to two periods;
// a full generation is turned early, which forgets the oldest first.
const (
	loopPeriod  = 30 * time.Second
	loopMaximum = 50_000
)

// sent notes a redirect to a handler.
func (g *loopGuard) sent(keys []string, handlerKey string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(time.Now())
	for _, k := range keys {
		g.recent[k] = handlerKey
	}
}

// returned reports whether one of the keys was redirected lately, and where to.
func (g *loopGuard) returned(keys []string) (handlerKey string, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(time.Now())
	for _, k := range keys {
		for _, period := range []map[string]string{g.recent, g.previous} {
			if to, ok := period[k]; ok {
				return to, true
			}
		}
	}
	return "", false
}

func (g *loopGuard) turn(now time.Time) {
	switch age := now.Sub(g.turned); {
	case g.recent == nil || age >= 2*loopPeriod:
		g.previous, g.recent, g.turned = nil, map[string]string{}, now
	case age >= loopPeriod || len(g.recent) >= loopMaximum:
		g.previous, g.recent, g.turned = g.recent, map[string]string{}, now
	}
}

// sentKeys are the keys by which a connect redirected to c is known if it
// comes back.
func sentKeys(d *dialogue, c servicetable.Candidate) []string {
	if id := connectionID(d); id != "" {
		return []string{id}
	}
	if d.query.Service != "" && d.query.Instance == "" {
		return []string{instanceKey(d, c.Service.Name, c.Registration.Instance)}
	}
	return nil
}

// loopKeys are the keys under which an arriving connect may have been noted.
func loopKeys(d *dialogue) []string {
	if id := connectionID(d); id != "" {
		return []string{id}
	}
	if d.query.Service != "" && d.query.Instance != "" {
		return []string{instanceKey(d, d.query.Service, d.query.Instance)}
	}
	return nil
}

func instanceKey(d *dialogue, service, instance string) string {
	return digest(strings.ToLower("instance\x00" + d.client.Addr().String() + "\x00" + service + "\x00" + instance))
}

func connectionID(d *dialogue) string {
	id := descriptor.ConnectData(d.asked).Text("CONNECTION_ID")
	if id == "" {
		return ""
	}
	return digest("id\x00" + id)
}

// digest gives every key the same small size, whatever a client sends.
func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return string(sum[:16])
}
