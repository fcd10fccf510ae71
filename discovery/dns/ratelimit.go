package dns

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// rates bounds the answers that go to each network over UDP, whose sender addresses anyone can forge: a /24, of IPv6 a /56. It costs
// the same memory whatever comes. Two networks may fall on one bucket, which then is shared.
type rates struct {
	perSecond int
	exempt    []netip.Prefix
	seed      maphash.Seed
	buckets   [bucketCount]bucket
}

const bucketCount = 1 << 14

type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
	over   uint32 // answers withheld since there was a token
}

// verdict is what becomes of an answer.
type verdict uint8

const (
	send  verdict = iota
	slip          // an empty one that says to come again over TCP, as a forger cannot
	drops         // none
)

func newRates(perSecond int, exempt []netip.Prefix) *rates {
	return &rates{perSecond: perSecond, exempt: exempt, seed: maphash.MakeSeed()}
}

// judge tells what becomes of one more answer to addr.
func (r *rates) judge(addr netip.Addr, now time.Time) verdict {
	addr = addr.Unmap().WithZone("")
	for _, p := range r.exempt {
		if p.Contains(addr) {
			return send
		}
	}
	b := &r.buckets[maphash.Comparable(r.seed, networkOf(addr))%bucketCount]
	b.mu.Lock()
	defer b.mu.Unlock()
	rate := float64(r.perSecond)
	if b.at.IsZero() {
		b.tokens = rate
	} else {
		b.tokens = min(rate, b.tokens+now.Sub(b.at).Seconds()*rate)
	}
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		b.over = 0
		return send
	}
	b.over++
	if b.over%2 == 0 {
		return slip
	}
	return drops
}

// networkOf is whom an address is taken for: a /24, of IPv6 a /56.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 24
	if addr.Is6() {
		bits = 56
	}
	network, _ := addr.Prefix(bits) // of no address none
	return network
}
