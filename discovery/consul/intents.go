package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/moment"
	"servicebroker/wholefile"
)

// Intents shares values among brokers through Consul's store of keys and values: of each ID the one that was written last. It keeps a
// copy in a file, which holds while Consul is away; what is set meanwhile is written when it is back, unless another broker's is later.
// Whatever a removed one leaves is kept as such, so that a Consul that has lost its memory removes nothing.
type Intents struct {
	Client *Client
	Origin string // name of this broker
	Path   string // of the copy; "": none is kept
	// Changed is told whenever values change, also by this broker's own doing; never at the same time twice. It must not wait for others.
	Changed func()
	// Bury is for how long what is removed is remembered; 0: 7 days.
	Bury time.Duration
	Log  *slog.Logger

	mu      sync.Mutex // guards what follows
	loaded  bool
	entries map[string]shared
	wake    chan struct{} // there is something to write
	settled chan struct{} // closed as soon as something is not pending any more; nil while nobody waits
	failure string

	exchanging sync.Mutex // while something is written, nothing is taken over, so that it is known which of the two was first
	telling    sync.Mutex // orders calls of Changed

	clock func() time.Time // nil: time.Now
}

// Bounds of what is believed.
const (
	sharedFormat = 1
	maxShared    = 20_000
	maxValue     = 64 << 10
)

// fresh is for how long a value that was set here takes the place of whatever is in Consul, by whatever clock. One that could not be
// written for longer has to be the later one.
const fresh = 2 * time.Second

// keptAfterEnd is how long after its end a value is kept for brokers whose clocks are behind.
const keptAfterEnd = time.Hour

// shared is one value as it is kept in Consul and in the copy.
type shared struct {
	Format  int             `json:"format"`
	Value   json.RawMessage `json:"value,omitempty"`
	Removed bool            `json:"removed,omitempty"`
	Ends    time.Time       `json:"ends,omitzero"`
	Updated time.Time       `json:"updated"` // by the clock of its origin
	Origin  string          `json:"origin"`
	Index   uint64          `json:"index,omitempty"`   // in Consul; only in the copy
	Pending bool            `json:"pending,omitempty"` // not in Consul yet; only in the copy

	fresh time.Time // until then it takes the place of what is in Consul
}

// Shared is one value, or that there is none any more.
type Shared struct {
	Value   json.RawMessage
	Removed bool
	Origin  string    // name of the broker where it was set or removed
	Updated time.Time // when, by that broker's clock
	Pending bool      // other brokers do not know it yet
}

// later reports whether a holds rather than b. Every broker judges alike.
func (a *shared) later(b *shared) bool {
	if !a.Updated.Equal(b.Updated) {
		return a.Updated.After(b.Updated)
	}
	return a.Origin > b.Origin
}

// Open reads the copy. Run does so as well if it has not been called.
func (s *Intents) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open()
}

func (s *Intents) open() error {
	if s.loaded {
		return nil
	}
	s.entries, s.wake, s.loaded = map[string]shared{}, make(chan struct{}, 1), true
	read, err := s.read()
	if err != nil {
		return err
	}
	s.entries = read
	return nil
}

// read reads the copy; it is empty if there is none.
func (s *Intents) read() (map[string]shared, error) {
	read := map[string]shared{}
	if s.Path == "" {
		return read, nil
	}
	content, err := os.ReadFile(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return read, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &read)
	}
	if err != nil {
		return nil, fmt.Errorf("the copy of shared intents cannot be read: %w: remove %s to begin with those in Consul", err, s.Path)
	}
	for id, e := range read {
		if err := e.settle(); err == nil {
			read[id] = e
		} else if delete(read, id); s.Log != nil {
			s.Log.Warn("a shared intent of the copy is left out; set it again if it is not in Consul", "key", id, "cause", err.Error())
		}
	}
	return read, nil
}

// Reread takes over what another process with the same copy has written there since: of each ID what holds is the later one.
func (s *Intents) Reread() error {
	s.exchanging.Lock()
	defer s.exchanging.Unlock()
	s.mu.Lock()
	err := s.open()
	if err == nil {
		err = s.reread()
	}
	s.mu.Unlock()
	if err == nil {
		s.announce()
	}
	return err
}

// reread is Reread while s.mu is held.
func (s *Intents) reread() error {
	read, err := s.read()
	if err != nil {
		return err
	}
	next := maps.Clone(s.entries)
	for id, e := range read {
		before, had := next[id]
		if !had || e.later(&before) || !before.later(&e) && !e.Pending {
			next[id] = e
		}
	}
	s.use(next)
	return nil
}

// All returns what is known, by ID: values, and what has been removed lately.
func (s *Intents) All() map[string]Shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Shared, len(s.entries))
	for id, e := range s.entries {
		all[id] = Shared{Value: e.Value, Removed: e.Removed, Origin: e.Origin, Updated: e.Updated, Pending: e.Pending}
	}
	return all
}

// Get returns what is known of one ID.
func (s *Intents) Get(id string) (Shared, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.entries[id]
	return Shared{Value: e.Value, Removed: e.Removed, Origin: e.Origin, Updated: e.Updated, Pending: e.Pending}, known
}

// Pending counts the values that are not in Consul yet.
func (s *Intents) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, e := range s.entries {
		if e.Pending {
			n++
		}
	}
	return n
}

