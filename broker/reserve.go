package broker

import (
	"net/netip"
	"sync/atomic"
	"time"

	"servicebroker/limits"
	"servicebroker/servicetable"
)

// Bounds of what is kept for databases that are registered, or were lately: whatever comes from their addresses besides,
// they can register anew.
const (
	rememberedFor  = 10 * time.Minute // after the last registration from an address
	mostRemembered = 4096             // addresses without a registration
	mostInReserve  = 128              // connections at a time, of which …
	leastInReserve = 4                // … so many where descriptors are few
)

// databaseAddresses are those from which databases are registered, or were lately.
type databaseAddresses struct {
	all     atomic.Pointer[map[netip.Prefix]time.Time] // and until when they are remembered; zero: one is registered
	version uint64                                     // of the snapshot that was looked at, plus 1
	expires time.Time                                  // the first of those that are gone; belongs to learn, as version
}

// known tells whether a database may come from an address.
func (d *databaseAddresses) known(a netip.Addr) bool {
	all := d.all.Load()
	if all == nil {
		return false
	}
	_, known := (*all)[limits.SourceOf(a)]
	return known
}

// learn looks at who is registered now.
func (d *databaseAddresses) learn(s *servicetable.Snapshot, now time.Time) {
	if d.version == s.Version()+1 && (d.expires.IsZero() || now.Before(d.expires)) {
		return
	}
	d.version, d.expires = s.Version()+1, time.Time{}
	next := map[netip.Prefix]time.Time{}
	s.Peers(func(peer netip.Addr) { next[limits.SourceOf(peer)] = time.Time{} })
	if before := d.all.Load(); before != nil {
		gone := 0
		for source, until := range *before {
			if _, here := next[source]; here {
				continue
			}
			if until.IsZero() {
				until = now.Add(rememberedFor)
			}
			if gone == mostRemembered || !until.After(now) {
				continue
			}
			next[source] = until
			if gone++; d.expires.IsZero() || until.Before(d.expires) {
				d.expires = until
			}
		}
	}
	d.all.Store(&next)
}

// reserved takes in a connection that is to be refused as a client, if it may be a database's that was here before: for as
// long as it takes it to say so. Of those the oldest that says nothing makes room for the next.
func (b *Broker) reserved(a *arrival) bool {
	l := &b.limiting
	if !b.databases.known(a.client.Addr()) {
		return false
	}
	if now, _ := l.reserve.Counts(); now >= b.overload.descriptors.inReserve() && !l.reserve.EvictFrom(1, crowdAtLeast) {
		return false
	}
	a.inReserve = l.reserve.Enter(a.client.Addr(), func() { _ = a.raw.Close() })
	return true
}

// inReserve is how many connections there may be at a time of those that may be a known database's.
func (r *descriptorRoom) inReserve() int {
	if r.total == 0 {
		return mostInReserve
	}
	return max(leastInReserve, min(mostInReserve, r.reserve/4))
}

// fullFor tells why there is no room for a database at an address, "" if there is, and what to do about it.
func (b *Broker) fullFor(peer netip.Addr) (why, remedy string) {
	return b.noRoomForDatabase(b.databases.known(peer)), "raise MEMORY_LIMIT or the container's memory"
}
