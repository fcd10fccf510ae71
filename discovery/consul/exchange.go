package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/moment"
)

// read reads what stands in Consul under an ID; false if no broker wrote it, or one of a version to come.
func (p *parsed) read(pair *api.KVPair) bool {
	p.known = len(pair.Value) <= maxValue && json.Unmarshal(pair.Value, &p.shared) == nil && p.Format <= sharedFormat && (p.Removed || len(p.Value) > 0) && p.settle() == nil
	p.Index, p.Pending = pair.ModifyIndex, false
	return p.known
}

// parsed is what stands in Consul.
type parsed struct {
	shared
	known bool
}

// merge takes over what is in Consul. What is not there any more, and was, is put back: values are removed by saying so. s.exchanging is
// held.
func (s *Intents) merge(pairs api.KVPairs) {
	s.mu.Lock()
	next := maps.Clone(s.entries)
	inConsul := map[string]bool{}
	changed := false
	for _, p := range pairs {
		id := p.Key[len(s.folder()):]
		inConsul[id] = true
		var theirs parsed
		if mine, had := next[id]; id != "" && (had || len(next) < maxShared) && theirs.read(p) {
			if now, differs := taken(mine, had, theirs.shared); differs {
				next[id], changed = now, true
			}
		}
	}
	for id, mine := range next {
		switch {
		case inConsul[id]:
		case s.forgotten(mine):
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
	}
	s.mu.Unlock()
	if err != nil {
		s.fail(err)
	}
	if changed {
		s.wakeUp()
		s.tell()
	}
}

// settle makes the times of a, which another has written, such as can be kept. Whatever is set over a is later than it, by a nanosecond
// at least: there has to be room for many of those.
func (a *shared) settle() error {
	later := a.Updated.AddDate(1, 0, 0)
	return cmp.Or(moment.InUTC("ends", &a.Ends), moment.InUTC("updated", &a.Updated), moment.InUTC("the year after updated", &later))
}

// taken returns what holds of what is known here, if anything is, and what is in Consul, and whether that is other than before.
func taken(mine shared, had bool, theirs shared) (now shared, differs bool) {
	if had && mine.Pending && !mine.same(&theirs) && !mine.later(&theirs) && time.Now().Before(mine.fresh) {
		// It was set just now, and by the order in which brokers write it is the later one, whatever their clocks say.
		mine.Updated = theirs.Updated.Add(time.Nanosecond)
	}
	if had && mine.later(&theirs) {
		differs = mine.Index != theirs.Index || !mine.Pending
		mine.Index, mine.Pending = theirs.Index, true
		return mine, differs
	}
	return theirs, !had || mine.Index != theirs.Index || mine.Pending
}

// same reports whether a and b are one and the same setting.
func (a *shared) same(b *shared) bool { return a.Updated.Equal(b.Updated) && a.Origin == b.Origin }

// write puts what is pending into Consul until ctx ends. Where another broker was faster, following tells who holds.
func (s *Intents) write(ctx context.Context) {
	turn := &spacing{apart: writeGap, row: 10} // a Consul that has lost its memory gets all, but not all at once
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for ctx.Err() == nil && !s.writeAll(ctx, turn) {
			failures++
			if !pause(ctx, min(250*time.Millisecond<<min(failures, 7), 30*time.Second)) {
				return
			}
		}
		failures = 0
	}
}

// writeAll tries each pending value once, and reports whether none failed.
func (s *Intents) writeAll(ctx context.Context, turn *spacing) bool {
	client, err := s.Client.open()
	if err != nil {
		s.fail(err)
		return false
	}
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.entries))
	ids = slices.DeleteFunc(ids, func(id string) bool { e := s.entries[id]; return !e.Pending && !s.forgotten(e) })
	s.mu.Unlock()
	for _, id := range ids {
		if !turn.wait(ctx) {
			return false
		}
		if err := s.writeOne(ctx, client, id); err != nil {
			if ctx.Err() == nil {
				s.fail(explain(err))
			}
			return false
		}
	}
	return true
}

// writeOne writes a value if that is pending. Where another broker was faster it takes over what that wrote.
func (s *Intents) writeOne(ctx context.Context, client *api.Client, id string) error {
	s.exchanging.Lock()
	defer s.exchanging.Unlock()
	s.mu.Lock()
	e, known := s.entries[id]
	s.mu.Unlock()
	switch {
	case !known:
		return nil
	case !e.Pending:
		return s.bury(ctx, client, id, e)
	}
	plain := e
	plain.Index, plain.Pending = 0, false
	content, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	options, cancel := s.Client.writing(ctx)
	written, _, err := client.KV().CAS(&api.KVPair{Key: s.folder() + id, Value: content, ModifyIndex: e.Index}, options)
	cancel()
	if err != nil {
		s.doubt(id, e)
		return err
	}
	if written {
		s.written(id, e)
		return nil
	}
	return s.overtaken(ctx, client)
}

// forgotten reports whether it need not be remembered any more that e was removed, or has ended.
func (s *Intents) forgotten(e shared) bool {
	ended := !e.Ends.IsZero() && time.Since(e.Ends) > keptAfterEnd
	return ended || e.Removed && time.Since(e.Updated) > orDefault(s.Bury, 7*24*time.Hour)
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
func (s *Intents) overtaken(ctx context.Context, client *api.Client) error {
	q, cancel := s.Client.query(ctx)
	defer cancel()
	pairs, _, err := client.KV().List(s.folder(), q)
	if err == nil {
		err = whole(pairs, below(s.folder()))
	}
	if err != nil {
		return err
	}
	s.merge(pairs)
	return nil
}

// written notes that Consul has e, unless it has been replaced here meanwhile. Its index comes with the next answer.
func (s *Intents) written(id string, e shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.entries[id]; now.same(&e) {
		next := maps.Clone(s.entries)
		now.Pending, now.fresh = false, time.Time{} // what comes after it is the later
		next[id] = now
		_ = s.keep(next) // a copy that says too little is put right at the next start
	}
}

// doubt notes that Consul may have e or not: if another wrote since, that one has to be the later.
func (s *Intents) doubt(id string, e shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.entries[id]; now.same(&e) {
		next := maps.Clone(s.entries)
		now.fresh = time.Time{}
		next[id] = now
		s.use(next)
	}
}
