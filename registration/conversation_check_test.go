package registration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// compare checks the table against the model, as far as it can be known: with an upstream that may end it at
// any time, and of who talks nonsense, it cannot.
func (c *conversation) compare() {
	if c.upstream || c.stopped {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.databases {
		if !d.registered || d.over || d.wild || len(d.script) > 0 || d.collector.Pending() > 0 || d.near.Over() != nil || d.near.Stuffed() { // then the answer to one message is waited with before the next
			continue
		}
		var found servicetable.Registration
		for id, r := range c.table {
			if strings.HasSuffix(string(id), "-"+d.near.LocalAddr().String()) {
				found = r
			}
		}
		want := d.model
		want.Handlers = nil
		for _, h := range d.model.Handlers {
			if h.Host != "broker" || h.Port == 0 {
				want.Handlers = append(want.Handlers, h)
			}
		}
		if brief(found) != brief(want) {
			c.wrong = append(c.wrong, fmt.Sprintf("database %d: the table has %s, it said %s", d.n, brief(found), brief(want)))
		}
	}
}

func (c *conversation) end() {
	c.settle()
	switch c.Below(3) {
	case 0:
		for _, d := range c.databases {
			d.ends(c.Below(3))
		}
	case 1:
		c.stop()
	case 2:
		for _, d := range c.databases {
			_ = d.near.CloseWrite()
		}
		c.pass(time.Minute)
		c.stop() // who has registered and is silent stays, whatever time it is
	}
	for range 20 {
		c.pass(6 * time.Second)
		c.mu.Lock()
		for _, l := range c.listeners {
			l.hears()
		}
		c.mu.Unlock()
		for _, d := range c.databases {
			d.hears(1 << 20)
		}
	}
	if c.busy.Load() > 0 {
		stacks := make([]byte, 1<<20)
		c.t.Fatalf("%d dialogues never end\n%s", c.busy.Load(), stacks[:runtime.Stack(stacks, true)])
	}
	c.stop()
	c.serving.Wait()
	c.check()
	for _, d := range c.databases {
		_ = d.near.Close()
	}
	for _, l := range c.listeners {
		_ = l.far.Close()
	}
}

func (c *conversation) check() {
	for _, problem := range c.wrong {
		c.t.Error(problem)
	}
	if len(c.table) > 0 {
		c.t.Errorf("%d registrations are left", len(c.table))
	}
	if c.server.Registrants() != 0 || len(c.server.perPeer) != 0 || len(c.server.dialogues) != 0 {
		c.t.Errorf("%d places are taken, by %v, %d dialogues", c.server.Registrants(), c.server.perPeer, len(c.server.dialogues))
	}
	if c.events[Registered] > 0 && c.events[Died] == 0 {
		c.t.Errorf("events %v", c.events)
	}
	for _, d := range c.databases {
		if !d.far.Closed() {
			c.t.Errorf("the connection of database %d is left open", d.n)
		}
		if _, err := tns.NewConn(&readOnly{rest: d.received}).ReadReply(); err != nil && len(d.received) > 0 && !c.upstream && !errors.Is(err, io.ErrUnexpectedEOF) {
			c.t.Errorf("database %d was answered %x: %v", d.n, d.received, err)
		}
	}
	for i, l := range c.listeners {
		if !l.near.Closed() {
			c.t.Errorf("the connection %d upstream is left open", i)
		}
		c.checkTap(l)
	}
}

// checkTap: what came upstream is what one of the databases said, from its beginning.
func (c *conversation) checkTap(l *upstreamEnd) {
	if l.connect == 0 {
		return
	}
	said := l.received[l.connect:]
	for _, d := range c.databases {
		if bytes.HasPrefix(d.passed, said) || d.wild {
			return
		}
	}
	c.t.Errorf("upstream got %d bytes that nobody said", len(said))
}
