package registration

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
)

// What a message that can be decoded may still lack.
var (
	// ErrNoInstance is a message that registers something for an instance nobody named.
	ErrNoInstance = errors.New("the registration names no instance")
	// ErrTwoInstances is a message with more than one instance: nothing in it tells
	// which of them a service belongs to (nsgr.md 5.1).
	ErrTwoInstances = errors.New("the message names more than one instance")
	// ErrNotACall is a message that answers, where one that registers is expected.
	ErrNotACall = errors.New("the message is no registration")
	// ErrTooMuch is a message by which a registration offers more than any database has.
	ErrTooMuch = errors.New("the registration grows beyond all measure")
)

// ChangeKind is what a message did to a registration.
type ChangeKind uint8

const (
	ChangeRegistered ChangeKind = iota // it is the first, or replaces everything said before
	ChangeUpdated                      // it changes, adds or removes what it names, nothing else
	ChangeWithdrawn                    // it removes the instance, and so everything
)

// Change is what a message did to a registration.
type Change struct {
	Kind  ChangeKind
	Notes []string // what someone may want to look into, in words
}

// Fold returns previous as it is after message m (nsgr.md 10, rule 4). How a
// database updates a registration has not been published, so the rule is chosen
// such that no reading does harm:
//
//   - the first message, or one that names another instance, or one with the
//     instance node in which every operation is 1 and the instance's change mask
//     is 0: everything is as m says, what m does not name is gone;
//   - any other message: what m names is overwritten or added, found again by
//     its id, and nothing else changes;
//   - a node without data: what has that id is removed, with the instance
//     everything.
//
// previous and what it refers to is not changed; the result shares no slice with
// it that will be. ID, times, source and addresses of previous are kept. If a
// message removes the instance, the result's Instance is empty.
func Fold(previous servicetable.Registration, m *nsgr.Message) (servicetable.Registration, Change, error) {
	if !slices.ContainsFunc(m.Records, func(r nsgr.Record) bool { return r.Kind == nsgr.KindCall }) {
		return previous, Change{}, ErrNotACall
	}
	nodes := m.Nodes()
	instance, err := findInstance(nodes)
	if err != nil {
		return previous, Change{}, err
	}
	f := folding{reg: previous}
	switch {
	case instance != nil && replaces(previous, instance, nodes):
		f.change.Kind = ChangeRegistered
		f.begin()
	case previous.Instance == "":
		return previous, Change{}, ErrNoInstance
	default:
		f.change.Kind = ChangeUpdated
		f.reopen(previous)
	}
	for i := range nodes {
		f.node(&nodes[i])
	}
	return f.finish(previous)
}

// findInstance returns the instance node that has data, nil if there is none.
func findInstance(nodes []nsgr.Node) (found *nsgr.Node, err error) {
	for i := range nodes {
		if nodes[i].Instance == nil {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: %.60q and %.60q", ErrTwoInstances, found.Instance.Name, nodes[i].Instance.Name)
		}
		found = &nodes[i]
	}
	if found != nil && found.Instance.Name.String() == "" {
		return nil, ErrNoInstance
	}
	return found, nil
}

// replaces tells whether the message says everything anew.
func replaces(previous servicetable.Registration, instance *nsgr.Node, nodes []nsgr.Node) bool {
	if previous.Instance == "" || previous.GUID != instance.GUID() {
		return true
	}
	registers := func(n nsgr.Node) bool { return n.Op == nsgr.OpRegister }
	return instance.Instance.Update == 0 && allOf(nodes, registers)
}

func allOf(nodes []nsgr.Node, holds func(nsgr.Node) bool) bool {
	return !slices.ContainsFunc(nodes, func(n nsgr.Node) bool { return !holds(n) })
}

// folding is a registration being put together.
type folding struct {
	reg      servicetable.Registration
	change   Change
	gone     bool
	services []servicetable.Service
	byName   map[string]int // exact name to services
	handlers []foldingHandler
	byID     map[[16]byte]*sameID // those removed are in none, and have dead set
	ends     []string
	endAt    map[string]bool
}

// foldingHandler links to services by name until it is known which there are.
type foldingHandler struct {
	servicetable.Handler
	serves []string
	now    bool // said by this message
	dead   bool // removed by this message
}

