package peers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// peer is another broker that is looked at. Its fields are guarded by the lock of its Watcher.
type peer struct {
	watcher *Watcher
	pace    Pace
	cancel  context.CancelFunc
	removed bool // it is none any more

	client *client
	state  State
	at     netip.Addr // of who answers
	digest string     // of its table
	curt   bool       // it did not wait for a change as it was asked to, as one does that ends
	config string

	failingSince time.Time // when an answer was due that did not come; zero while it answers
	told         bool      // that its table differs
	detailAt     time.Time // of the latest look in what it does
	detailOf     [3]string // the two digests then, and that of its settings
	silentUntil  time.Time // until when connects do not wait for it, since it kept one waiting
}

// reach makes a client for the peer. The lock is held.
func (p *peer) reach(access Access) {
	if p.client != nil {
		p.client.close()
	}
	p.client = newClient(p.state.API, access)
}

// watch looks at the peer until ctx ends.
func (p *peer) watch(ctx context.Context) {
	pace, failures := p.pace, 0
	for ctx.Err() == nil {
		wait, first := p.patience()
		changed := p.watcher.change() // other settings may help
		err := p.look(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			p.lookCloser(ctx)
			p.assess()
			if !first { // whoever says at once that something changed, again and again, is not to keep us busy
				pause(ctx, pace.Retry/4, nil)
			}
			continue
		}
		left := p.failed(err)
		again := min(pace.Wait, pace.Retry<<min(failures, 4))
		switch {
		case errors.Is(err, errNotLetIn): // wrong credentials, again and again, are held against this broker's address
			again = cmp.Or(left, pace.Shut)
		case left > 0:
			again = min(again, left)
		}
		pause(ctx, again, changed)
		failures++
	}
}

// pause returns after a while, or once something is closed or ctx ends.
func pause(ctx context.Context, d time.Duration, sooner <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-sooner:
	}
}

// patience is how long the peer is to wait for a change of its table before it answers. first tells that nothing is known of
// it, or nothing any more.
func (p *peer) patience() (wait time.Duration, first bool) {
	own, _ := p.watcher.Own.entry()
	self := p.watcher.Own.Self()
	p.watcher.mu.Lock()
	defer p.watcher.mu.Unlock()
	switch {
	case p.digest == "" || !p.failingSince.IsZero():
		return 0, true
	case p.curt: // it may be another process by now
		return 0, false
	}
	wait = p.pace.Wait
	if due, is := p.due(own.digest, self.Config); is {
		wait = min(wait, max(time.Until(due), p.pace.Retry/4))
	}
	return wait, false
}

// look asks the peer once, and waits for a change of its table for as long as given.
func (p *peer) look(ctx context.Context, wait time.Duration) error {
	p.watcher.mu.Lock()
	c, q, digest := p.client, url.Values{}, p.digest
	if wait > 0 {
		// It is told at once that a table is another one than the last that was seen; where this one has changed
		// meanwhile that makes no difference.
		q.Set("digest", digest)
		q.Set("wait", wait.String())
	}
	p.watcher.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, wait+p.pace.Timeout)
	defer cancel()
	body, got, err := c.get(ctx, TablePath+"?"+q.Encode(), maxSummary)
	now := time.Now()
	if err != nil {
		return err
	}
	s, err := decodeSummary(body)
	if err != nil {
		return err
	}
	trip := now.Sub(got.asked)
	p.watcher.mu.Lock()
	p.curt = s.Digest == digest && trip < wait/2
	if wait == 0 { // else it is not known, since the peer waited
		p.state.RoundTrip = trip
	}
	p.watcher.mu.Unlock()
	p.answered(s, got.from, now)
	return nil
}

// answered takes in what the peer said of itself, by now.
func (p *peer) answered(s *Summary, from netip.Addr, now time.Time) {
	self := p.watcher.Own.Self()
	p.watcher.mu.Lock()
	st := &p.state
	p.at, p.digest, p.config, p.failingSince = from, s.Digest, s.Config, time.Time{}
	st.Name, st.ID, st.Version, st.Generation, st.Started = s.Name, s.ID, s.Version, s.Generation, s.Started
	st.TableVersion, st.Services, st.Instances, st.Cause = s.TableVersion, s.Services, s.Instances, ""
	st.Self = s.ID == self.ID
	if s.Config == self.Config {
		st.Settings = nil
	}
	st.ClockOffset = s.Time.Sub(now) // it was written last of all: all that is between is the way here
	leaves, stays := s.Leaving && !st.Leaving, !s.Leaving && st.Leaving
	st.Leaving = s.Leaving
	came := !st.Alive || stays // also where it was started anew so soon that it was not missed
	if !st.Alive {
		st.Alive, st.Known, st.Since = true, true, now
	}
	counts, shown := p.counts(), p.shown()
	p.watcher.mu.Unlock()
	if counts && came {
		p.watcher.report(Event{Came, shown})
	}
	if counts && leaves {
		p.watcher.report(Event{Leaves, shown})
	}
}

// failed takes in that the peer did not answer, and returns after how long without an answer it is taken for gone: 0 if it is.
func (p *peer) failed(err error) (left time.Duration) {
	now := time.Now()
	p.watcher.mu.Lock()
	st := &p.state
	if p.failingSince.IsZero() {
		p.failingSince = now
		if errors.Is(err, errSilent) {
			p.failingSince = now.Add(-p.pace.Timeout)
		}
	}
	st.Cause = printable(err.Error())
	left = max(0, p.pace.Gone-now.Sub(p.failingSince))
	went := left == 0 && (st.Alive || !st.Known)
	counted := st.Alive && p.counts()
	if went {
		st.Alive, st.Known, st.Since = false, true, now
		st.Same, st.DiffersSince, st.Differences, st.More, st.Settings, p.told, p.digest = false, time.Time{}, nil, 0, nil, false, ""
	}
	shown := p.shown()
	p.watcher.mu.Unlock()
	if went && counted {
		p.watcher.report(Event{Went, shown})
	}
	return left
}

