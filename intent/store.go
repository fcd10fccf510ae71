package intent

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Errors to decide on.
var (
	ErrNotFound    = errors.New("no such intent")
	ErrTooMany     = errors.New("too many intents")
	ErrNewerFormat = errors.New("written by a newer version")
)

// maxIntents bounds what is kept; each costs at most 3 kB.
const maxIntents = 10_000

// Store keeps the intents that hold, in memory and in a file. Its methods may be called at any time from any goroutine;
// reading never waits. Open makes one; the zero value keeps intents in memory only.
type Store struct {
	Now func() time.Time // nil: time.Now. Not to be changed once the store is in use

	path string // "" for memory only

	list atomic.Pointer[[]Intent] // immutable, sorted by creation

	mu    sync.Mutex // guards what follows, and is held while a change is written
	next  uint64     // number for the next ID
	saved []byte     // the file as last written or read; nil before

	watch   sync.Mutex    // guards what follows
	changed chan struct{} // nil while nobody waits
}

// All returns the intents that hold, oldest first. The slice must not be changed; it does not change either.
func (s *Store) All() []Intent {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}

// Get returns the intent of that ID, in any case.
func (s *Store) Get(id string) (Intent, bool) {
	list := s.All()
	if at := find(list, id); at >= 0 {
		return list[at], true
	}
	return Intent{}, false
}

func find(list []Intent, id string) int {
	id = strings.TrimSpace(id)
	return slices.IndexFunc(list, func(i Intent) bool { return strings.EqualFold(i.ID, id) })
}

// Changed returns a channel that is closed when All changes next. Who follows the store takes it before reading All.
func (s *Store) Changed() <-chan struct{} {
	s.watch.Lock()
	defer s.watch.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Add checks i, gives it an ID and the time of creation, and keeps it; both are on disk when it returns. An intent of
// the same kind about the same target is replaced, and its ID and creation kept; approve and reject replace each other.
// After an error everything is as before, and the error tells a person what to do.
func (s *Store) Add(i Intent) (Intent, error) {
	now := s.now()
	i, err := check(i, now)
	if err != nil {
		return Intent{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list, next := slices.Clone(s.All()), max(s.next, 1)
	at := slices.IndexFunc(list, func(o Intent) bool { return replaces(i, o) })
	if at >= 0 && list[at].Kind == i.Kind {
		i.ID, i.Created = list[at].ID, list[at].Created
		if list[at] == i {
			return i, nil
		}
		list[at] = i
	} else {
		if at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
		if len(list) >= maxIntents {
			return Intent{}, fmt.Errorf("%w: %d are kept already; remove some (broker intents lists them)", ErrTooMany, len(list))
		}
		i.ID, i.Created = newID(i.Kind, next), now
		next++
		list = append(list, i)
	}
	if err := s.replace(list, next); err != nil {
		return Intent{}, err
	}
	return i, nil
}

// newID is the ID of an intent by its number.
func newID(kind Kind, number uint64) string { return string(kind[0]) + strconv.FormatUint(number, 10) }

// replaces reports whether i takes the place of o.
func replaces(i, o Intent) bool {
	if i.Target.Quarantine != "" {
		return o.Target.Quarantine == i.Target.Quarantine
	}
	return i.Kind == o.Kind && i.Target.same(o.Target)
}

// Remove takes the intent of that ID out and returns it. The error is ErrNotFound if there is none; after any error
// everything is as before.
func (s *Store) Remove(id string) (Intent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.All()
	at := find(list, id)
	if at < 0 {
		return Intent{}, fmt.Errorf("%w as %q: broker intents lists those that hold", ErrNotFound, shorten(id))
	}
	removed := list[at]
	if err := s.replace(slices.Delete(slices.Clone(list), at, at+1), s.next); err != nil {
		return Intent{}, err
	}
	return removed, nil
}

// Expire removes the intents that end by themselves and whose deadline is reached, and returns them. They are gone even
// if the file could not be written, which is what an error tells; they would go again after a restart.
func (s *Store) Expire(now time.Time) ([]Intent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left, expired []Intent
	for _, i := range s.All() {
		if i.Ends() && i.Due(now) {
			expired = append(expired, i)
		} else {
			left = append(left, i)
		}
	}
	if expired == nil {
		return nil, nil
	}
	err := s.replace(left, s.next)
	if err != nil {
		s.publish(left)
	}
	return expired, err
}

// NextDeadline returns the first deadline after now, of any intent: when to look again for those that Expire removes and
// for drains that are Due. It is false if there is none.
func (s *Store) NextDeadline(now time.Time) (time.Time, bool) {
	var next time.Time
	for _, i := range s.All() {
		if i.Deadline.After(now) && (next.IsZero() || i.Deadline.Before(next)) {
			next = i.Deadline
		}
	}
	return next, !next.IsZero()
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC().Round(0)
	}
	return time.Now().UTC().Round(0)
}

// Follow has All return what another process keeps from now on. Nothing is written: the file is that one's.
func (s *Store) Follow(list []Intent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(slices.Clone(list))
}

// replace writes and publishes the next state; after an error the one before holds.
func (s *Store) replace(list []Intent, next uint64) error {
	if err := s.save(list, next); err != nil {
		return err
	}
	s.next = next
	s.publish(list)
	return nil
}

func (s *Store) publish(list []Intent) {
	list = slices.Clip(list)
	s.list.Store(&list)
	s.watch.Lock()
	defer s.watch.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