// sameID are the handlers with one id. A message may name thousands, so none is looked for by going over them.
type sameID struct {
	all    []int          // to handlers
	byName map[string]int // likewise, by exact name
	before []int          // those of all that earlier messages told of; known takes them off once this one has told of them too
}

// begin starts from nothing, keeping what the database did not say.
func (f *folding) begin() {
	p := f.reg
	f.reg = servicetable.Registration{ID: p.ID, RegisteredAt: p.RegisteredAt, LoadAt: p.LoadAt,
		LoadSource: p.LoadSource, Peer: p.Peer, PeerDN: p.PeerDN, ArrivedOn: p.ArrivedOn, Network: p.Network}
	f.byName, f.byID, f.endAt = map[string]int{}, map[[16]byte]*sameID{}, map[string]bool{}
}

// reopen starts from copies of what was said before.
func (f *folding) reopen(previous servicetable.Registration) {
	f.begin()
	f.reg = previous
	for _, s := range previous.Services {
		f.service(s)
	}
	for _, h := range previous.Handlers {
		serves := make([]string, 0, len(h.Services))
		for _, i := range h.Services {
			serves = append(serves, previous.Services[i].Name)
		}
		f.addHandler(foldingHandler{Handler: h, serves: serves})
	}
	for _, e := range previous.Endpoints {
		f.endpoint(e)
	}
}

// maxNotes bounds what a message full of oddities makes us say.
const maxNotes = 16

func (f *folding) note(format string, args ...any) {
	switch n := len(f.change.Notes); {
	case n < maxNotes:
		f.change.Notes = append(f.change.Notes, fmt.Sprintf(format, args...))
	case n == maxNotes:
		f.change.Notes = append(f.change.Notes, "and more of this sort")
	}
}

func (f *folding) node(n *nsgr.Node) {
	if n.Op != nsgr.OpRegister {
		f.note("%s node with operation %d", n.Kind, n.Op)
	}
	switch {
	case n.Data == 0:
		f.remove(n)
	case n.Instance != nil:
		f.instance(n)
	case n.Service != nil:
		s := n.Service
		f.service(servicetable.Service{Name: s.Name.String(), Flags: s.Flags, Goodness: s.Goodness, Delta: s.Delta})
	case n.Endpoint != nil:
		f.endpoint(n.Endpoint.Name.String())
	case n.Handler != nil:
		f.handler(n)
	}
}

func (f *folding) instance(n *nsgr.Node) {
	i := n.Instance
	f.reg.GUID, f.reg.Instance = n.GUID(), i.Name.String()
	f.reg.HostRaw = i.Host.String()
	f.reg.Host = hostOf(f.reg.HostRaw)
	f.reg.NodeLoad, f.reg.NodeMax, f.reg.Load, f.reg.Max, f.reg.Flags = i.NodeLoad, i.NodeMax, i.Load, i.Max, i.Flags
}

func (f *folding) service(s servicetable.Service) {
	if s.Name == "" {
		f.note("service without a name left out")
		return
	}
	if at, known := f.byName[s.Name]; known {
		f.services[at] = s
		return
	}
	f.byName[s.Name] = len(f.services)
	f.services = append(f.services, s)
}

func (f *folding) endpoint(text string) {
	if !f.endAt[text] {
		f.endAt[text] = true
		f.ends = append(f.ends, text)
	}
}

func (f *folding) handler(n *nsgr.Node) {
	h, err := newHandler(n)
	if err != nil {
		f.note("handler %.60q leads nowhere: %v", h.Name, err)
	}
	entry := foldingHandler{Handler: h, now: true}
	for _, s := range n.Handler.Copies {
		entry.serves = append(entry.serves, s.Name.String())
	}
	if at := f.known(&h); at >= 0 {
		f.rename(at, h.Name)
		f.handlers[at] = entry
		return
	}
	f.addHandler(entry)
}

// addHandler adds one that is not known.
func (f *folding) addHandler(h foldingHandler) {
	same := f.byID[h.ID]
	if same == nil {
		same = &sameID{byName: map[string]int{}}
		f.byID[h.ID] = same
	}
	at := len(f.handlers)
	f.handlers = append(f.handlers, h)
	same.all = append(same.all, at)
	if _, known := same.byName[h.Name]; !known {
		same.byName[h.Name] = at
	}
	if !h.now {
		same.before = append(same.before, at)
	}
}

