package intent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens the store at path, which must be in order.
func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Now = noon
	return s
}

// add adds what must be accepted.
func add(t testing.TB, s *Store, i Intent) Intent {
	t.Helper()
	added, err := s.Add(i)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func ids(list []Intent) []string {
	all := []string{}
	for _, i := range list {
		all = append(all, i.ID)
	}
	return all
}

func wantIDs(t testing.TB, list []Intent, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, ids(list)); diff != "" && len(want)+len(list) > 0 {
		t.Errorf("intents (-want +got):\n%s", diff)
	}
}

func drainOf(service string) Intent { return Intent{Kind: Drain, Target: Target{Service: service}} }

func TestIDsAreShortAndNeverGivenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s := open(t, path)
	add(t, s, drainOf("sales"))
	add(t, s, Intent{Kind: Weight, Target: Target{Service: "sales"}, Value: 5})
	add(t, s, Intent{Kind: Approve, Target: Target{Quarantine: "abc"}})
	wantIDs(t, s.All(), "d1", "w2", "a3")
	if _, err := s.Remove("a3"); err != nil {
		t.Fatal(err)
	}
	if s = open(t, path); add(t, s, drainOf("hr")).ID != "d4" {
		t.Error("an ID came back after a restart")
	}
	wantIDs(t, s.All(), "d1", "w2", "d4")
}

func TestAddReplacesTheSameKindAndTarget(t *testing.T) {
	s := open(t, "")
	first := add(t, s, Intent{Kind: Weight, Target: Target{Service: "Sales"}, Value: 20})
	s.Now = func() time.Time { return noon().Add(time.Hour) }
	second := add(t, s, Intent{Kind: Weight, Target: Target{Service: " sales"}, Value: 30, Reason: "more"})
	if second.ID != first.ID || !second.Created.Equal(noon()) {
		t.Errorf("replaced %v by %v", first, second)
	}
	add(t, s, drainOf("sales"))
	add(t, s, Intent{Kind: Weight, Target: Target{Service: "sales", Network: "192.0.2.0/24"}, Value: 40})
	wantIDs(t, s.All(), "w1", "d2", "w3")
	if got, _ := s.Get("W1 "); got != second {
		t.Errorf("kept %v", got)
	}
}

func TestApproveAndRejectReplaceEachOther(t *testing.T) {
	s := open(t, "")
	add(t, s, Intent{Kind: Approve, Target: Target{Quarantine: "abc", Service: "sales"}})
	add(t, s, Intent{Kind: Reject, Target: Target{Quarantine: "abc"}})
	add(t, s, Intent{Kind: Reject, Target: Target{Quarantine: "def"}})
	wantIDs(t, s.All(), "r2", "r3")
}

func TestRemove(t *testing.T) {
	s := open(t, "")
	added := add(t, s, drainOf("sales"))
	if _, err := s.Remove("d9"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if removed, err := s.Remove(" D1"); err != nil || removed != added {
		t.Errorf("removed %v, %v", removed, err)
	}
	if _, found := s.Get("d1"); found || len(s.All()) != 0 {
		t.Error("it is still there")
	}
}

func TestExpire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s := open(t, path)
	in := func(d time.Duration, i Intent) Intent {
		i.Deadline = noon().Add(d)
		return add(t, s, i)
	}
	in(time.Minute, Intent{Kind: Hold, Target: Target{Service: "a"}})
	in(time.Minute, Intent{Kind: Drain, Target: Target{Service: "a"}, EndSessions: true})
	in(2*time.Minute, Intent{Kind: Weight, Target: Target{Service: "a"}, Value: 3})
	in(time.Minute, Intent{Kind: Maintenance, Target: Target{Service: "a"}})
	add(t, s, Intent{Kind: Hold, Target: Target{Service: "b"}})

	if expired, err := s.Expire(noon()); expired != nil || err != nil {
		t.Errorf("too early: %v, %v", expired, err)
	}
	expired, err := s.Expire(noon().Add(time.Minute))
	if err != nil {
		t.Error(err)
	}
	wantIDs(t, expired, "h1", "m4")
	wantIDs(t, s.All(), "d2", "w3", "h5")
	wantIDs(t, open(t, path).All(), "d2", "w3", "h5")
}

