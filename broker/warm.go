package broker

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

// warm is the table that outlives the process: kept on disk behind the one in memory, and used, stale, from the start until
// databases are back.
type warm struct {
	file   *warmFile // nil: none is kept
	status func() discovery.Status
	final  atomic.Pointer[warmTable] // what is kept in the end; nil: what the table has

	mu     sync.Mutex
	loaded map[servicetable.ID]time.Time // those from disk that may be there yet, with the time when they were heard of last
	failed string                        // why nothing, or not all, was read; "" if all was
}

// How long a change waits before it is written, at most and at least: each write waits for the disk.
const (
	warmSettle  = 50 * time.Millisecond
	warmDelay   = 250 * time.Millisecond
	warmStamped = 30 * time.Second // so often the file says at least as of when it is true
	warmSlow    = 5 * time.Second  // after so long a disk counts as one that does not answer
)

// keepTable reads the table that the broker before kept, and has that of this one kept.
func (b *Broker) keepTable() {
	if b.state == nil || b.config.TableMemory == 0 {
		return
	}
	w := &b.warm
	w.file = newWarmFile(filepath.Join(b.state.path, warmName))
	var read warmRead
	var err error
	if b.process.Before == nil { // else the table comes from there, which still keeps the file
		read, err = readWarm(context.Background(), w.file.path)
	}
	if err != nil {
		w.failed = err.Error()
		b.log.Warn("the table on disk could not be read, or not all of it; databases are known once they register", "file", w.file.path, "cause", w.failed)
	}
	if read.cut > 0 {
		b.log.Info("the last write to the table on disk had not come to its end: the table is the one before it", "file", w.file.path, "bytes", read.cut)
	}
	b.takeStored(&read)
	one := &mirror{name: "disk", destination: w.file.path}
	of := &discovery.Mirror[*warmTable]{
		Name: one.name, Snapshot: b.table.Snapshot, Desire: b.desireWarm, Equal: sameWarm, Destination: w.file,
		Settle: warmSettle, MaxDelay: warmDelay, Spacing: warmDelay, Resync: warmStamped, Longest: warmStamped, Timeout: warmSlow,
		Log: b.log.With("component", "disk"), Synced: one.synced.note,
	}
	one.status = of.Status
	w.status = of.Status
	one.run = func(ctx context.Context) {
		of.Run(ctx)
		b.lastWarm()
	}
	b.mirrors.add(one)
}

// desireWarm is what is to be on disk.
func (b *Broker) desireWarm(s *servicetable.Snapshot) *warmTable {
	if last := b.warm.final.Load(); last != nil {
		return last
	}
	t := &warmTable{version: s.Version()}
	for _, r := range s.Registrations() {
		if !r.Static {
			t.entries = append(t.entries, r)
		}
	}
	b.changing.Lock() // whoever left this snapshot is remembered when its change is over
	defer b.changing.Unlock()
	b.departed.mu.Lock()
	defer b.departed.mu.Unlock()
	t.departed = slices.Clone(b.departed.all)
	return t
}

// freezeWarm makes the table as it is now the last one that is kept: what comes is the end of this broker, not of databases.
func (b *Broker) freezeWarm() {
	if b.warm.file != nil {
		b.warm.final.Store(b.desireWarm(b.table.Snapshot()))
	}
}

// lastWarm leaves the file as the next broker should find it.
func (b *Broker) lastWarm() {
	ctx, cancel := context.WithTimeout(context.Background(), warmSlow)
	defer cancel()
	f := b.warm.file
	var err error
	if last := b.warm.final.Load(); last != nil {
		err = f.Sync(ctx, last)
	}
	if err = cmp.Or(err, f.Close(ctx)); err != nil {
		b.log.Warn("the last table could not be kept on disk: the next broker begins with an older one", "file", f.path, "cause", err.Error())
	}
}

// takeStored enters what was read, as stale.
func (b *Broker) takeStored(read *warmRead) {
	now, c := time.Now(), &b.config
	b.recall(read.departed, now)
	var found []*servicetable.Registration
	heard := map[servicetable.ID]time.Time{}
	tooOld, refused := 0, 0
	slices.SortStableFunc(read.entries, func(a, b warmEntry) int { // who was heard of last goes first
		return cmp.Or(b.Heard.Compare(a.Heard), b.Registration.RegisteredAt.Compare(a.Registration.RegisteredAt))
	})
	own, admits := b.ownOf(read.entries), b.registrar.Admits(context.Background())
	for i := range read.entries {
		e := &read.entries[i]
		switch {
		case now.Sub(e.Heard) > c.TableMemory:
			tooOld++
		case e.Registration.Static, len(found) >= c.MaxRegistrations && c.MaxRegistrations > 0, !admits(&e.Registration):
			refused++
		default:
			r := b.asStored(&e.Registration, len(found)+1, own)
			found = append(found, r)
			heard[r.ID] = e.Heard
		}
	}
	b.warm.loaded, b.warm.file.heard = heard, heard
	if tooOld > 0 && tooOld == len(read.entries) {
		b.warm.failed = fmt.Sprintf("all that it has is older than TABLE_MEMORY, of %s: look at the clock", read.fact.AsOf.Format(time.RFC3339))
		b.log.Warn("no instance of the table on disk is used", "cause", b.warm.failed)
	}
	if len(read.entries) == 0 {
		return
	}
	b.enterStored(found)
	b.log.Info("instances known from the table on disk are used, below all others, until they register again or fail a probe",
		"instances", len(found), "as_of", read.fact.AsOf.Format(time.RFC3339), "too_old", tooOld, "not_allowed", refused)
}

