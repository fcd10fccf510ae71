package broker

import (
	"runtime"
	"strings"
	"testing"
)

// Reloads leave nothing behind: no goroutine, and no memory but what is remembered of them.
func TestReloadsLeaveNothing(t *testing.T) {
	file := put(t, policy(""), t.TempDir(), "cman.ora")
	w := watch(t, file, true, 0)
	w.join("a", "sales")
	w.session("sales")
	reload := func(times int) {
		for i := range times {
			text := policy([]string{"(POLICY=random)", "(STATIC_SERVICE=(NAME=extra)(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.1)(PORT=1)))", "(SERVICE=(NAME=sales)(HOLD_TIMEOUT=3))"}[i%3])
			if i%2 == 1 {
				text = strings.Replace(text, "ACT=accept", "ACT=deny", 1)
			}
			put(t, text, file)
			if _, err := w.Reload(t.Context()); (err == nil) != (i%2 == 0) {
				t.Fatalf("reload %d: %v", i, err)
			}
		}
	}
	occupied := func() (goroutines int, heap uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	reload(100)
	goroutines, heap := occupied()
	reload(300)
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if _, now := occupied(); now > heap+600<<10 {
		t.Errorf("300 reloads leave %d kB", (now-heap)>>10)
	} else {
		t.Logf("heap %d kB, then %d kB; %d goroutines", heap>>10, now>>10, goroutines)
	}
}
