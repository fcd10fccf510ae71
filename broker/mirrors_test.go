package broker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/discovery"
	"servicebroker/servicetable"
)

// copies is a destination that keeps what it is given, or fails.
type copies struct {
	mu        sync.Mutex
	services  []string
	fails     error
	withdrawn int
}

func (c *copies) Sync(_ context.Context, desired []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails == nil {
		c.services = desired
	}
	return c.fails
}

func (c *copies) breakBy(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = err
}

func (c *copies) has() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.services)
}

// mirror keeps the names of b's services in c.
func (c *copies) mirror(b *Broker) *mirror {
	m := &mirror{name: "test", destination: "memory", notes: func() []string { return []string{"take note"} }}
	of := &discovery.Mirror[[]string]{
		Name: m.name, Snapshot: b.table.Snapshot, Destination: c, Equal: slices.Equal[[]string], Synced: m.synced.note,
		Desire: func(s *servicetable.Snapshot) (names []string) {
			for _, service := range s.Services() {
				names = append(names, service.Name)
			}
			return names
		},
		Resync: time.Millisecond, Longest: time.Millisecond, Standby: time.Millisecond, Spacing: time.Millisecond, // always at it, so that failures show without a change
	}
	m.run, m.status = of.Run, of.Status
	m.withdraw = func(context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.withdrawn++
		return nil
	}
	return m
}

func startMirrored(t *testing.T, c *copies) *running {
	t.Helper()
	b, err := New(testConfig(t, nil), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.mirrors.add(c.mirror(b))
	return run(t, b)
}

// onlyMirror returns the only mirror besides the one on disk, which every broker has.
func (r *running) onlyMirror() console.MirrorView {
	views := slices.DeleteFunc(r.mirrorViews(), func(v console.MirrorView) bool { return v.Name == "disk" })
	return views[0]
}

// awaitMirror waits until the only mirror is as wanted.
func (r *running) awaitMirror(ok func(console.MirrorView) bool) console.MirrorView {
	r.t.Helper()
	var view console.MirrorView
	until(r.t, "the mirror gets there", func() bool { view = r.onlyMirror(); return ok(view) })
	return view
}

func TestAMirrorFollowsAndSaysHowFarItIs(t *testing.T) {
	c := &copies{}
	r := startMirrored(t, c)
	r.register("s1", "sales")
	view := r.awaitMirror(func(v console.MirrorView) bool {
		return v.State == console.MirrorCurrent && v.Lag == 0 && len(c.has()) == 1
	})
	if view.Applied != r.Snapshot().Version() || view.Version != view.Applied || view.LastSuccess == nil || view.Error != "" || !slices.Equal(view.Notes, []string{"take note"}) {
		t.Errorf("%+v", view)
	}
	c.breakBy(errors.New("it is away"))
	r.register("s2", "hr")
	view = r.awaitMirror(func(v console.MirrorView) bool {
		return v.State == console.MirrorFailing && v.Lag > 0 && v.Failures > 1
	})
	if view.Error != "it is away" || view.LastError == nil {
		t.Errorf("%+v", view)
	}
	c.breakBy(discovery.ErrStandby)
	r.awaitMirror(func(v console.MirrorView) bool { return v.State == console.MirrorStandby })
	c.breakBy(nil)
	r.awaitMirror(func(v console.MirrorView) bool { return v.State == console.MirrorCurrent && v.Lag == 0 })
	if got := strings.Join(c.has(), " "); got != "hr sales" && got != "sales hr" {
		t.Errorf("copy has %s", got)
	}
}

func TestAMirrorIsWithdrawnAtTheEnd(t *testing.T) {
	c := &copies{}
	b, err := New(testConfig(t, nil), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.mirrors.add(c.mirror(b))
	first, stop := context.WithCancel(t.Context())
	stop()
	if err := b.Run(first, t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.withdrawn != 1 {
		t.Errorf("withdrawn %d times", c.withdrawn)
	}
}
