package intent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twoStates makes a file after two changes and returns its path and the two states.
func twoStates(t testing.TB) (path string, before, after []Intent) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "intents.json")
	s := open(t, path)
	add(t, s, Intent{Kind: Drain, Target: Target{Service: "sales", Instance: "sales1@db1"}, Deadline: noon().Add(300e9), EndSessions: true, Source: "ann"})
	before = s.All()
	add(t, s, Intent{Kind: Weight, Target: Target{Network: "192.0.2.0/24"}, Value: 20, Reason: "<slow> & \u2028 \"new\" disk"})
	return path, before, s.All()
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReopenFindsEverythingAsItWas(t *testing.T) {
	path, _, after := twoStates(t)
	if diff := cmp.Diff(after, open(t, path).All()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	for _, name := range []string{path, path + ".previous"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	left, err := filepath.Glob(path + ".*")
	if err != nil || len(left) != 1 {
		t.Errorf("beside the file: %q, %v", left, err)
	}
}

func TestOpenOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	if s := open(t, path); len(s.All()) != 0 {
		t.Error("intents from nowhere")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file without need")
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder is taken for the file")
	}
}

// TestTornAtAnyByte: whatever is left of the file, what comes back is one of the two states, and the rest is kept.
func TestTornAtAnyByte(t *testing.T) {
	path, before, after := twoStates(t)
	content, previous := read(t, path), read(t, path+".previous")
	for n := range len(content) + 1 {
		write(t, path, content[:n])
		write(t, path+".previous", previous)
		s, err := Open(path)
		var damaged *DamagedError
		switch {
		case err == nil && cmp.Equal(s.All(), after):
			continue
		case !errors.As(err, &damaged) || !damaged.Recovered:
			t.Fatalf("torn at byte %d of %d: %v", n, len(content), err)
		case !cmp.Equal(s.All(), before):
			t.Fatalf("torn at byte %d: %v", n, s.All())
		}
		if got := read(t, damaged.Aside); string(got) != string(content[:n]) {
			t.Fatalf("torn at byte %d: %d bytes kept aside", n, len(got))
		}
		if err := os.Remove(damaged.Aside); err != nil {
			t.Fatal(err)
		}
		if s := open(t, path); !cmp.Equal(s.All(), before) { // and stays so
			t.Fatalf("torn at byte %d, then opened again: %v", n, s.All())
		}
	}
}

func TestAnyWrongByteIsNoticed(t *testing.T) {
	path, _, after := twoStates(t)
	content := read(t, path)
	unnoticed := 0
	for n := range content {
		for _, flip := range []byte{0x01, 0x02, 0x20, 0x80, 0xff} {
			content[n] ^= flip
			kept, err := decode(content)
			if err == nil && !cmp.Equal(kept.Intents, after) {
				t.Errorf("byte %d changed to %q: %v", n, content[n], kept)
			}
			if err == nil {
				unnoticed++ // white space, or the case of a name
			}
			content[n] ^= flip
		}
	}
	if all := 5 * len(content); unnoticed > all/4 {
		t.Errorf("%d of %d changes went unnoticed", unnoticed, all)
	}
}

func TestLeftoversOfAnUnfinishedChangeDoNotMatter(t *testing.T) {
	path, _, after := twoStates(t)
	write(t, path+".new", []byte(`{"format": 1, "crc`))
	write(t, path+".previous.new", []byte(`{`))
	write(t, path+".previous", nil)
	s := open(t, path)
	if !cmp.Equal(s.All(), after) {
		t.Errorf("got %v", s.All())
	}
	add(t, s, drainOf("hr"))
	wantIDs(t, open(t, path).All(), "d1", "w2", "d3")
}

func TestEverythingDamaged(t *testing.T) {
	path, _, _ := twoStates(t)
	write(t, path, []byte("\x00\x00\x00"))
	write(t, path+".previous", []byte("garbage"))
	write(t, path+".bad", []byte("of an earlier time"))
	s, err := Open(path)
	var damaged *DamagedError
	if !errors.As(err, &damaged) || damaged.Recovered || s == nil || len(s.All()) != 0 {
		t.Fatalf("got %v, %v", s, err)
	}
	wantError(t, "Open", err, []string{path, "starting without any", path + ".bad2", path + ".previous.bad"})
	for name, want := range map[string]string{".bad": "of an earlier time", ".bad2": "\x00\x00\x00", ".previous.bad": "garbage"} {
		if got := read(t, path+name); string(got) != want {
			t.Errorf("%s holds %q", name, got)
		}
	}
	s.Now = noon
	add(t, s, drainOf("sales"))
	wantIDs(t, open(t, path).All(), "d1")
}

func TestANewerFormatIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	content := []byte(`{"format": 7, "whatever": {}}`)
	write(t, path, content)
	s, err := Open(path)
	if s != nil || !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("got %v, %v", s, err)
	}
	wantError(t, "Open", err, []string{path, "format 7", "reads up to 1", "move the file away"})
	if string(read(t, path)) != string(content) {
		t.Error("the file was changed")
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	for content, part := range map[string]string{
		``:                           "unexpected end",
		`[]`:                         "damaged",
		`{}`:                         "names no format",
		`{"format": -3}`:             "names no format",
		`{"format": 1}`:              "damaged",
		`{"format": 1, "state": {}}`: "its sum is",
		`{"format": 1, "crc32c": "` + strings.Repeat("x", 999) + `", "state": {}}`:                 "xx…",
		`{"format": 1, "crc32c": "` + sum([]byte(`{"intents":7}`)) + `", "state": {"intents": 7}}`: "damaged",
	} {
		_, err := decode([]byte(content))
		wantError(t, content, err, []string{part})
	}
}

func FuzzDecode(f *testing.F) {
	path, _, _ := twoStates(f)
	f.Add(read(f, path))
	f.Add([]byte(`{"format": 1, "crc32c": "00000000", "state": {"next": 1, "intents": []}}`))
	f.Add([]byte(`{"format": 2}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		kept, err := decode(content)
		if err != nil {
			return
		}
		again, err := encode(kept)
		if err != nil {
			t.Fatalf("%v is read, and cannot be written: %v", kept, err)
		}
		if back, err := decode(again); err != nil || !cmp.Equal(kept.Next, back.Next) || len(back.Intents) != len(kept.Intents) {
			t.Fatalf("%v became %v, %v", kept, back, err)
		}
	})
}

// What another process has left in the file holds, and no ID of either is given out again.
func TestWhatAnotherProcessLeftIsReread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s := open(t, path)
	if err := s.Reread(); err != nil {
		t.Errorf("without a file: %v", err)
	}
	gone := add(t, s, drainOf("sales"))
	other := open(t, path)
	came := add(t, other, drainOf("billing"))
	if _, err := other.Remove(gone.ID); err != nil {
		t.Fatal(err)
	}
	s.Follow(nil)
	if err := s.Reread(); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, s.All(), came.ID)
	later := add(t, s, drainOf("crm"))
	if later.ID == came.ID || later.ID == gone.ID {
		t.Errorf("%s is given out twice", later.ID)
	}
	wantIDs(t, open(t, path).All(), came.ID, later.ID)
	if before, err := os.ReadFile(path + ".previous"); err != nil || !strings.Contains(string(before), "BILLING") && !strings.Contains(string(before), "billing") {
		t.Errorf("the state before the last change is %s, %v", before, err)
	}
	for _, damaged := range []string{"{", `{"format": 999}`} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Reread(); err == nil {
			t.Errorf("%s was read", damaged)
		}
		wantIDs(t, s.All(), came.ID, later.ID)
	}
}
