package broker

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"servicebroker/intent"
	"servicebroker/servicetable"
)

// recordFollow, new to old: what is registered and wanted now, a followPassed. Clients over TLS stay with the process that has their
// keys: while some wait there, that must learn when what they wait for is back.
const recordFollow = "follow"

// followPassed is what has changed since the last one.
type followPassed struct {
	Whole   bool                        `json:"whole,omitempty"` // what is not in it is not registered
	Changed []servicetable.Registration `json:"changed,omitempty"`
	Gone    []servicetable.ID           `json:"gone,omitempty"`
	Intents []intent.Intent             `json:"intents,omitempty"`
}

// informEvery is how often a predecessor is told of changes, if there are any.
const informEvery = 250 * time.Millisecond

// inform tells the predecessor what is registered, as long as it lives and clients wait there.
func (b *Broker) inform(ctx context.Context) {
	p := b.process.Before
	ticks := time.NewTicker(informEvery)
	defer ticks.Stop()
	var told informed
	for {
		select {
		case <-ticks.C:
		case <-p.ended:
			return
		case <-ctx.Done():
			return
		}
		left := p.left.Load()
		if left == nil || left.Clients <= left.Sessions {
			continue
		}
		news, any := told.news(b.table.Snapshot(), b.operations.store.All())
		if any && p.channel.Send(ctx, recordFollow, news) != nil {
			return
		}
	}
}

// informed is what a predecessor has been told.
type informed struct {
	version       uint64
	registrations map[servicetable.ID]*servicetable.Registration // nil: nothing
	intents       []intent.Intent
}

// news is what has changed since, and whether anything has.
func (i *informed) news(snapshot *servicetable.Snapshot, intents []intent.Intent) (news followPassed, any bool) {
	if i.registrations != nil && snapshot.Version() == i.version && slices.Equal(intents, i.intents) {
		return news, false
	}
	news.Whole, news.Intents = i.registrations == nil, intents
	now := map[servicetable.ID]*servicetable.Registration{}
	for _, r := range snapshot.Registrations() {
		if isStatic(r.ID) {
			continue
		}
		if now[r.ID] = r; i.registrations[r.ID] != r {
			news.Changed = append(news.Changed, *r)
		}
	}
	for id := range i.registrations {
		if now[id] == nil {
			news.Gone = append(news.Gone, id)
		}
	}
	i.version, i.registrations, i.intents = snapshot.Version(), now, intents
	return news, true
}

// follow takes over what the successor says, as that has judged it; it has told those who want to know.
func (b *Broker) follow(body json.RawMessage) error {
	var news followPassed
	if err := json.Unmarshal(body, &news); err != nil {
		return err
	}
	b.operations.store.Follow(news.Intents)
	b.rejudgeThose(isStatic)
	b.changing.Lock()
	defer b.changing.Unlock()
	there := map[servicetable.ID]bool{}
	for i := range news.Changed {
		r := &news.Changed[i]
		there[r.ID] = true
		b.table.Apply(*r)
		b.followed(r.ID, r)
	}
	if news.Whole {
		for r := range b.known.all() {
			if !there[r.ID] && !isStatic(r.ID) {
				news.Gone = append(news.Gone, r.ID)
			}
		}
	}
	for _, id := range news.Gone {
		b.table.Drop(id)
		b.followed(id, nil)
	}
	return nil
}

// followed tells those by whom clients are served of a registration that is another now, or over; b.changing is held.
func (b *Broker) followed(id servicetable.ID, after *servicetable.Registration) {
	before := b.known.get(id)
	if after != nil {
		b.known.put(after)
	} else {
		b.known.remove(id)
	}
	came, left := difference(before, after)
	b.holder.Seen(came...)
	b.holder.Departed(b.known.unoffered(left)...)
	if before != nil || after != nil {
		b.balancer.Note(before, after)
	}
}
