package broker

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"servicebroker/discovery/consul"
	"servicebroker/testenv/crash"
)

// What was in maintenance by Consul's word is found again wherever a change of it is cut off: as it was before or after, and after
// it once it was done.
func TestMaintenanceAfterAnyCrash(t *testing.T) {
	const changes = 4
	if w := crash.Here(); w != nil {
		runtime.LockOSThread()
		m := &consulMaintenance{path: filepath.Join(w.Folder, "maintenance.json")}
		var all []consul.Maintenance
		for n := 1; n <= changes; n++ {
			all = append(all, consul.Maintenance{Node: fmt.Sprint("node", n), Reason: strings.Repeat("why ", 10)})
			w.Begin(n)
			must(t, m.set(all, time.Now()))
			w.Done(n)
		}
		return
	}
	trace, err := crash.Record(t)
	must(t, err)
	for c := range trace.Crashes() {
		folder := t.TempDir()
		must(t, c.WriteTo(folder))
		m := &consulMaintenance{path: filepath.Join(folder, "maintenance.json")}
		done, begun := crash.HowFar(c.Said)
		if err := m.read(); err != nil || len(m.all()) < done || len(m.all()) > begun {
			t.Errorf("%v: %d are in maintenance, %v", c, len(m.all()), err)
		}
	}
}
