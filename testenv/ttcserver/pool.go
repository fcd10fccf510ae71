package ttcserver

import (
	"context"
	"errors"
)

const defaultMaxPooled = 40

func keyOf(login Login) poolKey {
	return poolKey{user: login.User, proxyUser: login.ProxyUser, service: login.Service, class: login.ConnectionClass}
}

// takeIdle takes an idle session for key out of the pool, preferably the one
// with the given id; nil if there is none.
func (l *sessionList) takeIdle(key poolKey, preferred int) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := -1
	for i, idle := range l.idle {
		if idle.key == key && (found < 0 || idle.id == preferred) {
			found = i
		}
	}
	if found < 0 {
		return nil
	}
	s := l.idle[found].session
	l.idle = append(l.idle[:found], l.idle[found+1:]...)
	return s
}

// putIdle puts a session into the pool and reports whether there was room.
func (l *sessionList) putIdle(key poolKey, s *session, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) >= most {
		return false
	}
	l.idle = append(l.idle, idleSession{key: key, session: s})
	return true
}

func (l *sessionList) takeAllIdle() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*session
	for _, idle := range l.idle {
		all = append(all, idle.session)
	}
	l.idle = nil
	return all
}

// acquire gives the conversation a session: the idle one it used last, another
// idle one, or a new one. It reports whether cursors the client still knows
// are void.
func (c *conversation) acquire(ctx context.Context) (changed bool, err error) {
	s := c.server
	var got *session
	if c.login.Pooled && !c.login.PurityNew {
		got = s.sessions.takeIdle(keyOf(c.login), c.lastSession)
	}
	if got == nil {
		login := c.login
		s.sessions.number(&login)
		engine, err := s.NewSession(ctx, login)
		if err != nil {
			return false, err
		}
		got = newSession(engine, login)
	}
	changed = got.id != c.lastSession
	c.session = got
	c.lastSession = got.id
	c.login.SessionID, c.login.Serial = got.id, got.serial
	s.sessions.add(c.login, c.end)
	return changed, nil
}

// release takes the session from the conversation: into the pool if it is
// reusable, else to its end.
func (c *conversation) release(ctx context.Context, reusable bool) error {
	s := c.session
	if s == nil {
		return nil
	}
	c.session = nil
	c.server.sessions.remove(s.id)
	most := c.server.MaxPooled
	if most == 0 {
		most = defaultMaxPooled
	}
	if reusable {
		for _, cur := range s.cursors {
			cur.endRows()
		}
		if s.engine.Rollback(ctx) == nil && c.server.sessions.putIdle(keyOf(c.login), s, most) {
			return nil
		}
	}
	return s.close()
}

// Close ends the idle sessions of pooled clients. Conversations that still run
// are not touched; end their contexts before.
func (s *Server) Close() error {
	var errs []error
	for _, idle := range s.sessions.takeAllIdle() {
		errs = append(errs, idle.close())
	}
	return errors.Join(errs...)
}
