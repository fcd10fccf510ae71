package logfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs runs f until the returned function is called.
func runs(f *File) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

// lines are those of a file; none if it is not there.
func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || len(text) == 0 {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func want(t *testing.T, path string, expected ...string) {
	t.Helper()
	if got := lines(t, path); strings.Join(got, "|") != strings.Join(expected, "|") {
		t.Errorf("%s has %q, want %q", filepath.Base(path), got, expected)
	}
}

func TestWhatIsWrittenBeforeTheEndIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	f := &File{Path: path, Head: func(time.Time) string { return "head" }}
	f.Line("one") // before Run
	stop := runs(f)
	f.Line("two\nand its second")
	stop()
	want(t, path, "head", "one", "two", "and its second")
	if s := f.Stats(); s.Written != 3 || s.Lost != 0 || s.Stalled != 0 {
		t.Errorf("%+v", s)
	}
	again := &File{Path: path, Head: func(time.Time) string { return "head" }}
	again.Line("three")
	runs(again)()
	want(t, path, "head", "one", "two", "and its second", "three")
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	f := &File{Path: path}
	f.Configure(Settings{MaxSize: 10, Keep: 2})
	for i := range 7 {
		f.Line(fmt.Sprintf("line%d", i)) // six bytes each: one a file, as two are more than ten
	}
	runs(f)()
	want(t, path, "line6")
	want(t, path+".1", "line5")
	want(t, path+".2", "line4")
	want(t, path+".3")

	f.Configure(Settings{MaxSize: 10}) // keeps none
	f.Line("longer than ten bytes")
	f.Line("x")
	runs(f)()
	want(t, path, "x")
	want(t, path+".1", "line5")
}

// Two processes that write the same file rotate it once, whoever finds it full, and lose no line.
func TestTwoWritersOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	const each, size = 4000, 5000
	var all sync.WaitGroup
	for _, name := range []string{"older", "newer"} {
		f := &File{Path: path, Head: func(time.Time) string { return "head" }}
		f.Configure(Settings{MaxSize: size, Keep: 1000})
		stop := runs(f)
		all.Go(func() {
			defer stop()
			for i := range each {
				f.Line(fmt.Sprintf("%s %d", name, i))
				if i%10 == 0 {
					for f.Stats().Written <= uint64(i) { // so that there are many batches
						runtime.Gosched()
					}
				}
			}
		})
	}
	all.Wait()
	next := map[string]int{}
	files, bytes := 0, 0
	for n := 1000; n >= 0; n-- {
		of := path
		if n > 0 {
			of = numbered(path, n)
		}
		if info, err := os.Stat(of); err == nil && info.Size() > size*3/2 {
			t.Errorf("%s has %d bytes, and should have %d", filepath.Base(of), info.Size(), size)
		}
		for i, line := range lines(t, of) {
			if i == 0 {
				files++
				if line != "head" {
					t.Errorf("%s begins with %q", filepath.Base(of), line)
				}
				continue
			}
			name, number, _ := strings.Cut(line, " ")
			if number != strconv.Itoa(next[name]) {
				t.Fatalf("%s has %q after %s %d", filepath.Base(of), line, name, next[name]-1)
			}
			next[name]++
			bytes += len(line) + 1
		}
	}
	if next["older"] != each || next["newer"] != each {
		t.Errorf("of %d lines each there are %v", each, next)
	}
	if most := bytes/(size/2) + 1; files > most {
		t.Errorf("%d bytes are in %d files: some were moved away before they were full", bytes, files)
	}
}

// While one process rotates a file, another goes on with it for a moment.
func TestAFileThatSomebodyElseRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	other, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	f := &File{Path: path, Head: func(time.Time) string { return "head" }}
	f.Configure(Settings{MaxSize: 4, Keep: 1})
	f.Line("one")
	f.Line("two")
	runs(f)()
	want(t, path, "one", "two")
}

func TestAFileThatCannotBeRotatedGrowsOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.MkdirAll(filepath.Join(path+".1", "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var told []error
		f := &File{Path: path, Grace: time.Minute, Failed: func(err error) { told = append(told, err) }}
		f.Configure(Settings{MaxSize: 4, Keep: 1})
		f.Line("one")
		f.Line("two")
		runs(f)()
		if len(told) != 2 || told[0] == nil || !strings.Contains(told[0].Error(), "grows on") || told[1] != nil {
			t.Errorf("told %v", told)
		}
	})
	want(t, path, "one", "two")
}

func TestAFileThatWasMovedOrDeletedIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	synctest.Test(t, func(t *testing.T) {
		f := &File{Path: path}
		defer runs(f)()
		f.Line("one")
		synctest.Wait()
		if err := os.Rename(path, path+".moved"); err != nil {
			t.Fatal(err)
		}
		f.Line("two") // within the second, so into the old one
		synctest.Wait()
		<-time.After(lookAgain)
		f.Line("three")
		synctest.Wait()
		want(t, path+".moved", "one", "two")
		want(t, path, "three")

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		f.Reopen()
		synctest.Wait()
		f.Line("four")
		<-time.After(together)
		synctest.Wait()
		want(t, path, "four")
	})
}

