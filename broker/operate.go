package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// operations is what operators want, and how far it has come.
type operations struct {
	store *intent.Store

	setting sync.Mutex // while an intent is being put in force: until then nobody acts on its deadline

	mu       sync.Mutex
	progress map[string]*progress // by intent id
}

// progress of a drain or maintenance.
type progress struct {
	atStart, ended int
	drained        bool // said so
}

// openIntents reads the intents that outlived the last broker.
func (b *Broker) openIntents() error {
	path := ""
	if b.state != nil {
		path = filepath.Join(b.state.path, "intents.json")
	}
	store, err := intent.Open(path)
	if store == nil {
		return fmt.Errorf("operators' intents: %w", err)
	}
	if err != nil { // what is damaged has been put aside, and the store is good
		b.log.Error("operators' intents", "cause", err.Error())
	}
	b.operations.store, b.operations.progress = store, map[string]*progress{}
	return nil
}

// rereadIntents takes over what a successor that is gone has left: what operators told that one holds here. The API changes nothing
// meanwhile.
func (b *Broker) rereadIntents() {
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	if err := b.operations.store.Reread(); err != nil {
		b.log.Error("operators' intents", "cause", err.Error())
	}
	hold := map[string]bool{}
	for _, i := range b.operations.store.All() {
		hold[i.ID] = true
	}
	b.operations.mu.Lock()
	maps.DeleteFunc(b.operations.progress, func(id string, _ *progress) bool { return !hold[id] })
	b.operations.mu.Unlock()
}

// judge gives a registration what operators and rules say of it.
func (b *Broker) judge(r *servicetable.Registration) {
	b.judgeRegistrant(r)
	all := b.operations.store.All()
	r.Marks = nil
	for _, one := range all { // of the whole instance, so that it is not probed either
		t := one.Target
		if one.Kind == intent.Maintenance && t.Service == "" && t.Network == "" && t.Matches(intent.Subject{Database: r.Database, Instance: r.Instance, Host: r.Host}) {
			r.Marks = []servicetable.Mark{{Kind: servicetable.Maintenance, Cause: causeOf(one), Since: one.Created, Until: one.Deadline}}
		}
	}
	for i := range r.Services {
		s := &r.Services[i]
		s.Marks = slices.DeleteFunc(slices.Clone(s.Marks), func(m servicetable.Mark) bool { return m.Kind != servicetable.Quarantined })
		s.Weight = servicetable.Weight{}
		effects := intent.Effects(all, intent.Subject{Database: r.Database, Service: s.Name, Instance: r.Instance, Host: r.Host})
		for _, one := range effects {
			kind, marks := markOf[one.Kind]
			same := func(m servicetable.Mark) bool { return m.Kind == kind }
			if marks && !slices.ContainsFunc(s.Marks, same) && !slices.ContainsFunc(r.Marks, same) {
				s.Marks = append(s.Marks, servicetable.Mark{Kind: kind, Cause: causeOf(one), Since: one.Created, Until: one.Deadline})
			}
		}
		if percent, set := intent.WeightOf(effects); set {
			s.Weight = servicetable.WeightOf(percent)
		}
	}
	b.maintain(r)
}

var markOf = map[intent.Kind]servicetable.MarkKind{
	intent.Drain: servicetable.Draining, intent.Maintenance: servicetable.Maintenance, intent.Hold: servicetable.Holding,
}

// causeOf words an intent as the reason for a mark.
func causeOf(i intent.Intent) string {
	text := i.ID
	for _, part := range []string{i.Reason, i.Source} {
		if part != "" {
			text += ", " + part
		}
	}
	return text
}

// aboutClient are the intents that are about clients from an address and no others, and
// those that are about all clients.
func (b *Broker) aboutClient(client netip.Addr) (about, aboutAll []intent.Intent) {
	for _, one := range b.operations.store.All() {
		switch _, marks := markOf[one.Kind]; {
		case !marks:
		case one.Target.Network == "":
			aboutAll = append(aboutAll, one)
		case one.Target.MatchesClient(client):
			about = append(about, one)
		}
	}
	return about, aboutAll
}

// group names what operators want of clients from an address and no others.
func (b *Broker) group(client netip.Addr) string {
	var ids []string
	about, _ := b.aboutClient(client)
	for _, one := range about {
		ids = append(ids, one.ID)
	}
	return strings.Join(ids, ",")
}

// withhold is what operators keep from clients of a network; nil where they keep nothing.
// What the table has carries marks for what they keep from everyone; addresses that routes
// name are not in it.
func (b *Broker) withhold(client netip.Addr) func(servicetable.Candidate) *relay.Withheld {
	about, aboutAll := b.aboutClient(client)
	if about == nil && aboutAll == nil {
		return nil
	}
	return func(c servicetable.Candidate) *relay.Withheld {
		subject, all := candidateSubject(c), about
		if c.Path != nil {
			all = slices.Concat(about, aboutAll)
		}
		for _, one := range all {
			if one.Target.Matches(subject) {
				return &relay.Withheld{Why: one.String(), Hold: one.Kind == intent.Hold}
			}
		}
		return nil
	}
}

