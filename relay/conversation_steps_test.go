package relay

import (
	"errors"
	"strings"
	"testing/synctest"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/testenv/fuzzing"
	"servicebroker/tns"
)

// step plays one step, and mostly waits until nothing moves any more.
func (c *conversation) step() {
	what := c.Byte()
	switch what & 0x1f {
	case 0, 1, 2:
		c.newCaller()
	case 3, 4, 5:
		if one := c.caller(); one != nil {
			one.says(c.Below(2000))
		}
	case 6, 7:
		if one := c.caller(); one != nil {
			one.hears(c.Below(5000))
		}
	case 8:
		if one := c.caller(); one != nil {
			_, one.ended = one.near.CloseWrite(), true
		}
	case 9:
		if one := c.caller(); one != nil {
			_, one.left = one.near.Close(), true
			c.rough = true
		}
	case 10:
		if one := c.caller(); one != nil {
			one.near.Reset()
			one.left, c.rough = true, true
		}
	case 11, 12, 13, 14:
		c.withAnswerer(c.answer)
	case 15, 16, 17:
		c.withAnswerer(func(a *answerer) { a.says(c.Below(2000)) })
	case 18, 19:
		c.withAnswerer(func(a *answerer) { a.hears(c.Below(5000)) })
	case 20:
		c.withAnswerer(func(a *answerer) { _, a.ended = a.far.CloseWrite(), true })
	case 21:
		c.withAnswerer(func(a *answerer) {
			if c.Bool() {
				_ = a.far.SetLinger(0)
			}
			_, a.left = a.far.Close(), true
			c.rough = true
		})
	case 22, 23:
		c.register(c.Below(mostInstances))
	case 24:
		c.table.Drop(servicetable.ID(instanceName(c.Below(mostInstances))))
	case 25:
		c.mark()
	case 26, 27:
		c.pass(fuzzing.Pick(c.Script, time.Millisecond, 50*time.Millisecond, 200*time.Millisecond, time.Second, 4*time.Second, 20*time.Second, 61*time.Second, 11*time.Minute))
	case 28:
		c.reload()
	case 29:
		c.operate()
	case 30:
		i := c.Below(mostInstances)
		c.mu.Lock()
		c.instances[i].mode = byte(c.Below(4))
		c.mu.Unlock()
	case 31:
		c.settle()
	}
	if what&0x80 == 0 {
		c.settle()
	}
}

// settle waits until nobody has anything to do, with all that instances do by themselves.
func (c *conversation) settle() {
	for range 50 {
		synctest.Wait()
		if !c.attend() {
			return
		}
	}
}

// attend has instances read what they were asked, and answer if they do so by themselves.
func (c *conversation) attend() (did bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.answerers {
		if a.asked != nil || a.left {
			continue
		}
		if more := a.far.Take(1 << 16); len(more) > 0 {
			a.received, did = append(a.received, more...), true
			a.read()
		}
		if a.asked != nil && a.auto {
			a.accept(tns.AnswerConnect(a.asked, 318, nil))
			did = true
		}
	}
	return did
}

// read finds the CONNECT in what an instance got.
func (a *answerer) read() {
	conn := tns.NewConn(&recording{rest: a.received})
	connect, err := conn.ReadConnect()
	if err == nil {
		a.asked = connect
		a.behind = append(append([]byte(nil), conn.Unread()...), conn.NetConn().(*recording).rest...)
	}
}

func (a *answerer) accept(m *tns.Accept) {
	if m == nil {
		return
	}
	packets := m.AppendTo(nil, false)
	if a.far.Offer(packets) != len(packets) {
		a.garbage = true
		return
	}
	a.answered = true
}

// answer lets an instance say what the script chooses.
func (c *conversation) answer(a *answerer) {
	if a.answered {
		a.says(c.Below(100))
		return
	}
	a.auto = false // it is driven from now on, and may redirect
	var m tns.Message
	switch c.Below(8) {
	case 0, 1:
		if a.asked != nil {
			a.accept(tns.AnswerConnect(a.asked, fuzzing.Pick[uint16](c.Script, 318, 319, 314, 315, 310), fuzzing.Pick(c.Script, nil, []byte("na"), make([]byte, 300))))
		}
		return
	case 2:
		m = tns.NewRefuse(fuzzing.Pick(c.Script, tns.CodeUnknownService, tns.CodeBlocked, tns.CodeNoServiceName, tns.CodeNoHandler, 0, 99999), 0)
	case 3:
		address := "(ADDRESS=(PROTOCOL=tcp)(HOST=" + instanceName(c.Below(mostInstances+1)) + ")(PORT=1521))"
		m = &tns.Redirect{Address: fuzzing.Pick(c.Script, address, address, "(ADDRESS=", fuzzing.Text(c.Script)), ConnectData: fuzzing.Pick(c.Script, "", string(a.data()))}
	case 4:
		m = tns.Resend{}
		a.received, a.asked = nil, nil
	case 5:
		a.garbage = true
		a.far.Offer(fuzzing.Packet(c.Script, c.Bool()))
		return
	case 6:
		a.garbage = true
		a.far.Offer(c.Bytes(40))
		return
	case 7:
		m = tns.Data{Payload: []byte("?")}
		a.garbage = true
	}
	a.far.Offer(m.AppendTo(nil, false))
}

