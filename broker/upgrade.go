package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/console"
	"servicebroker/handover"
	"servicebroker/journal"
)

// Process is what a broker has to know of the process it runs in. The zero value is that of one that cannot be upgraded.
type Process struct {
	// Start starts a successor: the same program as far as its file says, which finds channel as handover.Inherited does.
	Start func(channel *os.File) (Successor, error)
	// Before is whom this broker succeeds; nil: nobody.
	Before *Predecessor
	// Activated are sockets that were open before.
	Activated []ActivatedSocket
	// Confine gives up for good what privileges do not grant, having made the folders that are to be the user's. It returns as whom
	// the process goes on, "" if that is as before, and what people should know. nil: nothing is given up.
	Confine func(p Privileges, folders []string) (as string, warnings []string, err error)
	// Serves tells whoever passes signals on to the process that serves which one that is, before anybody else knows; nil: nobody does.
	Serves func(pid int)
	// Notify tells the service manager how the broker is, in the words of sd_notify(3); nil: there is none.
	Notify func(state string)
}

// Successor is a process that has been started.
type Successor interface {
	PID() int
	Kill()
	Wait() error // for its end, whatever the end; called at most once
	Release()    // called instead of Wait where it goes on by itself
	Ended() bool // whether it has, once it is not waited for
}

// Bounds of an upgrade.
const (
	prepareTime = 30 * time.Second // for a successor to be ready: it reads its configuration and what that names
	commitTime  = 10 * time.Second // for it to serve then; the API changes nothing meanwhile
	moveTime    = 60 * time.Second // for an answer to whoever asked for it; moving goes on
	nearlyDone  = 5 * time.Second  // to wait for a predecessor that is about to end
	endTime     = 2 * time.Second  // for a successor that failed to end by itself
)

// programName is what generations know each other by.
const programName = "servicebroker"

// upgrading is how far a broker is with handing itself over.
type upgrading struct {
	running  sync.Mutex   // one at a time
	changes  sync.RWMutex // held for reading while the API changes something
	heir     atomic.Pointer[heir]
	starting atomic.Pointer[console.Generation] // the successor that is being prepared
	preparations
	committed chan *heir    // has room for one
	patience  time.Duration // with a predecessor that is about to end

	trial, settle, answers time.Duration // see trialTime
	prepare, commit, last  time.Duration // see prepareTime; last: endTime

	done, failed atomic.Uint64
}

func newUpgrading() upgrading {
	return upgrading{
		preparations: newPreparations(), committed: make(chan *heir, 1), patience: nearlyDone, trial: trialTime, settle: provenTime, answers: answerTime, prepare: prepareTime, commit: commitTime, last: endTime,
	}
}

// heir is the successor that serves instead of this broker.
type heir struct {
	channel *handover.Channel
	process Successor
	hello   handover.Hello
	format  int
	number  int
	began   time.Time // when it was started
	served  time.Time // since when it serves

	trial   trial
	answers time.Duration            // in which it has to answer an offer
	wish    *console.ShutdownRequest // what it was to hear, which came for this broker
	late    bool                     // it may begin to serve, and is not waited for any more
	moved   chan struct{}            // closed when all was offered that there was, and the successor has proven itself or not
	moves   []console.Moved
	failure error                     // why it is not this broker's successor after all; not to be read before moved is closed
	until   atomic.Pointer[time.Time] // when what is left is cut; nil: never
}

// Kinds of records of an upgrade, besides those of movers.
const (
	recordSocket   = "socket"   // old to new: a socketKey, and the socket
	recordState    = "state"    // old to new: a statePassed, and the lock of the folder
	recordPart     = "part"     // old to new: a partPassed, and its files
	recordPrepared = "prepared" // old to new: that is all there is for a start
	recordReady    = "ready"    // new to old: it could serve
	recordFailed   = "failed"   // new to old: why not, as text
	recordCommit   = "commit"   // old to new: it is to serve
	recordServing  = "serving"  // new to old: it does
	recordMoved    = "moved"    // old to new: the console.Moved of all movers
	recordLeft     = "left"     // old to new: what is left, a leftPassed
	recordShutdown = "shutdown" // either way: a console.ShutdownRequest
)

type statePassed struct {
	Path string `json:"path"`
}

type partPassed struct {
	Name  string          `json:"name"`
	State json.RawMessage `json:"state"`
}

// notNow is why there can be no upgrade at the moment.
func notNow(text, hint string) error {
	return &console.APIError{Status: http.StatusConflict, Message: text, Hint: hint}
}

