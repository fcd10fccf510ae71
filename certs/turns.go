package certs

import "net"

// InTurns is c, of which what is read is worked on in turn: leave is called before each read
// that may have to wait, and enter after it, which waits for the turn or says why there is
// none. So a turn is taken for work alone, however long a peer takes. free ends that; it is
// called by the goroutine that reads, which has left then.
func InTurns(c net.Conn, enter func() error, leave func()) (turning net.Conn, free func()) {
	r, is := c.(*replayed)
	if !is {
		r = &replayed{Conn: c}
	}
	r.enter, r.leave = enter, leave
	return r, r.free
}

// free has reads wait for nobody from now on.
func (r *replayed) free() {
	if r.working {
		r.leave()
		r.working = false
	}
	r.enter, r.leave = nil, nil
}

// readInTurn is a read of the connection underneath, between two turns.
func (r *replayed) readInTurn(b []byte) (int, error) {
	if r.working {
		r.leave()
		r.working = false
	}
	n, err := r.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	if late := r.enter(); late != nil {
		return 0, late
	}
	r.working = true
	return n, err
}