// asStored is a registration of another process's as this one enters it. own tells this one's addresses.
func (b *Broker) asStored(of *servicetable.Registration, number int, own func(host string, port int) bool) *servicetable.Registration {
	r := clone(of)
	r.ID, r.Stale, r.Marks = servicetable.ID(fmt.Sprintf("stored-%d", number)), true, nil
	for i := range r.Services {
		r.Services[i].Marks, r.Services[i].Weight = nil, servicetable.Weight{}
	}
	r.Handlers = slices.DeleteFunc(slices.Clone(r.Handlers), func(h servicetable.Handler) bool { return h.Port != 0 && own(h.Host, h.Port) })
	return r
}

// ownOf is own for the handlers of what was read, whose names are looked up ahead and together: no client is served before. A name
// that nobody knows in time counts as that of another host.
func (b *Broker) ownOf(entries []warmEntry) func(host string, port int) bool {
	var hosts []string
	for i := range entries {
		for _, h := range entries[i].Registration.Handlers {
			b.isOwn(h.Host, h.Port, func(_ context.Context, host string) []netip.Addr { // which it asks at one of our ports alone
				hosts = append(hosts, host)
				return nil
			})
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), lookUpTime)
	defer cancel()
	means := b.hosts.meanAll(limited, hosts)
	return func(host string, port int) bool {
		return b.isOwn(host, port, func(_ context.Context, host string) []netip.Addr { return means[host] })
	}
}

// lookUpTime bounds how long names are waited for together that many registrations are judged by.
const lookUpTime = 2 * time.Second

// lookUpFor looks up what judging takes of many registrations that come at once. Somebody waits for them, so that a resolver that is
// silent does not count once for each.
func (b *Broker) lookUpFor(all []*servicetable.Registration) {
	limited, cancel := context.WithTimeout(context.Background(), lookUpTime)
	defer cancel()
	b.settings().registrants.Refresh(limited, all)
}

// enterStored enters stale registrations, judged by the rules and intents of today.
func (b *Broker) enterStored(all []*servicetable.Registration) {
	b.lookUpFor(all)
	b.changing.Lock()
	defer b.changing.Unlock()
	entered := make([]servicetable.Registration, 0, len(all))
	for _, r := range all {
		b.judge(r)
		entered = append(entered, *r)
	}
	b.table.Apply(entered...)
	for _, r := range all {
		b.known.put(r)
		came, _ := difference(nil, r)
		b.holder.Seen(came...)
		b.moves.Note(nil, served(r))
		b.balancer.Note(nil, r)
	}
}

// recall remembers what left lately, before the start.
func (b *Broker) recall(departed []warmEntry, now time.Time) {
	memory := b.settings().config.HoldMemory
	b.changing.Lock()
	defer b.changing.Unlock()
	slices.SortStableFunc(departed, func(a, b warmEntry) int { return a.Heard.Compare(b.Heard) })
	for i := range departed {
		e := &departed[i]
		if now.Sub(e.Heard) >= memory {
			continue
		}
		_, left := difference(&e.Registration, nil)
		b.holder.DepartedAt(e.Heard, b.known.unoffered(left)...) // STATIC_SERVICE may have some of it
		b.departed.mu.Lock()
		if b.departed.all = append(b.departed.all, departure{e.Heard, &e.Registration}); len(b.departed.all) > maxDepartures {
			b.departed.all = b.departed.all[1:]
		}
		b.departed.mu.Unlock()
	}
}

// storedAt tells when an instance that is known from disk alone was heard of last.
func (b *Broker) storedAt(r *servicetable.Registration) (time.Time, bool) {
	if !r.Stale {
		return time.Time{}, false
	}
	b.warm.mu.Lock()
	defer b.warm.mu.Unlock()
	at, known := b.warm.loaded[r.ID]
	return at, known
}

// whyStored words why an instance that is known from disk alone is stale; "" of all others.
func (b *Broker) whyStored(r *servicetable.Registration) string {
	at, is := b.storedAt(r)
	if !is {
		return ""
	}
	return fmt.Sprintf("known from before the start, by the table on disk; heard of last %v before", b.started.Sub(at).Round(time.Second))
}

// storedNow counts the instances that are known from disk alone, and all; static ones are neither. oldest is when the first of
// them was heard of last.
func (b *Broker) storedNow() (stored, all int, oldest time.Time) {
	for _, r := range b.table.Snapshot().Registrations() {
		if r.Static {
			continue
		}
		all++
		if at, is := b.storedAt(r); is {
			if stored++; oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
	}
	return stored, all, oldest
}

// failedNoted is for how long after the start it is said that the table could not be read. Until then all databases are back.
const failedNoted = time.Hour

// warmNotes says how much of the table is from disk, and what is wrong with what is kept there.
func (b *Broker) warmNotes() (notes []string) {
	if b.folderFails != "" {
		notes = append(notes, b.folderFails)
	}
	if b.warm.file == nil {
		return notes
	}
	if b.warm.failed != "" && time.Since(b.started) < failedNoted {
		notes = append(notes, "the table on disk could not be read at the start, or not all of it: "+b.warm.failed)
	}
	stored, all, oldest := b.storedNow()
	if stored > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d instances are known from the table on disk alone, heard of at most %v ago; they are used where nothing else is, until they register again",
			stored, all, time.Since(oldest).Round(time.Second)))
	}
	switch status := b.warm.status(); {
	case status.Error != "":
		notes = append(notes, "the table is not kept on disk: "+status.Error)
	case status.Standby && b.warm.file != nil:
		notes = append(notes, "the table is not kept on disk: another process has locked "+b.warm.file.path+", as a predecessor has until it ends")
	}
	return notes
}

// askOnce probes a stale candidate that the prober does not know yet.
func (b *Broker) askOnce(ctx context.Context, c servicetable.Candidate) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.ProbeTimeout)
	defer cancel()
	return b.probe(ctx, c, true)
}
