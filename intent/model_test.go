package intent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// version is what a model holds at one time.
type version struct {
	list []Intent
	next int
}

// model does what a Store should, in the plainest way, and remembers what the file held before.
type model struct {
	version
	previous *version // nil if no file holds it
	written  bool     // there is a file
	now      time.Time
}

func (m *model) change(next version) {
	if m.written {
		before := m.version
		m.previous = &before
	}
	m.version, m.written = next, true
}

func (m *model) add(i Intent) Intent {
	next := version{slices.Clone(m.list), m.next}
	for at, o := range m.list {
		if o.Kind == i.Kind && strings.EqualFold(o.Target.Service, i.Target.Service) && o.Target.Network == i.Target.Network {
			i.ID, i.Created = o.ID, o.Created
			if i != o {
				next.list[at] = i
				m.change(next)
			}
			return i
		}
	}
	i.ID, i.Created = fmt.Sprintf("%c%d", i.Kind[0], m.next), m.now
	next.list, next.next = append(next.list, i), m.next+1
	m.change(next)
	return i
}

func (m *model) remove(gone func(Intent) bool) []Intent {
	var removed []Intent
	next := version{next: m.next}
	for _, i := range m.list {
		if gone(i) {
			removed = append(removed, i)
		} else {
			next.list = append(next.list, i)
		}
	}
	if removed != nil {
		m.change(next)
	}
	return removed
}

// machine drives a store and its model side by side.
type machine struct {
	model model
	store *Store
	path  string
}

func (m *machine) use(store *Store) {
	m.store = store
	store.Now = func() time.Time { return m.model.now }
}

func (m *machine) Add(t *rapid.T) {
	i := Intent{Kind: rapid.SampledFrom([]Kind{Drain, Weight, Hold, Maintenance}).Draw(t, "kind")}
	i.Target.Service = rapid.SampledFrom([]string{"a", "A", "b", "c*"}).Draw(t, "service")
	i.Target.Network = rapid.SampledFrom([]string{"", "192.0.2.0/24"}).Draw(t, "network")
	i.Reason = rapid.StringMatching(`[a-z<>&"\\]{0,6}`).Draw(t, "reason")
	if i.Kind == Weight {
		i.Value = rapid.Uint32Range(0, maxWeight).Draw(t, "value")
	}
	if rapid.Bool().Draw(t, "deadline") {
		i.Deadline = m.model.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "in")) * time.Second)
	}
	want := m.model.add(i)
	if got, err := m.store.Add(i); err != nil || got != want {
		t.Fatalf("Add: got %v, %v; want %v", got, err, want)
	}
}

func (m *machine) Remove(t *rapid.T) {
	id := fmt.Sprintf("%c%d", rapid.SampledFrom([]rune("dwhmD")).Draw(t, "letter"), rapid.IntRange(0, m.model.next).Draw(t, "number"))
	want := m.model.remove(func(i Intent) bool { return strings.EqualFold(i.ID, id) })
	got, err := m.store.Remove(id)
	if len(want) == 0 && !errors.Is(err, ErrNotFound) || len(want) == 1 && (err != nil || got != want[0]) {
		t.Fatalf("Remove %s: got %v, %v; want %v", id, got, err, want)
	}
}

func (m *machine) Expire(t *rapid.T) {
	m.model.now = m.model.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
	want := m.model.remove(func(i Intent) bool {
		return i.Kind != Drain && !i.Deadline.IsZero() && !i.Deadline.After(m.model.now)
	})
	if got, err := m.store.Expire(m.model.now); err != nil || !cmp.Equal(got, want) {
		t.Fatalf("Expire: got %v, %v; want %v", got, err, want)
	}
}

func (m *machine) Reopen(t *rapid.T) {
	store, err := Open(m.path)
	if err != nil {
		t.Fatal(err)
	}
	m.use(store)
}

// Tear cuts the file at any byte, as a machine that loses power might, and starts again.
func (m *machine) Tear(t *rapid.T) {
	m.tear(t, m.path)
	store, err := Open(m.path)
	if store == nil {
		t.Fatal(err)
	}
	m.use(store)
	if err == nil {
		return // it was whole enough
	}
	var damaged *DamagedError
	if !errors.As(err, &damaged) || damaged.Recovered != (m.model.previous != nil) {
		t.Fatalf("the state before was %v: %v", m.model.previous, err)
	}
	if damaged.Recovered {
		m.model.version = *m.model.previous
	} else {
		m.model.version = version{next: 1}
	}
	if err := os.Remove(damaged.Aside[:len(m.path+".bad")]); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(m.path + ".previous.bad")
}

// TearPrevious does so to the other file, which nobody misses while the first one is whole.
func (m *machine) TearPrevious(t *rapid.T) {
	if m.tear(t, m.path+".previous") > 1 {
		m.model.previous = nil
	}
	m.Reopen(t)
}

// Leave puts half a new file beside the old one, as a process that was killed while it wrote.
func (m *machine) Leave(t *rapid.T) {
	content, err := os.ReadFile(m.path)
	if err == nil {
		err = os.WriteFile(m.path+".new", content[:len(content)/2], 0o600)
	}
	if err != nil {
		t.Skip("there is no file yet")
	}
	m.Reopen(t)
}

// tear cuts a file and returns how many bytes it lost.
func (m *machine) tear(t *rapid.T, name string) int {
	content, err := os.ReadFile(name)
	if err != nil {
		t.Skip("there is no such file")
	}
	n := rapid.IntRange(0, len(content)).Draw(t, "bytes")
	if err := os.WriteFile(name, content[:n], 0o600); err != nil {
		t.Fatal(err)
	}
	return len(content) - n
}

func (m *machine) Check(t *rapid.T) {
	if got := m.store.All(); len(got)+len(m.model.list) > 0 && !cmp.Equal(got, m.model.list) {
		t.Fatalf("(-want +got):\n%s", cmp.Diff(m.model.list, got))
	}
	for _, i := range m.model.list {
		if got, found := m.store.Get(i.ID); !found || got != i {
			t.Fatalf("Get %s: %v, %v", i.ID, got, found)
		}
	}
}

func TestStoreIsTheModel(t *testing.T) {
	folder := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := machine{path: filepath.Join(folder, fmt.Sprint(run)), model: model{version: version{next: 1}, now: noon()}}
		m.Reopen(t)
		t.Repeat(rapid.StateMachineActions(&m))
	})
}