func candidateSubject(c servicetable.Candidate) intent.Subject {
	subject := subjectOf(c.Registration, c.Service)
	if c.Path != nil {
		subject.Service, subject.Instance = c.Path.Service, c.Registration.Hop
	}
	return subject
}

func subjectOf(r *servicetable.Registration, s *servicetable.Service) intent.Subject {
	return intent.Subject{Database: r.Database, Service: s.Name, Instance: r.Instance, Host: r.Host}
}

// holdWanted tells of a hold on a service as such, which counts though nobody offers it.
func (b *Broker) holdWanted(client netip.Addr, q servicetable.Query) string {
	for _, one := range b.operations.store.All() {
		t := one.Target
		if one.Kind != intent.Hold || t.Database != "" || t.Instance != "" || t.Node != "" || !t.MatchesClient(client) {
			continue
		}
		if t.Service == "" || q.Service != "" && t.Matches(intent.Subject{Service: q.Service}) {
			return one.String()
		}
	}
	return ""
}

// SetIntent puts an intent in force. When it returns, no server connection comes about
// any more that a drain or maintenance forbids.
func (b *Broker) SetIntent(ctx context.Context, i intent.Intent) (console.IntentView, error) {
	i, err := b.setIntent(ctx, i)
	if err != nil {
		return console.IntentView{}, err
	}
	b.awaitShared(ctx, i)
	return b.viewIntent(i), nil
}

func (b *Broker) setIntent(ctx context.Context, i intent.Intent) (intent.Intent, error) {
	if i.Kind == intent.Approve || i.Kind == intent.Reject {
		i = b.decision(i)
	}
	if i.Kind == intent.Weight && i.Target.Network != "" {
		return i, fmt.Errorf("a weight cannot be given for some clients only: leave the network out")
	}
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	i, err := b.operations.store.Add(i)
	if _, disk := errors.AsType[*fs.PathError](err); disk {
		err = &console.APIError{Status: http.StatusInternalServerError, Message: err.Error(), Hint: "nothing was changed: make room on the disk, or let the broker write there"}
	}
	if err != nil {
		return i, err
	}
	b.share(i)
	b.rejudge()
	if i.Kind == intent.Drain || i.Kind == intent.Maintenance {
		err = b.relay.Settled(ctx, func(c servicetable.Candidate, client netip.Addr) bool {
			return i.Target.Matches(candidateSubject(c)) && i.Target.MatchesClient(client)
		})
		if err != nil {
			b.log.Warn("a drain began while connects were still under way", "intent", i.ID, "cause", err.Error())
		}
	}
	b.operations.mu.Lock()
	b.operations.progress[i.ID] = &progress{atStart: b.sessionsOn(i.Target)}
	b.operations.mu.Unlock()
	b.journal.Add(intentEvent(journal.IntentSet, i))
	b.log.Info("operator's intent", "intent", i.String(), "id", i.ID)
	return i, nil
}

// EndIntent takes an intent back.
func (b *Broker) EndIntent(ctx context.Context, id string) (console.IntentView, error) {
	view, err := b.endIntent(id)
	if err == nil {
		b.awaitShared(ctx, view.Intent)
		setAt := view.Origin // what others know of it now is where it was taken back
		b.viewShared(&view)
		view.Origin = setAt
	}
	return view, err
}

func (b *Broker) endIntent(id string) (console.IntentView, error) {
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	i, err := b.operations.store.Remove(id)
	if errors.Is(err, intent.ErrNotFound) {
		err = fmt.Errorf("%w: %w", console.ErrNotFound, err)
	}
	if err != nil {
		return console.IntentView{}, err
	}
	view := b.viewIntent(i)
	b.unshare(i)
	b.ended(i, "taken back")
	return view, nil
}

func (b *Broker) ended(i intent.Intent, why string) {
	b.operations.mu.Lock()
	delete(b.operations.progress, i.ID)
	b.operations.mu.Unlock()
	b.rejudge()
	b.tellEnded(i, why)
}

func (b *Broker) tellEnded(i intent.Intent, why string) {
	e := intentEvent(journal.IntentEnded, i)
	e.Cause = why
	b.journal.Add(e)
	b.log.Info("operator's intent ended", "intent", i.String(), "id", i.ID, "cause", why)
}

func intentEvent(kind journal.Kind, i intent.Intent) journal.Event {
	switch i.Kind {
	case intent.Approve:
		kind = journal.Approved
	case intent.Reject:
		kind = journal.Rejected
	}
	instance, host, _ := strings.Cut(i.Target.Instance, "@")
	if host == "" {
		host = i.Target.Node
	}
	return journal.Event{Kind: kind, Service: i.Target.Service, Instance: instance, Host: host, Database: i.Target.Database,
		Reason: "USER", Cause: i.Reason, Detail: i.String()}
}

