package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/console"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// A successor serves on trial at first: clients come to it alone, and this broker keeps all it needs to go on by itself. What a
// new program is likely to die of it meets in its first moments, so that nothing moves before those are over.
const (
	trialTime  = 300 * time.Millisecond // before anything moves
	provenTime = 700 * time.Millisecond // after everything has
	answerTime = 5 * time.Second        // for an answer to an offer
)

// trial is how a successor does.
type trial struct {
	ending chan struct{} // closed when it, or this process, has been told to end: nobody goes back then
	told   sync.Once

	decided atomic.Bool // whether it lasts: who decides first has done so

	mu      sync.Mutex
	carried totals // what sessions that it has taken had carried by then
	lost    []servicetable.ID
	clients int
}

// end says that whoever serves has been told to end.
func (t *trial) end() { t.told.Do(func() { close(t.ending) }) }

// decide reports whether whoever calls it decides, and nobody has before.
func (t *trial) decide() bool { return !t.decided.Swap(true) }

// errDied is why a broker goes back to serving.
var errDied = errors.New("the successor ended before it had served for a second")

// endures reports whether the successor lives for some time, or is not needed to.
func (b *Broker) endures(ctx, abort context.Context, h *heir, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.channel.Over():
		return false
	case <-h.trial.ending:
	case <-abort.Done():
	case <-ctx.Done(): // a signal that came to this process is for the one that serves
		h.trial.end()
		within, cancel := context.WithTimeout(abort, endTime)
		defer cancel()
		_ = h.channel.Send(within, recordShutdown, console.ShutdownRequest{})
	}
	return true
}

// took notes what the successor has, and would take with it.
func (t *trial) took(thing any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch m := thing.(type) {
	case *relay.MovedSession:
		t.carried.Over++
		t.carried.ToServer += m.State.Stats.ToServer
		t.carried.ToClient += m.State.Stats.ToClient
	case *registration.MovedRegistration:
		t.lost = append(t.lost, m.ID)
	case *movedClient:
		t.clients++
	}
}

// untilSucceeded serves until this broker is to end: then with how long sessions may go on, and with the successor, if there is one
// that has proven itself, to which all has moved that can. follow ends what follows that.
func (b *Broker) untilSucceeded(ctx, abort, serving context.Context) (limit time.Duration, next *heir, follow func()) {
	for {
		limit, next = b.untilEnd(ctx, abort)
		if next == nil {
			return limit, nil, func() {}
		}
		b.pause()
		follow, err := b.handOver(ctx, abort, next, limit)
		if err == nil {
			return limit, next, follow
		}
		b.goBack(serving, next, err)
	}
}

// startAccepting begins to accept.
func (b *Broker) startAccepting(serving context.Context) {
	for at := range b.listeners {
		b.acceptors.Go(func() { b.accept(serving, at) })
	}
}

// pause stops accepting for as long as there is a successor.
func (b *Broker) pause() {
	b.setAccepting(time.Unix(1, 0))
	b.acceptors.Wait()
}

// setAccepting has all listeners accept until a time; zero: for ever.
func (b *Broker) setAccepting(until time.Time) {
	set := func(l any) {
		if of, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
			_ = of.SetDeadline(until)
		}
	}
	for _, l := range b.listeners {
		set(l)
	}
	set(b.console)
	set(b.metricsAt)
	set(b.socket)
	set(b.rest.listener)
}

// goBack serves again where a successor did not last. What that had taken is gone with it.
func (b *Broker) goBack(serving context.Context, h *heir, why error) {
	b.registrar.Keep()
	b.relay.Keep()
	b.departing.offer.Store(nil)
	b.upgrade.changes.Lock()
	b.rereadIntents() // as that has left them, before anybody changes them here
	b.upgrade.heir.Store(nil)
	b.rereadShared()
	b.upgrade.changes.Unlock()
	b.rejudge()
	b.retained.forget()
	b.journal.Resume()
	b.setAccepting(time.Time{})
	b.startAccepting(serving)
	b.resumeZone()
	b.notifyServing() // also to those to whom the successor could say that it does
	t := &h.trial
	for _, id := range t.lost { // their databases come again
		b.lost(id)
	}
	b.count(&t.carried)
	b.upgrade.failed.Add(1)
	b.log.Error("upgrade failed: the successor is gone, and this generation serves again", "generation", b.generation(), "cause", why.Error(),
		"sessions_lost", t.carried.Over, "clients_lost", t.clients, "registrations_lost", len(t.lost))
	b.journal.Add(journal.Event{Kind: journal.UpgradeFailed, Cause: why.Error(), Detail: "this generation serves again"})
	h.failure = fmt.Errorf("%w; %s", why, lostWith(t))
	close(h.moved)
	if h.wish != nil {
		b.Shutdown(*h.wish)
	}
}

// lostWith words what was lost with a successor.
func lostWith(t *trial) string {
	if t.carried.Over == 0 && len(t.lost)+t.clients == 0 {
		return "nothing was lost but the connections that it had accepted itself"
	}
	return "lost with it were " + console.Plural(int(t.carried.Over), "session") + ", " + console.Plural(t.clients, "waiting client") + " and the connections of " + console.Plural(len(t.lost), "registration")
}

func (b *Broker) servingStatus() string { return fmt.Sprintf("Serving, generation %d", b.generation()) }