func TestNextDeadline(t *testing.T) {
	s := open(t, "")
	if _, any := s.NextDeadline(noon()); any {
		t.Error("a deadline of nothing")
	}
	add(t, s, drainOf("none"))
	for i, d := range []time.Duration{3, 1, 2} {
		add(t, s, Intent{Kind: Drain, Target: Target{Service: fmt.Sprint(i)}, Deadline: noon().Add(d * time.Minute)})
	}
	var got []time.Duration
	for now, more := s.NextDeadline(noon()); more; now, more = s.NextDeadline(now) {
		got = append(got, now.Sub(noon()))
	}
	if diff := cmp.Diff([]time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}, got); diff != "" {
		t.Error(diff)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestChangedTellsOfChangesOnly(t *testing.T) {
	s := open(t, "")
	changed := s.Changed()
	if _, err := s.Add(Intent{Kind: "x"}); err == nil || isClosed(changed) {
		t.Error("a refused intent is a change")
	}
	added := add(t, s, drainOf("sales"))
	if !isClosed(changed) {
		t.Error("Add is no change")
	}
	changed = s.Changed()
	add(t, s, drainOf("sales"))
	_, _ = s.Expire(noon())
	_, _ = s.Remove("x")
	if isClosed(changed) {
		t.Error("something changed that did not")
	}
	if _, err := s.Remove(added.ID); err != nil || !isClosed(changed) {
		t.Error("Remove is no change", err)
	}
	add(t, s, Intent{Kind: Hold, Target: Target{Service: "sales"}, Deadline: noon().Add(1)})
	changed = s.Changed()
	if _, err := s.Expire(noon().Add(1)); err != nil || !isClosed(changed) {
		t.Error("Expire is no change", err)
	}
}

func TestAllDoesNotChangeUnderItsReader(t *testing.T) {
	s := open(t, "")
	for _, service := range []string{"a", "b", "c"} {
		add(t, s, drainOf(service))
	}
	before := s.All()
	if _, err := s.Remove("d1"); err != nil {
		t.Fatal(err)
	}
	add(t, s, Intent{Kind: Drain, Target: Target{Service: "b"}, Reason: "changed"})
	add(t, s, drainOf("d"))
	wantIDs(t, before, "d1", "d2", "d3")
	if before[1].Reason != "" {
		t.Error("an intent in a list handed out was changed")
	}
}

func TestChangesThatCannotBeSavedAreRefused(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(folder, "intents.json"))
	add(t, s, Intent{Kind: Hold, Target: Target{Service: "sales"}, Deadline: noon().Add(time.Minute)})
	add(t, s, drainOf("sales"))
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	changed := s.Changed()
	_, err := s.Add(drainOf("hr"))
	wantError(t, "Add", err, []string{"not saved", folder})
	_, err = s.Remove("d2")
	wantError(t, "Remove", err, []string{"not saved", folder})
	wantIDs(t, s.All(), "h1", "d2")
	if isClosed(changed) {
		t.Error("told of a change that was refused")
	}
	expired, err := s.Expire(noon().Add(time.Minute))
	wantError(t, "Expire", err, []string{"not saved"})
	wantIDs(t, expired, "h1")
	wantIDs(t, s.All(), "d2")
}

func TestThereIsABound(t *testing.T) {
	s := open(t, "")
	list := make([]Intent, maxIntents)
	for i := range list {
		list[i] = Intent{ID: fmt.Sprintf("d%d", i+1), Kind: Drain, Target: Target{Service: fmt.Sprintf("s%d", i)}}
	}
	s.next = maxIntents + 1
	s.publish(list)
	if _, err := s.Add(drainOf("one more")); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Add(Intent{Kind: Drain, Target: Target{Service: "s7"}, Reason: "why"}); err != nil {
		t.Errorf("what is there already may change: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "intents.json"))
	var writers, follower sync.WaitGroup
	const each = 10
	done := make(chan struct{})
	seen := 0
	follower.Go(func() {
		for {
			changed := s.Changed()
			if seen = len(s.All()); seen == 4*each {
				return
			}
			select {
			case <-changed:
			case <-done:
			}
		}
	})
	for w := range 4 {
		writers.Go(func() {
			for i := range each {
				mine := add(t, s, drainOf(fmt.Sprintf("s%d-%d", w, i)))
				gone := add(t, s, Intent{Kind: Hold, Target: Target{Service: fmt.Sprintf("s%d", w)}})
				if _, err := s.Remove(gone.ID); err != nil {
					t.Error(err)
				}
				if got, found := s.Get(mine.ID); !found || got != mine {
					t.Errorf("%v is not there", mine)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	follower.Wait()
	if diff := cmp.Diff(s.All(), open(t, s.path).All()); diff != "" {
		t.Errorf("the file (-memory +file):\n%s", diff)
	}
	unique := map[string]bool{}
	for _, id := range ids(s.All()) {
		unique[id] = true
	}
	if len(unique) != 4*each {
		t.Errorf("%d different IDs, want %d", len(unique), 4*each)
	}
}

// What another process keeps is followed, and not written.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(Intent{Kind: Hold, Target: Target{Service: "sales"}}); err != nil {
		t.Fatal(err)
	}
	before, changed := s.All(), s.Changed()
	s.Follow(nil)
	select {
	case <-changed:
	default:
		t.Error("nobody is told")
	}
	if len(s.All()) != 0 {
		t.Errorf("%v", s.All())
	}
	s.Follow(before)
	if _, there := s.Get(before[0].ID); !there {
		t.Errorf("%v", s.All())
	}
	s.Follow(nil)
	if again, err := Open(path); err != nil || len(again.All()) != 1 {
		t.Errorf("%v in the file, %v", again.All(), err)
	}
}
