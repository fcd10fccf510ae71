package registration

import (
	"net/netip"
	"time"
)

// yieldAfter is for how long nobody has to make room who has said nothing: databases say it at once.
const yieldAfter = 100 * time.Millisecond

// full tells why there is no room for one more database, "" if there is, and what to do about it.
func (s *Server) full(peer netip.Addr) (why, remedy string) {
	if s.Full == nil {
		return "", ""
	}
	return s.Full(peer)
}

// occupy takes a place for a registrant, unless there is none left: one that has said nothing makes room for it.
func (s *Server) occupy(peer netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.perPeer[peer] >= or(s.MaxPerPeer, defaultPerPeer):
		if !s.yield(peer) {
			return false
		}
	case s.total >= or(s.MaxRegistrations, defaultRegistrations):
		if !s.yield(netip.Addr{}) {
			return false
		}
	}
	s.takePlace(peer)
	return true
}

// takePlace counts a registrant; callers hold mu.
func (s *Server) takePlace(peer netip.Addr) {
	if s.perPeer == nil {
		s.perPeer = map[netip.Addr]int{}
	}
	s.total++
	s.perPeer[peer]++
}

func (s *Server) vacate(peer netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.perPeer[peer]--; s.perPeer[peer] == 0 {
		delete(s.perPeer, peer)
	}
}

// Registrants counts the connections with registrants.
func (s *Server) Registrants() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// yield ends the connection that has been for longest without a whole message, of one peer or, where that is none, of all, and
// reports whether there is one. It still has its place for a moment. Callers hold mu.
func (s *Server) yield(peer netip.Addr) bool {
	var oldest *dialogue
	var since time.Time
	for d, began := range s.wordless {
		if (!peer.IsValid() || d.peer.Addr() == peer) && (oldest == nil || began.Before(since)) {
			oldest, since = d, began
		}
	}
	if oldest == nil || time.Since(since) < yieldAfter {
		return false
	}
	delete(s.wordless, oldest)
	_ = oldest.conn.NetConn().Close()
	return true
}

// spoke notes that a dialogue has said a whole message.
func (s *Server) spoke(d *dialogue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wordless, d)
}
