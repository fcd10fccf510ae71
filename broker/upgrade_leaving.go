package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"servicebroker/console"
	"servicebroker/handover"
	"servicebroker/journal"
	"servicebroker/relay"
)

// leftPassed is what is left in a generation that does not serve any more.
type leftPassed struct {
	Sessions      int       `json:"sessions"`
	Clients       int       `json:"clients"` // sessions among them
	Registrations int       `json:"registrations"`
	Until         time.Time `json:"until"` // zero: there is no bound
}

func (l leftPassed) generation() console.Generation {
	g := console.Generation{State: console.GenerationDraining, Sessions: l.Sessions, Clients: l.Clients, Registrations: l.Registrations}
	switch {
	case g.Clients == 0 && g.Registrations == 0: // it needs a moment
		g.State = console.GenerationEnding
	case !l.Until.IsZero():
		g.Until = &l.Until
	}
	return g
}

// relaySessions counts the relayed sessions that are open.
func (b *Broker) relaySessions() int {
	return b.relay.CountSessions(func(*relay.SessionInfo) bool { return true })
}

// leftNow counts what is left here.
func (b *Broker) leftNow(h *heir) leftPassed {
	count := b.open.count()
	left := leftPassed{Sessions: b.relaySessions(), Clients: count["client"] + count["reading"], Registrations: count["registration"]}
	if until := h.until.Load(); until != nil {
		left.Until = *until
	}
	return left
}

// allow bounds how long what is left may go on from now; 0 is for ever.
func (h *heir) allow(limit time.Duration) {
	if limit == 0 {
		h.until.Store(nil)
		return
	}
	until := time.Now().Add(limit)
	h.until.Store(&until)
}

// patience is how long what is left may still go on; 0 is for ever.
func (h *heir) patience(now time.Time) time.Duration {
	if until := h.until.Load(); until != nil {
		return max(until.Sub(now), time.Nanosecond)
	}
	return 0
}

// handOver moves what can be moved to the successor, which serves. limit is how long the rest may go on. What follows then goes
// on until stop is called. An error is why the successor is none, and has ended.
func (b *Broker) handOver(told, abort context.Context, h *heir, limit time.Duration) (stop func(), err error) {
	ctx, cancel := context.WithCancel(abort)
	var all sync.WaitGroup
	stop = func() {
		cancel()
		all.Wait()
	}
	all.Go(func() {
		if b.hear(ctx, h) {
			cancel() // also what is being moved
		}
	})
	lives := b.endures(told, ctx, h, b.upgrade.trial)
	if lives {
		b.moveAll(ctx, h, &all)
		lives = b.endures(told, ctx, h, b.upgrade.settle) && h.trial.decide() && !errors.Is(b.tellMoved(ctx, h), handover.ErrOver)
	}
	if !lives {
		stop()
		select {
		case <-h.trial.ending:
		default:
			return nil, h.end()
		}
	}
	h.allow(limit)
	b.traces.Leave(fmt.Sprintf("process %d goes on", h.process.PID()))
	b.upgrade.done.Add(1)
	b.serves(h.process.PID())
	close(h.moved)
	b.notify(fmt.Sprintf("MAINPID=%d", h.process.PID()))
	left := b.leftNow(h)
	b.log.Info("upgrade: handed over", "generation", h.number, "pid", h.process.PID(), "version", h.hello.Version, "took", time.Since(h.began).Round(time.Millisecond).String(),
		"sessions_left", left.Sessions, "registrations_left", left.Registrations, "at_most", limit.String())
	b.journal.Add(journal.Event{Kind: journal.Upgraded, Detail: h.hello.Version})
	all.Go(func() { b.tellLeft(ctx, h) })
	all.Go(func() { b.tellEvents(ctx, h) })
	all.Go(func() { b.outlive(ctx, h) })
	return stop, nil
}

