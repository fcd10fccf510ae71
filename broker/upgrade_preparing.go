package broker

import (
	"context"
	"errors"
	"time"
)

// errToldToEnd is why a successor that is being prepared is not wanted any more.
var errToldToEnd = errors.New("this broker was told to end meanwhile")

// preparations are for a successor that does not serve yet. It has copies of the listening sockets: as long as it lives, clients that
// come once this broker has closed its own are let in by the system, and wait for an answer that nobody gives.
type preparations struct {
	wanted   context.Context // ends when this broker is told to end
	unwanted context.CancelFunc
	turn     chan struct{} // has room for one: whoever prepares a successor, until that serves or is gone
}

func newPreparations() preparations {
	wanted, unwanted := context.WithCancel(context.Background())
	return preparations{wanted, unwanted, make(chan struct{}, 1)}
}

// begin returns the context for preparing a successor, and what is to be called once that serves or is gone.
func (p *preparations) begin() (ctx context.Context, done func(), err error) {
	select {
	case p.turn <- struct{}{}:
		return p.wanted, func() { <-p.turn }, nil
	case <-p.wanted.Done():
		return nil, nil, errToldToEnd
	}
}

// wantNoSuccessor ends one that is being prepared, and waits until it is gone, though not for one that the system does not let go of.
func (b *Broker) wantNoSuccessor() {
	p := &b.upgrade.preparations
	p.unwanted()
	patience := time.NewTimer(2 * b.upgrade.last) // to end by itself, and to be killed
	defer patience.Stop()
	select {
	case p.turn <- struct{}{}: // for good
	case <-patience.C:
		b.log.Error("the successor that was being prepared does not end: its copies of the sockets keep the ports open", "remedy", "kill it by its process number")
	}
}
