package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// crew is sessions that each have a transaction open, in which they work now and then. Databases have to be private, so
// that each has tables of its own and nobody waits for another.
type crew struct {
	target   func(service string) string
	services []string // of which members take one each in turn
	members  []*member

	mu    sync.Mutex
	turns times
	lost  []string
}

// member is one session, and what it must find.
type member struct {
	name     string
	service  string // it asked for
	identity string // service, instance and number of its session
	rows     int
	sum      int
	over     bool // it is lost, and has been told of
}

// hand is a driver and those who work through it, one after the other.
type hand struct {
	driver  string
	talk    drivers.Conversation
	members []*member
}

// eachScript is how many sessions a driver has that runs as a process of its own.
const eachScript = 20

// muster opens sessions: most by go-ora in this process, some by every other driver.
func (c *crew) muster(ctx context.Context, count int, all []drivers.Looper) (hands []*hand, err error) {
	for _, d := range all {
		each, left := 1, count-len(c.members)
		if _, script := d.(*drivers.Script); script {
			each, left = eachScript, min(left, eachScript)
		}
		for ; left > 0; left -= each {
			talk, err := conversationWith(ctx, d)
			if err != nil {
				return nil, err
			}
			h := &hand{driver: d.Name(), talk: talk}
			for range min(each, left) {
				m := &member{name: fmt.Sprint("s", len(c.members)), service: c.services[len(c.members)%len(c.services)]}
				h.members, c.members = append(h.members, m), append(c.members, m)
			}
			hands = append(hands, h)
		}
	}
	c.each(hands, func(h *hand, m *member) { c.enter(ctx, h, m) })
	return hands, nil
}

// each has every member do something, as many at a time as there are hands, within bounds.
func (c *crew) each(hands []*hand, do func(*hand, *member)) {
	var all sync.WaitGroup
	places := make(chan struct{}, 16)
	for _, h := range hands {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			for _, m := range h.members {
				if !m.over {
					do(h, m)
				}
			}
		})
	}
	all.Wait()
}

// enter connects and begins the transaction.
func (c *crew) enter(ctx context.Context, h *hand, m *member) {
	for _, s := range []drivers.Step{
		{Do: drivers.Connect, User: stage.User, Password: stage.Password, Target: c.target(m.service)},
		{Do: drivers.Execute, SQL: "create table work (n number)"},
	} {
		if !c.do(ctx, h, m, s, nil) {
			return
		}
	}
	if c.turn(ctx, h, m) {
		return
	}
	m.over = true
}

// do does a step and tells whether it was well.
func (c *crew) do(ctx context.Context, h *hand, m *member, s drivers.Step, result *drivers.Result) bool {
	s.On = m.name
	began := time.Now()
	r := h.talk.Do(ctx, s)
	if result != nil {
		*result = r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Error != "" {
		m.over = true
		c.lost = append(c.lost, fmt.Sprintf("%s %s (%s) at %s, %s begun %v before: %.300s", h.driver, m.name, m.identity,
			time.Now().Format("15:04:05.000"), s.Do, time.Since(began).Round(time.Millisecond), r.Error))
		return false
	}
	if s.Do == drivers.Execute && result != nil {
		c.turns = append(c.turns, time.Duration(r.TookMS*float64(time.Millisecond)))
	}
	return true
}

// turn inserts a row, and looks whether all of the session's rows are there and it is still the same session.
func (c *crew) turn(ctx context.Context, h *hand, m *member) bool {
	var r drivers.Result
	m.rows, m.sum = m.rows+1, m.sum+m.rows+1
	return c.do(ctx, h, m, drivers.Step{Do: drivers.Execute, SQL: fmt.Sprintf("insert into work values (%d)", m.rows)}, &r) && c.verify(ctx, h, m)
}

const whatIsThere = "select sys_context('USERENV','SERVICE_NAME') || '/' || sys_context('USERENV','INSTANCE_NAME') || '/' || sys_context('USERENV','SID'), count(*), sum(n) from work"

func (c *crew) verify(ctx context.Context, h *hand, m *member) bool {
	var r drivers.Result
	if !c.do(ctx, h, m, drivers.Step{Do: drivers.Query, SQL: whatIsThere}, &r) {
		return false
	}
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
	}
	if want := fmt.Sprintf("%s %d %d ", m.identity, m.rows, m.sum); found != want || !strings.HasPrefix(found, m.service+"/") {
		c.mu.Lock()
		defer c.mu.Unlock()
		m.over = true
		c.lost = append(c.lost, fmt.Sprintf("%s %s of %s finds %q instead of %q", h.driver, m.name, m.service, found, want))
		return false
	}
	return true
}

// leave ends all transactions, looks whether they have all their rows, and returns what was lost of the whole.
func (c *crew) leave(ctx context.Context, hands []*hand) []string {
	c.each(hands, func(h *hand, m *member) {
		if c.do(ctx, h, m, drivers.Step{Do: drivers.Commit}, nil) && c.verify(ctx, h, m) {
			c.do(ctx, h, m, drivers.Step{Do: drivers.Close}, nil)
		}
	})
	for _, h := range hands {
		if err := h.talk.End(); err != nil {
			c.lost = append(c.lost, h.driver+": "+err.Error())
		}
	}
	return c.lost
}

// openTransactions counts the sessions of databases that have one.
func openTransactions(t testing.TB, databases ...*stage.Database) (open int) {
	t.Helper()
	for _, d := range databases {
		var state struct {
			Sessions []struct {
				InTransaction bool `json:"in_transaction"`
			} `json:"sessions"`
		}
		must(t, d.State(&state))
		for _, s := range state.Sessions {
			if s.InTransaction {
				open++
			}
		}
	}
	return open
}
