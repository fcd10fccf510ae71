package broker

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"time"

	"servicebroker/journal"
	"servicebroker/moment"
	"servicebroker/servicetable"
)

// Bounds of what a successor is given of the journal: it is waited for.
const (
	passedEvents       = 10_000
	passedExplanations = 1_000
	passedBytes        = 8 << 20 // of either
)

// recordEvents, old to new: events that came about since, a []journal.Event.
const recordEvents = "events"

type journalPassed struct {
	journal.Passed
	Explanations []json.RawMessage `json:"explanations"` // the newest first
}

// journalPart passes on what is to be asked for later: those who follow events go on in the successor where they are here.
func (b *Broker) journalPart() part {
	return part{name: "journal", give: b.giveJournal, take: b.takeJournal}
}

func (b *Broker) giveJournal() (any, []*os.File, error) {
	given := journalPassed{Passed: b.journal.Pass(passedEvents, passedBytes)}
	size := 0
	for _, e := range b.journal.Recent(passedExplanations) {
		text, err := json.Marshal(e)
		if size += len(text); size > passedBytes {
			break
		}
		if err == nil {
			given.Explanations = append(given.Explanations, text)
		}
	}
	return given, nil, nil
}

func (b *Broker) takeJournal(state json.RawMessage, _ []*os.File) error {
	var given journalPassed
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	b.journal.GoOn(given.Passed)
	for _, text := range slices.Backward(given.Explanations[:min(len(given.Explanations), passedExplanations)]) {
		e := new(journal.Explanation)
		if json.Unmarshal(text, e) == nil && e.Ref != "" && moment.InUTC("time", &e.Time) == nil {
			b.journal.Keep(e)
		}
	}
	return nil
}

// toldOn are the kinds of events of an older generation that the newest has no other way to know.
var toldOn = []journal.Kind{
	journal.Upgraded, journal.SessionsLost, journal.Administered, journal.HoldBegan, journal.HoldEnded, journal.Undecodable, journal.Rejected,
}

// tellEvents tells the successor of events, until ctx ends or nobody listens.
func (b *Broker) tellEvents(ctx context.Context, h *heir) {
	for {
		changed := b.journal.Changed()
		b.sendEvents(h)
		select {
		case <-changed:
		case <-h.channel.Over():
			return
		case <-ctx.Done():
			b.sendEvents(h)
			return
		}
	}
}

func (b *Broker) sendEvents(h *heir) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime) // also what came last
	defer cancel()
	all := slices.DeleteFunc(b.journal.Waited(), func(e journal.Event) bool { return !slices.Contains(toldOn, e.Kind) })
	for some := range slices.Chunk(all, 100) {
		if err := h.channel.Send(ctx, recordEvents, some); err != nil {
			b.log.Debug("upgrade: events are not told on", "events", len(all), "cause", err.Error())
			return
		}
	}
}

// takeEvents enters those of the predecessor.
func (b *Broker) takeEvents(body json.RawMessage) error {
	var all []journal.Event
	if err := json.Unmarshal(body, &all); err != nil {
		return err
	}
	for _, e := range all {
		if moment.InUTC("time", &e.Time) != nil || e.Time.After(time.Now()) {
			e.Time = time.Time{}
		}
		b.journal.Add(e)
	}
	return nil
}

// takenOver enters a registration of the predecessor, as registered does. What was known there is no news. See lookUpFor.
func (b *Broker) takenOver(r servicetable.Registration) {
	b.changing.Lock()
	defer b.changing.Unlock()
	was := r
	was.Services = slices.Clone(r.Services)
	b.judge(&r)
	b.table.Apply(r)
	b.remember(nil, &r)
	b.tell(&was, &r, "USER")
}