// tellMoved tells the successor that it has all. It may have ended in the very moment in which its trial was over: what is sent to it
// says so for certain, whoever else has heard of it yet.
func (b *Broker) tellMoved(ctx context.Context, h *heir) error {
	err := h.channel.Send(ctx, recordMoved, h.moves)
	if err != nil && ctx.Err() == nil {
		b.log.Error("upgrade: the successor is gone", "generation", h.number, "cause", err.Error())
	}
	return err
}

// outlive has signals come to this process again where the successor ends before it.
func (b *Broker) outlive(ctx context.Context, h *heir) {
	select {
	case <-h.channel.Over(): // which may have other reasons
	case <-ctx.Done():
		return
	}
	ticks := time.NewTicker(tellEvery)
	defer ticks.Stop()
	for !h.process.Ended() {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
	b.log.Error("the successor has ended, and nobody serves new clients: this generation goes on with those that it has", "generation", h.number, "pid", h.process.PID(),
		"remedy", "end process "+strconv.Itoa(os.Getpid())+" and start the broker again")
	b.serves(os.Getpid())
}

// moveAll offers all that there is, and begins to offer what comes about later.
func (b *Broker) moveAll(ctx context.Context, h *heir, following *sync.WaitGroup) {
	movers, open := b.movers(), b.open.size()
	for _, m := range movers {
		began := time.Now()
		moved, stayed := m.move(ctx, h.offer(m.kind))
		open -= moved
		if moved+stayed > 0 {
			h.moves = append(h.moves, console.Moved{What: m.what, Moved: moved, Stayed: stayed})
		}
		b.log.Info("upgrade: moved", "what", m.what, "moved", moved, "stayed", stayed, "took", time.Since(began).Round(time.Microsecond).String())
	}
	for _, m := range movers {
		if m.follow != nil {
			following.Go(func() { m.follow(ctx, h.offer(m.kind)) })
		}
	}
	b.awaitGone(ctx, open)
}

// awaitGone waits until those that have moved are not counted here any more, which is at once.
func (b *Broker) awaitGone(ctx context.Context, open int) {
	patience, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	select {
	case <-b.open.atMost(open):
	case <-patience.Done():
	}
}

func (h *heir) offer(kind string) offerFunc {
	return func(ctx context.Context, thing any, files ...*os.File) error {
		patient, cancel := context.WithTimeout(ctx, h.answers)
		defer cancel()
		err := h.channel.Offer(patient, kind, thing, files...)
		switch {
		case err == nil:
			h.trial.took(thing)
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			h.hangs()
		}
		return err
	}
}

// hangs is told of a successor that does not answer. On trial it is over with it: nothing else is to wait as long.
func (h *heir) hangs() {
	select {
	case <-h.moved:
		return
	case <-h.trial.ending: // nobody goes back: it has what it has taken
	default:
		if !h.trial.decide() {
			return
		}
		h.kill(endTime)
	}
	_ = h.channel.Close()
}

// kill ends a successor before the channel to it is closed: one that wakes and sees its predecessor gone would tell everybody that it
// serves.
func (h *heir) kill(within time.Duration) {
	h.process.Kill()
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case <-h.channel.Over():
	case <-patience.C: // the system does not let go of it
	}
}

// end ends a successor that is none any more, and says why.
func (h *heir) end() error {
	h.process.Kill()
	err := h.process.Wait()
	_ = h.channel.Close()
	if err != nil {
		return fmt.Errorf("%w: %w", errDied, err)
	}
	return errDied
}

// hear does what the successor asks for, until that or ctx ends, or all is to be cut.
func (b *Broker) hear(ctx context.Context, h *heir) (cut bool) {
	for {
		r, err := h.channel.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				b.log.Warn("the successor has ended, or does not speak any more", "generation", h.number, "cause", err.Error())
			}
			return false
		}
		if r.Kind == recordEnd {
			b.endKept(r)
			continue
		}
		if r.Kind == recordFollow && b.follow(r.Body) == nil {
			_ = r.Take()
			continue
		}
		var wish console.ShutdownRequest
		if r.Kind != recordShutdown || json.Unmarshal(r.Body, &wish) != nil {
			_ = r.Decline("not known to version " + Version)
			continue
		}
		_ = r.Take()
		h.trial.end()
		b.log.Info("told by the successor to end", "generation", b.generation())
		b.Shutdown(wish)
		if wish.Abort {
			return true
		}
	}
}

