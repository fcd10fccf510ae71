package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

// tableOf is a table of registrations with these IDs.
func tableOf(ids ...string) *warmTable {
	w := &warmTable{}
	for _, id := range ids {
		w.entries = append(w.entries, &servicetable.Registration{ID: servicetable.ID(id), Instance: id, Host: strings.Repeat("h", 200)})
	}
	return w
}

// idsOf names what was read.
func idsOf(read *warmRead) string {
	var ids []string
	for _, e := range read.entries {
		ids = append(ids, string(e.Registration.ID))
	}
	return strings.Join(ids, " ")
}

// idsIn reads a table on disk.
func idsIn(t testing.TB, path string) string {
	t.Helper()
	read, err := readWarm(t.Context(), path)
	must(t, err)
	return idsOf(&read)
}

// A file of a format to come is kept as it is.
func TestANewerTableIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), warmName)
	for name, l := range map[string]*warmLine{
		"file":         {File: &warmHead{Format: warmFormat + 1, Broker: "9.0"}},
		"registration": nil,
	} {
		t.Run(name, func(t *testing.T) {
			text := &bytes.Buffer{}
			w := &warmWriter{to: text}
			if l != nil {
				w.put(l)
				text.WriteString("and then something else")
			} else {
				w.put(&warmLine{File: &warmHead{Format: warmFormat, Broker: "9.0"}})
				newer := fmt.Sprintf(`{"key":"r1","instance":{"registration":{"format":%d,"id":"1"}}}`, servicetable.Format+1)
				line := fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(newer), castagnoli), newer)
				text.WriteString(line)
				w.lines++
				w.sum = crc32.Update(w.sum, castagnoli, []byte(line))
				w.conclude(time.Now(), 1)
			}
			must(t, os.WriteFile(path, text.Bytes(), 0o600))
			if _, err := readWarm(t.Context(), path); !errors.Is(err, servicetable.ErrNewerFormat) {
				t.Errorf("%v", err)
			}
			if after, err := os.ReadFile(path + ".newer"); err != nil || string(after) != text.String() {
				t.Errorf("it was not kept as it was: %v", err)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still in its place: %v", err)
			}
		})
	}
}

// Two processes do not write one file: the second waits until the first is done.
func TestTheFileIsOneProcesss(t *testing.T) {
	path := filepath.Join(t.TempDir(), warmName)
	one, two := newWarmFile(path), newWarmFile(path)
	ctx := t.Context()
	must(t, one.Sync(ctx, tableOf("a")))
	if err := two.Sync(ctx, tableOf("b")); !errors.Is(err, discovery.ErrStandby) {
		t.Fatalf("%v", err)
	}
	must(t, one.Sync(ctx, tableOf("a", "c")))
	one.mu.Lock()
	must(t, one.begin(tableOf("a", "c"))) // it is another file now
	one.mu.Unlock()
	if err := two.Sync(ctx, tableOf("b")); !errors.Is(err, discovery.ErrStandby) {
		t.Fatalf("%v", err)
	}
	must(t, one.Close(ctx))
	if got := idsIn(t, path); got != "a c" {
		t.Errorf("the first left %s", got)
	}
	must(t, two.Sync(ctx, tableOf("b", "c")))
	must(t, two.Sync(ctx, tableOf("b")))
	must(t, two.Close(ctx))
	if got := idsIn(t, path); got != "b" {
		t.Errorf("the second left %s", got)
	}
}

// Whatever becomes of the file while it is open, what is there after the next write is the table.
func TestAFileThatOthersTouch(t *testing.T) {
	for name, touch := range map[string]func(path string) error{
		"removed":   os.Remove,
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"shortened": func(path string) error { return os.Truncate(path, 100) },
		"longer":    func(path string) error { return os.Truncate(path, 1<<20) },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("mine"), 0o600))
		},
		"moved":      func(path string) error { return os.Rename(path, path+".old") },
		"unreadable": func(path string) error { return os.Chmod(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), warmName)
			f := newWarmFile(path)
			must(t, f.Sync(t.Context(), tableOf("a", "b")))
			must(t, touch(path))
			must(t, f.Sync(t.Context(), tableOf("b", "c")))
			must(t, os.Chmod(path, 0o600))
			if got := idsIn(t, path); got != "b c" {
				t.Errorf("it has %q", got)
			}
			must(t, f.Close(t.Context()))
		})
	}
}

