package sqlengine

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A sequenceStore hands out the values of sequences. They lie in a SQLite file of their own beside the data, since a
// sequence moves on outside of transactions, while another session's may be open. A block of values at a time is
// taken from the file; what is left of a block is lost when the database closes, as Oracle's cache is.
type sequenceStore struct {
	engine *Engine
	mu     sync.Mutex
	file   *connection
	blocks map[sequenceKey]*sequenceBlock
}

// A sequenceKey names a sequence; those of a private session are its own.
type sequenceKey struct {
	owner, name string
	private     int64
}

type sequenceBlock struct {
	next decimal
	left int
}

const sequenceBlockSize = 20

func newSequenceStore(e *Engine) *sequenceStore {
	return &sequenceStore{engine: e, blocks: map[sequenceKey]*sequenceBlock{}}
}

func (q *sequenceStore) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file == nil {
		return nil
	}
	file := q.file
	q.file = nil
	return file.close()
}

func keyOf(s *Session, owner, name string) sequenceKey {
	k := sequenceKey{owner: owner, name: name}
	if s.private {
		k.private = s.key
	}
	return k
}

// open opens the file of sequences.
func (q *sequenceStore) open() error {
	if q.file != nil {
		return nil
	}
	c, err := q.engine.open("file:" + uriPath(q.engine.path) + "-sequences?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	err = c.run(`PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
		CREATE TABLE IF NOT EXISTS sequences (owner TEXT, name TEXT, next TEXT NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID`)
	if err != nil {
		return errors.Join(err, c.close())
	}
	q.file = c
	return nil
}

// reset forgets where a sequence stands: it is new, dropped or restarted.
func (q *sequenceStore) reset(s *Session, o *object) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := keyOf(s, o.Owner, o.Name)
	delete(q.blocks, k)
	if k.private == 0 && q.open() == nil {
		q.file.all("DELETE FROM sequences WHERE owner = ?1 AND name = ?2", k.owner, k.name) // else the next block says so
	}
}

// next takes a sequence's next value.
func (q *sequenceStore) next(s *Session, o *object) (decimal, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := keyOf(s, o.Owner, o.Name)
	b := q.blocks[k]
	limits, err := o.Sequence.limits()
	if err != nil {
		return decimal{}, err
	}
	if b == nil || b.left == 0 {
		if b, err = q.takeBlock(k, b, limits); err != nil {
			return decimal{}, err
		}
		q.blocks[k] = b
	}
	v := b.next
	if v, err = limits.wrap(v, o); err != nil {
		return decimal{}, err
	}
	b.left--
	b.next, err = addDecimals(v, limits.increment)
	return v, err
}

// takeBlock takes a block of values from the file, or for a private session from nowhere.
func (q *sequenceStore) takeBlock(k sequenceKey, last *sequenceBlock, limits sequenceLimits) (*sequenceBlock, error) {
	b := &sequenceBlock{next: limits.start, left: sequenceBlockSize}
	if k.private != 0 {
		if last != nil {
			b.next = last.next
		}
		return b, nil
	}
	if err := q.open(); err != nil {
		return nil, err
	}
	if err := q.file.run("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	after, err := q.advance(k, b, last, limits)
	if err == nil {
		_, err = q.file.all("INSERT OR REPLACE INTO sequences VALUES (?1, ?2, ?3)", k.owner, k.name, after)
	}
	if err != nil {
		return nil, errors.Join(err, q.file.run("ROLLBACK"))
	}
	return b, q.file.run("COMMIT")
}

// advance reads where the file stands and gives where it stands after the block.
func (q *sequenceStore) advance(k sequenceKey, b, last *sequenceBlock, limits sequenceLimits) (string, error) {
	rows, err := q.file.all("SELECT next FROM sequences WHERE owner = ?1 AND name = ?2", k.owner, k.name)
	if err != nil {
		return "", err
	}
	if len(rows) > 0 {
		b.next, _ = parseDecimal(rows[0][0].(string))
		if last != nil && compareDecimals(last.next, limits.low) >= 0 && compareDecimals(last.next, limits.high) <= 0 &&
			(compareDecimals(b.next, limits.low) < 0 || compareDecimals(b.next, limits.high) > 0) {
			b.next = last.next // the sequence has gone round since
		}
	}
	size, err := multiplyDecimals(limits.increment, decimalOf(sequenceBlockSize))
	if err != nil {
		return "", err
	}
	after, err := addDecimals(b.next, size)
	return after.String(), err
}

// sequenceLimits are a sequence's numbers, with what is not said filled in.
type sequenceLimits struct{ start, increment, low, high decimal }

func (s *sequence) limits() (sequenceLimits, error) {
	l := sequenceLimits{}
	l.increment, _ = parseDecimal(s.Increment)
	number := func(text, otherwise string) decimal {
		if text == "" {
			text = otherwise
		}
		d, _ := parseDecimal(text)
		return d
	}
	if l.increment.negative {
		l.low, l.high = number(s.Min, "-1E27"), number(s.Max, "-1")
		l.start = number(s.Start, l.high.String())
	} else {
		l.low, l.high = number(s.Min, "1"), number(s.Max, "9999999999999999999999999999")
		l.start = number(s.Start, l.low.String())
	}
	if compareDecimals(l.low, l.high) > 0 {
		return l, failure(4004, "MINVALUE must be less than MAXVALUE")
	}
	return l, nil
}

// wrap brings a value that is beyond the limits back to the other end of a cycle.
func (l sequenceLimits) wrap(v decimal, o *object) (decimal, error) {
	above, below := compareDecimals(v, l.high) > 0, compareDecimals(v, l.low) < 0
	switch {
	case !above && !below:
		return v, nil
	case !o.Sequence.Cycle && above:
		return v, failure(8004, "sequence %s.NEXTVAL exceeds MAXVALUE and cannot be instantiated", o.Name)
	case !o.Sequence.Cycle:
		return v, failure(8004, "sequence %s.NEXTVAL goes below MINVALUE and cannot be instantiated", o.Name)
	case above:
		return l.low, nil
	}
	return l.high, nil
}

// sessionFunctions are the functions that ask a session. They are told its key as their first argument.
func (e *Engine) sessionFunctions() []scalar {
	session := func(v driver.Value) (*Session, error) {
		key, _ := v.(int64)
		if s := e.session(key); s != nil {
			return s, nil
		}
		return nil, failure(1012, "not logged on")
	}
	return []scalar{
		{name: "o_sys_context", args: 3, changing: true, call: func(a []driver.Value) (driver.Value, error) {
			s, err := session(a[0])
			if err != nil {
				return nil, err
			}
			return s.sysContext(text(a[1]), text(a[2]))
		}},
		{name: "o_nextval", args: 3, changing: true, call: func(a []driver.Value) (driver.Value, error) {
			s, err := session(a[0])
			if err != nil {
				return nil, err
			}
			return s.nextval(fmt.Sprint(a[1]), fmt.Sprint(a[2]))
		}},
		{name: "o_currval", args: 3, changing: true, call: func(a []driver.Value) (driver.Value, error) {
			s, err := session(a[0])
			if err != nil {
				return nil, err
			}
			d, found := s.currval[[2]string{text(a[1]), text(a[2])}]
			if !found {
				return nil, failure(8002, "sequence %s.CURRVAL is not yet defined in this session", text(a[2]))
			}
			return encodeNumber(d), nil
		}},
	}
}

// nextval takes the next value of a sequence for the session. It runs inside a statement that reads the dictionary
// of the same version, so the sequence is in the newest dictionary the session has seen.
func (s *Session) nextval(owner, name string) (driver.Value, error) {
	o := s.sequenceSeen(owner, name)
	if o == nil {
		return nil, failure(2289, "sequence does not exist")
	}
	d, err := s.engine.sequences.next(s, o)
	if err != nil {
		return nil, err
	}
	if s.currval == nil {
		s.currval = map[[2]string]decimal{}
	}
	s.currval[[2]string{o.Owner, o.Name}] = d
	return encodeNumber(d), nil
}

// sequenceSeen finds a sequence in the dictionary that the session's last translation used.
func (s *Session) sequenceSeen(owner, name string) *object {
	if s.seen == nil {
		return nil
	}
	if o := s.seen.objects[[2]string{owner, name}]; o != nil && o.Sequence != nil {
		return o
	}
	return nil
}

func (s *Session) sysContext(space, name string) (driver.Value, error) {
	if !strings.EqualFold(space, "USERENV") {
		return nil, nil
	}
	v, found := s.userEnvironment(name)
	if !found {
		return nil, failure(2003, "invalid USERENV parameter")
	}
	return orNull(v), nil
}
