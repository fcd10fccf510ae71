package failover

import (
	"slices"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// Moves notices that services move from one instance to another: a pluggable database relocated, a service started
// elsewhere. It is told of every change of a registration and judges service by service.
//
// An instance takes connects for a service while that is READY there and no mark keeps connects away, a hold excepted: those who wait in
// a hold wait for wherever the service comes up. An instance leaves a service when it stops to take connects for it, and
// comes to it when it starts to. One that leaves and one that comes within Window of each other, in either order, make one move
// from the one to the other, unless
//
//   - it is the same instance: that is a restart, and neither its leaving nor its coming counts for anything else;
//   - the one that leaves came after the other did, or left with its whole instance: a cluster's members start one after the other,
//     and one of them may die soon after;
//   - others took connects for the service all the while, and the one that comes has done so before: that is a member of a cluster
//     which was away for another reason.
//
// Whoever comes while all others stay is an addition: a further member of a cluster, a standby. Every leaving and every coming counts
// for one move at most, the oldest that fits. Static registrations never are READY, and so never move.
//
// Note is called by one goroutine at a time. The zero value is ready to use.
type Moves struct {
	Window time.Duration    // between leaving and coming; 0: 60 s
	Now    func() time.Time // nil: time.Now
	Report func(Move)       // told each move, by the goroutine that calls Note; nil: nobody is

	services map[string]*whereabouts // by folded name
	vacant   []vacancy               // services that nobody offers any more, the first to be forgotten first
	order    uint64                  // counts comings and leavings
}

// Move is a service that has moved.
type Move struct {
	Service  string    // as registered where it is now
	From, To string    // keys of instances, "sales1@db1"
	Database string    // that of the new registration, else of the old one
	LeftAt   time.Time // when From stopped to take connects
	CameAt   time.Time // when To started to
	Overlap  bool      // To came first
}

// Bounds of what is remembered.
const (
	defaultMoveWindow = 60 * time.Second
	maxPending        = 64     // comings, and leavings, of one service that may still become a move
	maxMembers        = 64     // instances that are remembered to have had a service
	maxVacant         = 10_000 // services without an instance, and times that one lost its last
)

// whereabouts is where one service is, and was lately.
type whereabouts struct {
	members map[string]*membership // by folded key: those that take connects
	left    []passage              // not part of a move yet, oldest first
	came    []passage              // likewise; all of them still take connects
	seen    []string               // folded keys of those that ever took connects, latest last
	vacated uint64                 // order of the leaving that left nobody, if there is nobody
}

// membership is an instance that takes connects for a service.
type membership struct {
	ids   []servicetable.ID // by which registrations
	order uint64            // of its coming
}

// passage is an instance's coming to a service or leaving it.
type passage struct {
	key      string // folded
	instance string // key as registered
	service  string
	database string
	at       time.Time
	order    uint64 // of this passage
	since    uint64 // of a leaving: order of the coming before
	first    bool   // of a coming: it never took connects for the service before
}

// vacancy is a service that lost its last instance.
type vacancy struct {
	service string
	order   uint64 // of the last one's leaving
}

// Note tells of a registration that changed from before to after: before is nil if it is new, after if it is gone. What is
// given as before is what was given as after last.
func (m *Moves) Note(before, after *servicetable.Registration) {
	now := time.Now()
	if m.Now != nil {
		now = m.Now()
	}
	m.forget()
	was, is := takenBy(before), takenBy(after)
	same := before != nil && after != nil && before.ID == after.ID && strings.EqualFold(before.Key(), after.Key())
	for _, name := range onlyIn(is, was, same) { // who comes first: an instance that changes its ID or name has not left in between
		m.come(name, after, is[name], now)
	}
	for _, name := range onlyIn(was, is, same) {
		m.leave(name, before, was[name], now, after != nil && !after.Stale)
	}
}

// onlyIn returns the names in a that are not in b, sorted; all names in a unless the two are of the same instance.
func onlyIn(a, b map[string]*servicetable.Service, same bool) []string {
	var names []string
	for name, s := range a {
		if s != nil && (!same || b[name] == nil) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// takenBy returns the services for which r takes connects, by folded name; nil stands for one for which it does not.
func takenBy(r *servicetable.Registration) map[string]*servicetable.Service {
	if r == nil || slices.ContainsFunc(r.Marks, keepsAway) {
		return nil
	}
	taken := make(map[string]*servicetable.Service, len(r.Services))
	for i := range r.Services {
		s := &r.Services[i]
		name := strings.ToLower(s.Name)
		if _, known := taken[name]; known {
			continue // as in the table, the first of a name counts
		}
		taken[name] = nil
		if r.Status(s) == servicetable.Ready && !slices.ContainsFunc(s.Marks, keepsAway) {
			taken[name] = s
		}
	}
	return taken
}

func keepsAway(m servicetable.Mark) bool {
	return m.Kind != servicetable.Ejected && m.Kind != servicetable.Holding
}

func (m *Moves) window() time.Duration {
	if m.Window > 0 {
		return m.Window
	}
	return defaultMoveWindow
}

// passage describes r's coming to s or leaving it.
func (m *Moves) passage(r *servicetable.Registration, s *servicetable.Service, now time.Time) passage {
	m.order++
	return passage{key: strings.ToLower(r.Key()), instance: r.Key(), service: s.Name, database: r.Database, at: now, order: m.order}
}

// come notes that registration r takes connects for s.
func (m *Moves) come(name string, r *servicetable.Registration, s *servicetable.Service, now time.Time) {
	w := m.services[name]
	if w == nil {
		if m.services == nil {
			m.services = map[string]*whereabouts{}
		}
		w = &whereabouts{members: map[string]*membership{}}
		m.services[name] = w
	}
	p := m.passage(r, s, now)
	if member := w.members[p.key]; member != nil {
		if !slices.Contains(member.ids, r.ID) {
			member.ids = append(member.ids, r.ID)
		}
		return
	}
	w.expire(now, m.window())
	w.members[p.key] = &membership{ids: []servicetable.ID{r.ID}, order: p.order}
	p.first = w.remember(p.key)
	if i := slices.IndexFunc(w.left, func(l passage) bool { return l.key == p.key }); i >= 0 {
		w.left = slices.Delete(w.left, i, i+1) // a restart
		return
	}
	if i := slices.IndexFunc(w.left, func(l passage) bool { return w.isMove(&l, &p) }); i >= 0 {
		from := w.left[i]
		w.left = slices.Delete(w.left, i, i+1)
		m.moved(&from, &p, false)
		return
	}
	w.came = appendBounded(w.came, p, maxPending)
}

// leave notes that registration r takes no more connects for s; stays tells whether the instance itself is still there.
func (m *Moves) leave(name string, r *servicetable.Registration, s *servicetable.Service, now time.Time, stays bool) {
	w := m.services[name]
	p := m.passage(r, s, now)
	if w == nil || w.members[p.key] == nil {
		return
	}
	member := w.members[p.key]
	if member.ids = slices.DeleteFunc(member.ids, func(id servicetable.ID) bool { return id == r.ID }); len(member.ids) > 0 {
		return
	}
	w.expire(now, m.window())
	p.since = member.order
	delete(w.members, p.key)
	w.came = slices.DeleteFunc(w.came, func(c passage) bool { return c.key == p.key })
	if i := slices.IndexFunc(w.came, func(c passage) bool { return stays && p.since < c.order && w.isMove(&p, &c) }); i >= 0 {
		to := w.came[i]
		w.came = slices.Delete(w.came, i, i+1)
		m.moved(&p, &to, true)
	} else {
		w.left = appendBounded(w.left, p, maxPending)
	}
	if len(w.members) == 0 {
		w.vacated = p.order
		m.vacant = append(m.vacant, vacancy{name, p.order})
	}
}

func (m *Moves) moved(from, to *passage, overlap bool) {
	if m.Report == nil {
		return
	}
	move := Move{Service: to.service, From: from.instance, To: to.instance, Database: to.database, LeftAt: from.at, CameAt: to.at, Overlap: overlap}
	if move.Database == "" {
		move.Database = from.database
	}
	m.Report(move)
}

// isMove tells whether a leaving and a coming of different instances make a move: no one else was there all the while, or the
// one that came is new.
func (w *whereabouts) isMove(from, to *passage) bool {
	if to.first {
		return true
	}
	for key, member := range w.members {
		if key != to.key && member.order < min(from.order, to.order) {
			return false
		}
	}
	return true
}

// expire forgets what is too long ago to become a move.
func (w *whereabouts) expire(now time.Time, window time.Duration) {
	old := func(p passage) bool { return now.Sub(p.at) > window }
	w.left = slices.DeleteFunc(w.left, old)
	w.came = slices.DeleteFunc(w.came, old)
}

// remember notes that an instance takes connects, and tells whether it does for the first time.
func (w *whereabouts) remember(key string) (first bool) {
	before := len(w.seen)
	w.seen = slices.DeleteFunc(w.seen, func(k string) bool { return k == key })
	first = len(w.seen) == before
	w.seen = appendBounded(w.seen, key, maxMembers)
	return first
}

// appendBounded appends v, and forgets the oldest so that there are no more than limit.
func appendBounded[T any](list []T, v T, limit int) []T {
	if len(list) >= limit {
		list = slices.Delete(list, 0, len(list)-limit+1)
	}
	return append(list, v)
}

// forget forgets those services that nobody has offered for longest, if they are many.
func (m *Moves) forget() {
	if len(m.vacant) <= maxVacant {
		return
	}
	current := func(v vacancy) bool {
		w := m.services[v.service]
		return w != nil && len(w.members) == 0 && w.vacated == v.order
	}
	m.vacant = slices.DeleteFunc(m.vacant, func(v vacancy) bool { return !current(v) })
	n := max(0, len(m.vacant)-maxVacant*3/4) // some to spare, so that this is seldom
	for _, v := range m.vacant[:n] {
		delete(m.services, v.service)
	}
	m.vacant = slices.Delete(m.vacant, 0, n)
}
