package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"servicebroker/console"
	"servicebroker/discovery/consul"
	"servicebroker/intent"
	"servicebroker/journal"
)

// sharing is what operators want as all brokers of one prefix in Consul have it. Each broker keeps a copy, and acts by that alone.
type sharing struct {
	*consul.Intents
	changed chan struct{}   // has room for one: somebody else may want something else now
	refused map[string]bool // keys of those that cannot be carried out here, of which it has been told; used by adopt alone
	own     map[string]bool // keys of those that were set here and hold; guarded by operations.setting
}

// sharedWithin bounds how long an operator waits until the other brokers can know what he wants.
const sharedWithin = 2 * time.Second

// maxToldRefused bounds what is remembered of intents that this version cannot carry out.
const maxToldRefused = 1000

// openShared reads the copy, and offers to others what they may not know yet.
func (b *Broker) openShared() {
	s := &sharing{changed: make(chan struct{}, 1), refused: map[string]bool{}, own: map[string]bool{}}
	s.Intents = &consul.Intents{
		Client: b.consul.client, Origin: b.Name(), Path: b.stateFile("consul-intents.json"), Log: b.log.With("component", "consul"),
		Changed: func() { nudge(s.changed) },
	}
	b.consul.intents = s
	if err := s.Open(); err != nil {
		b.log.Error("shared intents", "cause", err.Error())
	}
	known := s.All()
	for _, i := range b.operations.store.All() {
		if _, there := known[i.Key()]; !there {
			b.logUnshared(s.Offer(i.Key(), sharedValue(i), endOf(i), i.Created))
		}
	}
	b.operations.setting.Lock()
	b.noteOwn(s.All())
	b.operations.setting.Unlock()
	s.Changed()
}

// rereadShared takes over what another generation has written into the copy since this one read it.
func (b *Broker) rereadShared() {
	if b.consul == nil {
		return
	}
	s := b.consul.intents
	if err := s.Reread(); err != nil {
		b.log.Error("shared intents", "cause", err.Error())
	}
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	b.noteOwn(s.All())
}

// noteOwn remembers which of all intents were set here; operations.setting is held.
func (b *Broker) noteOwn(all map[string]consul.Shared) {
	own := map[string]bool{}
	for key, s := range all {
		if !s.Removed && s.Origin == b.Name() {
			own[key] = true
		}
	}
	b.consul.intents.own = own
}

// sharedValue is an intent as others get it. IDs are each broker's own.
func sharedValue(i intent.Intent) json.RawMessage {
	i.ID = ""
	text, _ := json.Marshal(i) // of texts, numbers and times that have been checked
	return text
}

// endOf is when an intent ends by itself; zero if it does not.
func endOf(i intent.Intent) time.Time {
	if i.Ends() {
		return i.Deadline
	}
	return time.Time{}
}

func (b *Broker) logUnshared(err error) {
	switch {
	case errors.Is(err, consul.ErrNoCopy):
		b.log.Error("an intent holds, here and at other brokers, and this one may have another one's word for it after a restart", "cause", err.Error())
	case err != nil:
		b.log.Error("an intent holds at this broker, and others will not know of it", "cause", err.Error())
	}
}

// share tells other brokers of an intent, as soon as that can be; b.operations.setting is held.
func (b *Broker) share(i intent.Intent) {
	if b.consul != nil {
		b.consul.intents.own[i.Key()] = true
		b.logUnshared(b.consul.intents.Put(i.Key(), sharedValue(i), endOf(i)))
	}
}

// unshare tells them that it was taken back, likewise.
func (b *Broker) unshare(i intent.Intent) {
	if b.consul != nil {
		b.logUnshared(b.consul.intents.Remove(i.Key()))
	}
}

// awaitShared waits a moment until other brokers can know.
func (b *Broker) awaitShared(ctx context.Context, i intent.Intent) {
	if b.consul == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sharedWithin)
	defer cancel()
	b.consul.intents.Settled(ctx, i.Key())
}

// viewShared adds where an intent was set, and whether other brokers have it.
func (b *Broker) viewShared(v *console.IntentView) {
	if b.consul == nil {
		return
	}
	s, known := b.consul.intents.Get(v.Key())
	v.Shared = console.SharedNotYet
	if known {
		v.Origin = s.Origin
		if !s.Pending {
			v.Shared = console.SharedYes
		}
	}
}

// keepShared puts in force what other brokers' operators want until ctx ends.
func (b *Broker) keepShared(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.consul.intents.changed:
			b.adopt(time.Now())
		}
	}
}

// adopt makes this broker's intents those that are shared. What others do not know of stays.
func (b *Broker) adopt(now time.Time) {
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	if b.upgrade.heir.Load() != nil { // which has the store; rereadShared has this done again
		return
	}
	all := b.consul.intents.All()
	var set []intent.Intent
	var gone []string
	for key, s := range all {
		if s.Removed {
			gone = append(gone, key)
		} else if i, ok := b.readShared(key, s); ok && !(i.Ends() && i.Due(now)) {
			set = append(set, i)
		}
	}
	slices.SortFunc(set, func(a, b intent.Intent) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Key(), b.Key()))
	})
	before := map[string]intent.Intent{}
	for _, i := range b.operations.store.All() {
		before[i.Key()] = i
	}
	changed, removed, err := b.operations.store.Merge(set, gone)
	own := b.consul.intents.own
	b.noteOwn(all)
	if err != nil {
		b.log.Error("other brokers' intents", "cause", err.Error())
	}
	if len(changed)+len(removed) == 0 {
		return
	}
	b.rejudge()
	for _, i := range removed {
		b.operations.mu.Lock()
		delete(b.operations.progress, i.ID)
		b.operations.mu.Unlock()
		b.tellEnded(i, "taken back at "+all[i.Key()].Origin)
	}
	for _, i := range changed {
		b.operations.mu.Lock()
		b.operations.progress[i.ID] = &progress{atStart: b.sessionsOn(i.Target)}
		b.operations.mu.Unlock()
		e := intentEvent(journal.IntentSet, i)
		e.Detail += ", set at " + all[i.Key()].Origin
		if old, was := before[i.Key()]; was && own[i.Key()] { // somebody here counts on it
			e.Detail = fmt.Sprintf("%s, set here, is replaced by %s", old, e.Detail)
			b.log.Warn("an operator's intent that was set here is replaced by another broker's", "was", old.String(), "intent", i.String(), "id", i.ID, "broker", all[i.Key()].Origin)
		} else {
			b.log.Info("operator's intent, from another broker", "intent", i.String(), "id", i.ID, "broker", all[i.Key()].Origin)
		}
		b.journal.Add(e)
	}
}

// readShared reads a value that another broker wrote.
func (b *Broker) readShared(key string, s consul.Shared) (intent.Intent, bool) {
	var i intent.Intent
	err := json.Unmarshal(s.Value, &i)
	if err == nil {
		i.ID = ""
		err = i.Check()
	}
	if err == nil && i.Key() != key {
		err = fmt.Errorf("it is of %s", i.Key())
	}
	refused := b.consul.intents.refused
	if err == nil {
		delete(refused, key)
		return i, true
	}
	if !refused[key] && len(refused) < maxToldRefused {
		refused[key] = true
		b.log.Warn("an intent of another broker cannot be carried out here: take it back there, or upgrade this one", "key", key, "broker", s.Origin, "cause", err.Error())
	}
	return i, false
}
