package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"servicebroker/console"
	"servicebroker/handover"
	"servicebroker/journal"
)

// Predecessor is the generation from which a broker takes over.
type Predecessor struct {
	channel *handover.Channel
	hello   handover.Hello
	format  int

	sockets map[socketKey]*os.File
	state   statePassed
	lock    *os.File // of the folder; nil: there is none
	early   map[string]passed

	left    atomic.Pointer[leftPassed]
	kept    atomic.Pointer[[]keptSessions] // its sessions, as it told last; nil: none. See settled
	allowed atomic.Pointer[time.Time]      // how long it may go on by the last wish with a time of its own
	ended   chan struct{}                  // closed once nothing more can come from it
}

// passed is the state of a part, with its files.
type passed struct {
	state json.RawMessage
	files []*os.File
}

// Succeed learns what a successor needs to be made. It waits for the predecessor at the other end of the channel.
func Succeed(ctx context.Context, channel *handover.Channel) (*Predecessor, error) {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	p := &Predecessor{channel: channel, sockets: map[socketKey]*os.File{}, early: map[string]passed{}, ended: make(chan struct{})}
	var err error
	p.hello, p.format, err = channel.Greet(ctx, handover.Hello{Program: programName, Version: Version, PID: os.Getpid(), Oldest: oldestFormat, Newest: newestFormat})
	for err == nil {
		var r *handover.Record
		if r, err = channel.Receive(ctx); err != nil {
			break
		}
		if r.Kind == recordPrepared {
			return p, r.Take()
		}
		err = p.told(r)
	}
	p.Refuse(err)
	return nil, fmt.Errorf("cannot take over from process %d: %w", p.hello.PID, err)
}

// told takes one of the records before recordPrepared. What a later version adds is left.
func (p *Predecessor) told(r *handover.Record) error {
	var err error
	files := len(r.Files)
	switch r.Kind {
	case recordSocket:
		var key socketKey
		if err = json.Unmarshal(r.Body, &key); err == nil && len(r.Files) == 1 && p.sockets[key] == nil {
			p.sockets[key] = r.Files[0]
			return r.Take()
		}
	case recordState:
		if err = json.Unmarshal(r.Body, &p.state); err == nil && len(r.Files) == 1 && p.lock == nil {
			p.lock = r.Files[0]
			return r.Take()
		}
	case recordPart:
		var part partPassed
		if err = json.Unmarshal(r.Body, &part); err == nil {
			closeFiles(p.early[part.Name].files)
			p.early[part.Name] = passed{part.State, r.Files}
			return r.Take()
		}
	default:
		return r.Decline("not known to version " + Version)
	}
	_ = r.Decline("not understood")
	if err == nil {
		err = fmt.Errorf("%d files, or the same once more", files)
	}
	return fmt.Errorf("a record of kind %s cannot be understood: %w", r.Kind, err)
}

// Refuse tells the predecessor why this process does not take over, and ends the channel.
func (p *Predecessor) Refuse(why error) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if why != nil && !errors.Is(why, handover.ErrOver) {
		_ = p.channel.Send(ctx, recordFailed, why.Error())
	}
	p.close()
}

// close ends the channel, and leaves what it brought and nobody took.
func (p *Predecessor) close() {
	s := sockets{found: p.sockets}
	s.leave()
	p.sockets = nil
	if p.lock != nil {
		_ = p.lock.Close()
		p.lock = nil
	}
	for _, part := range p.early {
		closeFiles(part.files)
	}
	p.early = nil
	_ = p.channel.Close()
}

// leftover words what is left in it.
func (p *Predecessor) leftover(now time.Time) string {
	text := fmt.Sprintf("generation %d (process %d)", p.hello.Generation, p.hello.PID)
	l := p.left.Load()
	if l == nil {
		return text + " has not told yet what it keeps"
	}
	var kept []string
	for _, one := range []struct {
		n    int
		word string
	}{{l.Sessions, "session"}, {l.Clients - l.Sessions, "client"}, {l.Registrations, "registration"}} {
		if one.n > 0 {
			kept = append(kept, console.Plural(one.n, one.word))
		}
	}
	if kept == nil {
		kept = []string{"nothing any more"}
	}
	text += " keeps " + strings.Join(kept, ", ")
	if !l.Until.IsZero() {
		text += " until " + l.Until.Format(time.TimeOnly) + ", for " + max(l.Until.Sub(now), 0).Round(time.Second).String()
	}
	return text
}

// takeEarly hands parts that were given early to those that they are of. It is for New.
func (b *Broker) takeEarly() error {
	p := b.process.Before
	if p == nil {
		return nil
	}
	all := maps.Clone(p.early)
	clear(p.early)
	return b.takeParts(all, true)
}

// takeParts hands parts to those that they are of. Those of a later version are left.
func (b *Broker) takeParts(given map[string]passed, early bool) error {
	for _, part := range b.parts() {
		one, is := given[part.name]
		if !is || part.early != early {
			continue
		}
		delete(given, part.name)
		err := part.take(one.state, one.files)
		switch {
		case err != nil && part.needed:
			return fmt.Errorf("%s: %w", part.name, err)
		case err != nil:
			b.log.Error("upgrade: not taken over from the predecessor", "what", part.name, "cause", err.Error())
		}
	}
	for name, one := range given {
		b.log.Debug("upgrade: of another version, left", "what", name)
		closeFiles(one.files)
	}
	return nil
}

