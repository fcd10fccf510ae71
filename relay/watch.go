package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"servicebroker/tns"
)

// watchAfter is how long a dial may take before somebody looks whether the client
// still waits for it. Nearly all are over by then and cost no goroutine.
const watchAfter = 100 * time.Millisecond

// past is a read deadline that interrupts whoever reads.
var past = time.Unix(1, 0)

// whileThere returns a context that ends when the client goes away. stop ends that, leaves
// the connection as it was, and returns why the client is gone, nil if it is not.
func (d *dialogue) whileThere(ctx context.Context) (_ context.Context, stop func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	raw := d.conn.NetConn()
	var watching sync.WaitGroup
	var gone error
	watching.Add(1)
	timer := time.AfterFunc(watchAfter, func() {
		defer watching.Done()
		for gone == nil {
			err := d.conn.Watch()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return // stop
			}
			gone = err
		}
		cancel(&clientGone{gone})
	})
	return ctx, func() error {
		if timer.Stop() {
			watching.Done()
		} else {
			_ = raw.SetReadDeadline(past)
			watching.Wait()
			_ = raw.SetReadDeadline(time.Time{})
		}
		cancel(nil)
		return gone
	}
}

// bell interrupts one goroutine that watches a connection.
type bell struct {
	mu    sync.Mutex
	armed bool
	raw   net.Conn
}

// arm prepares the bell for one ring.
func (b *bell) arm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = true
}

// ring interrupts the watching goroutine, now or as soon as it watches.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.armed {
		_ = b.raw.SetReadDeadline(past)
	}
}

// rearm prepares it for the next ring after one was heard.
func (b *bell) rearm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.raw.SetReadDeadline(time.Time{})
}

// disarm makes later rings harmless and leaves the connection readable.
func (b *bell) disarm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	_ = b.raw.SetReadDeadline(time.Time{})
}

// watchUntilRung waits for the bell, and returns why the client is gone if that
// comes first.
func watchUntilRung(conn *tns.Conn) error {
	for {
		switch err := conn.Watch(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}
