package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"servicebroker/registration"
	"servicebroker/servicetable"
)

// Names of what is passed on about registrations.
const (
	passedTable       = "table"
	movedRegistration = "registration"
)

// tablePart passes the whole table on, so that the successor has it when it accepts its first client.
func (b *Broker) tablePart() part {
	return part{name: passedTable, needed: true, give: b.giveTable, take: b.takeTable}
}

// tableForm is the form of tablePassed. What is added needs no other one.
const tableForm = 1

type tablePassed struct {
	Form          int                         `json:"form"`
	Registrations []servicetable.Registration `json:"registrations"`
}

func (b *Broker) giveTable() (any, []*os.File, error) {
	b.retained.begin()
	b.changing.Lock()
	defer b.changing.Unlock()
	given := tablePassed{Form: tableForm}
	for _, r := range b.table.Snapshot().Registrations() {
		if !isStatic(r.ID) { // which the configuration has
			given.Registrations = append(given.Registrations, *r)
		}
	}
	return given, nil, nil
}

func isStatic(id servicetable.ID) bool { return strings.HasPrefix(string(id), "static:") }

func (b *Broker) takeTable(state json.RawMessage, _ []*os.File) error {
	var given tablePassed
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	if given.Form != tableForm {
		return fmt.Errorf("the table is in form %d, and this version knows %d", given.Form, tableForm)
	}
	all := make([]*servicetable.Registration, len(given.Registrations))
	for i := range given.Registrations {
		all[i] = &given.Registrations[i]
	}
	b.lookUpFor(all)
	for _, r := range all {
		b.takenOver(*r)
	}
	return nil
}

// registrationMover moves the dialogues with databases.
func (b *Broker) registrationMover() mover {
	return mover{
		kind: movedRegistration, what: "registrations",
		move: func(ctx context.Context, offer offerFunc) (moved, stayed int) {
			return b.registrar.Move(ctx, func(ctx context.Context, m *registration.MovedRegistration, files []*os.File) error {
				return offer(ctx, m, files...)
			})
		},
		resume: b.resumeRegistration,
	}
}

// resumeRegistration goes on with a registrant's dialogue.
func (b *Broker) resumeRegistration(ctx context.Context, thing json.RawMessage, files []*os.File) (begin func(error), err error) {
	m := new(registration.MovedRegistration)
	if err := json.Unmarshal(thing, m); err != nil {
		closeFiles(files)
		return nil, err
	}
	return b.takeIn(ctx, files, func() (*adopted, error) {
		defer closeFiles(files) // it has its own
		r, err := b.registrar.Resume(m, files)
		if err != nil {
			return nil, err
		}
		return &adopted{conn: r.Conn(), peer: m.Peer.String(), phase: phaseRegistration, giveBack: r.Close, goOn: func() {
			if err := r.Serve(context.Background()); err != nil { // its connection is closed when the broker ends
				b.log.Debug("registration connection ended", "peer", m.Peer.String(), "cause", err.Error())
			}
		}}, nil
	})
}

// takeRetained does what the registrar would have.
func (b *Broker) takeRetained(body json.RawMessage) error {
	var change retainedPassed
	if err := json.Unmarshal(body, &change); err != nil {
		return err
	}
	switch {
	case change.Registration != nil && change.Registration.ID == change.ID:
		b.registered(*change.Registration)
	case change.Withdrawn:
		b.withdrawn(change.ID)
	default:
		b.lost(change.ID)
	}
	return nil
}

// registrarApplied, registrarLost and registrarDropped are told by the registrar, also of what stayed after a successor serves.
// What is told to that is in the table here before, so that a table that is given without it is given before it is told.
func (b *Broker) registrarApplied(r servicetable.Registration) {
	b.registered(r)
	b.tellRetained(retainedPassed{ID: r.ID, Registration: &r})
}

func (b *Broker) registrarLost(id servicetable.ID) {
	b.lost(id)
	b.tellRetained(retainedPassed{ID: id})
}

func (b *Broker) registrarDropped(id servicetable.ID) {
	b.withdrawn(id)
	b.tellRetained(retainedPassed{ID: id, Withdrawn: true})
}

// series begins the numbers of registrations, which are never those of another generation.
func (b *Broker) series() string {
	if b.generation() == 1 {
		return ""
	}
	return fmt.Sprintf("%d-", b.generation())
}
