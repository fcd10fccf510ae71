package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Intents shares values among brokers through Consul's store of keys and values: of each ID the one that was written last. It keeps a
// copy in a file, which holds while Consul is away; what is set meanwhile is written when it is back, unless another broker's is later.
// Whatever a removed one leaves is kept as such, so that a Consul that has lost its memory removes nothing.
type Intents struct {
	Client *Client
	Origin string // name of this broker
	Path   string // of the copy; "": none is kept
	// Changed is told of all values whenever they change, also by this broker's own doing; never at the same time twice.
	Changed func(map[string]json.RawMessage)
	// Bury is for how long what is removed is remembered; 0: 7 days.
	Bury time.Duration
	Log  *slog.Logger

	mu      sync.Mutex // guards what follows
	loaded  bool
	entries map[string]shared
	wake    chan struct{} // there is something to write
	failure string

	telling sync.Mutex // orders calls of Changed
}

// shared is one value as it is kept in Consul and in the copy.
type shared struct {
	Value   json.RawMessage `json:"value,omitempty"`
	Removed bool            `json:"removed,omitempty"`
	Updated time.Time       `json:"updated"` // by the clock of its origin
	Origin  string          `json:"origin"`
	Index   uint64          `json:"index,omitempty"`   // in Consul; only in the copy
	Pending bool            `json:"pending,omitempty"` // not in Consul yet; only in the copy
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
	if s.Path == "" {
		return nil
	}
	content, err := os.ReadFile(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(content, &s.entries)
	}
	if err != nil {
		s.entries = map[string]shared{}
		return fmt.Errorf("the copy of shared intents cannot be read: %w: remove %s to begin with those in Consul", err, s.Path)
	}
	return nil
}

// All returns the values that hold, by ID.
func (s *Intents) All() map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values()
}

func (s *Intents) values() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for id, e := range s.entries {
		if !e.Removed {
			all[id] = e.Value
		}
	}
	return all
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

// Put sets a value, here at once and in Consul as soon as that can be.
func (s *Intents) Put(id string, value json.RawMessage) error {
	return s.set(id, shared{Value: value})
}

// Remove removes a value, likewise.
func (s *Intents) Remove(id string) error { return s.set(id, shared{Removed: true}) }

func (s *Intents) set(id string, e shared) error {
	s.mu.Lock()
	if err := s.open(); err != nil {
		s.mu.Unlock()
		return err
	}
	before, had := s.entries[id]
	e.Origin, e.Pending, e.Index, e.Updated = s.Origin, true, before.Index, time.Now().UTC().Round(0)
	if had && !e.later(&before) { // the clock of whoever set it is ahead; it was seen, so this one is later
		e.Updated = before.Updated.Add(time.Nanosecond)
	}
	next := maps.Clone(s.entries)
	next[id] = e
	err := s.keep(next)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	s.tell()
	return nil
}

// keep writes the copy and uses next from now on; after an error all is as before.
func (s *Intents) keep(next map[string]shared) error {
	if s.Path != "" {
		content, err := json.MarshalIndent(next, "", " ")
		if err == nil {
			err = writeFile(s.Path, content)
		}
		if err != nil {
			return fmt.Errorf("the copy of shared intents cannot be written: %w: check the state directory", err)
		}
	}
	s.entries = next
	return nil
}

func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

func (s *Intents) tell() {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.Changed != nil {
		s.Changed(s.All())
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
			pairs = list
		}
		return meta, err
	}
	f.seen = func(bool) {
		s.fail(nil)
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
	s.mu.Unlock()
	if s.Log != nil && before == "" && text != "" {
		s.Log.Warn("intents are not shared with other brokers for now; those known hold, and what is set here is shared later", "cause", text)
	}
}

