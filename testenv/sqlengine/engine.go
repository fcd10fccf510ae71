package sqlengine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// Engine is one database, shared by its sessions. It is a SQLite file in WAL mode: readers see the state as of their
// statement's start and never wait; one session at a time has a transaction that writes, others wait for it.
type Engine struct {
	// LockWait bounds how long DML waits for another session's transaction (default 10 s); then it fails with
	// ORA-00054. Set it before the first session.
	LockWait time.Duration
	// DatabaseName is DB_NAME (default ORCL). Set it before the first session.
	DatabaseName string

	driver    *sqlite.Driver
	path      string
	temporary *temporaryFolder // of a temporary database
	writer    chan struct{}    // holds a token while no session writes
	sequences *sequenceStore
	started   time.Time

	mu       sync.Mutex
	idle     []*connection
	sessions map[int64]*Session
	known    map[int64]sessionEntry // what the sessions were at their start
	nextID   int64
	closed   bool
}

// maxIdle is how many unused connections are kept for the next statement.
const maxIdle = 8

// Open opens the database stored at path, which it creates if need be, or a fresh temporary one if path is empty.
func Open(path string) (*Engine, error) {
	e := &Engine{
		LockWait: 10 * time.Second, DatabaseName: "ORCL", driver: new(sqlite.Driver), path: path,
		writer: make(chan struct{}, 1), started: time.Now(), sessions: map[int64]*Session{}, known: map[int64]sessionEntry{},
	}
	e.writer <- struct{}{}
	if path == "" {
		folder, err := newTemporaryFolder(os.TempDir(), e.started)
		if err != nil {
			return nil, fmt.Errorf("sqlengine: cannot make a temporary database: %w; check the folder for temporary files", err)
		}
		e.temporary, e.path = folder, filepath.Join(folder.path, "data")
	}
	e.sequences = newSequenceStore(e)
	if err := e.registerFunctions(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	c, err := e.connect()
	if err == nil {
		err = c.run(`PRAGMA journal_mode=WAL;` + dictionarySchema)
		e.release(c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlengine: cannot open %s: %w; check that it is a file of this program", e.path, err), e.Close())
	}
	return e, nil
}

// Close closes the database and removes it if it is temporary. Sessions must have been closed before.
func (e *Engine) Close() error {
	e.mu.Lock()
	idle := e.idle
	e.idle, e.closed = nil, true
	e.mu.Unlock()
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.close())
	}
	errs = append(errs, e.sequences.close())
	if e.temporary != nil {
		errs = append(errs, e.temporary.remove())
	}
	return errors.Join(errs...)
}

// connect opens a connection to the shared data.
func (e *Engine) connect() (*connection, error) {
	c, err := e.open("file:" + uriPath(e.path) + "?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	synchronous := "NORMAL"
	if e.temporary != nil {
		synchronous = "OFF"
	}
	return c, c.run("PRAGMA synchronous=" + synchronous + "; PRAGMA temp_store=MEMORY; PRAGMA recursive_triggers=ON")
}

// uriPath escapes what has a meaning in a file: URI.
func uriPath(path string) string {
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		switch c := path[i]; c {
		case '?', '#', '%':
			out = fmt.Appendf(out, "%%%02X", c)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func (e *Engine) open(uri string) (*connection, error) {
	raw, err := e.driver.Open(uri)
	if err != nil {
		return nil, err
	}
	return newConnection(raw)
}

// acquire takes a connection to the shared data.
func (e *Engine) acquire() (*connection, error) {
	e.mu.Lock()
	if n := len(e.idle); n > 0 {
		c := e.idle[n-1]
		e.idle = e.idle[:n-1]
		e.mu.Unlock()
		return c, nil
	}
	e.mu.Unlock()
	return e.connect()
}

// release gives a connection back.
func (e *Engine) release(c *connection) {
	e.mu.Lock()
	keep := !e.closed && len(e.idle) < maxIdle && !c.broken
	if keep {
		e.idle = append(e.idle, c)
	}
	e.mu.Unlock()
	if !keep {
		c.close() // nothing is lost with a reader, and a writer has ended its transaction
	}
}

// NewSession starts a session. A private one works on its own copy of the data as of now, which nobody else sees.
func (e *Engine) NewSession(id Identity, private bool) (*Session, error) {
	if id.Schema == "" {
		id.Schema = id.User
	}
	s := &Session{engine: e, identity: id, private: private, settings: defaultSettings()}
	if private {
		c, err := e.copy()
		if err != nil {
			return nil, err
		}
		s.own = c
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nextID++
	s.key = e.nextID
	e.sessions[s.key] = s
	e.known[s.key] = sessionEntry{Identity: id, key: s.key, started: time.Now()}
	return s, nil
}

// A sessionEntry is what other sessions may see of one.
type sessionEntry struct {
	Identity
	key     int64
	started time.Time
}

// snapshot lists the sessions, oldest first.
func (e *Engine) snapshot() []sessionEntry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.known), func(a, b sessionEntry) int { return int(a.key - b.key) })
}

// copy makes a copy of the shared data in memory.
func (e *Engine) copy() (*connection, error) {
	c, err := e.open(":memory:")
	if err != nil {
		return nil, err
	}
	shared, err := e.acquire()
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	d, err := loadDictionary(shared, shared.dictionary)
	e.release(shared)
	if err == nil && len(d.objects) > 0 {
		err = c.restore("file:" + uriPath(e.path))
	}
	if err == nil {
		err = c.run(dictionarySchema + "PRAGMA temp_store=MEMORY; PRAGMA recursive_triggers=ON")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlengine: cannot copy the data for a private session: %w", err), c.close())
	}
	return c, nil
}

func (e *Engine) session(key int64) *Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[key]
}

func (e *Engine) forget(key int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, key)
	delete(e.known, key)
}
