package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"servicebroker/console"
	"servicebroker/journal"
)

// watched is a broker that runs by the cman.ora of a folder.
type watched struct {
	*running
	last uint64 // event that was seen
}

// watch runs a broker by a file that is there already. Without events the system tells of nothing.
func watch(t *testing.T, file string, events bool, poll time.Duration) *watched {
	t.Helper()
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	b, err := New(testConfig(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress, c.ConfigPoll = state, "127.0.0.1:0", poll
	}), slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	if !events {
		b.files.watcher = func() (*fsnotify.Watcher, error) { return nil, errors.New("too many of them") }
	}
	return &watched{running: run(t, b)}
}

// reloads waits for the next reload, and wants it to be good and to have changed that, or to
// be bad and to say that.
func (w *watched) reloads(kind journal.Kind, says string) {
	w.t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		changed := w.journal.Changed()
		for _, e := range w.journal.Events(journal.Filter{Since: w.last, Kinds: []journal.Kind{journal.ConfigLoaded, journal.ConfigRejected}}) {
			w.last = e.ID
			if e.Kind != kind || !strings.Contains(e.Detail, says) {
				w.t.Errorf("event %s, want %s %q", e, kind, says)
			}
			return
		}
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("no reload within 20 s, want %s %q", kind, says)
		}
	}
}

// policy is the text of a configuration that can be told by its policy.
func policy(name string) string {
	return strings.Replace(reloaded, "%", "(HOLD_TIMEOUT=0)(CONFIG_POLL=0)"+name, 1)
}

func put(t *testing.T, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Every way in which people and machines replace a file is noticed, by what the system tells
// and without it.
func TestConfigurationIsWatched(t *testing.T) {
	const random, sessions = "(POLICY=random)", "(POLICY=sessions)"
	plain := func(t *testing.T, dir string) string { return put(t, policy(random), dir, "cman.ora") }
	for _, c := range []struct {
		name    string
		arrange func(t *testing.T, dir string) (file string)
		change  func(t *testing.T, dir string)
		changed string
	}{
		{"written in place", plain, func(t *testing.T, dir string) { put(t, policy(sessions), dir, "cman.ora") }, "POLICY"},
		{"replaced by an editor", plain, func(t *testing.T, dir string) {
			put(t, policy(sessions), dir, ".cman.ora.swp")
			must(t, os.Rename(filepath.Join(dir, "cman.ora"), filepath.Join(dir, "cman.ora~")), os.Rename(filepath.Join(dir, ".cman.ora.swp"), filepath.Join(dir, "cman.ora")))
		}, "POLICY"},
		{"a ConfigMap", func(t *testing.T, dir string) string {
			put(t, policy(random), dir, "..2026_01", "cman.ora")
			must(t, os.Symlink("..2026_01", filepath.Join(dir, "..data")), os.Symlink("..data/cman.ora", filepath.Join(dir, "cman.ora")))
			return filepath.Join(dir, "cman.ora")
		}, func(t *testing.T, dir string) {
			put(t, policy(sessions), dir, "..2026_02", "cman.ora")
			must(t, os.Symlink("..2026_02", filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
				os.RemoveAll(filepath.Join(dir, "..2026_01")))
		}, "POLICY"},
		{"a link to another folder", func(t *testing.T, dir string) string {
			put(t, policy(random), dir, "v1", "cman.ora")
			put(t, policy(sessions), dir, "v2", "cman.ora")
			must(t, os.Symlink("v1", filepath.Join(dir, "current")))
			return filepath.Join(dir, "current", "cman.ora")
		}, func(t *testing.T, dir string) {
			must(t, os.Symlink("v2", filepath.Join(dir, "next")), os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")))
		}, "POLICY"},
		{"what a link leads to", func(t *testing.T, dir string) string {
			must(t, os.Symlink(put(t, policy(random), dir, "share", "real.ora"), filepath.Join(dir, "cman.ora")))
			return filepath.Join(dir, "cman.ora")
		}, func(t *testing.T, dir string) { put(t, policy(sessions), dir, "share", "real.ora") }, "POLICY"},
		{"the folder is another", func(t *testing.T, dir string) string { return put(t, policy(random), dir, "admin", "cman.ora") },
			func(t *testing.T, dir string) {
				must(t, os.Rename(filepath.Join(dir, "admin"), filepath.Join(dir, "old")))
				put(t, policy(sessions), dir, "new", "cman.ora")
				must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "admin")))
			}, "POLICY"},
		{"a file that it includes", func(t *testing.T, dir string) string {
			put(t, "POLICY=random", dir, "policy.ora")
			return put(t, "IFILE=policy.ora\n"+policy(""), dir, "cman.ora")
		}, func(t *testing.T, dir string) { put(t, "POLICY=sessions", dir, "policy.ora") }, "POLICY"},
		{"aliases that were not there", func(t *testing.T, dir string) string {
			return put(t, policy("(USE_SERVICE_AS_TNSNAMES_ALIAS=on)"), dir, "cman.ora")
		}, func(t *testing.T, dir string) {
			put(t, "sales=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=s)))", dir, "tnsnames.ora")
		}, "tnsnames.ora"},
	} {
		for how, poll := range map[string]time.Duration{"told": 0, "looked": 20 * time.Millisecond} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				w := watch(t, c.arrange(t, dir), poll == 0, poll)
				c.change(t, dir)
				w.reloads(journal.ConfigLoaded, c.changed)
				if r := w.files.lastReload(); r == nil || !r.OK || r.By != ByFile || !slices.Contains(r.Changed, c.changed) || r.Good != 1 || r.Bad != 0 {
					t.Errorf("report %+v", r)
				}
			})
		}
	}
}

