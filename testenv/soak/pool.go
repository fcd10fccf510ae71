package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// pool is sessions that live long. Each has a transaction and a table of its own, and looks at every turn whether it is yet the
// session that it was. Databases are private, so that a row of another session's would be another session.
type pool struct {
	w       *world
	cancel  context.CancelFunc
	running sync.WaitGroup
	hands   []*hand
}

// hand is a driver and its sessions, which have their turns one after the other.
type hand struct {
	driver  drivers.Looper
	talk    drivers.Conversation
	members []*member
	going   sync.Mutex // is held while nobody may work
	random  *rand.Rand
	tls     *tls.Config                       // for who needs it in this process
	do      func(drivers.Step) drivers.Result // as talk does it, until cancel
	cancel  context.CancelFunc
}

// member is one session and what it must find.
type member struct {
	errand
	name     string
	open     bool
	identity string // service, instance and number of its session
	rows     int
	sum      int
	turns    int // until it leaves, and comes again
	opened   time.Time
	last     time.Time // when it was well
}

// startPool opens the sessions. They rest until resume.
func (w *world) startPool(ctx context.Context, each int) *pool {
	ctx, cancel := context.WithCancel(ctx)
	p := &pool{w: w, cancel: cancel}
	for i, d := range w.drivers {
		h := &hand{driver: d, tls: w.authority.Client, random: rand.New(rand.NewPCG(uint64(i), 0))}
		errands := w.errands()
		for n := range each {
			e := errands[n%len(errands)]
			e.target = strings.ReplaceAll(e.target, "{door}", "127.0.0.1")
			h.members = append(h.members, &member{errand: e, name: fmt.Sprint("s", n)})
		}
		p.hands = append(p.hands, h)
		h.going.Lock()
		p.running.Go(func() { p.work(ctx, h) })
	}
	return p
}

// pause returns once no session works, and resume ends that.
func (p *pool) pause() {
	for _, h := range p.hands {
		h.going.Lock()
	}
}

func (p *pool) resume() {
	for _, h := range p.hands {
		h.going.Unlock()
	}
}

// end ends all sessions. They rest.
func (p *pool) end() {
	p.cancel()
	for _, h := range p.hands {
		h.going.Unlock()
	}
	p.running.Wait()
}

// turnPause is how long a hand rests between two turns.
const turnPause = 150 * time.Millisecond

// work has members do their turns until ctx ends.
func (p *pool) work(ctx context.Context, h *hand) {
	for n := 0; ctx.Err() == nil; n++ {
		h.going.Lock()
		if ctx.Err() == nil {
			p.turn(ctx, h, h.members[n%len(h.members)])
		}
		h.going.Unlock()
		pause(ctx, turnPause)
	}
	if h.talk != nil {
		h.drop() // what becomes of its sessions does not count any more
	}
}

// dropped is how long a driver may take to close what it cannot use any more. It may never come back, when it was cut short.
const dropped = 20 * time.Second

// within tells whether something came to its end in time. What does not is left behind.
func within(d time.Duration, do func()) bool {
	over := make(chan struct{})
	go func() { defer close(over); do() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-over:
		return true
	case <-timer.C:
		return false
	}
}

// drop ends the conversation with a driver, and with it all its sessions.
func (h *hand) drop() {
	talk := h.talk
	h.cancel()
	within(dropped, func() { _ = talk.End() })
	h.talk = nil
	for _, m := range h.members {
		m.open = false
	}
}

// settle opens what is not open, and has every session look at itself once.
func (p *pool) settle(ctx context.Context) {
	var all sync.WaitGroup
	for _, h := range p.hands {
		all.Go(func() {
			for _, m := range h.members {
				for range 3 { // the second at the latest is not one that was lost long ago
					p.turn(ctx, h, m)
					if m.open {
						break
					}
				}
			}
		})
	}
	all.Wait()
}

// turn is one turn of a session: it comes, works, or goes.
func (p *pool) turn(ctx context.Context, h *hand, m *member) {
	if h.talk == nil {
		if err := h.begin(ctx); err != nil {
			p.w.record.fault(time.Now(), "%s does not start: %v", h.driver.Name(), err)
			return
		}
	}
	began := time.Now()
	result := func() drivers.Result {
		hung := time.AfterFunc(2*patience, h.cancel)
		defer hung.Stop()
		return p.steps(h, m)
	}()
	switch {
	case ctx.Err() != nil:
	case result.Error == "":
		m.last = time.Now()
		p.w.record.turned(h.driver.Name(), well, time.Since(began))
	default:
		p.w.record.turned(h.driver.Name(), p.lost(h, m, began, result.Error), 0)
		closing := m.open
		m.open = false
		do := h.do
		closed := !closing || within(patience, func() { do(drivers.Step{Do: drivers.Close, On: m.name}) })
		if !closed || time.Since(began) >= 2*patience {
			h.drop()
		}
	}
}

