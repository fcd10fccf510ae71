package broker

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"servicebroker/testenv/crash"
)

// crashTables are what a broker keeps one after the other.
var crashTables = [][]string{{"a"}, {"a", "b"}, {"b"}, {"b", "c", "d"}, {}, {"e"}, {"e", "f"}, {"f", "g"}}

// writeCrashTables writes them, and says so. One time the file is begun anew as when it has become long, one time since it is gone.
func writeCrashTables(t *testing.T, w *crash.Writer) {
	runtime.LockOSThread()
	f := newWarmFile(filepath.Join(w.Folder, warmName))
	for i, ids := range crashTables {
		w.Begin(i + 1)
		f.mu.Lock()
		var err error
		switch i {
		case 3:
			err = f.begin(tableOf(ids...))
		case 5:
			f.close()
			err = f.sync(tableOf(ids...))
		default:
			err = f.sync(tableOf(ids...))
		}
		f.mu.Unlock()
		if err != nil {
			w.Say("failed %d: %v", i+1, err)
			continue
		}
		w.Done(i + 1)
	}
}

// mayBe tells whether a table may be found by how far its writer had come.
func mayBe(ids string, done, begun int) bool {
	if done == 0 && ids == "" {
		return true
	}
	return slices.ContainsFunc(crashTables[max(done-1, 0):begun], func(one []string) bool { return strings.Join(one, " ") == ids })
}

// Wherever a broker is cut off, and whatever of it the disk has kept, the table is one that there was, and the next broker keeps on.
func TestTheTableAfterAnyCrash(t *testing.T) {
	if w := crash.Here(); w != nil {
		writeCrashTables(t, w)
		return
	}
	trace, err := crash.Record(t)
	must(t, err)
	states := 0
	for c := range trace.Crashes() {
		states++
		folder := t.TempDir()
		must(t, c.WriteTo(folder))
		path := filepath.Join(folder, warmName)
		read, err := readWarm(t.Context(), path)
		done, begun := crash.HowFar(c.Said)
		if err != nil || !mayBe(idsOf(&read), done, begun) {
			t.Errorf("%v it is %q, %v", c, idsOf(&read), err)
		}
		if states%20 != 0 {
			continue
		}
		next := newWarmFile(path)
		must(t, next.Sync(t.Context(), tableOf("x", "y")))
		must(t, next.Close(t.Context()))
		if got := idsIn(t, path); got != "x y" {
			t.Errorf("%v after the next broker it is %q", c, got)
		}
	}
	if states < 50 {
		t.Errorf("there are %d states only", states)
	}
}

// Whatever the disk refuses once, what is on it is one that there was, and the table of the end is, since that went well.
func TestTheTableOnADiskThatFailsOnce(t *testing.T) {
	if w := crash.Here(); w != nil {
		writeCrashTables(t, w)
		return
	}
	t.Parallel()
	for call, failure := range map[string]string{"write": "ENOSPC", "fsync": "EIO", "fdatasync": "EIO", "renameat": "EIO"} {
		for nth := 1; ; nth++ {
			said, folder, came, err := crash.Fail(t, crash.Failure{Call: call, Error: failure, Nth: nth, Files: []string{warmName, warmName + ".new"}})
			must(t, err)
			if !came {
				if nth == 1 {
					t.Errorf("no %s has failed", call)
				}
				break
			}
			read, err := readWarm(t.Context(), filepath.Join(folder, warmName))
			done, begun := crash.HowFar(said)
			if err != nil || !mayBe(idsOf(&read), done, begun) {
				t.Errorf("%s no. %d is %s: it is %q, %v: %s", call, nth, failure, idsOf(&read), err, said)
			}
			if last := len(crashTables); done != last && !strings.Contains(said, fmt.Sprintf("failed %d:", last)) {
				t.Errorf("%s no. %d is %s: it came to %d: %s", call, nth, failure, done, said)
			}
		}
	}
}
