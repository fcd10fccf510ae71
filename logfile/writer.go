package logfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Times of the writer.
const (
	lookAgain     = time.Second            // at most so often it is looked whether the file is still at its place
	shortestPause = 250 * time.Millisecond // after a failure, doubled up to …
	longestPause  = 10 * time.Second
	rotateAgain   = time.Minute // after a file could not be rotated

	patience = 100 * time.Millisecond // with another process that rotates the file, looked at each …
	step     = time.Millisecond
)

// writer is the side of a File that waits for the disk.
type writer struct {
	f       *File
	file    *os.File // nil: none is open
	regular bool     // no pipe or device
	size    int64
	looked  time.Time
	overdue time.Time // when the file could not be rotated; for a while it grows on

	batch   []byte // under way
	at      int    // of it is written
	failing bool
}

// run writes until ctx has ended and nothing is left, or over has ended.
func (w *writer) run(ctx, over context.Context, wake <-chan struct{}) {
	pause := time.Duration(0)
	var wrote time.Time
	for {
		if pause == 0 && w.at == len(w.batch) {
			select {
			case <-wake:
				gather(ctx, time.Until(wrote.Add(together)))
			case <-ctx.Done():
			}
		}
		err := w.flush()
		w.tell(err)
		switch {
		case err == nil && ctx.Err() != nil:
			return
		case err == nil:
			pause, wrote = 0, time.Now()
			continue
		}
		pause = min(max(2*pause, shortestPause), longestPause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-over.Done():
			timer.Stop()
			return
		}
	}
}

// together is for how long lines gather that come right after others were written: a call of the system for each would
// cost more than all else about them.
const together = 5 * time.Millisecond

// gather waits for so long, unless ctx ends.
func gather(ctx context.Context, limit time.Duration) {
	if limit <= 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// tell passes on when writing begins to fail, and when it goes on.
func (w *writer) tell(err error) {
	if (err != nil) == w.failing {
		return
	}
	w.failing = err != nil
	if w.f.Failed != nil {
		w.f.Failed(err)
	}
}

// flush writes all there is.
func (w *writer) flush() error {
	for {
		if w.at == len(w.batch) {
			if w.batch, w.at = w.f.take(w.batch), 0; len(w.batch) == 0 {
				return w.look(false)
			}
		}
		if err := w.look(true); err != nil {
			return err
		}
		if err := w.write(); err != nil {
			return err
		}
	}
}

// write writes as much of the batch as the file has room for, in whole lines.
func (w *writer) write() error {
	part := w.batch[w.at:]
	limit := w.settings().MaxSize
	if limit > 0 && w.regular && !w.measure() {
		w.close()
		return nil
	}
	if limit > 0 && w.regular && w.size+int64(len(part)) > limit && time.Since(w.overdue) > rotateAgain {
		room := max(limit-w.size, 0)
		end := bytes.LastIndexByte(part[:min(room, int64(len(part)))], '\n') + 1
		switch {
		case end > 0:
			part = part[:end]
		case w.size > 0:
			return w.rotate()
		default: // one line that is longer than a file may be
			part = part[:bytes.IndexByte(part, '\n')+1]
		}
	}
	defer w.f.during()()
	n, err := w.out().Write(part)
	w.f.written.Add(uint64(bytes.Count(part[:n], []byte{'\n'})))
	w.f.bytes.Add(int64(n))
	w.at += n
	w.size += int64(n)
	if err == nil && n < len(part) {
		err = io.ErrShortWrite
	}
	return err
}

// measure notes the size of the file, to which other processes may write as well; false: it was deleted, as they do to the oldest.
func (w *writer) measure() bool {
	info, err := w.file.Stat()
	if err != nil {
		return true // which writing will tell
	}
	w.size = info.Size()
	of, known := info.Sys().(*syscall.Stat_t)
	return !known || of.Nlink > 0
}

// out is what is written to; a file is open where that is one.
func (w *writer) out() io.Writer {
	if w.f.Out != nil {
		return w.f.Out
	}
	return w.file
}

func (w *writer) settings() Settings {
	if s := w.f.settings.Load(); s != nil {
		return *s
	}
	return Settings{}
}

// during notes that a call to the disk is under way, until the returned function is called.
func (f *File) during() func() {
	f.busy.Store(time.Now().UnixNano())
	return func() { f.busy.Store(0) }
}

// look sees to it that the file that is open is the one at its place, which is opened if
// wanted says so.
func (w *writer) look(wanted bool) error {
	if w.f.Out != nil {
		return nil
	}
	if w.f.reopen.Swap(false) {
		w.close()
	}
	if w.file != nil && time.Since(w.looked) >= lookAgain {
		w.compare()
	}
	if w.file != nil || !wanted {
		return nil
	}
	defer w.f.during()()
	file, err := os.OpenFile(w.f.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, cmp.Or(w.f.Mode, 0o640))
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return err
	}
	w.file, w.size, w.regular, w.looked = file, info.Size(), info.Mode().IsRegular(), time.Now()
	if err := w.head(); err != nil {
		return err
	}
	return w.resume()
}

