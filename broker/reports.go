package broker

import (
	"servicebroker/relay"
)

// reporters are told what became of connects and sessions. They are set by [Broker.wire] and
// do not change while the broker runs; they are called on the connect's own goroutine, must
// not wait, and keep nothing of a report.
type reporters struct {
	connects []func(*relay.ConnectReport)
	sessions []func(*relay.SessionInfo, error)
}

// connectReported tells all who want to know of connects that the answer of one is settled.
// It comes from the relay, and from [Broker.refuse] for what never came as far as that.
func (b *Broker) connectReported(r *relay.ConnectReport) {
	for _, tell := range b.reporters.connects {
		tell(r)
	}
}

// sessionEnded tells all who want to know of sessions that one is over, and why if it did
// not end by itself.
func (b *Broker) sessionEnded(s *relay.SessionInfo, err error) {
	for _, tell := range b.reporters.sessions {
		tell(s, err)
	}
}
