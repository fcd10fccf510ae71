package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/relay/engine"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// SessionInfo describes one relayed session that is open now.
type SessionInfo struct {
	ID          uint64
	Client      string // address and port of the client
	Program     string // CID of the client, where its driver sends one
	Machine     string
	User        string
	Service     string // as registered; (SID=…) for a client that asked for an instance by SID
	Instance    string // key of the instance, instance@host
	Handler     string // name of the handler
	Server      string // address and port of the instance's side
	ServerLocal string // our address and port as the instance sees them
	ServerID    uint64 // id of the server connection
	Rule        string // the rule that let it in; empty where there are none
	Way         string // as in ConnectReport
	Ref         string // of its explanation

	// For those who choose sessions.
	Network      netip.Addr      // the client's address
	Registration servicetable.ID // of the instance
	Database     string          // the group it belongs to
	Offered      string          // the service as the instance offers it, by SID too; as it was asked for where a route leads on
	Started      time.Time
	Idle         time.Duration
	ToServer     uint64 // bytes
	ToClient     uint64
}

// ErrEnded is the end of a session by the broker, for the reason it wraps.
var ErrEnded = errors.New("ended by the broker")

// EndSessions ends the sessions that match, at once, and returns how many. cause is
// what the log says.
func (s *Server) EndSessions(match func(*SessionInfo) bool, cause string) int {
	n := 0
	var info SessionInfo
	for _, one := range s.openSessions() {
		if one.tell(&info); match(&info) && one.end(fmt.Errorf("%w: %s", ErrEnded, cause)) {
			n++
		}
	}
	return n
}

// Load sums up the bytes of the sessions that are open, and shows each to count, without
// its figures. It is another one with the next call.
func (s *Server) Load(count func(*SessionInfo)) (toServer, toClient uint64) {
	var info SessionInfo
	for _, one := range s.openSessions() {
		stats := one.link.Load().Stats()
		toServer, toClient = toServer+stats.ToServer, toClient+stats.ToClient
		one.tell(&info)
		count(&info)
	}
	return toServer, toClient
}

// CountSessions counts the sessions that match.
func (s *Server) CountSessions(match func(*SessionInfo) bool) int {
	n := 0
	var info SessionInfo
	for _, one := range s.openSessions() {
		if one.tell(&info); match(&info) {
			n++
		}
	}
	return n
}

// Sessions lists the relayed sessions that are open, by id.
func (s *Server) Sessions() []SessionInfo {
	open := s.openSessions()
	infos := make([]SessionInfo, len(open))
	for i, one := range open {
		infos[i] = one.describe(time.Now())
	}
	sort.Slice(infos, func(i, j int) bool { return infos[i].ID < infos[j].ID })
	return infos
}

// inspect lets whoever looks at a session see its bytes.
func (s *Server) inspect(one *session) {
	if s.Inspect != nil {
		s.inspecting.Lock() // so that no older answer comes after a newer one
		defer s.inspecting.Unlock()
		link := one.link.Load()
		var info SessionInfo
		one.tell(&info)
		see := s.Inspect(info, link.Accepted.Version)
		if see == nil {
			link.Inspect(nil)
			return
		}
		link.Inspect(func(d engine.Direction, b []byte) { see(d == engine.ToClient, b) })
	}
}

// Reinspect asks for each open session again who looks at it.
func (s *Server) Reinspect() {
	for _, one := range s.openSessions() {
		s.inspect(one)
	}
}

// openSessions are the sessions that are open, in no order.
func (s *Server) openSessions() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make([]*session, 0, len(s.sessions))
	for _, one := range s.sessions {
		open = append(open, one)
	}
	return open
}

func (s *Server) describe(d *dialogue, server *ServerConnection, c servicetable.Candidate) SessionInfo {
	id := s.lastID.Add(1)
	info := SessionInfo{
		ID: id, ServerID: id, Client: d.record.Client, Program: d.record.Program, Machine: d.record.Machine, User: d.record.User,
		Service: d.served, Instance: c.Registration.Key(), Handler: c.Handler.Name,
		Server:      server.conn.NetConn().RemoteAddr().String(),
		ServerLocal: server.conn.NetConn().LocalAddr().String(),
		Started:     time.Now(),
		Ref:         d.record.Ref, Network: d.client.Addr(), Registration: c.Registration.ID, Database: c.Registration.Database, Offered: c.Service.Name,
	}
	if c.Path != nil { // operators speak of it by the name that withholds it too
		info.Offered = c.Path.Service
	}
	info.Way = d.wayBy()
	if rule := d.granted.by(c); rule != nil {
		info.Rule = rule.Text
	}
	return info
}

// maxCID bounds what is kept of each part of a client's CID.
const maxCID = 128

