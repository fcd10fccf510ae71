package relay

import (
	"fmt"
	"net"
	"os"

	"servicebroker/limits"
	"servicebroker/relay/engine"
)

// Adopted is a session that has come from another process and does not move yet.
type Adopted struct {
	server *Server
	one    *session
	link   *engine.Link
}

// Adopt takes a session over, with its sockets. Nothing of it moves before Carry: until then it
// can be given back by Discard. After an error the sockets are closed here, and the session
// is still the other process's.
func (s *Server) Adopt(m *MovedSession, files []*os.File) (*Adopted, error) {
	err := m.check()
	if err == nil && len(files) != 2 {
		err = fmt.Errorf("%w: session %d came with %d sockets", ErrNotTaken, m.ID, len(files))
	}
	if err == nil && s.taken(m.ID) {
		err = fmt.Errorf("%w: session %d is here already", ErrNotTaken, m.ID)
	}
	if err != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, err
	}
	link, err := engine.Thaw(&engine.Frozen{Client: files[0], Server: files[1], State: m.State})
	if err != nil {
		return nil, fmt.Errorf("session %d: %w", m.ID, err)
	}
	info := m.info()
	one := new(session)
	one.know(&info, m.At, m.Limited, m.Timeouts)
	one.took = m.Took
	one.share(s.sharesOf(m))
	s.SkipIDs(m.ID)
	if s.Resumed != nil {
		one.place = s.Resumed(m)
	}
	if e := m.explanation(); e != nil && s.Journal != nil && s.Journal.ByRef(e.Ref) == nil {
		s.Journal.Keep(e)
	}
	s.heard(link)
	return &Adopted{s, one, link}, nil
}

// LastID is the highest number of a session so far.
func (s *Server) LastID() uint64 { return s.lastID.Load() }

// SkipIDs has sessions that begin from now on numbered above id: those up to it are, or may
// come to be, another process's.
func (s *Server) SkipIDs(id uint64) {
	for last := s.lastID.Load(); last < id && !s.lastID.CompareAndSwap(last, id); last = s.lastID.Load() {
	}
}

// taken tells whether there is a session of that number.
func (s *Server) taken(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id] != nil
}

// sharesOf counts a session that was let in already in what it takes part in.
func (s *Server) sharesOf(m *MovedSession) []*limits.Share {
	if s.Shares == nil {
		return nil
	}
	var shares []*limits.Share
	if m.RuleShare != "" && s.Share != nil {
		shares = append(shares, s.Share(m.RuleShare))
	}
	shares = append(shares, s.Shares(m.Limited, nil)...)
	for _, share := range shares {
		share.Sessions.Force()
	}
	return shares
}

// Client is the client's connection.
func (a *Adopted) Client() net.Conn { return a.link.Client }

// Carry lets the session go on to its end, for which it does not wait.
func (a *Adopted) Carry() {
	a.server.enlist(a.one, a.link)
	a.server.run(a.one, a.link)
}

// Discard lets go of a session that is another process's after all.
func (a *Adopted) Discard() {
	_, _ = a.link.Client.Close(), a.link.Server.Close()
	var shares [kinds]*limits.Share
	releaseAll(a.one.shared(&shares))
	a.one.vacate()
}