// Upgrade starts the program again and hands everything over to it. Where that fails, this broker goes on as if nothing had been
// tried; see goBack for one that fails in its first moments. It returns when all that can move has moved, which is soon; the broker
// ends when nothing is left.
func (b *Broker) Upgrade(ctx context.Context) (console.Upgraded, error) {
	u := &b.upgrade
	if b.process.Start == nil {
		return console.Upgraded{}, notNow("this broker runs within another program and cannot be upgraded", "upgrade that program")
	}
	if !u.running.TryLock() {
		return console.Upgraded{}, notNow("an upgrade is under way", "broker generations tells how far it is")
	}
	defer u.running.Unlock()
	if err := b.mayUpgrade(ctx); err != nil {
		b.log.Warn("not upgraded", "cause", err.Error())
		return console.Upgraded{}, err
	}
	h, err := b.beSucceeded()
	u.starting.Store(nil)
	if errors.Is(err, errToldToEnd) {
		b.log.Warn("not upgraded", "cause", err.Error())
		return console.Upgraded{}, notNow(err.Error(), "start it again instead")
	}
	if err != nil {
		u.failed.Add(1)
		b.log.Error("upgrade failed, this generation goes on", "generation", b.generation(), "cause", err.Error())
		b.journal.Add(journal.Event{Kind: journal.UpgradeFailed, Cause: err.Error(), Detail: "this generation goes on"})
		return console.Upgraded{}, &console.APIError{Status: http.StatusBadGateway, Message: "the successor did not take over: " + err.Error(), Hint: "this broker goes on as it was"}
	}
	wait := time.NewTimer(moveTime)
	defer wait.Stop()
	select {
	case <-h.moved:
		if h.failure != nil {
			return console.Upgraded{}, &console.APIError{Status: http.StatusBadGateway, Message: h.failure.Error(), Hint: "this broker serves again; the log has the last words of the successor"}
		}
	case <-wait.C:
	}
	return b.upgraded(h), nil
}

// mayUpgrade tells why it may not; it waits a little for a predecessor that is about to end.
func (b *Broker) mayUpgrade(ctx context.Context) error {
	if h := b.upgrade.heir.Load(); h != nil {
		return movedOn(h)
	}
	if b.leaving.Load() || b.stopping.Load() {
		return notNow("the broker is about to end", "start it again instead")
	}
	p := b.process.Before
	if p == nil {
		return nil
	}
	wait := time.NewTimer(b.upgrade.patience)
	defer wait.Stop()
	select {
	case <-p.ended:
		return nil
	case <-wait.C:
	case <-ctx.Done():
	}
	return notNow("there are two generations already: "+p.leftover(time.Now()), "wait for it, or cut what it keeps: broker shutdown --abort --generation "+strconv.Itoa(p.hello.Generation))
}

// movedOn says that another generation serves.
func movedOn(h *heir) error {
	return &console.APIError{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf("this generation has handed over to generation %d, process %d", h.number, h.process.PID()), Hint: "ask again: it answers at the same addresses"}
}

// generation is the number of this process among those that followed each other.
func (b *Broker) generation() int {
	if p := b.process.Before; p != nil {
		return p.hello.Generation + 1
	}
	return 1
}

func (b *Broker) hello() handover.Hello {
	return handover.Hello{Program: programName, Version: Version, Generation: b.generation(), PID: os.Getpid(), Started: &b.started, Oldest: oldestFormat, Newest: newestFormat}
}

// beSucceeded starts a successor and returns once that serves. Only an end of this broker cuts it short.
func (b *Broker) beSucceeded() (*heir, error) {
	ctx, done, err := b.upgrade.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	h := &heir{number: b.generation() + 1, began: time.Now(), moved: make(chan struct{}), moves: []console.Moved{}, answers: b.upgrade.answers, trial: trial{ending: make(chan struct{})}}
	channel, theirs, err := handover.Pair()
	if err != nil {
		return nil, err
	}
	h.channel = channel
	h.process, err = b.process.Start(theirs)
	_ = theirs.Close()
	if err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("it cannot be started: %w", err)
	}
	b.log.Info("upgrade: successor started", "generation", h.number, "pid", h.process.PID())
	b.upgrade.starting.Store(&console.Generation{Number: h.number, PID: h.process.PID(), Started: h.began, State: console.GenerationStarting})
	if err = b.prepare(ctx, h); err == nil {
		err = b.commit(ctx, h)
	}
	if err != nil {
		b.retained.forget()
		b.journal.Resume()
		if ctx.Err() != nil || errors.Is(err, errToldToEnd) { // it must not keep the sockets for longer than this broker has them
			h.kill(b.upgrade.last)
			err = errToldToEnd
		}
		return nil, h.fail(err, b.upgrade.last)
	}
	return h, nil
}