// clientID returns program, host and user of the client's CID (tns.md 8).
func clientID(asked *descriptor.Node) (program, host, user string) {
	cid := descriptor.ConnectData(asked).Child("CID")
	text := func(name string) string { // clients may say what they like, at any length
		value := descriptor.Escape(cid.Text(name))
		return strings.ToValidUTF8(value[:min(len(value), maxCID)], "")
	}
	return text("PROGRAM"), text("HOST"), text("USER")
}

// clientClaims returns user and program of the client's CID as they were sent, as far
// as that is worth comparing.
func clientClaims(asked *descriptor.Node) (user, program string) {
	const most = 512
	cid := descriptor.ConnectData(asked).Child("CID")
	user, program = cid.Text("USER"), cid.Text("PROGRAM")
	return user[:min(len(user), most)], program[:min(len(program), most)]
}

// Tally counts what became of connects at one handler.
type Tally struct {
	Established uint64 // accepted by it, or redirected to it
	Refused     uint64 // refused by it
}

// maxTallies bounds the table of tallies; beyond it those of handlers that are
// no longer registered are forgotten.
const maxTallies = 10_000

// Tally returns the counts of a handler by its key, "instance@host/handler".
func (s *Server) Tally(handlerKey string) Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tallies[handlerKey]; t != nil {
		return *t
	}
	return Tally{}
}

// Tallies are the counts of all handlers by key.
func (s *Server) Tallies() map[string]Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Tally, len(s.tallies))
	for key, t := range s.tallies {
		all[key] = *t
	}
	return all
}

// AddTallies adds what another process has counted.
func (s *Server) AddTallies(more map[string]Tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, add := range more {
		t := s.tally(key)
		t.Established += add.Established
		t.Refused += add.Refused
	}
}

// tally is that of a handler; callers hold mu.
func (s *Server) tally(key string) *Tally {
	t := s.tallies[key]
	if t == nil {
		if len(s.tallies) >= maxTallies || s.tallies == nil {
			s.forgetTallies()
		}
		t = &Tally{}
		s.tallies[key] = t
	}
	return t
}

func (s *Server) countAttempt(c servicetable.Candidate, err error) {
	var refused *RefusedError
	if err != nil && !errors.As(err, &refused) {
		return
	}
	key := c.Registration.HandlerKey(c.Handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally(key)
	if err == nil {
		t.Established++
	} else {
		t.Refused++
	}
}

// forgetTallies keeps only the tallies of handlers in the table.
func (s *Server) forgetTallies() {
	kept := map[string]*Tally{}
	for _, r := range s.Snapshot().Registrations() {
		for i := range r.Handlers {
			key := r.HandlerKey(&r.Handlers[i])
			if t := s.tallies[key]; t != nil {
				kept[key] = t
			}
		}
	}
	s.tallies = kept
}

func (s *Server) logSession(one *session, err error) {
	if s.Log == nil {
		return
	}
	info := one.describe(time.Now())
	attributes := []any{
		"session", info.ID, "ref", info.Ref, "client", info.Client, "program", info.Program, "service", info.Service, "instance", info.Instance,
		"server", info.Server, "server_local", info.ServerLocal, "connect_ms", milliseconds(one.took),
		"lasted_s", time.Since(info.Started).Round(time.Millisecond).Seconds(),
		"to_server", info.ToServer, "to_client", info.ToClient,
	}
	if err != nil {
		attributes = append(attributes, "end", err.Error())
	}
	s.Log.Info("session over", attributes...)
}

func (s *Server) logRedirected(d *dialogue, c servicetable.Candidate, to *tns.Redirect) {
	if s.Log == nil {
		return
	}
	s.Log.LogAttrs(context.Background(), slog.LevelInfo, "redirected", slog.String("ref", d.record.Ref), slog.String("client", d.record.Client),
		slog.String("service", c.Service.Name), slog.String("instance", c.Registration.Key()), slog.String("to", to.Address),
		slog.Float64("connect_ms", milliseconds(time.Since(d.began))))
}

func (s *Server) logRefused(d *dialogue, code tns.Code, err error) {
	if s.Log == nil {
		return
	}
	asked := ""
	if d.asked != nil {
		asked = d.asked.Masked()
	}
	s.Log.Warn("refused", "ref", d.record.Ref, "client", d.client.String(), "code", code.String(), "cause", brief(err.Error()),
		"service", brief(asksFor(d.query)), "descriptor", brief(descriptor.Escape(asked)), "connect_ms", milliseconds(time.Since(d.began)))
}

// logGone tells of a client that did not wait for its answer.
func (s *Server) logGone(d *dialogue, err error) {
	if s.Log != nil {
		s.Log.Info("client gone before its answer", "ref", d.record.Ref, "client", d.client.String(), "cause", brief(err.Error()),
			"service", brief(asksFor(d.query)), "held_ms", milliseconds(d.waited), "connect_ms", milliseconds(time.Since(d.began)))
	}
}

// brief cuts what strangers can make as long as they like.
func brief(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return text[:most] + " … (" + strconv.Itoa(len(text)) + " bytes)"
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}
