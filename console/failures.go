package console

import (
	"net/netip"
	"time"
)

// failures counts wrong credentials by where they come from, and makes whoever goes on wait longer and longer.
type failures struct {
	byHost map[netip.Addr]*failing
}

type failing struct {
	count int
	last  time.Time
	next  time.Time // before which no password is tried
}

// What wrong credentials cost.
const (
	freeFailures   = 5 // people mistype
	longestPenalty = time.Minute
	failuresFor    = 15 * time.Minute // after the last one, all is forgotten
	maxFailing     = 10_000
)

// source is what counts as one place: an address, of IPv6 the network that one customer has.
func source(host netip.Addr) netip.Addr {
	host = host.Unmap().WithZone("")
	if host.Is6() {
		if network, err := host.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return host
}

// wait is how long a host has to wait before it may try again.
func (f *failures) wait(host netip.Addr, now time.Time) time.Duration {
	one := f.byHost[source(host)]
	if one == nil || now.Sub(one.last) > failuresFor {
		return 0
	}
	return max(0, one.next.Sub(now))
}

// add counts a failure. tell is for the first ones, and then for one in ever more, so that the log is not flooded.
func (f *failures) add(host netip.Addr, now time.Time) (count int, wait time.Duration, tell bool) {
	if f.byHost == nil {
		f.byHost = map[netip.Addr]*failing{}
	}
	from := source(host)
	one := f.byHost[from]
	if one == nil || now.Sub(one.last) > failuresFor {
		f.makeRoom(now)
		one = &failing{}
		f.byHost[from] = one
	}
	one.count++
	one.last = now
	if extra := one.count - freeFailures; extra >= 0 {
		wait = min(longestPenalty, time.Second<<min(extra, 6))
		one.next = now.Add(wait)
	}
	return one.count, wait, one.count <= freeFailures || one.count&(one.count-1) == 0
}

// makeRoom forgets what is old, and if that is not enough, half of the rest, whichever: it is not to be work each time.
func (f *failures) makeRoom(now time.Time) {
	if len(f.byHost) < maxFailing {
		return
	}
	for host, one := range f.byHost {
		if now.Sub(one.last) > failuresFor {
			delete(f.byHost, host)
		}
	}
	for host := range f.byHost {
		if len(f.byHost) <= maxFailing/2 {
			break
		}
		delete(f.byHost, host)
	}
}

func (f *failures) forget(host netip.Addr) { delete(f.byHost, source(host)) }