// resume goes back to the begin of a line that was cut off when the last file failed.
func (w *writer) resume() error {
	whole := bytes.LastIndexByte(w.batch[:w.at], '\n') + 1
	if whole == w.at {
		return nil
	}
	if w.size > 0 { // it may be the same file: two lines must not become one
		n, err := io.WriteString(w.file, "\n")
		if w.size += int64(n); err != nil {
			return err
		}
	}
	w.at = whole
	return nil
}

// head writes the first lines of a file that is empty, unless another process does.
func (w *writer) head() error {
	if w.size > 0 || !w.regular || w.f.Head == nil {
		return nil
	}
	unlock, mine := w.lock()
	defer unlock()
	if info, err := w.file.Stat(); !mine || err != nil || info.Size() > 0 {
		return err
	}
	n, err := io.WriteString(w.file, w.f.Head(time.Now())+"\n")
	w.size += int64(n)
	return err
}

// lock keeps other processes that write the same file from rotating it, and from writing its head; false: one of them
// does just that, and goes on and on. Where the file's system knows no locks, nobody is kept.
func (w *writer) lock() (unlock func(), mine bool) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return func() {}, true
	}
	flock := func(how int) (err error) {
		if failed := raw.Control(func(n uintptr) { err = syscall.Flock(int(n), how) }); failed != nil {
			return failed
		}
		return err
	}
	err = flock(syscall.LOCK_EX | syscall.LOCK_NB)
	for waited := time.Duration(0); errors.Is(err, syscall.EWOULDBLOCK) && waited < patience; waited += step { // whoever has it is done soon
		time.Sleep(step)
		err = flock(syscall.LOCK_EX | syscall.LOCK_NB)
	}
	if err != nil {
		return func() {}, !errors.Is(err, syscall.EWOULDBLOCK)
	}
	return func() { _ = flock(syscall.LOCK_UN) }, true
}

// compare closes the file if it is no longer the one at its place.
func (w *writer) compare() {
	defer w.f.during()()
	w.looked = time.Now()
	if !w.isAtItsPlace() {
		w.close()
	}
}

// isAtItsPlace tells whether the file that is open is the one at its place, and notes its size: somebody may have cut it,
// or written to it as well.
func (w *writer) isAtItsPlace() bool {
	open, err := w.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(w.f.Path)
	if err != nil || !os.SameFile(open, there) {
		return false
	}
	w.size = open.Size()
	return true
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close()
		w.file = nil
	}
}

// rotate moves the file away, older ones one further, and lets the oldest go. Where that
// fails the file is written on. What another process, which writes the same file, is doing or
// has done is not done again.
func (w *writer) rotate() (err error) {
	defer w.f.during()()
	defer func() {
		if err != nil {
			w.overdue = time.Now()
			err = fmt.Errorf("%w: it grows on, let the broker's user rename files in its folder", err)
		}
	}()
	unlock, mine := w.lock()
	if !mine { // stopped, perhaps
		w.overdue = time.Now().Add(lookAgain - rotateAgain)
		return nil
	}
	defer w.close()
	defer unlock()
	if !w.isAtItsPlace() {
		return nil
	}
	keep := w.settings().Keep
	if keep <= 0 {
		return os.Remove(w.f.Path)
	}
	for n := keep; n > 1; n-- {
		if err := os.Rename(numbered(w.f.Path, n-1), numbered(w.f.Path, n)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return os.Rename(w.f.Path, numbered(w.f.Path, 1))
}

func numbered(path string, n int) string { return fmt.Sprintf("%s.%d", path, n) }