// A file that is wrong changes nothing, is told of once, and keeps nobody from the broker;
// the next good one counts.
func TestBrokenFileIsToldOfOnce(t *testing.T) {
	file := put(t, policy("(POLICY=random)"), t.TempDir(), "cman.ora")
	w := watch(t, file, true, 20*time.Millisecond)
	w.join("a", "sales")

	put(t, strings.Replace(policy(""), "(RULE_LIST=", "(RULE_LISTE=", 1)+")", file)
	w.reloads(journal.ConfigRejected, file+":3:")
	put(t, strings.Replace(policy(""), "ACT=accept", "ACT=deny", 1), file)
	w.reloads(journal.ConfigRejected, "did you mean reject?")
	must(t, os.Chtimes(file, time.Now(), time.Now())) // touched, which is no change
	w.session("sales")
	var s console.Status
	must(t, json.Unmarshal([]byte(w.get("/api/v1/status")), &s))
	if r := s.LastReload; r == nil || r.OK || r.By != ByFile || !strings.Contains(r.Error, file+":2:") || r.Bad != 2 || !s.Ready {
		t.Errorf("status %+v, %+v", s, s.LastReload)
	}
	if got := w.settings().treatment("x").Policy; got != "random" {
		t.Errorf("policy %s, want the one of the last good file", got)
	}
	must(t, os.Remove(file))
	w.reloads(journal.ConfigRejected, "cannot be read")
	put(t, policy("(POLICY=sessions)"), file)
	w.reloads(journal.ConfigLoaded, "POLICY")
	if got := w.settings().treatment("x").Policy; got != "sessions" {
		t.Errorf("policy %s", got)
	}
	if events := w.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.ConfigLoaded, journal.ConfigRejected}}); len(events) != 4 {
		t.Errorf("%d reloads, want 4: %v", len(events), events)
	}
}

// An operator may want to be the one who says when.
func TestWatchCanBeOff(t *testing.T) {
	dir := t.TempDir()
	file := put(t, policy("(POLICY=random)(CONFIG_WATCH=off)"), dir, "cman.ora")
	w := watch(t, file, true, 20*time.Millisecond)
	put(t, policy("(POLICY=sessions)(CONFIG_WATCH=on)"), file)
	if events := w.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.ConfigLoaded}}); len(events) != 0 {
		t.Errorf("%v", events)
	}
	if _, err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.reloads(journal.ConfigLoaded, "CONFIG_WATCH, POLICY")
	put(t, policy("(POLICY=random)"), file) // which is watched now
	w.reloads(journal.ConfigLoaded, "POLICY")
}

// The places of a file are its own and those of the links on the way to it.
func TestPlacesOfAFile(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	put(t, "", dir, "real", "a", "f")
	must(t, os.Symlink("real/a", filepath.Join(dir, "one")), os.Symlink(filepath.Join(dir, "one", "f"), filepath.Join(dir, "two")),
		os.Symlink("loop", filepath.Join(dir, "loop")), os.Symlink("nowhere/x", filepath.Join(dir, "dangling")))
	for file, want := range map[string][]string{
		"real/a/f":     {"real/a/f"},
		"one/f":        {"one", "real/a/f"},
		"two":          {"two", "one", "real/a/f"},
		"real/b/c/d/e": {"real/b"},
		"dangling":     {"dangling", "nowhere"},
	} {
		for i := range want {
			want[i] = filepath.Join(dir, want[i])
		}
		if got := placesOf(filepath.Join(dir, file)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
	if got := placesOf(filepath.Join(dir, "loop")); len(got) != maxLinks {
		t.Errorf("a loop: %d places", len(got))
	}
}

func TestContentsTellWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	c := contents{}
	for _, name := range []string{"absent", "."} {
		if _, err := c.read(filepath.Join(dir, name)); err == nil {
			t.Error(name)
		}
	}
	put(t, "", dir, "absent")
	if c.same(c.now()) {
		t.Error("an empty file is like none")
	}
	if len(c) != 2 || !c.now().same(c.now()) {
		t.Error(fmt.Sprint(c))
	}
}
