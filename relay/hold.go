package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// retryPause is after how long the first in line tries instances again that did not
// answer, where nothing else tells that they are back.
const retryPause = time.Second

// errBehind is why a newcomer waits though it was not refused.
var errBehind = errors.New("others wait for the service and come first")

// errStopping ends those that wait when the broker ends.
var errStopping = errors.New("the broker is stopping")

// lineUp puts a newcomer behind those that wait already for the same.
func (s *Server) lineUp(ctx context.Context, d *dialogue) error {
	if !s.anyoneWaits(d) {
		return nil
	}
	behind := false
	apart(func() { behind = s.hasLine(ctx, d) })
	if !behind {
		return nil
	}
	err := s.wait(ctx, d, errBehind)
	if errors.Is(err, errBehind) && !errors.Is(err, errStopping) {
		return nil // where there is no room behind them it is tried at once
	}
	return err
}

// anyoneWaits tells whether there is any line at all, for those who may have to stand in one.
func (s *Server) anyoneWaits(d *dialogue) bool {
	return s.Hold != nil && !d.query.IgnoreStatus && s.Hold.Anyone()
}

// hasLine tells whether others wait for the same, in front of a client that may have it.
func (s *Server) hasLine(ctx context.Context, d *dialogue) bool {
	standing := s.standing(ctx, d)
	return standing.refusal == nil && s.Hold.Waiting(s.queue(d, standing))
}

// mayWait tells whether something could change so that err does not come again.
func (s *Server) mayWait(d *dialogue, err error) bool {
	var gone *clientGone
	var refused *RefusedError
	switch {
	case s.Hold == nil || d.query.IgnoreStatus || errors.As(err, &gone):
		return false
	case errors.Is(err, servicetable.ErrHeld):
		return true
	case errors.Is(err, servicetable.ErrUnknownInstance): // unless that one was there lately, it is a mistake
		known := HoldRequest{Service: heldAs(servicetable.Query{SID: d.query.Instance}), Limit: time.Second}
		return s.Hold.Would(known) == nil
	case isAny(err, servicetable.ErrUnknownService, servicetable.ErrUnknownSID, servicetable.ErrBlocked,
		servicetable.ErrRestricted, servicetable.ErrRestrictedOrBlocked, servicetable.ErrNoHandler):
		return true
	case isAny(err, errAway, errHostUnknown):
		return true
	case errors.As(err, &refused) && !refused.MoveOn():
		return false
	}
	return dialFailed(err)
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// dialFailed reports whether err is that of attempts, all of which another instance could avoid.
func dialFailed(err error) bool {
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		return false
	}
	for _, one := range several.Unwrap() {
		var m interface{ MoveOn() bool }
		if errors.As(one, &m) && !m.MoveOn() {
			return false
		}
	}
	return !isAny(err, errLoop)
}

// wait parks the connect. nil: it is to be tried again.
func (s *Server) wait(ctx context.Context, d *dialogue, cause error) error {
	waited := d.sinceNow()
	if d.place == nil {
		var err error
		apart(func() { err = s.takePlace(ctx, d, cause) })
		if err != nil {
			d.notHeld(err)
			return cause
		}
	} else {
		d.bell.arm()
		d.place.Again(cause.Error(), s.retryFor(d, cause))
	}
	defer waited()
	defer s.restore(d)
	d.slim()
	defer s.awaits(d)()
	for {
		switch d.place.State() {
		case PlaceGo:
			return nil
		case PlaceExpired:
			return cause
		case PlaceStopped:
			return errors.Join(errStopping, cause)
		}
		if s.departs(d) {
			return errDeparted
		}
		if err := watchUntilRung(d.conn); err != nil {
			return &clientGone{err}
		}
		d.bell.rearm()
		if ctx.Err() != nil {
			return errors.Join(errStopping, cause)
		}
	}
}

// sinceNow counts the time until what it returns is called as waited.
func (d *dialogue) sinceNow() func() {
	d.waits = time.Now()
	return func() { d.waited, d.waits = d.waited+time.Since(d.waits), time.Time{} }
}

func (s *Server) takePlace(ctx context.Context, d *dialogue, cause error) error {
	request, err := s.holdRequest(ctx, d, cause)
	if err != nil {
		return err
	}
	d.bell.raw = d.conn.NetConn()
	d.bell.arm()
	request.Wake = d.bell.ring
	if d.place, err = s.Hold.Enter(request); err == nil && d.held.IsZero() {
		d.held = time.Now()
	}
	return err
}

// wouldHold tells whether a connect that fails for this cause would wait.
func (s *Server) wouldHold(ctx context.Context, d *dialogue, cause error) bool {
	request, err := s.holdRequest(ctx, d, cause)
	if err == nil {
		err = s.Hold.Would(request)
	}
	if err != nil {
		d.notHeld(err)
	}
	return err == nil
}

func (s *Server) holdRequest(ctx context.Context, d *dialogue, cause error) (HoldRequest, error) {
	if len(d.connect.Data) > maxHeldDescriptor {
		return HoldRequest{}, errTooLongToHold
	}
	standing := s.standing(ctx, d)
	treatment := standing.treatment.Or(s.serviceTreatment(d))
	if len(d.route) > 0 {
		treatment = s.treatment(d, d.route[0])
	}
	wanted := errors.Is(cause, servicetable.ErrHeld)
	if treatment.HoldSet && treatment.HoldTimeout == 0 {
		if !wanted {
			return HoldRequest{}, errNotConfigured
		}
		treatment.HoldTimeout = wantedTimeout
	}
	query, client, routed := d.query, d.client.Addr(), d.way != nil
	return HoldRequest{
		Service: d.heldAs(), Queue: s.queue(d, standing), Client: d.client, Ref: d.record.Ref, Cause: cause.Error(),
		Limit: shorter(treatment.HoldTimeout, patience(d.asked)), Since: d.held,
		Wanted: wanted,
		Route:  d.route, Answered: answeredAll(cause),
		Ready: func() bool { return s.couldServe(client, query, routed) },
		Retry: s.retryFor(d, cause),
	}, nil
}

