package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"servicebroker/console"
	"servicebroker/limits"
	"servicebroker/resources"
)

// overload knows what the process may have of descriptors and memory, and sees to it that
// clients give way before databases, and databases before operators.
type overload struct {
	descriptors descriptorRoom
	memory      memoryRoom
	shortages   shortages
	http        [httpAddresses]httpCrowd
	full        atomic.Bool // there is room for no more clients
}

// Bounds of what is kept free of clients.
const (
	leastReserve = 48   // descriptors
	mostReserve  = 1024 // descriptors
	perClient    = 2    // descriptors: its own, and one to its instance
	ownFiles     = 16   // descriptors that are opened later: logs, state, what is watched
	lookEvery    = 250 * time.Millisecond

	lookCloselyEvery = 20 * time.Millisecond // at what is soon used up
	lookAhead        = 10_000                // connections that may come between two looks
)

// descriptorRoom divides the descriptors that there are. The system gives out the lowest
// number that is free, so a connection's number says how many are taken.
type descriptorRoom struct {
	total   int // there may be; 0: not known, and nothing is divided
	reserve int // of these are kept for databases, operators and files
	clients int // connections of clients for which there are descriptors otherwise

	near atomic.Bool // so many are taken that each connection has to be looked at
}

// divide makes the room of so many descriptors, of which some are taken for good.
func (r *descriptorRoom) divide(total, taken int) {
	r.total = total
	r.reserve = min(max(leastReserve, total/10), mostReserve, total/3)
	r.clients = max(1, (total-r.reserve-taken)/perClient)
}

// forClients is the number from which on a descriptor is not for clients.
func (r *descriptorRoom) forClients() int { return r.total - r.reserve }

// forDatabases is that for databases: what is above is for operators and files.
func (r *descriptorRoom) forDatabases() int { return r.total - r.reserve/4 }

// look finds out whether connections have to be looked at one by one.
func (r *descriptorRoom) look(lowestFree int) { r.near.Store(lowestFree >= r.forClients()-lookAhead) }

// allows tells whether a connection with that descriptor may be a client's, and whether it may
// be anybody's.
func (r *descriptorRoom) allows(number int) (client, anybody bool) {
	if r.total == 0 {
		return true, true
	}
	return number < r.forClients(), number < r.forDatabases()
}

// slots are how many may be refused with an answer at a time, all and of one client address.
func (r *descriptorRoom) slots() (most, each int) {
	if r.total == 0 || r.reserve >= mostReserve {
		return refusalSlots, refusalSlotsEach
	}
	most = max(4, min(refusalSlots, r.reserve/4))
	return most, max(2, most*refusalSlotsEach/refusalSlots)
}

// prepareOverload finds out what there is.
func (b *Broker) prepareOverload() {
	o := &b.overload
	o.shortages.log = b.log
	o.memory.limit.Store(resources.MemoryLimit())
	o.memory.container, o.memory.working = resources.FindContainer("/"), newTurnsToRead()
	total, err := resources.Descriptors()
	if err != nil {
		b.log.Error("descriptors are not divided", "cause", err.Error())
	} else {
		taken, _ := resources.OpenDescriptors()
		o.descriptors.divide(total, taken+ownFiles)
	}
	for i := range o.http {
		o.http[i].most = o.descriptors.mostHTTP()
	}
	b.lookAtDescriptors()
}

// lookAtDescriptors finds out how near the end of the descriptors is, and whether it is there
// for clients.
func (b *Broker) lookAtDescriptors() (none bool) {
	r := &b.overload.descriptors
	if r.total == 0 {
		return false
	}
	lowest, err := resources.LowestFree()
	if err != nil {
		lowest = r.total
	}
	r.look(lowest)
	return lowest >= r.forClients() || b.limiting.connections.Counts().Now >= r.clients
}

// watchOverload looks again and again at what there is left.
func (b *Broker) watchOverload(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	closely := time.NewTicker(lookCloselyEvery)
	if b.overload.memory.limit.Load() == 0 {
		closely.Stop()
	}
	defer closely.Stop()
	for {
		select {
		case <-closely.C:
			b.overload.memory.lookClosely()
		case now := <-tick.C:
			b.databases.learn(b.table.Snapshot(), now)
			none := b.lookAtDescriptors()
			b.overload.full.Store(b.lookAtMemory() || none)
			b.overload.shortages.end(now)
		case <-ctx.Done():
			return
		}
	}
}

func (b *Broker) descriptorCause() string {
	r := &b.overload.descriptors
	return fmt.Sprintf("this process may have %d descriptors (RLIMIT_NOFILE), and %d of them are kept for databases and administration, which leaves room for %d connections of clients at %d each: raise LimitNOFILE of the unit, or ulimit -n, and restart",
		r.total, r.reserve, r.clients, perClient)
}

// shortOfDescriptors is the refusal of a client for which none is left.
func (b *Broker) shortOfDescriptors() error {
	b.overload.shortages.note(shortageOf{"serve", "descriptors"}, b.descriptorCause)
	return &limits.ExceededError{Limit: "descriptors", Err: limits.ErrFull, Why: b.descriptorCause()}
}

// roomFor tells whether there is room for a client with that connection, why not, and whether
// there is for anybody.
func (b *Broker) roomFor(raw net.Conn) (why error, anybody bool) {
	o := &b.overload
	anybody = true
	if o.descriptors.near.Load() {
		var client bool
		if client, anybody = o.descriptors.allows(resources.Number(raw)); !client {
			return b.shortOfDescriptors(), anybody
		}
	}
	if o.memory.short.Load() {
		return b.shortOfMemory(), anybody
	}
	return nil, anybody
}

// lacking notes an error by which the system says that it has none left of something, and
// reports whether it is one.
func (b *Broker) lacking(operation string, err error) bool {
	if err == nil {
		return false
	}
	resource := resources.Shortage(err)
	if resource == "" {
		return false
	}
	b.overload.shortages.note(shortageOf{operation, resource}, func() string { return err.Error() + ": " + shortageRemedy(err) })
	return true
}

// shortageRemedy says what to do where the system has nothing left.
func shortageRemedy(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "raise LimitNOFILE of the unit, or ulimit -n, and restart"
	case errors.Is(err, syscall.ENFILE):
		return "raise fs.file-max of the system (sysctl), and see which program has so many files open"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "all ports from which this host may connect there are taken: widen net.ipv4.ip_local_port_range (sysctl), let clients keep their sessions, or give the instance another address or port besides"
	}
	return "give this host more memory, or see what takes it"
}

// overloadNotes says what there is too little of.
func (b *Broker) overloadNotes() (notes []string) {
	for _, one := range b.overload.shortages.all() {
		notes = append(notes, fmt.Sprintf("short of %s since %s (%s, %s): %s",
			one.resource, one.since.UTC().Format("15:04:05Z"), one.operation, console.Plural(int(one.times), "time"), one.cause))
	}
	for _, one := range b.overload.descriptors.lacks(b.settings().config) {
		notes = append(notes, one.text)
	}
	return notes
}

// notes is what people should know of a broker that may be ready nevertheless.
func (b *Broker) notes() []string { return append(b.overloadNotes(), b.warmNotes()...) }