// fail ends a successor that does not serve, which has a moment to end by itself unless it might serve after all, and says why with
// what its end tells.
func (h *heir) fail(err error, last time.Duration) error {
	if h.late {
		h.kill(last)
	}
	_ = h.channel.Close()
	patience := time.AfterFunc(last, h.process.Kill)
	end := h.process.Wait()
	patience.Stop()
	switch {
	case errors.Is(err, handover.ErrDamaged):
		return fmt.Errorf("%w: the program there may be one that cannot take over", err)
	case !errors.Is(err, handover.ErrOver):
		return err
	case end != nil:
		return fmt.Errorf("it ended before it could serve (%w): its last words are in the log", end)
	}
	return errors.New("it ended before it could serve, without a complaint: the program there may be one that cannot take over")
}

// prepare gives the successor what it needs to be ready, and returns once it is.
func (b *Broker) prepare(ctx context.Context, h *heir) error {
	ctx, cancel := context.WithTimeout(ctx, b.upgrade.prepare)
	defer cancel()
	var err error
	if h.hello, h.format, err = h.channel.Greet(ctx, b.hello()); err != nil {
		return silent(err, "it did not answer within %v", b.upgrade.prepare)
	}
	for _, s := range b.sockets.open {
		file, err := s.file()
		if err == nil {
			err = sendFiles(ctx, h, recordSocket, s.key, file)
		}
		if err != nil {
			return fmt.Errorf("socket %s: %w", s.key, err)
		}
	}
	if b.state != nil {
		if err := h.channel.Send(ctx, recordState, statePassed{b.state.path}, b.state.lock); err != nil {
			return err
		}
	}
	if err := b.giveParts(ctx, h, true); err != nil {
		return err
	}
	if err := h.channel.Send(ctx, recordPrepared, struct{}{}); err != nil {
		return err
	}
	return silent(h.await(ctx, recordReady), "it was not ready within %v", b.upgrade.prepare)
}

// silent words that there was no answer in time.
func silent(err error, text string, limit time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf(text, limit)
	}
	return err
}

// sendFiles sends a record, and closes its files.
func sendFiles(ctx context.Context, h *heir, kind string, body any, files ...*os.File) error {
	defer closeFiles(files)
	return h.channel.Send(ctx, kind, body, files...)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// giveParts passes on the parts that are due.
func (b *Broker) giveParts(ctx context.Context, h *heir, early bool) error {
	for _, p := range b.parts() {
		if p.early != early {
			continue
		}
		state, files, err := p.give()
		var text json.RawMessage
		if err == nil {
			text, err = json.Marshal(state)
		}
		if err != nil {
			closeFiles(files)
			return fmt.Errorf("%s cannot be passed on: %w", p.name, err)
		}
		if err := sendFiles(ctx, h, recordPart, partPassed{p.name, text}, files...); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// await returns when the successor says a word, or why it does not.
func (h *heir) await(ctx context.Context, word string) error {
	for {
		r, err := h.channel.Receive(ctx)
		if err != nil {
			return err
		}
		switch r.Kind {
		case word:
			return nil
		case recordFailed:
			var why string
			if err := json.Unmarshal(r.Body, &why); err != nil {
				why = string(r.Body)
			}
			return errors.New(why)
		}
		_ = r.Decline("not expected before " + word)
	}
}

// commit lets the successor serve. Nothing that it has been told of is changed before that is certain.
func (b *Broker) commit(ctx context.Context, h *heir) error {
	ctx, cancel := context.WithTimeout(ctx, b.upgrade.commit)
	defer cancel()
	b.reloading.Lock()
	defer b.reloading.Unlock()
	b.upgrade.changes.Lock()
	defer b.upgrade.changes.Unlock()
	b.operations.setting.Lock()
	defer b.operations.setting.Unlock()
	if b.leaving.Load() {
		return errToldToEnd
	}
	if err := b.giveParts(ctx, h, false); err != nil {
		return err
	}
	if err := h.channel.Send(ctx, recordCommit, struct{}{}); err != nil {
		return err
	}
	if err := h.await(ctx, recordServing); err != nil {
		h.late = ctx.Err() != nil
		return silent(err, "it did not serve within %v", b.upgrade.commit)
	}
	h.served = time.Now()
	b.succeeded(h)
	b.upgrade.committed <- h
	return nil
}

// upgraded tells what has become of an upgrade by now.
func (b *Broker) upgraded(h *heir) console.Upgraded {
	u := console.Upgraded{
		From: b.generation(), FromVersion: Version, Generation: h.number, PID: h.process.PID(), Version: h.hello.Version, Began: h.began,
		ServedAfter: h.served.Sub(h.began).Milliseconds(), Took: time.Since(h.began).Milliseconds(), Moved: []console.Moved{},
	}
	select {
	case <-h.moved:
		u.Moved, u.Complete = h.moves, true
		u.Left = b.leftNow(h).generation()
		u.Left.Number, u.Left.PID, u.Left.Version, u.Left.Started = b.generation(), os.Getpid(), Version, b.started
	default:
	}
	return u
}