// known finds the handler that h overwrites: the one with its id, unless a
// handler of another name with that id stands in the same message, as careless
// senders write it. It returns -1 if there is none.
func (f *folding) known(h *servicetable.Handler) int {
	same := f.byID[h.ID]
	if same == nil {
		return -1
	}
	if at, known := same.byName[h.Name]; known {
		return at
	}
	for n := len(same.before) - 1; n >= 0; n-- {
		if at := same.before[n]; !f.handlers[at].now {
			return at
		}
		same.before = same.before[:n]
	}
	return -1
}

// rename has a handler found by another name.
func (f *folding) rename(at int, name string) {
	h := &f.handlers[at]
	if same := f.byID[h.ID]; h.Name != name {
		if same.byName[h.Name] == at {
			delete(same.byName, h.Name)
		}
		same.byName[name] = at
	}
}

// remove is a node without data: an id that is no more.
func (f *folding) remove(n *nsgr.Node) {
	f.note("%s %s removed", n.Kind, idForLog(n))
	switch n.Kind {
	case nsgr.Instances:
		f.gone = f.gone || f.reg.Instance != "" && n.GUID() == f.reg.GUID
	case nsgr.Services:
		if at, known := f.byName[n.IDText()]; known {
			delete(f.byName, n.IDText())
			f.services[at].Name = "" // left out at the end
		}
	case nsgr.Endpoints:
		delete(f.endAt, n.IDText())
	case nsgr.Handlers:
		if same := f.byID[n.GUID()]; same != nil {
			for _, at := range same.all {
				f.handlers[at].dead = true
			}
			delete(f.byID, n.GUID())
		}
	}
}

func idForLog(n *nsgr.Node) string {
	if n.Kind == nsgr.Services || n.Kind == nsgr.Endpoints {
		return fmt.Sprintf("%.60q", n.IDText())
	}
	return fmt.Sprintf("%x", n.GUID())
}

// finish resolves names to indexes.
func (f *folding) finish(previous servicetable.Registration) (servicetable.Registration, Change, error) {
	if f.gone {
		f.begin()
		return f.reg, Change{Kind: ChangeWithdrawn, Notes: f.change.Notes}, nil
	}
	if err := f.measure(); err != nil {
		return previous, Change{}, err
	}
	f.reg.Services, f.reg.Endpoints, f.reg.Handlers = nil, nil, nil
	exact, folded := map[string]int{}, map[string]int{}
	for _, s := range f.services {
		if s.Name == "" {
			continue
		}
		exact[s.Name] = len(f.reg.Services)
		folded[strings.ToLower(s.Name)] = len(f.reg.Services)
		f.reg.Services = append(f.reg.Services, s)
	}
	for _, e := range f.ends {
		if f.endAt[e] {
			f.reg.Endpoints = append(f.reg.Endpoints, e)
			f.endAt[e] = false // removed and added again: listed once
		}
	}
	for i := range f.handlers {
		if h := &f.handlers[i]; !h.dead {
			h.Services = f.indexes(h, exact, folded)
			f.reg.Handlers = append(f.reg.Handlers, h.Handler)
		}
	}
	return f.reg, f.change, nil
}

// maxOffered bounds what one registration offers. A database with thousands of pluggable ones is within it by far; each of
// them costs some kilobytes, since much is remembered by the names of services.
const maxOffered = 20_000

// measure bounds what messages add up to.
func (f *folding) measure() error {
	slots := 0
	for i := range f.handlers {
		slots += len(f.handlers[i].serves)
	}
	nodes := len(f.services) + len(f.handlers) + len(f.ends)
	if nodes > maxOffered || slots > nsgr.MaxSlots {
		return fmt.Errorf("%w: %d services, endpoints and handlers, which name services %d times", ErrTooMuch, nodes, slots)
	}
	return nil
}

// indexes links a handler to its services by name (nsgr.md 5.1), each once.
func (f *folding) indexes(h *foldingHandler, exact, folded map[string]int) []int {
	at := make([]int, 0, len(h.serves))
	seen := make(map[int]bool, len(h.serves))
	for _, name := range h.serves {
		i, known := exact[name]
		if !known {
			i, known = folded[strings.ToLower(name)]
		}
		switch {
		case !known && h.now:
			f.note("handler %.60q serves %.60q, which is not registered", h.Name, name)
		case known && !seen[i]:
			seen[i] = true
			at = append(at, i)
		}
	}
	return at
}
