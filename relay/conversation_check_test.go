package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"time"

	"servicebroker/tns"
)

// recording is a connection of which only the reading is left.
type recording struct {
	net.Conn
	rest []byte
}

func (r *recording) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, errNoMore
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// end brings the script to its end in one of three ways, and checks what has come of it.
func (c *conversation) end() {
	c.settle()
	switch how := c.Below(4); {
	case how == 0: // all have said what they had to say
		c.drain(30 * time.Second)
		c.hangUp()
		c.drain(5 * time.Minute)
	case how == 1: // all are gone at once
		c.rough = true
		for _, one := range c.callers {
			one.near.Reset()
		}
		c.mu.Lock()
		for _, a := range c.answerers {
			a.far.Reset()
		}
		c.mu.Unlock()
	case how == 2: // the broker ends
		c.rough = true
		c.halt()
	default: // nobody does anything any more: time alone ends it
		c.slow = true
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.serving.Wait()
	}()
	c.drain(2 * time.Hour)
	select {
	case <-finished:
	default:
		stacks := make([]byte, 1<<20)
		c.t.Fatalf("%d dialogues never end\n%s", c.busy.Load(), stacks[:runtime.Stack(stacks, true)])
	}
	c.stop()
	c.background.Wait()
	c.server.Close()
	c.server.Close()
	c.check()
	for _, one := range c.callers {
		_ = one.near.Close()
	}
	for _, a := range c.answerers {
		_ = a.far.Close()
	}
}