// wantedTimeout is how long what an operator holds waits where nothing else is held.
const wantedTimeout = 30 * time.Second

// maxHeldDescriptor bounds what a connect that waits keeps; drivers send some hundred bytes,
// and one of them takes no more than this at all (tns.md 13).
const maxHeldDescriptor = 4096

var errTooLongToHold = errors.New("not held: its descriptor is longer than 4096 bytes")

var errNotConfigured = errors.New("holding is off for it (HOLD_TIMEOUT=0)")

// retryFor: where instances are there and do not answer, only trying tells when they do; and only asking
// tells when other brokers have them.
func (s *Server) retryFor(d *dialogue, cause error) time.Duration {
	if d.peers && s.mayAsk(d, cause) || dialFailed(cause) || isAny(cause, servicetable.ErrHeld, errHostUnknown) {
		return retryPause
	}
	return 0
}

// answeredAll reports whether every attempt ended in an instance's own refusal.
func answeredAll(err error) bool {
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		return false
	}
	for _, one := range several.Unwrap() {
		var refused *RefusedError
		if !errors.As(one, &refused) {
			return false
		}
	}
	return true
}

// leave gives up the place in line, if there is one.
func (d *dialogue) leave(connected bool) {
	if d.place != nil {
		d.place.Leave(connected)
		d.place = nil
	}
}

// mostTried bounds what is kept of attempts before a wait.
const mostTried = 4

// slim lets go of what a connect that waits does not need: thousands may wait.
func (d *dialogue) slim() {
	d.ref, d.tried = d.record.Ref, d.record.Attempts[:min(len(d.record.Attempts), mostTried)]
	d.route, d.granted, d.asked, d.record, d.way = nil, granted{}, nil, nil, nil
}

// restore is the end of a wait.
func (s *Server) restore(d *dialogue) {
	d.bell.disarm()
	d.asked, _ = descriptor.Parse(string(d.connect.Data)) // as it was understood before
	_ = s.interpret(d)
	d.newRecord(d.ref)
	d.record.Attempts, d.tried = slices.Clip(d.tried), nil
	d.recordQuestion()
}

// heldAs names what d waits for: by another way is another thing.
func (d *dialogue) heldAs() string {
	name := heldAs(d.query)
	if d.way == nil {
		return name
	}
	for _, leg := range d.way.legs {
		name += " via " + strings.ToLower(leg.Address.HostPort())
	}
	return brief(name)
}

// heldAs names what is waited for.
func heldAs(q servicetable.Query) string {
	if q.Service != "" {
		return q.Service
	}
	return "(SID=" + q.SID + ")"
}

// queue names the line in which a connect waits: with those that ask for just the same and
// may have just the same. What serves another network, or who speaks Oracle Net, is no use
// to the first in line, and must not have to wait behind it.
func (s *Server) queue(d *dialogue, standing standing) string {
	q, group := d.query, ""
	if s.Group != nil {
		group = s.Group(d.client.Addr())
	}
	parts := []string{q.Service, q.SID, q.Instance, q.Server, standing.rules, group, d.network}
	if kind := kindAsked(d.asked); kind != "" {
		parts = append(parts, kind)
	}
	if d.hello != nil {
		parts = append(parts, "sealed")
	}
	if d.way != nil {
		parts = append(parts, d.way.String())
	}
	return strings.ToLower(strings.Join(parts, "|"))
}

// kindsAsked bounds the lines of those that ask alike save for what only instances look at: each line tries for itself, and
// clients could make up any number.
const kindsAsked = 8

// refusedBy are the parts of connect data by which an instance refuses some and serves others (tns.md 12: 12515, 12522, 12524).
// Whatever else clients say of themselves changes nobody's place.
var refusedBy = []string{"HANDLER_NAME", "INSTANCE_ROLE", "PRESENTATION", "SESSION"}

// kindAsked tells those apart that ask an instance for more, such as a handler or a role: it may refuse them and
// serve the others. "" asks for nothing more.
func kindAsked(asked *descriptor.Node) string {
	data := descriptor.ConnectData(asked)
	if data == nil {
		return ""
	}
	var more []string
	for _, child := range data.Children {
		if slices.ContainsFunc(refusedBy, func(name string) bool { return strings.EqualFold(name, child.Name) }) {
			more = append(more, strings.ToLower(child.String()))
		}
	}
	if len(more) == 0 {
		return ""
	}
	slices.Sort(more)
	sum := sha256.Sum256([]byte(strings.Join(more, "")))
	return "kind " + strconv.Itoa(int(sum[0])%kindsAsked)
}

// couldServe tells whether a client that asks so could be served now, as far as that can be told
// without asking a name service.
func (s *Server) couldServe(client netip.Addr, q servicetable.Query, routed bool) bool {
	if s.HoldWanted != nil && s.HoldWanted(client, q) != "" {
		return false
	}
	if routed || s.routes().leads(q.Service) { // the table has no say
		return true
	}
	candidates, err := s.Snapshot().Match(q)
	if err != nil || s.Withhold == nil {
		return err == nil
	}
	judge := s.Withhold(client)
	return judge == nil || slices.ContainsFunc(candidates, func(c servicetable.Candidate) bool { return judge(c) == nil })
}
