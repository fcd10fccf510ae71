package intent

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"servicebroker/testenv/crash"
)

// crashChanges are made one after the other: a service to be drained, or, with a minus, no more.
var crashChanges = []string{"a", "b", "-a", "c", "d", "-c", "-b", "-d", "e"}

// crashLists are what holds after so many of them.
func crashLists() (all []string) {
	var list []string
	all = append(all, "")
	for _, c := range crashChanges {
		if name, gone := strings.CutPrefix(c, "-"); gone {
			list = slices.DeleteFunc(list, func(one string) bool { return one == name })
		} else {
			list = append(list, c)
		}
		all = append(all, strings.Join(list, " "))
	}
	return all
}

// namesOf are the services of intents.
func namesOf(all []Intent) string {
	var names []string
	for _, i := range all {
		names = append(names, i.Target.Service)
	}
	return strings.Join(names, " ")
}

func makeCrashChanges(t *testing.T, w *crash.Writer) {
	runtime.LockOSThread()
	s, err := Open(filepath.Join(w.Folder, "intents.json"))
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range crashChanges {
		w.Begin(n + 1)
		if name, gone := strings.CutPrefix(c, "-"); gone {
			at := slices.IndexFunc(s.All(), func(i Intent) bool { return i.Target.Service == name })
			if at < 0 { // it never came to be
				continue
			}
			_, err = s.Remove(s.All()[at].ID)
		} else {
			_, err = s.Add(Intent{Kind: Drain, Target: Target{Service: c}, Reason: strings.Repeat("why ", 20)})
		}
		w.Say("holds %s", namesOf(s.All()))
		if err == nil {
			w.Done(n + 1)
		}
	}
}

// Wherever a change is cut off, and whatever of it the disk has kept, what is found is what held before or after it; once it was
// acknowledged, after it.
func TestIntentsAfterAnyCrash(t *testing.T) {
	if w := crash.Here(); w != nil {
		makeCrashChanges(t, w)
		return
	}
	trace, err := crash.Record(t)
	if err != nil {
		t.Fatal(err)
	}
	lists, states := crashLists(), 0
	for c := range trace.Crashes() {
		states++
		folder := t.TempDir()
		if err := c.WriteTo(folder); err != nil {
			t.Fatal(err)
		}
		done, begun := crash.HowFar(c.Said)
		s, err := Open(filepath.Join(folder, "intents.json"))
		if err != nil || !slices.Contains(lists[done:begun+1], namesOf(s.All())) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if states < 50 {
		t.Errorf("there are %d states only", states)
	}
}

// Where the disk refuses a change it does not hold, and what is found later is what held, or what was asked for last.
func TestIntentsOnADiskThatFailsOnce(t *testing.T) {
	if w := crash.Here(); w != nil {
		makeCrashChanges(t, w)
		return
	}
	for _, fails := range []struct{ call, failure string }{{"write", "ENOSPC"}, {"fsync", "EIO"}, {"renameat", "EIO"}} {
		for nth := 1; ; nth += 3 { // each change has two or four of each
			said, folder, came, err := crash.Fail(t, crash.Failure{Call: fails.call, Error: fails.failure, Nth: nth,
				Files: []string{"intents.json", "intents.json.new", "intents.json.previous", "intents.json.previous.new"}})
			if err != nil {
				t.Fatal(err)
			}
			if !came {
				if nth == 1 {
					t.Errorf("no %s has failed", fails.call)
				}
				break
			}
			s, err := Open(filepath.Join(folder, "intents.json"))
			if err != nil {
				t.Errorf("%s no. %d: %v", fails.call, nth, err)
				continue
			}
			holds := said[strings.LastIndex(said, "holds ")+len("holds "):]
			holds, _, _ = strings.Cut(holds, "\n")
			if done, _ := crash.HowFar(said); done == len(crashChanges) && namesOf(s.All()) != holds {
				t.Errorf("%s no. %d: %q is found, %q holds: %s", fails.call, nth, namesOf(s.All()), holds, said)
			}
		}
	}
}