// on tells which sessions a target is about.
func on(t intent.Target) func(*relay.SessionInfo) bool {
	return func(s *relay.SessionInfo) bool {
		instance, host, registered := strings.Cut(s.Instance, "@")
		if !registered { // the address of a hop
			host, _, _ = net.SplitHostPort(s.Instance)
		}
		return t.Matches(intent.Subject{Database: s.Database, Service: s.Offered, Instance: instance, Host: host}) && t.MatchesClient(s.Network)
	}
}

// sessionsOn counts them, with those that a predecessor has. Those come first: one that moves meanwhile is counted twice, not never.
func (b *Broker) sessionsOn(t intent.Target) int {
	settled := b.process.Before.settled()
	kept := b.keptOn(on(t))
	return withKept(b.relay.CountSessions(on(t)), kept, settled)
}

// viewIntent adds how far it has come.
func (b *Broker) viewIntent(i intent.Intent) console.IntentView {
	v := console.IntentView{Intent: i}
	b.viewShared(&v)
	b.operations.mu.Lock()
	defer b.operations.mu.Unlock()
	if p := b.operations.progress[i.ID]; p != nil {
		v.Progress.SessionsAtStart, v.Progress.Ended = p.atStart, p.ended
	}
	v.Progress.DeadlinePassed = i.Due(time.Now())
	if i.Kind != intent.Drain && i.Kind != intent.Maintenance {
		v.Progress.Done = true
		return v
	}
	all := b.countsAll() // before they are counted
	v.Progress.SessionsLeft = b.sessionsOn(i.Target)
	v.Progress.SessionsAtStart = max(v.Progress.SessionsAtStart, v.Progress.SessionsLeft)
	v.Progress.Done = all && v.Progress.SessionsLeft == 0
	return v
}

// Intents lists those in force, the oldest first.
func (b *Broker) Intents() []console.IntentView {
	all := b.operations.store.All()
	views := make([]console.IntentView, len(all))
	for n, i := range all {
		views[n] = b.viewIntent(i)
	}
	return views
}

// drainTick is how often somebody looks whether a drain has come to its end.
const drainTick = time.Second

// keepIntents acts on deadlines, and says when a drain is over, until ctx ends.
func (b *Broker) keepIntents(ctx context.Context) {
	for {
		changed := b.operations.store.Changed()
		wait := time.NewTimer(b.nextLook(time.Now()))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-changed:
		case <-wait.C:
		}
		wait.Stop()
		b.actOnIntents(time.Now())
	}
}

// nextLook is when something may have to be done.
func (b *Broker) nextLook(now time.Time) time.Duration {
	next := time.Hour
	if at, ok := b.operations.store.NextDeadline(now); ok {
		next = min(next, at.Sub(now))
	}
	for _, i := range b.operations.store.All() {
		if i.Kind == intent.Drain && !b.saidDrained(i.ID) {
			next = min(next, drainTick)
		}
	}
	return max(next, 10*time.Millisecond)
}

func (b *Broker) saidDrained(id string) bool {
	b.operations.mu.Lock()
	defer b.operations.mu.Unlock()
	p := b.operations.progress[id]
	return p != nil && p.drained
}

func (b *Broker) actOnIntents(now time.Time) {
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	if b.upgrade.heir.Load() != nil { // which has the store
		return
	}
	expired, err := b.operations.store.Expire(now)
	if err != nil {
		b.log.Error("operators' intents cannot be written down", "cause", err.Error())
	}
	for _, i := range expired {
		b.ended(i, "its deadline is over")
	}
	for _, i := range b.operations.store.All() {
		if i.Kind == intent.Drain {
			b.actOnDrain(i, now)
		}
	}
}

// actOnDrain ends what is left at the deadline, if that is wanted, and says when nothing is.
func (b *Broker) actOnDrain(i intent.Intent, now time.Time) {
	b.operations.mu.Lock()
	p := b.operations.progress[i.ID]
	if p == nil { // from before the last restart
		p = &progress{atStart: b.sessionsOn(i.Target)}
		b.operations.progress[i.ID] = p
	}
	b.operations.mu.Unlock()
	if i.EndSessions && i.Due(now) {
		if n := b.endSessions(endPassed{Target: &i.Target, Cause: "drained: " + causeOf(i)}); n > 0 {
			b.operations.mu.Lock()
			p.ended += n
			b.operations.mu.Unlock()
			b.log.Info("drain: the deadline is over, sessions ended", "intent", i.ID, "sessions", n)
		}
	}
	if p.drained || !b.countsAll() || b.sessionsOn(i.Target) > 0 {
		return
	}
	b.operations.mu.Lock()
	p.drained = true
	b.operations.mu.Unlock()
	b.journal.Add(intentEvent(journal.Drained, i))
}