// forget is the end of looking at a peer.
func (p *peer) forget() {
	p.watcher.mu.Lock()
	p.cancel()
	p.client.close()
	tell := p.removed && p.state.Alive && p.counts()
	shown := p.shown()
	p.watcher.mu.Unlock()
	if tell {
		shown.Cause = noPeerAnyMore
		p.watcher.report(Event{Went, shown})
	}
}

const noPeerAnyMore = "it is no peer any more, by PEERS"

// counts tells whether the peer is another broker, and not one that is known already. The lock is held.
func (p *peer) counts() bool { return !p.state.Self && !p.watcher.duplicate(p) }

// shown is how the peer is. The lock is held.
func (p *peer) shown() State {
	s := p.state
	s.At = p.at
	s.Duplicate = !s.Self && s.Alive && p.watcher.duplicate(p)
	s.Differences, s.Settings = slices.Clone(s.Differences), slices.Clone(s.Settings)
	return s
}

// due is when to look in what the peer differs, where that is to be looked at. The lock is held.
func (p *peer) due(digest, config string) (at time.Time, is bool) {
	sameTable, sameConfig := digest == p.digest, config == p.config
	since := p.state.DiffersSince
	switch {
	case !p.counts() || !sameTable && sameConfig && since.IsZero():
		return at, false
	case sameTable && sameConfig:
		return p.detailAt.Add(p.pace.Compare), true
	case p.detailOf != [3]string{digest, p.digest, p.config}:
		return maxTime(p.detailAt.Add(p.pace.Retry), since.Add(p.pace.Settle)), true
	}
	return p.detailAt.Add(p.pace.Detail), true
}

// lookCloser looks in what the peer differs, where it does or it is time.
func (p *peer) lookCloser(ctx context.Context) {
	own, _ := p.watcher.Own.entry()
	self := p.watcher.Own.Self()
	p.watcher.mu.Lock()
	c, of := p.client, [3]string{own.digest, p.digest, p.config}
	due, is := p.due(own.digest, self.Config)
	skip := !is || time.Now().Before(due)
	p.watcher.mu.Unlock()
	if skip || !p.watcher.detail.TryLock() { // one at a time is enough of what may be large; another time, then
		return
	}
	defer p.watcher.detail.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 4*p.pace.Timeout)
	defer cancel()
	asked := time.Now()
	body, _, err := c.get(ctx, TablePath+"?rows=true", maxDetail)
	if err == nil {
		var s *Summary
		if s, err = decodeSummary(body); err == nil {
			p.compared(s)
			return
		}
	}
	p.watcher.mu.Lock()
	defer p.watcher.mu.Unlock()
	p.detailAt, p.detailOf = asked, of // it is tried again as often as if it had gone well
	p.state.Differences, p.state.More = []Difference{{Cause: "it does not tell in what: " + printable(err.Error())}}, 0
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// compared takes in what the peer has.
func (p *peer) compared(s *Summary) {
	own := p.watcher.Own.Summary(true)
	all, count := compare(own.Rows, s.Rows)
	settings := differingSettings(own.Settings, s.Settings)
	for i := range settings {
		settings[i] = printable(settings[i][:min(len(settings[i]), 80)])
	}
	p.watcher.mu.Lock()
	defer p.watcher.mu.Unlock()
	p.digest, p.config, p.detailAt, p.detailOf = s.Digest, s.Config, time.Now(), [3]string{own.Digest, s.Digest, s.Config}
	p.state.Differences, p.state.More = all, count-len(all)
	p.state.Settings = settings[:min(len(settings), mostDifferences)]
}

// assess decides whether the tables differ, and whether that is worth telling.
func (p *peer) assess() {
	own, _ := p.watcher.Own.entry() // of a moment ago, which is near enough
	now := time.Now()
	p.watcher.mu.Lock()
	st := &p.state
	if !p.counts() {
		p.watcher.mu.Unlock()
		return
	}
	tell, kind := false, Agrees
	switch {
	case own.digest == p.digest:
		st.Same, st.DiffersSince = true, time.Time{}
		tell, p.told = p.told, false
		if p.detailOf[0] != p.detailOf[1] { // what was found then is so no more
			st.Differences, st.More = nil, 0
		}
	case st.DiffersSince.IsZero():
		st.Same, st.DiffersSince = false, now
	case !p.told && now.Sub(st.DiffersSince) >= p.pace.Differs:
		tell, kind, p.told = true, Differs, true
	}
	shown := p.shown()
	p.watcher.mu.Unlock()
	if tell {
		p.watcher.report(Event{kind, shown})
	}
}

func compareText(texts ...string) int {
	for i := 0; i+1 < len(texts); i += 2 {
		if c := cmp.Compare(texts[i], texts[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

// address is that of the peer, without the scheme.
func (s *State) address() string {
	_, address, _ := strings.Cut(s.API, "://")
	return address
}

// Label names a peer for people.
func (s *State) Label() string {
	if s.Name == "" || strings.EqualFold(s.Name, s.API) {
		return s.API
	}
	return fmt.Sprintf("%s at %s", s.Name, s.API)
}