// What is not a file is set aside, and waited for no more than a file is.
func TestThingsThatAreNoFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"folder":           func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":             func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link to nowhere":  func(path string) error { return os.Symlink(path+".nowhere", path) },
		"link to itself":   func(path string) error { return os.Symlink(path, path) },
		"file of a device": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), warmName)
			must(t, make(path))
			read, err := readWarm(t.Context(), path)
			if len(read.entries) > 0 {
				t.Errorf("it has %s", idsOf(&read))
			}
			t.Log(err)
			f := newWarmFile(path)
			must(t, f.Sync(t.Context(), tableOf("a")))
			must(t, f.Close(t.Context()))
			if got := idsIn(t, path); got != "a" {
				t.Errorf("it has %q", got)
			}
		})
	}
}

// grown is a file to which changes were appended, and all tables that it ever was.
func grown(t testing.TB, path string) (content []byte, was []string) {
	t.Helper()
	f := newWarmFile(path)
	all := tableOf()
	for i := range 7 {
		more := tableOf(fmt.Sprintf("i%02d", 2*i), fmt.Sprintf("i%02d", 2*i+1))
		all = &warmTable{entries: append(slices.Clone(all.entries[min(i%3, len(all.entries)):]), more.entries...)}
		must(t, f.Sync(t.Context(), all))
		was = append(was, idsIn(t, path))
	}
	must(t, f.Close(t.Context()))
	content, err := os.ReadFile(path)
	must(t, err)
	return content, was
}

// A file that was cut off anywhere is the table of some moment before.
func TestAFileCutOffAnywhere(t *testing.T) {
	content, was := grown(t, filepath.Join(t.TempDir(), warmName))
	last := ""
	for at := range content {
		read, err := decodeWarm(content[:at], time.Now())
		got := idsOf(&read)
		if read.fact.Lines == 0 { // not even its first table is whole, as no file ever is
			if err == nil {
				if at > 0 {
					t.Fatalf("%d bytes: no error", at)
				}
			}
			continue
		}
		if err != nil || !slices.Contains(was, got) || got < last && len(got) < len(last) && !slices.Contains(was, last) {
			t.Fatalf("%d bytes: %q %v", at, got, err)
		}
		last = got
	}
	if read, err := decodeWarm(content, time.Now()); err != nil || idsOf(&read) != was[len(was)-1] || read.cut != 0 {
		t.Errorf("%q %v, %d bytes cut", idsOf(&read), err, read.cut)
	}
	for _, rest := range [][]byte{make([]byte, 5000), []byte("00000000 {}\n"), content[:300]} { // a block that was never written, or of another file
		read, err := decodeWarm(append(slices.Clone(content), rest...), time.Now())
		if err != nil || idsOf(&read) != was[len(was)-1] || read.cut != len(rest) {
			t.Errorf("%q %v, %d bytes cut", idsOf(&read), err, read.cut)
		}
	}
}

// A file that was damaged anywhere is read without harm, that it was is noticed, and nothing is read that was not written.
func TestDamageIsNoticed(t *testing.T) {
	content, _ := grown(t, filepath.Join(t.TempDir(), warmName))
	lastFact := bytes.LastIndexByte(content[:len(content)-1], 0x0a) // damage from there on is as if the file were cut off
	rapid.Check(t, func(t *rapid.T) {
		bad := slices.Clone(content)
		begin := rapid.IntRange(0, lastFact-1).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			bad[begin] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		case 1: // a part of it is elsewhere
			end := rapid.IntRange(begin, lastFact).Draw(t, "end")
			other := rapid.IntRange(0, lastFact-(end-begin)).Draw(t, "other")
			copy(bad[begin:end], content[other:])
		case 2: // a part is missing
			bad = slices.Delete(bad, begin, rapid.IntRange(begin, lastFact).Draw(t, "end"))
		default:
			clear(bad[begin:rapid.IntRange(begin, lastFact).Draw(t, "end")])
		}
		read, err := decodeWarm(bad, time.Now())
		if (err == nil) != bytes.Equal(bad, content) {
			t.Fatalf("error: %v", err)
		}
		for _, e := range read.entries {
			if r := e.Registration; string(r.ID) != r.Instance || r.Host != strings.Repeat("h", 200) {
				t.Fatalf("%s %s", r.ID, r.Instance)
			}
		}
	})
}

