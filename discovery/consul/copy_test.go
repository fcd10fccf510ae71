package consul

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"servicebroker/testenv/crash"
)

// The copy of shared intents can be read after any crash, and has what it had before a change or after it.
func TestTheCopyAfterAnyCrash(t *testing.T) {
	const changes = 4
	if w := crash.Here(); w != nil {
		runtime.LockOSThread()
		s := &Intents{Path: filepath.Join(w.Folder, "shared.json")}
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		next := map[string]shared{}
		for n := 1; n <= changes; n++ {
			next[fmt.Sprint("i", n)] = shared{Format: 1, Value: json.RawMessage(`{"kind":"drain"}`), Origin: "me"}
			w.Begin(n)
			if err := s.keep(next); err != nil {
				t.Fatal(err)
			}
			w.Done(n)
		}
		return
	}
	trace, err := crash.Record(t)
	if err != nil {
		t.Fatal(err)
	}
	for c := range trace.Crashes() {
		folder := t.TempDir()
		if err := c.WriteTo(folder); err != nil {
			t.Fatal(err)
		}
		done, begun := crash.HowFar(c.Said)
		s := &Intents{Path: filepath.Join(folder, "shared.json")}
		if err := s.Open(); err != nil || len(s.All()) < done || len(s.All()) > begun {
			t.Errorf("%v: there are %d, %v", c, len(s.All()), err)
		}
	}
}
