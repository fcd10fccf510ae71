package broker

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"servicebroker/limits"
	"servicebroker/resources"
)

// Parts of the memory that there may be, at which clients are kept out and let in again, and
// from where on not even databases are let in that were not here before.
const (
	memoryShort     = 85 // per cent
	memoryEnough    = 75
	memoryExhausted = 93
	memoryUsable    = 88
	memoryFull      = 90 // of its limit, from where on the runtime keeps to it
	memoryBeyond    = 4  // more than its limit, that the runtime may have for a moment
)

// memoryRoom compares what cannot be done without with what there may be.
type memoryRoom struct {
	limit     atomic.Uint64 // for the runtime; 0: none
	container resources.Container

	use func() memoryUse // nil: as it is

	short, exhausted atomic.Bool
	beyond           atomic.Bool // the runtime does not get along with its limit for the moment
	working          turnsToRead
}

// memoryUse is what look judges by, bytes.
type memoryUse struct {
	needed    uint64 // by the runtime, which cannot do without
	has       uint64 // the runtime, with garbage and what is free between
	container uint64 // all in the container have
	headroom  uint64 // per cent of what is in use, that garbage may take
}

// used is how it is now.
func (r *memoryRoom) used() memoryUse {
	if r.use != nil {
		return r.use()
	}
	return memoryUse{resources.MemoryInUse(), resources.RuntimeMemory(), r.container.InUse(), resources.Headroom()}
}

// look judges by how much is in use. What was short stays so until there is clearly
// enough.
func (r *memoryRoom) look(use memoryUse) (changed bool) {
	limit := r.limit.Load()
	most := max(percentOf(use.needed, limit), percentOf(use.container, r.container.Limit)*memoryShort/(memoryShort+10)) // the container's limit is further off
	if percentOf(use.has, limit) >= memoryFull {                                                                        // what the runtime cannot do without may be in many small pieces: then the collector knows better
		most = max(most, pressed(use.headroom))
	}
	changed = passes(&r.short, most, memoryShort, memoryEnough)
	return passes(&r.exhausted, most, memoryExhausted, memoryUsable) || changed
}

func percentOf(used, limit uint64) uint64 {
	if limit == 0 {
		return 0
	}
	return used / max(1, limit/100)
}

// pressed is how much of the memory counts as in use where the limit leaves the collector no more headroom than that.
func pressed(headroom uint64) uint64 {
	switch {
	case headroom < 12:
		return memoryExhausted
	case headroom < 20:
		return memoryUsable
	case headroom < 25:
		return memoryShort
	case headroom < 40:
		return memoryEnough
	}
	return 0
}

// lookClosely finds out whether the runtime has more than its limit: garbage is made faster than it is collected. Then nobody
// is let in, and no database is listened to, for as long as that lasts.
func (r *memoryRoom) lookClosely() {
	var has uint64
	if r.use == nil {
		has = resources.RuntimeMemory()
	} else {
		has = r.use().has
	}
	limit := r.limit.Load()
	r.beyond.Store(limit > 0 && has > limit+limit/100*memoryBeyond)
}

// passes sets what is so from one part on, until it is less than another, and reports whether that changed.
func passes(so *atomic.Bool, part, from, until uint64) (changed bool) {
	switch was := so.Load(); {
	case !was && part >= from:
		so.Store(true)
	case was && part < until:
		so.Store(false)
	default:
		return false
	}
	return true
}

// lookAtMemory finds out whether there is too little memory for more clients. While there is,
// some of those that say nothing have to go.
func (b *Broker) lookAtMemory() (none bool) {
	r := &b.overload.memory
	if r.limit.Load() == 0 && r.container.Limit == 0 {
		return false
	}
	use := r.used()
	if limit := resources.FollowContainer(b.config.MemoryLimit, r.container, use.container); limit > 0 {
		r.limit.Store(limit)
	}
	r.look(use)
	if !r.short.Load() {
		return false
	}
	b.overload.shortages.note(shortageOf{"serve", "memory"}, b.memoryCause)
	endSome(func() bool { return b.limiting.silent.Evict(silentAtLeast) })
	return true
}

func (b *Broker) memoryCause() string {
	r := &b.overload.memory
	return fmt.Sprintf("more than %d %% of what there may be is in use (%s), so new clients are refused until it is less than %d %%: end sessions (broker sessions, broker close), or raise MEMORY_LIMIT or the container's memory",
		memoryShort, cmp.Or(memoryText(r.limit.Load()), memoryText(r.container.Limit)), memoryEnough)
}

// memoryText writes an amount of memory, "" for none.
func memoryText(bytes uint64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}

// shortOfMemory is the refusal of a client for which none is left.
func (b *Broker) shortOfMemory() error {
	b.overload.shortages.note(shortageOf{"serve", "memory"}, b.memoryCause)
	return &limits.ExceededError{Limit: "memory", Err: limits.ErrFull, Why: b.memoryCause()}
}

// Messages of databases are read by turns, so that clients are served beside a thousand of them that report at once. Where
// memory is short it is one by one, with pauses between: else they make garbage faster than it can be collected where
// there is hardly room for it.
const (
	pauseShort     = 5  // times what the reading before took
	pauseExhausted = 25 // the same, where there is next to nothing left
	longestPause   = 100 * time.Millisecond
	longestWait    = time.Second // for the collector
)

// turnsToRead are those of databases' messages.
type turnsToRead struct {
	few  chan struct{} // has those who work, or wait to be the one: as many as half of the processors
	one  chan struct{} // has who works where memory is short
	next time.Time     // work may begin; belongs to the one
}

func newTurnsToRead() turnsToRead {
	return turnsToRead{few: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), one: make(chan struct{}, 1)}
}

// settled waits until the runtime gets along with its limit, but not for longer than patience.
func (r *memoryRoom) settled(ctx context.Context, patience time.Duration) {
	if !r.beyond.Load() {
		return
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookCloselyEvery)
	defer tick.Stop()
	for r.beyond.Load() {
		select {
		case <-tick.C:
		case <-limited.Done():
			return
		}
	}
}

// paced waits until it is somebody's turn to work, behind whoever else is ready to run, and returns what is to be called when that
// is done. Where ctx ends it is everybody's turn.
func (r *memoryRoom) paced(ctx context.Context) (done func()) {
	few, one := r.working.few, r.working.one
	if !enters(ctx, few) {
		return func() {}
	}
	r.settled(ctx, longestWait)
	runtime.Gosched() // who waits to be served goes first
	if !r.short.Load() {
		return func() { <-few }
	}
	if !enters(ctx, one) {
		return func() { <-few }
	}
	if wait := time.Until(r.working.next); wait > 0 {
		over := time.NewTimer(wait)
		defer over.Stop()
		select {
		case <-over.C:
		case <-ctx.Done():
		}
	}
	began := time.Now()
	return func() {
		times := time.Duration(pauseShort)
		if r.exhausted.Load() {
			times = pauseExhausted
		}
		now := time.Now()
		r.working.next = now.Add(min(now.Sub(began)*times, longestPause))
		<-one
		<-few
	}
}

func enters(ctx context.Context, turns chan struct{}) bool {
	select {
	case turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// noRoomForDatabase tells why a database that was not here before cannot be taken in, "" if it can: what there is
// is for those that are.
func (b *Broker) noRoomForDatabase(known bool) string {
	if known || !b.overload.memory.exhausted.Load() {
		return ""
	}
	return fmt.Sprintf("more than %d %% of the memory that there may be is in use (%s), and it was not registered here lately", memoryExhausted, memoryText(b.overload.memory.limit.Load()))
}
