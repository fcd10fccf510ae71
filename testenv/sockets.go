package testenv

import (
	"context"
	"maps"
	"net"
	"sync"
)

// sockets are all connections, to clients and to brokers, so that they can be cut
// as the death of the process would cut them.
type sockets struct {
	mu      sync.Mutex
	open    map[net.Conn]struct{}
	brokers map[string]int // open connections by broker
	dialled map[string]int // connections made since the start, by broker
	dead    bool
}

// enter notes a connection and reports whether it may live.
func (s *sockets) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return false
	}
	if s.open == nil {
		s.open, s.brokers, s.dialled = map[net.Conn]struct{}{}, map[string]int{}, map[string]int{}
	}
	s.open[c] = struct{}{}
	return true
}

func (s *sockets) leave(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// cut closes all connections without a word, and those that are still to come.
func (s *sockets) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	for c := range s.open {
		_ = c.Close()
	}
}

func (s *sockets) countBroker(address string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brokers[address] += n
	s.dialled[address] += max(n, 0)
}

// toBrokers counts the connections to each broker: those that are open, and those made since the start.
func (s *sockets) toBrokers() (open, dialled map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.brokers), maps.Clone(s.dialled)
}

// dialBroker connects to a broker.
func (s *sockets) dialBroker(ctx context.Context, address string) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if !s.enter(raw) {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	s.countBroker(address, 1)
	return &brokerConn{Conn: raw, ended: func() {
		s.leave(raw)
		s.countBroker(address, -1)
	}}, nil
}

// brokerConn is a connection to a broker that tells when it is closed.
type brokerConn struct {
	net.Conn
	once  sync.Once
	ended func()
}

// NetConn is the connection underneath, for who wants to set its options.
func (c *brokerConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection.
func (c *brokerConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.ended)
	return err
}
