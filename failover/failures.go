package failover

import (
	"sync"
	"time"

	"servicebroker/servicetable"
)

// failures remembers which handlers failed to connect lately.
type failures struct {
	mu     sync.Mutex
	recent map[handlerKey]*failure
}

// handlerKey names a handler of an instance.
type handlerKey struct {
	instance, host, name, address string
}

// failure is what is remembered of one handler.
type failure struct {
	registration servicetable.ID // the registration that failed: a later one starts afresh
	registeredAt time.Time
	count        int       // failures in a row
	failedAt     time.Time // the latest
	until        time.Time // tried last until then
}

// old reports whether a failure says nothing of the next one any more, since most is the longest time to be held against a handler.
func (f *failure) old(now time.Time, most time.Duration) bool { return now.Sub(f.failedAt) > 2*most }

// failuresLimit bounds the memory; each failure takes some 200 bytes.
const failuresLimit = 4096

func keyOf(c *servicetable.Candidate) handlerKey {
	r, h := c.Registration, c.Handler
	if r == nil || h == nil {
		return handlerKey{}
	}
	return handlerKey{instance: r.Instance, host: r.Host, name: h.Name, address: h.Address}
}

// of returns what is remembered of c, nil for nothing.
func (f *failures) of(c *servicetable.Candidate) *failure {
	known := f.recent[keyOf(c)]
	if known == nil || c.Registration == nil {
		return known
	}
	if known.registration != c.Registration.ID || !known.registeredAt.Equal(c.Registration.RegisteredAt) {
		delete(f.recent, keyOf(c))
		return nil
	}
	return known
}

// defers reports whether c is to be tried after the others. When its time is over, one caller gets to try it, and for
// as long as that attempt may take the others still pass it over: a host that is still down delays one connect, not all.
func (f *failures) defers(c *servicetable.Candidate, attempt time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.of(c)
	if known == nil {
		return false
	}
	now := time.Now()
	if now.Before(known.until) {
		return true
	}
	known.until = now.Add(attempt)
	return false
}

// add remembers a failure of c: for backoff, doubled with each one in a row, up to most.
func (f *failures) add(c *servicetable.Candidate, backoff, most time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	known := f.of(c)
	if known == nil || known.old(now, most) {
		known = f.remember(c, now, most)
	}
	wait := backoff
	for range known.count {
		if wait >= most {
			break
		}
		wait *= 2
	}
	known.count++
	known.failedAt = now
	known.until = now.Add(min(wait, most))
}

// remember makes room for a failure of c and enters it.
func (f *failures) remember(c *servicetable.Candidate, now time.Time, most time.Duration) *failure {
	if f.recent == nil {
		f.recent = map[handlerKey]*failure{}
	}
	if len(f.recent) >= failuresLimit {
		for key, old := range f.recent {
			if old.old(now, most) {
				delete(f.recent, key)
			}
		}
	}
	for key := range f.recent {
		if len(f.recent) < failuresLimit {
			break
		}
		delete(f.recent, key)
	}
	known := &failure{}
	if r := c.Registration; r != nil {
		known.registration, known.registeredAt = r.ID, r.RegisteredAt
	}
	f.recent[keyOf(c)] = known
	return known
}

// clear forgets the failures of c, which answered.
func (f *failures) clear(c *servicetable.Candidate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.recent, keyOf(c))
}
