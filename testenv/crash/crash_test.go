package crash

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A program that replaces a file carelessly, and carefully, and all that may be left of it.
func TestCrashes(t *testing.T) {
	if w := Here(); w != nil {
		runtime.LockOSThread()
		path := filepath.Join(w.Folder, "file")
		w.Say("careless")
		must(t, os.WriteFile(path, []byte("first"), 0o600))
		w.Say("careful")
		f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		must(t, err)
		_, err = f.WriteString("second")
		must(t, errors.Join(err, f.Sync(), f.Close(), os.Rename(path+".new", path)))
		folder, err := os.Open(w.Folder)
		must(t, errors.Join(err, folder.Sync(), folder.Close()))
		w.Say("done")
		must(t, os.Remove(path))
		return
	}
	trace, err := Record(t)
	must(t, err)
	found := map[string][]string{}
	for c := range trace.Crashes() {
		lines := strings.Fields(c.Said)
		stage := ""
		if len(lines) > 0 {
			stage = lines[len(lines)-1]
		}
		text, is := c.Files["file"]
		if !is {
			text = []byte("-")
		}
		if !slices.Contains(found[stage], string(text)) {
			found[stage] = append(found[stage], string(text))
		}
		folder := t.TempDir()
		must(t, c.WriteTo(folder))
		if there, _ := os.ReadDir(folder); len(there) != len(c.Files) {
			t.Errorf("%v: %d files", c, len(there))
		}
	}
	zeros := "\x00\x00\x00\x00\x00"
	for stage, want := range map[string][]string{
		"":         {"-"},
		"careless": {"-", "", "f", "fi", "firs", zeros, "first"},
		"careful":  {"-", "", "f", "fi", "firs", zeros, "first", "second"},
		"done":     {"-", "second"},
	} {
		slices.Sort(want)
		if slices.Sort(found[stage]); !slices.Equal(found[stage], want) {
			t.Errorf("after %q: %q instead of %q", stage, found[stage], want)
		}
	}
}

// The program goes on with what fails.
func TestFail(t *testing.T) {
	if w := Here(); w != nil {
		runtime.LockOSThread()
		for _, name := range []string{"one", "two"} {
			f, err := os.Create(filepath.Join(w.Folder, name))
			must(t, err)
			w.Say("%s: %v", name, errors.Join(f.Sync(), f.Close()) == nil)
		}
		return
	}
	for nth, want := range map[int]string{1: "one: false\ntwo: true\n", 2: "one: true\ntwo: false\n", 3: "one: true\ntwo: true\n"} {
		said, folder, came, err := Fail(t, Failure{"fsync", "EIO", nth, []string{"one", "two"}})
		must(t, err)
		if !strings.HasPrefix(said, want) || came != (nth < 3) {
			t.Errorf("no. %d fails, %v: %s", nth, came, said)
		}
		if there, _ := os.ReadDir(folder); len(there) != 2 {
			t.Errorf("there are %v", there)
		}
	}
}