// ErrNoCopy says that the copy on disk cannot be written. What was to be kept holds, here and in Consul; a restart may forget it.
var ErrNoCopy = errors.New("the copy of shared intents cannot be written")

// Put sets a value, here at once and in Consul as soon as that can be. ends is when it does not matter any more; zero for never.
func (s *Intents) Put(id string, value json.RawMessage, ends time.Time) error {
	return s.set(id, shared{Value: value, Ends: ends, fresh: time.Now().Add(fresh)}, time.Time{})
}

// Offer is Put for a value that was set at a time in the past, unless what is known is later than that.
func (s *Intents) Offer(id string, value json.RawMessage, ends, at time.Time) error {
	return s.set(id, shared{Value: value, Ends: ends}, at)
}

// Remove removes a value, here at once and in Consul as soon as that can be.
func (s *Intents) Remove(id string) error {
	return s.set(id, shared{Removed: true, fresh: time.Now().Add(fresh)}, time.Time{})
}

// set sets a value as of a time, zero for now.
func (s *Intents) set(id string, e shared, at time.Time) error {
	s.mu.Lock()
	if err := s.open(); err != nil {
		s.mu.Unlock()
		return err
	}
	before, had := s.entries[id]
	e.Format, e.Origin, e.Pending, e.Index, e.Updated = sharedFormat, s.Origin, true, before.Index, at.UTC().Round(0)
	if at.IsZero() {
		now := time.Now
		if s.clock != nil {
			now = s.clock
		}
		e.Updated = now().UTC().Round(0)
		if had && !e.later(&before) { // the clock of whoever set it is ahead; it was seen, so this one is later
			e.Updated = before.Updated.Add(time.Nanosecond)
		}
	} else if had && !e.later(&before) {
		s.mu.Unlock()
		return nil
	}
	if err := cmp.Or(moment.InUTC("the end of "+id, &e.Ends), moment.InUTC("the time of "+id, &e.Updated)); err != nil {
		s.mu.Unlock()
		return err
	}
	next := maps.Clone(s.entries)
	next[id] = e
	err := s.keep(next)
	s.mu.Unlock()
	s.announce()
	return err
}

// announce tells whoever watches of a change.
func (s *Intents) announce() {
	s.wakeUp()
	s.tell()
}

func (s *Intents) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Settled waits until other brokers can know what was set here last of an ID, and reports whether they can. It does not wait while Consul
// is known to be away, nor once another broker has set something later.
func (s *Intents) Settled(ctx context.Context, id string) bool {
	for {
		s.mu.Lock()
		e, failing := s.entries[id], s.failure != ""
		if s.settled == nil {
			s.settled = make(chan struct{})
		}
		settled := s.settled
		s.mu.Unlock()
		if !e.Pending || failing {
			return !e.Pending && e.Origin == s.Origin
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return false
		}
	}
}

// stir lets those who wait look again; s.mu is held.
func (s *Intents) stir() {
	if s.settled != nil {
		close(s.settled)
		s.settled = nil
	}
}

// keep has next hold from now on and writes the copy. What cannot be written holds all the same: better known here than on disk. s.mu is held.
func (s *Intents) keep(next map[string]shared) error {
	s.use(next)
	if s.Path == "" {
		return nil
	}
	content, err := json.MarshalIndent(next, "", " ")
	if err == nil {
		err = wholefile.Replace(s.Path, content)
	}
	if err != nil {
		return fmt.Errorf("%w: %w: check the state directory", ErrNoCopy, err)
	}
	return nil
}

// use has next hold from now on; s.mu is held.
func (s *Intents) use(next map[string]shared) {
	s.entries = next
	s.stir()
}

func (s *Intents) tell() {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.Changed != nil {
		s.Changed()
	}
}

// Run keeps this broker's values and Consul's the same until ctx ends.
func (s *Intents) Run(ctx context.Context) {
	if err := s.Open(); err != nil && s.Log != nil {
		s.Log.Error("shared intents", "cause", err.Error())
	}
	s.tell()
	var writing sync.WaitGroup
	writing.Go(func() { s.write(ctx) })
	defer writing.Wait()
	var pairs api.KVPairs
	f := following{Client: s.Client, fail: s.fail, wait: 30 * time.Second}
	f.ask = func(q *api.QueryOptions) (*api.QueryMeta, error) {
		client, err := s.Client.open()
		if err != nil {
			return nil, err
		}
		list, meta, err := client.KV().List(s.folder(), q)
		if err == nil {
			err = whole(list, below(s.folder()))
		}
		if err == nil {
			pairs = list
		}
		return meta, err
	}
	f.seen = func(bool) {
		s.fail(nil)
		s.exchanging.Lock()
		defer s.exchanging.Unlock()
		s.merge(pairs)
	}
	f.run(ctx)
}

func (s *Intents) folder() string { return s.Client.prefix() + "intents/" }

// Failure says why Consul cannot be followed or written to; "" if it can.
func (s *Intents) Failure() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

func (s *Intents) fail(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	before := s.failure
	s.failure = text
	s.stir()
	s.mu.Unlock()
	if s.Log != nil && before == "" && text != "" {
		s.Log.Warn("intents are not shared with other brokers for now; those known hold, and what is set here is shared later", "cause", text)
	}
}
