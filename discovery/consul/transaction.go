package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// The library's own check always has a field that servers before 1.9 refuse, so that transactions are written as they go over the wire.

type op struct {
	KV      *opKV      `json:",omitempty"`
	Node    *opNode    `json:",omitempty"`
	Service *opService `json:",omitempty"`
	Check   *opCheck   `json:",omitempty"`
}

type opKV struct {
	Verb, Key, Session   string
	Namespace, Partition string `json:",omitempty"`
}

type opNode struct {
	Verb string
	Node node
}

type node struct {
	Node      string
	Address   string            `json:",omitempty"`
	Meta      map[string]string `json:",omitempty"`
	Partition string            `json:",omitempty"`
}

type opService struct {
	Verb, Node string
	Service    service
}

type service struct {
	ID                   string
	Service              string            `json:",omitempty"`
	Tags                 []string          `json:",omitempty"`
	Address              string            `json:",omitempty"`
	Port                 int               `json:",omitempty"`
	Meta                 map[string]string `json:",omitempty"`
	Weights              *weights          `json:",omitempty"`
	Namespace, Partition string            `json:",omitempty"`
}

type weights struct{ Passing, Warning int }

type opCheck struct {
	Verb  string
	Check check
}

type check struct {
	Node, CheckID, Name, Status, Output, ServiceID, ServiceName string

	Namespace, Partition string `json:",omitempty"`
}

// unit is what is done for one entry: all of it or nothing.
type unit struct {
	what string // for people
	ops  []op
	done func() // notes that Consul has it
}

const (
	maxOps    = 64                   // in a transaction, as servers have it
	writeGap  = 5 * time.Millisecond // between transactions: 200 a second
	lockIndex = 0                    // of the operation that checks that the lock is ours
)

// errLost says that another broker may write now.
var errLost = errors.New("the lock is not ours any more")

// writer carries out units in as few transactions as there can be, none of which succeeds without the lock.
type writer struct {
	*Client
	api   *api.Client
	guard *op // checks the lock; nil: nobody else writes
}

// run carries out all units. One that Consul does not take holds up no other; the first is told of.
func (w *writer) run(ctx context.Context, units []unit) error {
	var refused error
	gap := time.NewTicker(writeGap)
	defer gap.Stop()
	for len(units) > 0 {
		var ops []op
		if w.guard != nil {
			ops = append(ops, *w.guard)
		}
		n := 0
		for n < len(units) && len(ops)+len(units[n].ops) <= maxOps {
			ops = append(ops, units[n].ops...)
			n++
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gap.C:
		}
		at, err := w.transact(ctx, ops)
		if err == nil {
			for _, u := range units[:n] {
				u.done()
			}
			units = units[n:]
			continue
		}
		if at < 0 || errors.Is(err, errLost) {
			return err
		}
		bad := w.unitOf(units[:n], at)
		if refused == nil {
			refused = fmt.Errorf("%s: %w", units[bad].what, err)
		}
		// What stood beside it goes again without it. This is quadratic only where all is refused, and then within one transaction.
		units = append(append([]unit{}, units[:bad]...), units[bad+1:]...)
	}
	return refused
}

// unitOf returns which unit the operation at that place belongs to.
func (w *writer) unitOf(units []unit, at int) int {
	if w.guard != nil {
		at--
	}
	for i := range units {
		if at -= len(units[i].ops); at < 0 {
			return i
		}
	}
	return len(units) - 1
}

// transact carries out one transaction. at is the place of the operation that Consul refuses, -1 if the error is none of that sort.
func (w *writer) transact(ctx context.Context, ops []op) (at int, err error) {
	options, cancel := w.writing(ctx)
	defer cancel()
	var out json.RawMessage
	_, err = w.api.Raw().Write("/v1/txn", ops, &out, options)
	if err == nil {
		return 0, nil
	}
	var status api.StatusError
	if !errors.As(err, &status) || status.Code != http.StatusConflict {
		return -1, explain(err)
	}
	var refusal struct {
		Errors []struct {
			OpIndex int
			What    string
		}
	}
	if json.Unmarshal([]byte(status.Body), &refusal) != nil || len(refusal.Errors) == 0 {
		return -1, err
	}
	first := refusal.Errors[0]
	switch {
	case w.guard != nil && first.OpIndex == lockIndex:
		return 0, fmt.Errorf("%w: %s", errLost, first.What)
	case first.OpIndex < 0 || first.OpIndex >= len(ops):
		return -1, err
	}
	return first.OpIndex, errors.New(first.What)
}
