package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/moment"
	"servicebroker/relay/engine"
	"servicebroker/servicetable"
)

// movedFormat is the form of MovedSession. What older processes can leave out is added without
// changing it; what they must not is named in Needs.
const movedFormat = 1

// mostPending bounds the bytes of a moved session that were read and not written, each way.
const mostPending = 4 << 20

// ErrNotTaken is why a process leaves a session, or a client, to the one that has it.
var ErrNotTaken = errors.New("cannot be taken over")

// MovedSession is a session on its way from one process to another: all that it takes to go on
// as before, but for its two sockets, the client's first. A field that is not known is passed over.
type MovedSession struct {
	Format int      `json:"format"`
	Needs  []string `json:"needs,omitempty"` // what whoever takes it has to know of besides

	ID           uint64          `json:"id"`
	ServerID     uint64          `json:"server_id"`
	Client       string          `json:"client"`
	Program      string          `json:"program,omitempty"`
	Machine      string          `json:"machine,omitempty"`
	User         string          `json:"user,omitempty"`
	Service      string          `json:"service"`
	Instance     string          `json:"instance"`
	Handler      string          `json:"handler"`
	Server       string          `json:"server"`
	ServerLocal  string          `json:"server_local"`
	Rule         string          `json:"rule,omitempty"`
	Way          string          `json:"way,omitempty"`
	Ref          string          `json:"ref"`
	Network      netip.Addr      `json:"network"`
	Registration servicetable.ID `json:"registration"`
	Database     string          `json:"database,omitempty"`
	Offered      string          `json:"offered"`
	Started      time.Time       `json:"started"`
	Took         time.Duration   `json:"took_ns"` // its connect

	At        counted      `json:"at"`                   // where it counts
	Limited   string       `json:"limited"`              // its service, as limits name it
	RuleShare string       `json:"rule_share,omitempty"` // of the limits of the rule that let it in
	Timeouts  timeouts     `json:"timeouts"`
	State     engine.State `json:"state"`

	// Explanation is that of its connect, if it is still known.
	Explanation json.RawMessage `json:"explanation,omitempty"`
}

// pack describes a session that has been frozen.
func (s *Server) pack(one *session, state engine.State) *MovedSession {
	var i SessionInfo
	one.tell(&i)
	a := one.alike.Value()
	m := &MovedSession{
		Format: movedFormat, ID: i.ID, ServerID: i.ServerID, Client: i.Client, Program: i.Program, Machine: i.Machine, User: i.User,
		Service: i.Service, Instance: i.Instance, Handler: i.Handler, Server: i.Server, ServerLocal: i.ServerLocal, Rule: i.Rule,
		Way: i.Way, Ref: i.Ref, Network: i.Network, Registration: i.Registration, Database: i.Database, Offered: i.Offered,
		Started: i.Started, Took: one.took, At: a.at, Limited: a.limited, Timeouts: a.limits, State: state,
	}
	if share := one.shares[0].Load(); share != nil && share.Kind == limits.OfRule {
		m.RuleShare = share.Name
	}
	if s.Journal != nil {
		if e := s.Journal.ByRef(i.Ref); e != nil {
			m.Explanation, _ = json.Marshal(e) // where it cannot be told, the session goes without
		}
	}
	return m
}

// info is what lists tell of it.
func (m *MovedSession) info() SessionInfo {
	return SessionInfo{
		ID: m.ID, ServerID: m.ServerID, Client: m.Client, Program: m.Program, Machine: m.Machine, User: m.User,
		Service: m.Service, Instance: m.Instance, Handler: m.Handler, Server: m.Server, ServerLocal: m.ServerLocal, Rule: m.Rule,
		Way: m.Way, Ref: m.Ref, Network: m.Network, Registration: m.Registration, Database: m.Database, Offered: m.Offered,
		Started: m.Started,
	}
}

// Candidate is where it counts, as registrations say it; the table may know more of that.
func (m *MovedSession) Candidate() servicetable.Candidate {
	r := &servicetable.Registration{
		ID: m.Registration, Instance: m.At.Instance, Host: m.At.Host,
		Services: []servicetable.Service{{Name: m.At.Service}}, Handlers: []servicetable.Handler{{Name: m.At.Handler}},
	}
	return servicetable.Candidate{Registration: r, Service: &r.Services[0], Handler: &r.Handlers[0]}
}

// check tells why this process cannot go on with it.
func (m *MovedSession) check() error {
	switch {
	case m.Format != movedFormat:
		return fmt.Errorf("%w: a session in form %d, this process knows %d", ErrNotTaken, m.Format, movedFormat)
	case len(m.Needs) > 0:
		return fmt.Errorf("%w: a session that needs %q, of which this process knows nothing", ErrNotTaken, m.Needs)
	case m.ID == 0:
		return fmt.Errorf("%w: a session without a number", ErrNotTaken)
	case m.Timeouts.Idle < 0 || m.Timeouts.Session < 0:
		return fmt.Errorf("%w: session %d: a time limit below zero", ErrNotTaken, m.ID)
	}
	for d, pending := range m.State.Pending {
		if len(pending) > mostPending {
			return fmt.Errorf("%w: session %d: %d bytes %v are pending, at most %d can be", ErrNotTaken, m.ID, len(pending), engine.Direction(d), mostPending)
		}
	}
	return nil
}

// explanation is that of its connect; nil where there is none, or none that can be read.
func (m *MovedSession) explanation() *journal.Explanation {
	e := new(journal.Explanation)
	if len(m.Explanation) == 0 || json.Unmarshal(m.Explanation, e) != nil || moment.InUTC("time", &e.Time) != nil || e.Ref != m.Ref || e.Ref == "" {
		return nil
	}
	return e
}