func (a *answerer) data() []byte {
	if a.asked == nil {
		return nil
	}
	return a.asked.Data
}

func (c *conversation) newCaller() {
	if len(c.callers) == mostCallers || c.stopped {
		return
	}
	one := &caller{n: len(c.callers)}
	room, piece := fuzzing.Pick(c.Script, 1<<16, 4096, 600, 32), fuzzing.Pick(c.Script, 0, 1, 7, 100)
	one.near, one.far = fuzzing.Pipe("10.0.0."+string(rune('1'+one.n))+":40000", "192.0.2.1:1521", room, piece)
	one.asks, one.script = c.connectFor(one.n)
	c.callers = append(c.callers, one)
	c.arrive(one)
	if cut := c.Below(16); cut == 15 { // the rest comes with what it says next, or never
		n := one.near.Offer(one.script[:len(one.script)/2])
		one.script = one.script[n:]
		return
	}
	one.introduces()
}

// introduces sends what is left of the CONNECT, as far as there is room.
func (one *caller) introduces() {
	n := one.near.Offer(one.script)
	one.script = one.script[n:]
	one.whole = len(one.script) == 0
}

func (one *caller) says(n int) {
	if !one.whole {
		one.introduces()
		return
	}
	if one.ended || one.left {
		return
	}
	one.unpatient = one.unpatient || len(one.received) == 0
	one.sent += one.near.Offer(pattern(one.n, one.sent, n))
}

func (one *caller) hears(n int) { one.received = append(one.received, one.near.Take(n)...) }

func (a *answerer) says(n int) {
	if a.answered && !a.ended && !a.left {
		a.sent += a.far.Offer(pattern(100+a.client(), a.sent, n))
	}
}

func (a *answerer) hears(n int) {
	if a.asked != nil {
		a.behind = append(a.behind, a.far.Take(n)...)
	}
}

// client is the number of the client that an instance was asked for; -1 if it cannot tell.
func (a *answerer) client() int {
	if a.asked == nil {
		return -1
	}
	asked, err := descriptor.Parse(string(a.asked.Data))
	if err != nil {
		return -1
	}
	program := descriptor.ConnectData(asked).Text("CID", "PROGRAM")
	if n := strings.TrimPrefix(program, "c"); len(n) == 1 && n != program && n >= "0" && n <= "9" {
		return int(n[0] - '0')
	}
	return -1
}

func (c *conversation) caller() *caller {
	if len(c.callers) == 0 {
		return nil
	}
	return c.callers[c.Below(len(c.callers))]
}

func (c *conversation) withAnswerer(do func(*answerer)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answerers) > 0 {
		do(c.answerers[c.Below(len(c.answerers))])
	}
}

// mark puts an operator's or the prober's mark on an instance, or takes it off.
func (c *conversation) mark() {
	key := instanceName(c.Below(mostInstances)) + "@" + instanceName(c.Below(mostInstances)) + ".host"
	kind := fuzzing.Pick(c.Script, servicetable.Draining, servicetable.Ejected, servicetable.Maintenance, servicetable.Quarantined, servicetable.Holding)
	if c.Bool() {
		c.table.Unmark(key, kind)
		return
	}
	c.table.Mark(key, servicetable.Mark{Kind: kind, Since: time.Now()})
}

// pass lets time go by.
func (c *conversation) pass(d time.Duration) {
	c.slow = c.slow || d > 30*time.Second
	for end := time.Now().Add(d); time.Now().Before(end); { // instances answer meanwhile
		<-time.After(min(time.Until(end), max(d/4, time.Millisecond)))
		c.settle()
	}
}

// operate is what an operator does.
func (c *conversation) operate() {
	switch c.Below(7) {
	case 0:
		c.rough = true
		client := c.Below(mostCallers + 1)
		c.server.EndSessions(func(s *SessionInfo) bool { return client == mostCallers || s.Program == "c"+string(rune('0'+client)) }, "asked to")
	case 1:
		c.holding.Store(!c.holding.Load())
	case 2:
		c.taking.Store(c.Bool())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.server.Depart()
		}()
		c.finishSoon(done, "Depart")
		c.server.Keep()
	case 3:
		c.server.Reinspect()
		_ = c.server.Sessions()
	case 4:
		c.server.SkipIDs(uint64(c.Below(1000)))
	case 5:
		_, _ = c.server.Load(func(*SessionInfo) {})
	case 6:
		if c.Below(8) == 7 {
			c.stopped, c.rough = true, true
			c.halt()
		}
	}
}

// finishSoon waits for what is not to take longer than a minute.
func (c *conversation) finishSoon(done <-chan struct{}, what string) {
	limit := time.After(time.Minute)
	for {
		c.settle()
		select {
		case <-done:
			return
		case <-limit:
			c.t.Fatalf("%s does not return", what)
		case <-time.After(time.Second):
		}
	}
}

var errNoMore = errors.New("no more")
