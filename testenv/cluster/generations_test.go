package cluster

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// generations watches the processes of a broker: the system is asked, whatever the broker says of itself.
type generations struct {
	lineage stage.Lineage
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	seen map[int]time.Time // last
	most int               // alive at a time
	err  error
}

// watchGenerations looks again and again until the test ends.
func watchGenerations(t testing.TB, b *stage.Broker) *generations {
	ctx, cancel := context.WithCancel(t.Context())
	g := &generations{lineage: b.Lineage(), cancel: cancel, seen: map[int]time.Time{}}
	g.running.Go(func() {
		ticks := time.NewTicker(50 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				g.look()
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); g.running.Wait() })
	return g
}

// look takes what is there twice: a child about to become another program still looks like its parent, and has one thread.
func (g *generations) look() {
	first, err := g.lineage.Alive()
	now := time.Now()
	second, err2 := g.lineage.Alive()
	still := map[int]bool{}
	for _, id := range first {
		still[id] = true
	}
	alive := 0
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range second {
		if still[id] && threads(id) > 1 {
			alive++
			g.seen[id] = now
		}
	}
	g.most = max(g.most, alive)
	if err != nil || err2 != nil {
		g.err = err
	}
}

func threads(pid int) int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(all)
}

// soFar says how many there were, and how many at a time.
func (g *generations) soFar() (seen, most int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen), g.most, g.err
}

// lastSeen is when a process was last there.
func (g *generations) lastSeen(pid int) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[pid]
}

// await waits until one generation alone is alive, and that is not the one that was there before.
func (g *generations) await(ctx context.Context, before int) (newest int, err error) {
	err = stage.Eventually(ctx, func() error {
		all, err := g.lineage.Alive()
		if err == nil && (len(all) != 1 || all[0] == before) {
			err = fmt.Errorf("generations %v are alive, before it was %d", all, before)
		}
		if err == nil {
			newest = all[0]
		}
		return err
	})
	return newest, err
}

// footprint is what a process occupies: the least of some looks, since clients come and go.
func footprint(pid int) (files, kb int, err error) {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for range 20 {
		<-ticks.C
		n, err := stage.OpenFiles(pid)
		if err != nil {
			return 0, 0, err
		}
		if files == 0 || n < files {
			files = n
		}
	}
	kb, err = stage.ResidentKB(pid)
	return files, kb, err
}
