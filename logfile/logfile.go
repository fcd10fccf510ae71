// Package logfile appends lines to a file on a disk that may be slow, full, away or
// stalled: whoever writes a line never waits for it. Lines wait in bounded memory; those
// that find no room are counted, and the file says how many once it can.
package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [File] and [Settings].
const (
	DefaultMaxPending = 4 << 20 // bytes
	DefaultGrace      = 2 * time.Second
)

// File is one log file. Fill in the exported fields, then call [File.Run] once; lines may
// be written before and after.
type File struct {
	Path string
	// Out, where it is set, is written in place of a file: standard output, which may be a
	// pipe that nobody reads for a while. It is neither rotated nor closed.
	Out io.Writer
	// MaxPending bounds the bytes that wait to be written; 0 is DefaultMaxPending. As much
	// again may be under way to the disk.
	MaxPending int
	// Grace bounds how long Run waits for the disk once its context has ended; 0 is
	// DefaultGrace.
	Grace time.Duration
	// Mode of files that are made; 0 is 0640.
	Mode os.FileMode
	// Lost makes the text that tells of n lines that found no room, without its line end;
	// nil: a plain sentence.
	Lost func(n uint64, now time.Time) string
	// Head makes the first lines of each new file, without the last line end; nil: none.
	Head func(now time.Time) string
	// Failed is told when writing begins to fail, with how it fails, and with nil when it
	// goes on; nil: nobody is. It is called from Run's side and may wait.
	Failed func(error)

	settings atomic.Pointer[Settings]
	reopen   atomic.Bool
	written  atomic.Uint64
	lost     atomic.Uint64
	bytes    atomic.Int64
	busy     atomic.Int64 // unix nanoseconds at which the call to the disk began that is under way; 0: none

	mu      sync.Mutex
	pending []byte
	missed  uint64 // lines lost since the last one that found room
	wake    chan struct{}
}

// Settings may change at any time, see [File.Configure].
type Settings struct {
	MaxSize int64 // of one file in bytes, before the next is begun; 0: no bound
	Keep    int   // older files that are kept as PATH.1, PATH.2 …; 0: none
}

// Configure puts settings in force for what is written from now on.
func (f *File) Configure(s Settings) { f.settings.Store(&s) }

// Stats tells what became of lines.
type Stats struct {
	Written uint64        // lines that reached the system
	Bytes   int64         // of them
	Lost    uint64        // lines that found no room
	Stalled time.Duration // how long the disk has kept the call that is under way; 0: none is
}

// Stats may be called at any time.
func (f *File) Stats() Stats {
	s := Stats{Written: f.written.Load(), Bytes: f.bytes.Load(), Lost: f.lost.Load()}
	if since := f.busy.Load(); since != 0 {
		s.Stalled = time.Since(time.Unix(0, since))
	}
	return s
}

// Line writes one text, to which it adds the line end; several lines in it stay together.
// It returns at once, and false if there was no room.
func (f *File) Line(text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	room := f.MaxPending
	if room == 0 {
		room = DefaultMaxPending
	}
	if f.missed > 0 && len(f.pending) > room/2 || len(f.pending)+len(text)+1 > room {
		f.missed++
		f.lost.Add(1)
		return false
	}
	f.tellMissed()
	f.pending = append(append(f.pending, text...), '\n')
	f.signal()
	return true
}

// Write writes what is one line with its end, as slog's handlers do; it is an io.Writer that
// never fails.
func (f *File) Write(line []byte) (int, error) {
	f.Line(string(bytes.TrimSuffix(line, []byte{'\n'})))
	return len(line), nil
}

// tellMissed puts the number of lost lines in their place; f.mu is held.
func (f *File) tellMissed() {
	if f.missed == 0 {
		return
	}
	text := fmt.Sprintf("%d lines lost: the disk did not take them in time", f.missed)
	if f.Lost != nil {
		text = f.Lost(f.missed, time.Now())
	}
	f.pending = append(append(f.pending, text...), '\n')
	f.missed = 0
}

// waker is made by whoever needs it first; f.mu is held.
func (f *File) waker() chan struct{} {
	if f.wake == nil {
		f.wake = make(chan struct{}, 1)
	}
	return f.wake
}

func (f *File) signal() {
	select {
	case f.waker() <- struct{}{}:
	default:
	}
}

// Reopen closes the file before the next line and opens what is at Path then, as it does by
// itself, within a second, when the file was moved away or deleted.
func (f *File) Reopen() {
	f.reopen.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signal()
}

// Run writes what there is to write until ctx ends, and what is left then. It returns once
// that is done or Grace is over; a call that the disk keeps is then left behind, and ends
// when the disk lets it go.
func (f *File) Run(ctx context.Context) {
	f.mu.Lock()
	wake := f.waker()
	f.mu.Unlock()
	over, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := writer{f: f}
		defer w.close()
		w.run(ctx, over, wake)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	grace := f.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// largestKept bounds the buffer that is kept while there is little to write.
const largestKept = 256 << 10

// take hands out what is pending, in exchange for an empty buffer.
func (f *File) take(empty []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) == 0 && f.missed == 0 {
		return nil
	}
	f.tellMissed()
	batch := f.pending
	if f.pending = empty[:0]; cap(empty) > largestKept {
		f.pending = nil
	}
	return batch
}

// ErrStalled is the answer of a disk that gave none.
var ErrStalled = errors.New("the disk does not answer")

// Check finds out whether files can be written in a folder, within limit. Its errors end in
// what to do.
func Check(directory string, limit time.Duration) error {
	answer := make(chan error, 1)
	go func() { answer <- check(directory) }() // left behind where the disk keeps it
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err
	case <-timer.C:
		return fmt.Errorf("%s: %w within %v: see that the volume is mounted and its server is up", directory, ErrStalled, limit)
	}
}

func check(directory string) error {
	info, err := os.Stat(directory)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: there is no such folder: make it, or mount it, so that the broker's user may write there", directory)
	case err != nil:
		return fmt.Errorf("%w: let the broker's user get there", err)
	case !info.IsDir():
		return fmt.Errorf("%s: it is no folder: name one", directory)
	}
	probe, err := os.CreateTemp(directory, ".write-test-*")
	if err != nil {
		return fmt.Errorf("%w: let the broker's user write in %s", err, filepath.Clean(directory))
	}
	_ = probe.Close()
	return os.Remove(probe.Name())
}
