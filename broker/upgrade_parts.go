package broker

import (
	"context"
	"encoding/json"
	"os"
)

// part is what a component passes on to the same component of a successor, as it is when the successor begins to serve. The
// API changes nothing from then on, registrations may. The format of its state is the part's own affair: both versions have to
// understand it, whichever is the older one, and a field that is not known counts for nothing.
type part struct {
	name string
	// give is called in the old process. The files are closed once they are on their way. An error fails the upgrade.
	give func() (state any, files []*os.File, err error)
	// take is called in the successor, before it serves. It owns the files. An error fails the upgrade if the part is needed,
	// else what the part would have passed on is lost.
	take   func(state json.RawMessage, files []*os.File) error
	needed bool
	// early: it is given before the successor reads its configuration, and taken within New.
	early bool
}

// parts are all that are passed on, in the order in which they are given and taken.
func (b *Broker) parts() []part {
	return append([]part{
		b.journalPart(),  // first: what others tell comes later
		b.departedPart(), // before the table: what is in that is there
		b.tablePart(),
		b.tracesPart(),
		b.peersPart(),
		{name: "holds", give: b.giveHolds, take: b.takeHolds},
		{name: "sessions", give: b.giveSessions, take: b.takeSessions},
		{name: "totals", give: b.giveTotals, take: b.takeTotals},
	}, b.nextParts()...)
}

// offerFunc offers one thing with its files to the successor. Nil: it is the successor's now, and the files here are to be
// closed, without a word to whoever is at the other end of them. Else it stays what it was; a *handover.DeclinedError says why
// it was declined. ctx should end only when all is over: what is not answered may have been taken.
type offerFunc func(ctx context.Context, thing any, files ...*os.File) error

// mover is a component of which things are moved one by one while both processes run.
type mover struct {
	kind string // of its things, as they are called on the way
	what string // as people call them
	// move is called in the old process once it accepts nothing more, and returns when all has been offered that there is.
	move func(ctx context.Context, offer offerFunc) (moved, stayed int)
	// follow, unless it is nil, is called in the old process after all have moved, and offers what comes about later, until ctx
	// ends: that is when the old process does.
	follow func(ctx context.Context, offer offerFunc)
	// resume is called in the successor for each thing, in the order in which they were offered. Without an error it can be taken,
	// with the files; begin, which may be nil, is called once the predecessor has let go of it (nil), or has not (the reason): then
	// it is given up without a word to whoever is at the other end. It must not wait for anything. An error is the reason for which
	// it cannot be taken; the files are closed then. ctx ends when what was taken has to.
	resume func(ctx context.Context, thing json.RawMessage, files []*os.File) (begin func(error), err error)
}

// movers are all of them, in the order in which they move: what clients need comes before clients.
func (b *Broker) movers() []mover {
	return append([]mover{
		b.registrationMover(),
		b.clientMover(),
		{kind: "session", what: "sessions", move: b.moveSessions, follow: b.followSessions, resume: b.resumeSession},
		{kind: "totals", what: "totals", move: b.moveTotals, follow: b.followTotals, resume: b.resumeTotals},
	}, b.nextMovers()...)
}

func (b *Broker) mover(kind string) *mover {
	for _, m := range b.movers() {
		if m.kind == kind {
			return &m
		}
	}
	return nil
}