func (h *hand) begin(ctx context.Context) (err error) {
	ctx, h.cancel = context.WithCancel(ctx)
	switch d := h.driver.(type) {
	case drivers.GoOra:
		d.TLS = h.tls
		h.talk = d.Converse()
	case *drivers.Script:
		h.talk, err = d.Converse(ctx)
	}
	talk := h.talk
	h.do = func(s drivers.Step) drivers.Result { return talk.Do(ctx, s) }
	return err
}

// whatIsThere is who a session is and what it has.
const whatIsThere = "select sys_context('USERENV','SERVICE_NAME') || '/' || sys_context('USERENV','INSTANCE_NAME') || '/' || sys_context('USERENV','SID'), count(*), sum(n) from work"

// steps are the steps of a turn, up to the first that fails.
func (p *pool) steps(h *hand, m *member) (r drivers.Result) {
	do := func(s drivers.Step) bool {
		s.On = m.name
		r = h.do(s)
		return r.Error == ""
	}
	if !m.open {
		m.opened = time.Now()
		m.last, m.identity, m.rows, m.sum, m.turns = m.opened, "", 0, 0, 5+h.random.IntN(60)
		if !do(drivers.Step{Do: drivers.Connect, User: stage.User, Password: stage.Password, Target: m.target}) {
			return r
		}
		m.open = true
		if !do(drivers.Step{Do: drivers.Execute, SQL: "create table work (n number)"}) {
			return r
		}
	}
	m.rows, m.sum = m.rows+1, m.sum+m.rows+1
	if !do(drivers.Step{Do: drivers.Execute, SQL: fmt.Sprintf("insert into work values (%d)", m.rows)}) || !do(drivers.Step{Do: drivers.Query, SQL: whatIsThere}) {
		return r
	}
	if wrong := p.w.identify(m, &r); wrong != "" {
		return drivers.Result{Error: wrong}
	}
	if m.turns--; m.turns%7 == 0 && !do(drivers.Step{Do: drivers.Commit}) {
		return r
	}
	if m.turns <= 0 {
		m.open = !do(drivers.Step{Do: drivers.Close})
	}
	return r
}

// crossed begins what is said of a session that is another one.
const crossed = "CROSSED: "

// identify tells what is wrong with who a session is, or with its rows.
func (w *world) identify(m *member, r *drivers.Result) string {
	found := ""
	for _, row := range r.Rows {
		for _, text := range row {
			if text != nil {
				found += *text + " "
			}
		}
	}
	if m.identity == "" {
		_, _ = fmt.Sscan(found, &m.identity)
		place := m.identity[:max(strings.LastIndexByte(m.identity, '/'), 0)]
		if v := w.astray(place, m.errand); v != well {
			return crossed + v
		}
	}
	if want := fmt.Sprintf("%s %d %d ", m.identity, m.rows, m.sum); found != want {
		return crossed + fmt.Sprintf("it finds %q instead of %q", found, want)
	}
	return ""
}

// lost tells whether a session may have been lost.
func (p *pool) lost(h *hand, m *member, began time.Time, failure string) string {
	going := p.w.chronicle.during(m.last.Add(-time.Second), time.Now())
	connecting := m.identity == ""
	if !strings.HasPrefix(failure, crossed) {
		for i := range going {
			if going[i].ends(m, connecting) {
				return "lost by: " + strings.SplitN(going[i].text, ":", 2)[0]
			}
		}
		if p.w.record.stalls.excuse(began, time.Now(), failure) {
			return "machine stalled"
		}
	}
	text := faulty + fmt.Sprintf("%s, long session %s (%s, opened %s, well last %s): turn begun %s: %.300s", h.driver.Name(), m.name, m.identity, m.opened.Format(precise),
		m.last.Format(precise), began.Format(precise), failure)
	for i := range going {
		text += "\n  while " + going[i].String()
	}
	return text
}

// ends tells whether a happening may end a session, or keep it from being opened.
func (h *happening) ends(m *member, connecting bool) bool {
	through := false
	for _, s := range m.sites {
		through = through || s == h.broker
	}
	redirect := m.service == redirected
	switch h.how {
	case brokerDied:
		return through && (connecting || !redirect)
	case successorDied:
		return through && ((connecting || !redirect) && m.opened.After(h.began.Add(-time.Second)) || m.secure) // it may come to serve, too
	case generationEnd:
		return through && m.secure
	case fewFiles:
		return through && connecting
	case instanceDied:
		return connecting || strings.Contains(m.identity, "/"+h.on.Instance+"/")
	case instanceDeaf:
		return connecting && redirect
	}
	return false
}
