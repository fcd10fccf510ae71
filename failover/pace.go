package failover

import (
	"sync"
	"time"

	"servicebroker/servicetable"
)

// Bounds on the learnt delay after which a silent candidate gets company, and its value for a handler not yet known.
const (
	minHedge = 100 * time.Millisecond
	maxHedge = 500 * time.Millisecond
)

// paces remembers how quickly handlers accept, and when they last answered.
type paces struct {
	mu    sync.Mutex
	known map[handlerKey]pace
}

// pace is what is remembered of one handler: a smoothed time to accept and its mean deviation, as TCP keeps them for
// its retransmissions.
type pace struct {
	mean, deviation time.Duration
	samples         int
	answeredAt      time.Time
}

// pacesLimit bounds the memory; each takes some 150 bytes.
const pacesLimit = 8192

// hedge returns how long c may be silent.
func (p *paces) hedge(c *servicetable.Candidate) time.Duration {
	p.mu.Lock()
	known := p.known[keyOf(c)]
	p.mu.Unlock()
	if known.samples == 0 {
		return maxHedge
	}
	return min(max(known.mean+4*known.deviation, minHedge), maxHedge)
}

// learn takes in that c took so long, or at least so long, to accept.
func (p *paces) learn(c *servicetable.Candidate, took time.Duration) {
	p.change(c, func(k *pace) {
		if k.samples++; k.samples == 1 {
			k.mean, k.deviation = took, took/2
			return
		}
		off := took - k.mean
		k.mean += off / 8
		k.deviation += (max(off, -off) - k.deviation) / 4
	})
}

// answered takes in that c answered just now.
func (p *paces) answered(c *servicetable.Candidate) {
	p.change(c, func(k *pace) { k.answeredAt = time.Now() })
}

// answeredSince reports whether c answered anybody after t.
func (p *paces) answeredSince(c *servicetable.Candidate, t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[keyOf(c)].answeredAt.After(t)
}

func (p *paces) change(c *servicetable.Candidate, f func(*pace)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := keyOf(c)
	k, known := p.known[key]
	if p.known == nil {
		p.known = map[handlerKey]pace{}
	}
	if !known {
		for other := range p.known { // any one: what is lost is learnt again
			if len(p.known) < pacesLimit {
				break
			}
			delete(p.known, other)
		}
	}
	f(&k)
	p.known[key] = k
}

// budget bounds how many candidates lose the leave to open a session because they were silent: each success earns a
// tenth of one such loss, and at most ten are saved up. Where everybody is slow, sessions begun in vain and begun anew
// elsewhere would only make it worse.
type budget struct {
	mu    sync.Mutex
	spent float64
}

const (
	budgetSize   = 10
	budgetEarned = 0.1
)

func (b *budget) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent <= budgetSize-1+1e-9
}

func (b *budget) pay() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent > budgetSize-1+1e-9 {
		return false
	}
	b.spent++
	return true
}

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent-budgetEarned, 0)
}

// hedge returns how long c may be silent before the next candidate is tried beside it; 0 is for ever.
func (d *Dialer) hedge(c *servicetable.Candidate) time.Duration {
	switch {
	case d.Hedge < 0:
		return 0
	case d.Hedge > 0:
		return d.Hedge
	}
	return d.paces.hedge(c)
}

// evident reports whether silent is dead rather than slow: it has answered nobody since its attempt began, and next has.
func (d *Dialer) evident(silent *entrant, next *servicetable.Candidate) bool {
	return d.paces.answeredSince(next, silent.begun) && !d.paces.answeredSince(&silent.candidate, silent.begun)
}

// worthHedging reports whether the budget allows that next takes the place of silent: it costs nothing where it is
// evident that silent is dead.
func (d *Dialer) worthHedging(silent *entrant, next *servicetable.Candidate) bool {
	return d.budget.left() || d.evident(silent, next)
}

// succeeded, answered, failed and hedged remember what came of an attempt.
func (d *Dialer) succeeded(e *entrant, took time.Duration) {
	d.budget.earn()
	d.paces.learn(&e.candidate, took)
	d.answered(e)
}

func (d *Dialer) answered(e *entrant) {
	d.paces.answered(&e.candidate)
	d.failures.clear(&e.candidate)
}

func (d *Dialer) failed(e *entrant) {
	d.failures.add(&e.candidate, d.backoff(), d.maxBackoff())
}

// hedged also makes the next clients pass over who was silent: else each of them would wait for it as long again.
func (d *Dialer) hedged(e *entrant, took time.Duration) {
	d.paces.learn(&e.candidate, took)
	d.failed(e)
}
