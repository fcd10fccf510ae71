package broker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"servicebroker/console"
)

var errStopping = errors.New("the broker is stopping")

// untilEnd returns when the broker is to end, after those who send clients have seen it, or when a successor serves: then
// with that. limit is how long sessions may go on.
func (b *Broker) untilEnd(ctx, abort context.Context) (limit time.Duration, next *heir) {
	limit = b.config.DrainTimeout
	wish := console.ShutdownRequest{}
	select {
	case next = <-b.upgrade.committed:
		return limit, next
	case <-ctx.Done():
	case wish = <-b.asked:
		limit = b.drainLimit(wish)
	}
	b.upgrade.changes.Lock() // a successor that is about to serve does so first
	b.leaving.Store(true)
	next = b.upgrade.heir.Load()
	b.upgrade.changes.Unlock()
	if next != nil { // the wish was meant for whoever serves
		<-b.upgrade.committed
		next.wish = &wish
		within, cancel := context.WithTimeout(abort, endTime)
		defer cancel()
		_ = next.channel.Send(within, recordShutdown, wish)
		return limit, next
	}
	b.wantNoSuccessor() // while this one still accepts
	b.notify("STOPPING=1\nSTATUS=Ending: clients go on for a while")
	b.endPredecessor(wish)
	return b.grace(abort, limit), nil
}

// endOthers ends what is left of the API, or leaves the generation after this one alone.
func (b *Broker) endOthers(next *heir, servers []*http.Server) {
	if next != nil {
		next.release()
		return
	}
	for _, s := range servers {
		_ = s.Close()
	}
}

// lastWords is how long a connection that has not brought its CONNECT gets to
// do so once the broker stops.
const lastWords = time.Second

// drain waits for clients to end their sessions, as long as is allowed.
// Registrations stay meanwhile, so that connects under way find their instance.
// With a successor, registrations that could not move go on as well, until somebody wants an end: by ctx, or as asked.
func (b *Broker) drain(ctx, abort context.Context, limit time.Duration, next *heir) {
	clients, none := b.open.none(next != nil)
	var told <-chan struct{}
	if next != nil {
		told, limit = ctx.Done(), next.patience(time.Now())
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	if limit == 0 { // without one
		deadline.Stop()
	}
	if clients > 0 {
		b.log.Info("waiting for clients to end their sessions", "clients", clients, "at_most", limit.String())
	}
	silence := time.NewTimer(lastWords)
	defer silence.Stop()
	if next != nil { // they have the time that they had
		silence.Stop()
	}
	for {
		select {
		case <-none:
			return
		case <-told: // the bound that there is stays
			told = nil
			silence.Reset(lastWords)
			_, none = b.open.none(false)
		case <-silence.C:
			b.open.close(phaseReading)
		case <-deadline.C:
			return
		case r := <-b.asked: // somebody is in more, or less, of a hurry
			_, none = b.open.none(false)
			b.endPredecessor(r)
			if _, set := r.Limit(); next != nil && !set {
				continue
			}
			if limit = b.drainLimit(r); limit == 0 {
				deadline.Stop()
			} else {
				deadline.Reset(limit)
			}
			if next != nil {
				next.allow(limit)
			}
		case <-abort.Done():
			return
		}
	}
}

// drainLimit is how long sessions may go on after a request to end; 0 is for ever.
func (b *Broker) drainLimit(r console.ShutdownRequest) time.Duration {
	limit, set := r.Limit()
	if !set {
		return b.config.DrainTimeout
	}
	return max(limit, time.Nanosecond)
}

// Shutdown lets Run begin to end, as its context would, or the predecessor alone, and returns at once.
func (b *Broker) Shutdown(r console.ShutdownRequest) {
	if r.Generation != 0 && r.Generation != b.generation() {
		b.endPredecessor(r)
		return
	}
	select {
	case <-b.asked: // an older wish that nobody has heard yet
	default:
	}
	select {
	case b.asked <- r:
	default:
	}
}

func (b *Broker) closeListeners() {
	for _, l := range b.listeners {
		_ = l.Close()
	}
	for _, l := range []net.Listener{b.console, b.metricsAt, b.rest.listener, b.socket} {
		if l != nil {
			_ = l.Close()
		}
	}
	if b.dns.sockets != nil {
		b.dns.sockets.Close()
	}
	if b.state != nil {
		_ = b.state.Close()
	}
}
