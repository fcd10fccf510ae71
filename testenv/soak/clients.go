package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// whereAmI is what every connect asks.
const whereAmI = "select sys_context('USERENV','SERVICE_NAME') || '/' || sys_context('USERENV','INSTANCE_NAME') from dual"

// patient has drivers wait, since a machine that has a lot else to do is no fault of a broker's.
const patient = "(TRANSPORT_CONNECT_TIMEOUT=60)(CONNECT_TIMEOUT=120)"

// errand is a way of connecting.
type errand struct {
	name    string
	service string
	target  string  // {door} in it is the client's own loopback address
	sites   []*site // to which it goes
	secure  bool
}

// errands are all of them.
func (w *world) errands() []errand {
	a, b := w.sites[0], w.sites[1]
	address := func(s *site) string { return fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST={door})(PORT=%d))", s.tap.Port) }
	plain := func(addresses, service string) string {
		return "(DESCRIPTION=" + patient + addresses + "(CONNECT_DATA=(SERVICE_NAME=" + service + ")))"
	}
	return []errand{
		{"relay, two brokers", relayed, plain("(ADDRESS_LIST=(FAILOVER=on)(LOAD_BALANCE=on)"+address(a)+address(b)+")", relayed), []*site{a, b}, false},
		{"redirect", redirected, plain(address(a), redirected), []*site{a}, false},
		{"relay, moving PDB", moving, plain(address(b), moving), []*site{b}, false},
		{"relay, TLS", secure, fmt.Sprintf("(DESCRIPTION="+patient+"(ADDRESS=(PROTOCOL=tcps)(HOST={door})(PORT=%d))(CONNECT_DATA=(SERVICE_NAME=%s))"+
			"(SECURITY=(SSL_SERVER_DN_MATCH=no)(MY_WALLET_DIRECTORY=%s)))", a.secureTap.Port, secure, w.authority.Folder), []*site{a}, true},
	}
}

// trial is one connect.
type trial struct {
	drivers.Connected
	errand
}

// loops are all drivers on all errands.
type loops struct {
	stop    chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex
	trials  []trial
	err     error
}

// grace is how long connects may take that are under way at the end: as long as they may be held, and longer.
const grace = 60 * time.Second

// mostUnderWay bounds the connects of a loop at a time: a slow machine is not to be buried.
const mostUnderWay = 8

// firstDoor leaves 127.0.x.x to others.
const firstDoor = 16

func (w *world) startLoops(ctx context.Context, o options) (*loops, error) {
	l := &loops{stop: make(chan struct{})}
	for i, d := range w.drivers {
		for j, e := range w.errands() {
			d := d
			if own, ok := d.(drivers.GoOra); ok && e.secure {
				own.TLS = w.authority.Client.Clone()
				own.TLS.InsecureSkipVerify = true // no certificate has all doors
				d = own
			}
			n := byte(w.rounds) // so that a door is not used again before it is forgotten who was there
			job := drivers.LoopJob{User: stage.User, Password: stage.Password, Target: e.target, SQL: whereAmI, Rate: o.rate, Most: mostUnderWay,
				GraceMS: int(grace / time.Millisecond), Doors: firstDoor + (n%4)*50 + byte(i*4+j)}
			l.running.Go(func() {
				err := d.Loop(ctx, job, l.stop, func(c drivers.Connected) {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.trials = append(l.trials, trial{c, e})
				})
				l.mu.Lock()
				defer l.mu.Unlock()
				l.err = errors.Join(l.err, err)
			})
		}
	}
	w.rounds++
	return l, nil
}

// end lets everyone finish.
func (l *loops) end() *loops {
	close(l.stop)
	l.running.Wait()
	return l
}

// sighting is what a tap saw of a connect at a broker.
type sighting struct {
	stage.Sighting
	site *site
}

// precise is how times of day are told.
const precise = "15:04:05.000"

func (s sighting) String() string {
	text := fmt.Sprintf("came to %s %s as %s", s.site.name, s.Began.Format(precise), s.Client)
	if !s.Answered.IsZero() {
		text += fmt.Sprintf(", %s after %v %.300s", s.Answer, s.Answered.Sub(s.Began).Round(time.Millisecond), s.Text)
	}
	if !s.Ended.IsZero() {
		text += ", over " + s.Ended.Format(precise)
	}
	return text
}

// judge judges all connects of an act.
func (w *world) judge(ctx context.Context, l *loops) {
	if l.err != nil && ctx.Err() == nil { // else it was cut short
		w.record.fault(time.Now(), "a driver's loop: %v", l.err)
	}
	seen := map[netip.Addr][]sighting{}
	for _, s := range w.sites {
		for _, tap := range []*stage.Tap{s.tap, s.secureTap} {
			for _, one := range tap.Sightings() {
				if tap == s.secureTap { // what it saw was not for its eyes
					one.Answer, one.Answered, one.Text = stage.NoAnswer, time.Time{}, ""
				}
				seen[one.Door] = append(seen[one.Door], sighting{one, s})
			}
		}
	}
	for i := range l.trials {
		t := &l.trials[i]
		w.record.connected(t, w.verdict(t, seen[t.Door]))
	}
	for _, s := range w.sites {
		s.tap.Forget(time.Now())
		s.secureTap.Forget(time.Now())
	}
	w.chronicle.forget(time.Now().Add(-remembered))
}

// remembered is for how long it is known what happened: sessions may find only then that they are lost.
const remembered = 20 * time.Minute

// well is the verdict on connects that were.
const well = "well"

// verdict is well, why a connect may have failed, or else a fault, beginning with faulty.
func (w *world) verdict(t *trial, seen []sighting) string {
	if t.Error == "" {
		return w.astray(t.Answer, t.errand)
	}
	began, ended := t.Started().Add(-onItsWay), t.Ended()
	going := w.chronicle.during(began.Add(-detection), ended)
	for _, s := range seen {
		for i := range going {
			if why := going[i].excuses(t, s); why != "" {
				return why
			}
		}
	}
	for i := range going { // nobody listened
		h := &going[i]
		if h.how == brokerDied && len(t.sites) == 1 && t.sites[0] == h.broker && h.began.Before(ended) && (h.healed.IsZero() || h.healed.After(began)) {
			return "nobody there"
		}
	}
	if w.record.stalls.excuse(t.Started(), ended, t.Error) || len(seen) > 0 && seen[0].Began.Sub(t.Started()) > unfair && timedOut(t.Error) {
		return "machine stalled"
	}
	text := faulty + fmt.Sprintf("%s, %s: connect %d at %s, after %.0f ms at %s: %.300s", t.Driver, t.name, t.N, t.Started().Format(precise), t.TookMS, t.Stage, t.Error)
	for _, s := range seen {
		text += "\n  " + s.String()
	}
	for i := range going {
		text += "\n  while " + going[i].String()
	}
	return text
}

// faulty begins a verdict that is a fault.
const faulty = "FAULT "

// astray tells whether a session is where it was to go.
func (w *world) astray(answer string, e errand) string {
	service, instance, _ := strings.Cut(answer, "/")
	if service == e.service {
		for _, d := range w.donors {
			if d.Instance == instance && (d.services[service] || service == moving) {
				return well
			}
		}
	}
	return faulty + fmt.Sprintf("CROSSED: %s: it asked for %s and is at %q", e.name, e.service, answer)
}

func timedOut(text string) bool {
	text = strings.ToLower(text)
	for _, one := range []string{"timeout", "timed out", "deadline", "time-out", "expired", "njs-510", "12170"} {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}
