package broker

import (
	"context"
	"errors"
	"time"

	"servicebroker/servicetable"
)

// errLeaving is why a broker that still takes clients says it is not ready for them.
var errLeaving = errors.New("the broker is about to stop, and takes clients only until nobody sends any (SHUTDOWN_GRACE)")

// unready lists why the broker should be sent no clients.
func (b *Broker) unready() []string {
	switch {
	case b.upgrade.heir.Load() != nil: // whoever asks reached the addresses at which the successor serves
		return nil
	case b.stopping.Load():
		return []string{errStopping.Error()}
	case b.leaving.Load():
		return []string{errLeaving.Error()}
	}
	var reasons []string
	snapshot := b.table.Snapshot()
	for _, name := range b.settings().config.ReadyServices {
		if _, err := snapshot.Match(servicetable.Query{Service: name}); err != nil {
			reasons = append(reasons, "READY_SERVICES has "+name+": "+err.Error())
		}
	}
	return reasons
}

// grace lets those who send clients here see that the broker is about to stop, while it
// still serves whom they send. limit is how long sessions may go on; whoever asks for less
// than SHUTDOWN_GRACE means all of it. What it returns is the limit by the newest wish.
func (b *Broker) grace(abort context.Context, limit time.Duration) time.Duration {
	b.leaving.Store(true)
	b.nudgeDNS()
	end := time.Now().Add(b.settings().config.ShutdownGrace)
	for {
		left := time.Until(end)
		if limit > 0 {
			left = min(left, limit)
		}
		if left <= time.Millisecond {
			return limit
		}
		b.log.Info("not ready for clients any more; those who come are served for a while yet", "for", left.Round(time.Millisecond).String())
		over := time.NewTimer(left)
		select {
		case <-over.C:
			return limit
		case <-abort.Done():
			over.Stop()
			return limit
		case r := <-b.asked: // somebody is in more, or less, of a hurry
			over.Stop()
			b.endPredecessor(r)
			limit = b.drainLimit(r)
		}
	}
}
