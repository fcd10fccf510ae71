package broker

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Bounds of connections to each of the HTTP addresses.
const (
	httpAddresses = 4 // console, metrics, admin socket, REST
	mostHTTP      = 128
	leastHTTP     = 6
)

// mostHTTP is how many connections each HTTP address may have: none of them may take what is
// kept for the others, and for databases.
func (r *descriptorRoom) mostHTTP() int {
	if r.total == 0 {
		return mostHTTP
	}
	return min(max(leastHTTP, r.reserve/8), mostHTTP)
}

// httpCrowd bounds the connections of an HTTP server. Where there are too many, the one goes
// that has been without a request for longest; where all have one, whoever came last.
type httpCrowd struct {
	most int

	mu    sync.Mutex
	all   map[net.Conn]*httpGuest
	count uint64 // of changes, by which the order is told
	ended uint64
}

type httpGuest struct {
	busy  bool   // with a request
	since uint64 // when that became so
}

// note follows the state of a connection; it is a server's ConnState.
func (h *httpCrowd) note(c net.Conn, state http.ConnState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(h.all, c)
		return
	case http.StateNew:
		if len(h.all) >= h.most {
			h.makeRoom(c)
		}
	}
	if h.all == nil {
		h.all = map[net.Conn]*httpGuest{}
	}
	h.all[c] = &httpGuest{busy: state == http.StateActive, since: h.count}
}

// makeRoom ends one connection; h.mu is held.
func (h *httpCrowd) makeRoom(newcomer net.Conn) {
	last := newcomer
	for c, guest := range h.all {
		if !guest.busy && (last == newcomer || guest.since < h.all[last].since) {
			last = c
		}
	}
	delete(h.all, last)
	h.ended++
	if secure, ok := last.(*tls.Conn); ok {
		last = secure.NetConn() // which says no goodbye, and waits for nobody
	}
	_ = last.Close()
}

// endedSoFar tells how many connections had to go.
func (h *httpCrowd) endedSoFar() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}
