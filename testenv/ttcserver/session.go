package ttcserver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"servicebroker/testenv/sqlengine"
)

// maxCursors bounds the cursors of a session (ORA-01000).
const maxCursors = 2000

// errKilled is the cause a killed session's contexts end with.
var errKilled = errors.New("ttcserver: session killed")

// session is what outlives a connection: transaction, cursors and LOBs. A
// pooled one serves one client after another.
type session struct {
	engine     *sqlengine.Session
	id, serial int
	cursors    map[uint32]*cursor
	lastCursor uint32
	lobs       lobStore
}

func newSession(engine *sqlengine.Session, login Login) *session {
	return &session{
		engine: engine, id: login.SessionID, serial: login.Serial,
		cursors: map[uint32]*cursor{}, lobs: lobStore{tag: uint32(login.Serial)},
	}
}

// addCursor gives c a free number.
func (s *session) addCursor(c *cursor) error {
	if len(s.cursors) >= maxCursors {
		return &sqlengine.Error{Code: 1000, Text: "maximum open cursors exceeded"}
	}
	for {
		s.lastCursor = s.lastCursor%65535 + 1 // a cursor's number has two bytes in some messages
		if s.cursors[s.lastCursor] == nil {
			break
		}
	}
	c.id = s.lastCursor
	s.cursors[c.id] = c
	return nil
}

// cursor finds a cursor that a client names.
func (s *session) cursor(id uint32) (*cursor, error) {
	if c := s.cursors[id]; c != nil {
		return c, nil
	}
	return nil, &sqlengine.Error{Code: 1001, Text: "invalid cursor"}
}

func (s *session) closeCursor(id uint32) {
	if c := s.cursors[id]; c != nil {
		c.close()
		delete(s.cursors, id)
	}
}

// close ends the session: its transaction is rolled back.
func (s *session) close() error {
	for id := range s.cursors {
		s.closeCursor(id)
	}
	return s.engine.Close()
}

// sessionList knows the sessions of clients that are logged in, keeps idle
// pooled ones, and numbers both.
type sessionList struct {
	mu     sync.Mutex
	lastID int
	live   map[int]*entry
	idle   []idleSession
	secret []byte
}

// entry is one session as listings see it.
type entry struct {
	info SessionInfo
	end  context.CancelCauseFunc
}

// poolKey is what must be the same for a session to be handed to another
// client (DRCP).
type poolKey struct{ user, proxyUser, service, class string }

type idleSession struct {
	key poolKey
	*session
}

// number gives a login its session's numbers.
func (l *sessionList) number(login *Login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	login.SessionID = 100 + l.lastID%60000
	login.Serial = 1 + l.lastID*13%60000
}

func (l *sessionList) add(login Login, end context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == nil {
		l.live = map[int]*entry{}
	}
	l.live[login.SessionID] = &entry{info: SessionInfo{Login: login, Since: time.Now()}, end: end}
}

func (l *sessionList) remove(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, id)
}

// note records what a session is doing.
func (l *sessionList) note(id int, change func(*SessionInfo)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.live[id]; e != nil {
		change(&e.info)
	}
}

func (l *sessionList) all() []SessionInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]SessionInfo, 0, len(l.live))
	for _, e := range l.live {
		infos = append(infos, e.info)
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int { return cmp.Compare(a.SessionID, b.SessionID) })
	return infos
}

func (l *sessionList) kill(id int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.live[id]
	if e != nil {
		e.end(errKilled)
	}
	return e != nil
}