// awaitCommit tells a predecessor that this broker could serve, and returns when it is to and has said that it does. Without one it
// returns at once. After an error nothing outside was touched: the predecessor serves.
func (b *Broker) awaitCommit(ctx context.Context) error {
	p := b.process.Before
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	err := p.channel.Send(ctx, recordReady, struct{}{})
	late := map[string]passed{}
	for err == nil {
		var r *handover.Record
		if r, err = p.channel.Receive(ctx); err != nil {
			break
		}
		if r.Kind == recordCommit {
			err = r.Take()
			break
		}
		var part partPassed
		if r.Kind != recordPart || json.Unmarshal(r.Body, &part) != nil {
			err = r.Decline("not known to version " + Version)
			continue
		}
		closeFiles(late[part.Name].files)
		late[part.Name] = passed{part.State, r.Files}
		err = r.Take()
	}
	if err == nil {
		err = b.takeParts(late, false)
	}
	if err == nil {
		err = b.openIntents() // as they are now
	}
	if err == nil {
		b.rereadShared()
		b.journal.Resume() // where that one passed none on
		b.rejudge()
		err = p.serves()
	}
	if err != nil {
		for _, part := range late {
			closeFiles(part.files)
		}
		p.Refuse(err)
		return fmt.Errorf("not taken over from process %d: %w", p.hello.PID, err)
	}
	return nil
}

// serves tells the predecessor that this process does. One that has waited for too long serves on itself, and cannot be told.
func (p *Predecessor) serves() error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	if err := p.channel.Send(ctx, recordServing, struct{}{}); err != nil {
		return fmt.Errorf("it ended, or gave this process up, while it handed over: %w", err)
	}
	return nil
}

// begun tells whom it concerns that this broker serves. A predecessor knows already.
func (b *Broker) begun() {
	if of, ok := b.socket.(interface{ SetUnlinkOnClose(bool) }); ok {
		of.SetUnlinkOnClose(true)
	}
	if unused := b.sockets.leave(); len(unused) > 0 {
		b.log.Warn("sockets that were open before are named by no address of the configuration, and closed", "sockets", unused)
	}
	if p := b.process.Before; p != nil {
		b.log.Info("upgrade: this generation serves", "generation", b.generation(), "before", p.hello.PID, "before_version", p.hello.Version)
	} else {
		b.notifyServing()
	}
}

// notifyServing tells keeper and service manager that this process is the one that serves; not before a predecessor has left, which
// serves again if this one dies.
func (b *Broker) notifyServing() {
	b.serves(os.Getpid())
	b.notify(fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=%s", os.Getpid(), b.servingStatus()))
}

// takeOver takes what the predecessor offers, until that ends or ctx does. serving is for what it takes.
func (b *Broker) takeOver(ctx, serving context.Context) {
	p := b.process.Before
	defer close(p.ended)
	defer p.close()
	taken, declined := map[string]int{}, map[string]int{}
	for {
		r, err := p.channel.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				b.settled.Do(b.notifyServing)
				b.log.Info("upgrade: the predecessor has ended", "generation", p.hello.Generation, "pid", p.hello.PID, "taken", sums(taken), "declined", sums(declined))
				b.journal.Add(journal.Event{Kind: journal.PredecessorEnded, Detail: p.hello.Version})
			}
			return
		}
		begin, err := b.takeThing(serving, r)
		if err != nil {
			declined[r.Kind]++
			b.log.Debug("upgrade: declined", "what", r.Kind, "cause", err.Error())
			_ = r.Decline(err.Error())
			continue
		}
		taken[r.Kind]++
		if begin == nil {
			_ = r.Take()
			continue
		}
		r.TakeThen(begin)
	}
}

// takeThing takes one record of a predecessor that does not serve any more; see mover.resume.
func (b *Broker) takeThing(serving context.Context, r *handover.Record) (begin func(error), err error) {
	p := b.process.Before
	switch r.Kind {
	case recordLeft:
		var l leftPassed
		if err := json.Unmarshal(r.Body, &l); err != nil {
			return nil, err
		}
		p.left.Store(&l)
		return nil, nil
	case recordKept:
		return nil, p.takeKept(r.Body)
	case recordMoved:
		var moves []console.Moved
		if err := json.Unmarshal(r.Body, &moves); err != nil {
			return nil, err
		}
		b.settled.Do(b.notifyServing)
		b.log.Info("upgrade: everything that can move has moved", "from", p.hello.PID, "moved", moves)
		return nil, nil
	case recordEvents:
		return nil, b.takeEvents(r.Body)
	case recordRetained:
		return nil, b.takeRetained(r.Body)
	case recordShutdown:
		var wish console.ShutdownRequest
		if err := json.Unmarshal(r.Body, &wish); err != nil {
			return nil, err
		}
		b.Shutdown(wish)
		return nil, nil
	}
	m := b.mover(r.Kind)
	if m == nil {
		return nil, errors.New("not known to version " + Version)
	}
	return m.resume(serving, r.Body, r.Files)
}

func sums(all map[string]int) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}
