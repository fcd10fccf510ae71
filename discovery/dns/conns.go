package dns

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// bounded is a listener that holds so many connections at once. Beyond them a new one takes the place of another: of whoever has
// most, the one that has been silent longest. So nobody shuts out others.
type bounded struct {
	net.Listener
	most int

	mu   sync.Mutex // guards what follows
	held map[*guest]struct{}
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, most: most, held: map[*guest]struct{}{}}
}

// guest is a connection of a bounded listener.
type guest struct {
	net.Conn
	of   *bounded
	from netip.Prefix
	read time.Time // last; guarded by of.mu
}

// breath is how long to wait where the system has no more descriptors.
const breath = 50 * time.Millisecond

func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err == nil {
			return b.hold(conn), nil
		}
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return nil, err
		}
		b.evict()
		time.Sleep(breath)
	}
}

func (b *bounded) hold(conn net.Conn) net.Conn {
	h := &guest{Conn: conn, of: b, from: networkOf(addressOf(conn.RemoteAddr())), read: time.Now()}
	b.mu.Lock()
	full := len(b.held) >= b.most
	b.mu.Unlock()
	if full {
		b.evict()
	}
	b.mu.Lock()
	b.held[h] = struct{}{}
	b.mu.Unlock()
	return h
}

// evict closes one connection.
func (b *bounded) evict() {
	b.mu.Lock()
	count := map[netip.Prefix]int{}
	for h := range b.held {
		count[h.from]++
	}
	var last *guest
	for h := range b.held {
		if last == nil || count[h.from] > count[last.from] || count[h.from] == count[last.from] && h.read.Before(last.read) {
			last = h
		}
	}
	b.mu.Unlock()
	if last != nil {
		last.Close()
	}
}

// await waits a while for all connections to be closed by those who asked.
func (b *bounded) await(limit time.Duration) {
	overdue := time.NewTimer(limit)
	defer overdue.Stop()
	again := time.NewTicker(limit / 30)
	defer again.Stop()
	for {
		b.mu.Lock()
		left := len(b.held)
		b.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-again.C:
		case <-overdue.C:
			return
		}
	}
}

// closeAll closes all connections.
func (b *bounded) closeAll() {
	b.mu.Lock()
	all := make([]*guest, 0, len(b.held))
	for h := range b.held {
		all = append(all, h)
	}
	b.mu.Unlock()
	for _, h := range all {
		h.Close()
	}
}

func (h *guest) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	now := time.Now()
	h.of.mu.Lock()
	h.read = now
	h.of.mu.Unlock()
	return n, err
}

// Write waits for so long, and no longer, for one who asked and does not read.
func (h *guest) Write(p []byte) (int, error) {
	if err := h.SetWriteDeadline(time.Now().Add(idleTime)); err != nil {
		return 0, err
	}
	return h.Conn.Write(p)
}

func (h *guest) Close() error {
	h.of.mu.Lock()
	delete(h.of.held, h)
	h.of.mu.Unlock()
	return h.Conn.Close()
}