// hangUp ends the halves of all.
func (c *conversation) hangUp() {
	for _, one := range c.callers {
		if !one.left {
			_ = one.near.CloseWrite()
			one.ended = one.ended || len(one.received) == 0 // who has no answer yet is taken to be gone
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.answerers {
		if !a.left {
			_ = a.far.CloseWrite()
		}
	}
}

// drain takes all that arrives while time passes.
func (c *conversation) drain(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); {
		c.settle()
		moved := false
		for _, one := range c.callers {
			before := len(one.received)
			one.hears(1 << 20)
			moved = moved || len(one.received) > before
		}
		c.mu.Lock()
		for _, a := range c.answerers {
			before := len(a.behind)
			a.hears(1 << 20)
			moved = moved || len(a.behind) > before
		}
		c.mu.Unlock()
		if moved {
			continue
		}
		if c.busy.Load() == 0 {
			most = min(most, time.Minute) // for those that did not get as far as a CONNECT
			if limit := time.Now().Add(most); limit.Before(end) {
				end = limit
			}
		}
		<-time.After(most / 16)
	}
	c.settle()
}

// check is what holds at the end of every script.
func (c *conversation) check() {
	t, s := c.t, c.server
	if open := s.Sessions(); len(open) > 0 {
		t.Errorf("sessions are left: %+v", open)
	}
	if n := len(s.attempts.all); n > 0 {
		t.Errorf("%d attempts are left", n)
	}
	if n := len(s.departing.waiting); n > 0 {
		t.Errorf("%d dialogues are left that wait", n)
	}
	if n := c.holder.Counters().HeldNow; n > 0 {
		t.Errorf("%d connects are held", n)
	}
	if n := len(c.pending); n > 0 {
		t.Errorf("%d of %d reservations were not released", n, c.orders)
	}
	for _, share := range c.shares.All() {
		if n := share.Sessions.Counts().Now; n != 0 {
			t.Errorf("%s counts %d sessions", share, n)
		}
		if n := share.Rate.Counts().Waiting; n != 0 {
			t.Errorf("%d wait for a turn of %s", n, share)
		}
	}
	if c.reports != c.served-c.departed {
		t.Errorf("%d connects were reported of %d served, %d of which departed", c.reports, c.served, c.departed)
	}
	for id, times := range c.ended {
		if times != 1 {
			t.Errorf("session %d ended %d times", id, times)
		}
	}
	for _, one := range c.callers {
		if !one.far.Closed() {
			t.Errorf("the connection of client %d is left open", one.n)
		}
	}
	for i, a := range c.answerers {
		if !a.near.Closed() {
			t.Errorf("connection %d, to %s, is left open", i, a.instance)
		}
		c.checkSession(a)
	}
	for _, one := range c.callers {
		c.checkAnswer(one)
	}
}

// checkAnswer: who sent a CONNECT has an answer that can be read, and behind it nothing but a session's bytes.
func (c *conversation) checkAnswer(one *caller) {
	conn := tns.NewConn(&recording{rest: one.received})
	reply, err := conn.ReadReply()
	accept, accepted := reply.(*tns.Accept)
	if accepted {
		one.received = append(append([]byte(nil), conn.Unread()...), conn.NetConn().(*recording).rest...)
		c.checkBytes(one, accept)
		return
	}
	rest := append(append([]byte(nil), conn.Unread()...), conn.NetConn().(*recording).rest...)
	switch {
	case err != nil && len(one.received) > 0 && !(c.rough || one.left || one.ended || c.slow):
		c.t.Errorf("client %d was answered %x: %v", one.n, one.received, err)
	case err == nil && len(rest) > 0:
		c.t.Errorf("client %d: %d bytes behind a %T", one.n, len(rest), reply)
	case err != nil && len(one.received) == 0 && one.whole && !one.left && !one.ended && !one.unpatient && !c.rough && c.departed == 0 && !errors.Is(one.near.Over(), nil):
		if one.near.Over() == io.EOF && c.accepted(one.n) == nil {
			c.t.Errorf("client %d got no answer", one.n)
		}
	}
}

// accepted finds the connection on which a client was accepted; nil if there is none.
func (c *conversation) accepted(n int) *answerer {
	for _, a := range c.answerers {
		if a.answered && a.client() == n {
			return a
		}
	}
	return nil
}

// checkSession: an instance is asked for nothing that it did not offer.
func (c *conversation) checkSession(a *answerer) {
	n := a.client()
	if n < 0 || n >= len(c.callers) || !a.auto { // a redirect may lead anywhere
		return
	}
	one := c.callers[n]
	for _, other := range c.answerers {
		if !other.auto {
			return
		}
	}
	if !c.offered[one.asks][a.instance] {
		c.t.Errorf("client %d, which asked for %s, is at %s, which never offered it", n, one.asks, a.instance)
	}
}

// checkBytes: what either side of a session has is what the other sent, from the first byte on, and all of
// it where both ended by themselves.
func (c *conversation) checkBytes(one *caller, _ *tns.Accept) {
	var at *answerer
	for _, a := range c.answerers {
		if a.answered && a.client() == one.n && !a.garbage && (at == nil || len(a.behind) > 0 || a.sent > 0) {
			if at != nil && (len(at.behind) > 0 || at.sent > 0) {
				return // two of them said yes, and the script let both speak: it cannot be told which one it is
			}
			at = a
		}
	}
	if at == nil {
		return
	}
	toServer, toClient := pattern(one.n, 0, one.sent), pattern(100+one.n, 0, at.sent)
	if !bytes.HasPrefix(toServer, at.behind) {
		c.t.Errorf("client %d sent %d bytes, its instance got %d others", one.n, len(toServer), len(at.behind))
	}
	if !bytes.HasPrefix(toClient, one.received) {
		c.t.Errorf("the instance of client %d sent %d bytes, it got %d others", one.n, len(toClient), len(one.received))
	}
	if c.rough || c.slow {
		return
	}
	if len(at.behind) != len(toServer) || len(one.received) != len(toClient) {
		c.t.Errorf("client %d: %d of %d bytes to the server, %d of %d to the client", one.n, len(at.behind), len(toServer), len(one.received), len(toClient))
	}
}

// conversationSeeds are scripts that lead somewhere.
func conversationSeeds() [][]byte {
	connect := []byte{0, 0, 0, 0, 0, 0, 0} // a client, with a plain CONNECT for sales
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	plain := []byte{0, 0, 0, 0, 0, 0, 0, 0} // settings and one instance
	return [][]byte{
		{}, plain,
		join(plain, connect, []byte{3, 0, 1, 200, 15, 0, 2, 100, 6, 0, 4, 0, 18, 0, 4, 0, 8, 0, 20, 0}),
		join(plain, connect, connect, connect, []byte{3, 0, 7, 0, 3, 1, 7, 0, 15, 0, 7, 0, 29, 0, 6, 26, 4}),
		join(plain, []byte{30, 0, 1}, connect, []byte{11, 0, 2, 0, 26, 3, 11, 0, 0, 0, 0}),
		join(plain, []byte{30, 0, 1}, connect, []byte{11, 0, 3, 0, 0, 0, 11, 1, 4, 11, 1, 0, 0, 0}),
		join(plain, []byte{24, 0}, connect, []byte{26, 4, 22, 0, 0, 0, 26, 4}),
		join(plain, []byte{30, 0, 3}, connect, connect, []byte{26, 5, 30, 0, 0, 26, 5}),
		join([]byte{2, 0, 0, 0, 0, 0, 0, 0}, connect, []byte{9, 0}),
		join([]byte{0, 1, 0, 3, 0, 0, 0, 0}, connect, []byte{3, 0, 7, 208, 26, 5}),
		join([]byte{0, 1, 0, 1, 0, 2, 0, 1, 0, 1}, connect, connect, connect, connect, []byte{10, 1, 29, 2, 1}),
	}
}