func FuzzDecodeWarm(f *testing.F) {
	content, _ := grown(f, filepath.Join(f.TempDir(), warmName))
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		read, err := decodeWarm(text, time.Now())
		if err == nil && len(text) > 0 && read.head.Format == 0 {
			t.Errorf("it is no table: %q", text)
		}
	})
}

// What grows is written anew now and then, and is small then.
func TestTheFileStaysShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), warmName)
	f := newWarmFile(path)
	longest := int64(0)
	for range 20 {
		var ids []string
		for i := range 300 {
			ids = append(ids, fmt.Sprintf("i%03d", i))
		}
		must(t, f.Sync(t.Context(), tableOf(ids...))) // all of them have changed
		info, err := os.Stat(path)
		must(t, err)
		longest = max(longest, info.Size())
	}
	if limit := 2*f.fresh + warmSlack; longest > limit || longest < limit/2 {
		t.Errorf("%d bytes, limit %d", longest, limit)
	}
	if got := strings.Count(idsIn(t, path), " "); got != 299 {
		t.Errorf("%d blanks", got)
	}
	must(t, f.Close(t.Context()))
}

// A disk that hangs keeps nobody longer than their patience, and is used again once it does not.
func TestWorkForADiskThatHangs(t *testing.T) {
	d := newDiskWork()
	hangs := make(chan struct{})
	impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := d.do(impatient, func() error { <-hangs; return nil })
	if !errors.Is(err, errSlowDisk) {
		t.Errorf("%v", err)
	}
	if err := d.do(impatient, func() error { t.Error("two at a time"); return nil }); !errors.Is(err, errSlowDisk) {
		t.Errorf("%v", err)
	}
	close(hangs)
	want := errors.New("full")
	if err := d.do(t.Context(), func() error { return want }); err != want {
		t.Errorf("%v", err)
	}
}

// Times that a clock has not come to yet are those of a clock that was wrong.
func TestWrongClocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), warmName)
	f := newWarmFile(path)
	stale := tableOf("a", "b")
	stale.entries[1].Stale = true
	f.heard = map[servicetable.ID]time.Time{"b": time.Now().Add(-time.Hour)}
	must(t, f.Sync(t.Context(), stale))
	must(t, f.Close(t.Context()))
	content, err := os.ReadFile(path)
	must(t, err)
	for name, c := range map[string]struct {
		now  time.Time
		a, b time.Duration // how long ago they were heard of
	}{
		"right":     {time.Now(), 0, time.Hour},
		"far back":  {time.Unix(0, 0), 0, 0},
		"far ahead": {time.Now().Add(1000 * time.Hour), 1000 * time.Hour, 1001 * time.Hour},
	} {
		read, err := decodeWarm(content, c.now)
		must(t, err)
		for i, want := range []time.Duration{c.a, c.b} {
			if got := c.now.Sub(read.entries[i].Heard).Round(time.Minute); got != want {
				t.Errorf("%s: %s heard of %v ago, want %v", name, read.entries[i].Registration.ID, got, want)
			}
		}
	}
}

// Many tables in turn, through files that are cut off, read as they were.
func TestTablesGoThroughTheFile(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(folder, warmName)
		f := newWarmFile(path)
		ctx := context.Background()
		known := map[string]*servicetable.Registration{}
		for range rapid.IntRange(1, 8).Draw(t, "writes") {
			id := fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "id"))
			if delete(known, id); rapid.Bool().Draw(t, "comes") {
				known[id] = &servicetable.Registration{ID: servicetable.ID(id), Instance: id, Load: rand.Uint32()}
			}
			w := &warmTable{}
			for _, r := range known {
				w.entries = append(w.entries, r)
			}
			if err := f.Sync(ctx, w); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(t, "cut") == 0 { // half a write, and then another process
				if file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); err == nil {
					_, _ = file.WriteString(`0000ffff {"key":"r1","gone":tr`)
					_ = file.Close()
				}
				_ = f.Close(ctx)
				f = newWarmFile(path)
			}
			read, err := readWarm(ctx, path)
			if err != nil || len(read.entries) != len(known) {
				t.Fatalf("%d instead of %d: %v", len(read.entries), len(known), err)
			}
			for _, e := range read.entries {
				if r := known[string(e.Registration.ID)]; r == nil || r.Load != e.Registration.Load {
					t.Fatalf("%s has %d instead of %v", e.Registration.ID, e.Registration.Load, r)
				}
			}
		}
		_ = f.Close(ctx)
	})
}