// merge takes over what is in Consul. What is not there any more, and was, is put back: values are removed by saying so.
func (s *Intents) merge(pairs api.KVPairs) {
	s.mu.Lock()
	next := maps.Clone(s.entries)
	inConsul := map[string]bool{}
	changed := false
	for _, p := range pairs {
		id := p.Key[len(s.folder()):]
		var theirs shared
		if json.Unmarshal(p.Value, &theirs) != nil || id == "" {
			continue // not written by a broker
		}
		inConsul[id] = true
		theirs.Index, theirs.Pending = p.ModifyIndex, false
		mine, had := next[id]
		switch {
		case had && mine.later(&theirs):
			if mine.Index != theirs.Index || !mine.Pending {
				mine.Index, mine.Pending = theirs.Index, true
				next[id], changed = mine, true
			}
		case !had || mine.Index != theirs.Index || mine.Pending:
			next[id], changed = theirs, true
		}
	}
	for id, mine := range next {
		old := s.forgotten(mine)
		switch {
		case inConsul[id]:
		case old:
			delete(next, id)
			changed = true
		case !mine.Pending || mine.Index != 0:
			mine.Pending, mine.Index = true, 0
			next[id], changed = mine, true
		}
	}
	var err error
	if changed {
		err = s.keep(next)
		if err != nil { // better known here than on disk
			s.entries = next
		}
	}
	s.mu.Unlock()
	if err != nil {
		s.fail(err)
	}
	if changed {
		select {
		case s.wake <- struct{}{}:
		default:
		}
		s.tell()
	}
}

// write puts what is pending into Consul until ctx ends. Where another broker was faster, following tells who holds.
func (s *Intents) write(ctx context.Context) {
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for ctx.Err() == nil && !s.writeAll(ctx) {
			failures++
			if !pause(ctx, min(250*time.Millisecond<<min(failures, 7), 30*time.Second)) {
				return
			}
		}
		failures = 0
	}
}

// writeAll tries each pending value once, and reports whether none failed.
func (s *Intents) writeAll(ctx context.Context) bool {
	client, err := s.Client.open()
	if err != nil {
		s.fail(err)
		return false
	}
	s.mu.Lock()
	entries := s.entries
	s.mu.Unlock()
	for id, e := range entries {
		if !e.Pending {
			if err := s.bury(ctx, client, id, e); err != nil {
				s.fail(explain(err))
				return false
			}
			continue
		}
		plain := e
		plain.Index, plain.Pending = 0, false
		content, err := json.Marshal(plain)
		if err != nil {
			s.fail(err)
			return false
		}
		options, cancel := s.Client.writing(ctx)
		written, _, err := client.KV().CAS(&api.KVPair{Key: s.folder() + id, Value: content, ModifyIndex: e.Index}, options)
		cancel()
		if err != nil {
			s.fail(explain(err))
			return false
		}
		if !written && !s.overtaken(ctx, client) {
			return false
		}
		if written {
			s.written(id, e)
		}
	}
	return true
}

// forgotten reports whether it need not be remembered any more that e was removed.
func (s *Intents) forgotten(e shared) bool {
	return e.Removed && time.Since(e.Updated) > orDefault(s.Bury, 7*24*time.Hour)
}

// bury takes out of Consul what has been removed for long.
func (s *Intents) bury(ctx context.Context, client *api.Client, id string, e shared) error {
	if !s.forgotten(e) || e.Index == 0 {
		return nil
	}
	options, cancel := s.Client.writing(ctx)
	defer cancel()
	_, _, err := client.KV().DeleteCAS(&api.KVPair{Key: s.folder() + id, ModifyIndex: e.Index}, options)
	return err
}

// overtaken reads again what Consul has, since another broker wrote in between.
func (s *Intents) overtaken(ctx context.Context, client *api.Client) bool {
	q, cancel := s.Client.query(ctx)
	defer cancel()
	pairs, _, err := client.KV().List(s.folder(), q)
	if err != nil {
		s.fail(explain(err))
		return false
	}
	s.merge(pairs)
	return true
}

// written notes that Consul has e, unless it has been replaced here meanwhile. Its index comes with the next answer.
func (s *Intents) written(id string, e shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.entries[id]; now.Updated.Equal(e.Updated) && now.Origin == e.Origin {
		next := maps.Clone(s.entries)
		now.Pending = false
		next[id] = now
		if s.keep(next) != nil {
			s.entries = next
		}
	}
}