// tellEvery is how often a successor is told what is left, if that has changed.
const tellEvery = 500 * time.Millisecond

// tellLeft tells the successor what is left, until ctx ends or nobody listens.
func (b *Broker) tellLeft(ctx context.Context, h *heir) {
	ticks := time.NewTicker(tellEvery)
	defer ticks.Stop()
	var told leftPassed
	var kept []keptSessions
	for first := true; ; first = false {
		if now := b.kept(); !slices.Equal(now, kept) || first { // also that there are none: see sessionsPassed
			if h.channel.Send(ctx, recordKept, now) != nil {
				return
			}
			kept = now
		}
		if now := b.leftNow(h); now != told || first {
			if h.channel.Send(ctx, recordLeft, now) != nil {
				return
			}
			told = now
		}
		select {
		case <-ticks.C:
		case <-h.channel.Over():
			return
		case <-ctx.Done():
			return
		}
	}
}

// release lets the successor go on alone, also where the channel to it is over before: nobody can tell then whether it has ended, and
// it may be the only one that serves.
func (h *heir) release() {
	h.process.Release()
	_ = h.channel.Close()
}

// stopAccepting ends the loops that accept. A successor has the same sockets: what waits at them is its.
func (b *Broker) stopAccepting(h *heir) {
	if h != nil { // they have ended
		return
	}
	for _, l := range b.listeners {
		_ = l.Close()
	}
}

// leaveSockets closes those of this process. A file of a socket stays where it is for a successor.
func (b *Broker) leaveSockets(servers []*http.Server) {
	if of, ok := b.socket.(interface{ SetUnlinkOnClose(bool) }); ok {
		of.SetUnlinkOnClose(false)
	}
	for _, l := range b.listeners {
		_ = l.Close()
	}
	for _, s := range servers {
		s.SetKeepAlivesEnabled(false)
	}
}

// endServers ends requests that are under way, politely as long as there is time.
func endServers(servers []*http.Server, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if s.Shutdown(ctx) != nil {
				_ = s.Close()
			}
		})
	}
	all.Wait()
}

// serverPatience is for requests that are under way when a successor serves.
const serverPatience = 10 * time.Second

// untilMoved lets requests pass until a successor serves. Whoever changes something meanwhile keeps a successor from beginning;
// whoever comes later is told to ask that.
func (b *Broker) untilMoved(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changes := r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Path != "/api/v1/upgrade"
		if changes {
			b.upgrade.changes.RLock()
			defer b.upgrade.changes.RUnlock()
		}
		if h := b.upgrade.heir.Load(); h != nil {
			w.Header().Set("Connection", "close")
			if changes {
				console.WriteProblem(w, movedOn(h))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// serves tells the keeper which process serves.
func (b *Broker) serves(pid int) {
	if b.process.Serves != nil {
		b.process.Serves(pid)
	}
}

// notify tells the service manager something.
func (b *Broker) notify(state string) {
	if b.process.Notify != nil {
		b.process.Notify(state)
	}
}

// leaveConsul leaves what is there to the successor.
func (b *Broker) leaveConsul() {
	b.passConsul()
	b.endConsul()
}

// notifyReloading tells the service manager that a reload begins, with the time that sd_notify(3) wants.
func (b *Broker) notifyReloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err == nil {
		b.notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
	}
}

// Touch returns once the table can be changed, which is at once unless the broker is stuck.
func (b *Broker) Touch() {
	b.changing.Lock()
	defer b.changing.Unlock()
}
