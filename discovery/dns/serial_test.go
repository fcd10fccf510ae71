package dns

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"servicebroker/testenv/crash"
)

// After any crash, and whatever of the file the disk has kept, serials go on beyond the last that was given out.
func TestSerialsAfterAnyCrash(t *testing.T) {
	if w := crash.Here(); w != nil {
		runtime.LockOSThread()
		s := &serials{path: filepath.Join(w.Folder, "serial")}
		for version := uint64(1); version < 6<<20; version += 1 << 20 { // beyond what is reserved each time, and the clock
			serial, err := s.next(version)
			if err != nil {
				t.Fatal(err)
			}
			w.Say("gave %d", serial)
		}
		return
	}
	trace, err := crash.Record(t)
	if err != nil {
		t.Fatal(err)
	}
	states := 0
	for c := range trace.Crashes() {
		states++
		folder := t.TempDir()
		if err := c.WriteTo(folder); err != nil {
			t.Fatal(err)
		}
		var last uint32
		for line := range strings.Lines(c.Said) {
			_, _ = fmt.Sscanf(line, "gave %d", &last)
		}
		again := &serials{path: filepath.Join(folder, "serial")}
		if serial, err := again.next(1); err != nil || last != 0 && int32(serial-last) <= 0 {
			t.Errorf("%v: %d follows %d, %v", c, serial, last, err)
		}
	}
	if states < 20 {
		t.Errorf("there are %d states only", states)
	}
}