// TestAFullOrMissingFolder: nothing is lost within what fits into memory, the rest is counted, and told once
// the folder is back.
func TestAFolderThatComesBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(folder, "a.log")
	synctest.Test(t, func(t *testing.T) {
		var told []error
		f := &File{
			Path: path, MaxPending: 10, Failed: func(err error) { told = append(told, err) },
			Lost: func(n uint64, _ time.Time) string { return fmt.Sprintf("%d lost", n) },
		}
		stop := runs(f)
		f.Line("one")
		synctest.Wait()
		for _, fits := range []bool{true, true, false, false} { // four bytes each, "one" waits apart
			if got := f.Line("two"); got != fits {
				t.Errorf("Line: %v, want %v", got, fits)
			}
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		<-time.After(longestPause)
		synctest.Wait()
		f.Line("end")
		stop()
		want(t, path, "one", "two", "two", "2 lost", "end")
		if len(told) != 2 || !errors.Is(told[0], os.ErrNotExist) || told[1] != nil {
			t.Errorf("told %v", told)
		}
		if s := f.Stats(); s.Lost != 2 || s.Written != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAFullDisk writes to a device that is always full.
func TestAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 9)
		f := &File{Path: "/dev/full", MaxPending: 100, Failed: func(err error) { told <- err }}
		stop := runs(f)
		for range 100 {
			f.Line("some text")
		}
		if err := <-told; !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("told %v", err)
		}
		stop()
		if s := f.Stats(); s.Lost < 80 || s.Written != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAPipeThatNobodyReads stands for standard output: what it does not take in time is counted there.
func TestAPipeThatNobodyReads(t *testing.T) {
	reader, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	f := &File{Out: pipe, MaxPending: 100 << 10, Lost: func(n uint64, _ time.Time) string { return fmt.Sprint(n, " lost") }}
	stop := runs(f)
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 10_000 { // a megabyte, of which a pipe takes 64 kB
		if n, err := f.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if s := f.Stats(); s.Lost < 7_000 {
		t.Errorf("%+v", s)
	}
	read := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	stop()
	pipe.Close()
	text := <-read
	lost, told := 0, 0 // it may be told more than once
	for l := range strings.Lines(text) {
		if text, is := strings.CutSuffix(l, " lost\n"); is {
			n, _ := strconv.Atoi(text)
			lost, told = lost+n, told+1
		} else if l != string(line) {
			t.Fatalf("%q", l)
		}
	}
	if all := uint64(lost) + f.Stats().Written - uint64(told); told == 0 || uint64(lost) != f.Stats().Lost || all != 10_000 {
		t.Errorf("%d lost and told, %+v", lost, f.Stats())
	}
}

// fifo is a file whose reader decides when writing goes on, as a stalled volume does.
func fifo(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "stalled.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no FIFO can be made here: ", err)
	}
	return path
}

// TestAStalledDisk: nobody waits for it, neither a line nor the end.
func TestAStalledDisk(t *testing.T) {
	path := fifo(t)
	f := &File{Path: path, MaxPending: 1000, Grace: time.Millisecond, Lost: func(n uint64, _ time.Time) string { return fmt.Sprint(n, " lost") }}
	stop := runs(f)
	for i := range 10_000 {
		f.Line(fmt.Sprint("line ", i)) // opening it lasts until somebody reads
	}
	if s := f.Stats(); s.Lost < 9_500 || s.Written > 0 {
		t.Errorf("%+v", s)
	}
	stop()
	if s := f.Stats(); s.Stalled == 0 {
		t.Errorf("%+v", s)
	}
	reader, err := os.Open(path) // it goes on
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	text := bufio.NewReader(reader)
	first, err := text.ReadString('\n')
	if err != nil || first != "line 0\n" {
		t.Errorf("%q, %v", first, err)
	}
	for { // to its end, so that what was left behind is over
		if _, err := text.ReadString('\n'); err != nil {
			break
		}
	}
}

// TestALineIsNeverCutInTwo: what was written in part when a file failed is whole in the next.
func TestALineIsNeverCutInTwo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := writer{f: &File{Path: path}, batch: []byte("one\ntwo\n"), at: 6}
	defer w.close()
	for range 2 {
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
	}
	want(t, path, "two")
	w.close()
	w.batch, w.at = []byte("three\n"), 2 // and in the same one it begins a line
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	want(t, path, "two", "", "three")
}

func TestCheck(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(folder, time.Minute); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	for directory, say := range map[string]string{
		filepath.Join(folder, "none"): "there is no such folder: make it",
		file:                          "it is no folder",
		"/proc":                       "let the broker's user write in /proc",
	} {
		if err := Check(directory, time.Minute); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("Check(%s): %v, want %q in it", directory, err, say)
		}
	}
	if err := Check(folder, 0); err != nil && !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
}

func BenchmarkLine(b *testing.B) {
	f := &File{Path: filepath.Join(b.TempDir(), "a.log")}
	defer runs(f)()
	line := strings.Repeat("x", 400)
	for b.Loop() {
		f.Line(line)
	}
	b.ReportMetric(float64(f.Stats().Lost)/float64(b.N), "lost/op")
}
