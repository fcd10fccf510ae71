package broker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"servicebroker/discovery"
	"servicebroker/servicetable"
	"servicebroker/wholefile"
)

const warmName = "table.db"

// warmTable is what is to be in the file.
type warmTable struct {
	version  uint64
	entries  []*servicetable.Registration // all but static ones; as they are in the table
	departed []departure
}

// sameWarm tells whether two tables are the same without looking into registrations: those that changed are others.
func sameWarm(a, b *warmTable) bool {
	return slices.Equal(a.entries, b.entries) && slices.Equal(a.departed, b.departed)
}

// warmFile is the discovery.Destination that keeps a warmTable on disk. What changes is appended; the file is written anew,
// beside the one before, when a broker first comes to it, when it has become long, and whenever it is not what was left there:
// nothing is ever built upon what another process, or an error, has left.
type warmFile struct {
	path string
	disk diskWork

	mu      sync.Mutex // guards what follows; nobody who changes the table takes it
	file    *os.File   // nil: not open
	info    os.FileInfo
	size    int64                                 // as it was left
	fresh   int64                                 // as it was when it was written anew
	written map[string]*servicetable.Registration // by key in the file, as last written
	heard   map[servicetable.ID]time.Time         // of stale ones
}

func newWarmFile(path string) *warmFile { return &warmFile{path: path, disk: newDiskWork()} }

// warmSlack is by how much more than its double a file may grow before it is written anew.
const warmSlack = 1 << 20

// Sync makes the file equal to t. It is on the disk when it returns nil.
func (f *warmFile) Sync(ctx context.Context, t *warmTable) error {
	return f.disk.do(ctx, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.sync(t)
	})
}

func (f *warmFile) sync(t *warmTable) error {
	if f.file != nil && !f.inPlace() {
		f.close()
	}
	if f.file == nil {
		return f.begin(t)
	}
	text := &bytes.Buffer{}
	w := &warmWriter{to: text}
	then := f.put(w, t, f.written)
	if w.err != nil {
		return w.err
	}
	if f.size+w.bytes > 2*f.fresh+warmSlack {
		return f.begin(t)
	}
	_, err := f.file.Write(text.Bytes())
	if err == nil {
		err = syscall.Fdatasync(int(f.file.Fd()))
	}
	if err != nil { // it may have come half way, and what the disk has is not known
		f.close()
		return err
	}
	f.size += w.bytes
	then()
	return nil
}

// inPlace reports whether what is found at the path is what was left there.
func (f *warmFile) inPlace() bool {
	now, err := os.Lstat(f.path)
	return err == nil && os.SameFile(now, f.info) && now.Size() == f.size
}

// begin writes a file of its own, and puts it in the place of the one before once it is whole.
func (f *warmFile) begin(t *warmTable) error {
	if f.file == nil {
		before, err := lockWarm(f.path)
		if err != nil {
			return err
		}
		defer before.Close() // of nil, too
	}
	fresh := f.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, size, then, err := f.fill(file, t)
	if err == nil {
		err = os.Rename(fresh, f.path)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(fresh)
		return err
	}
	f.close()
	f.file, f.info, f.size, f.fresh = file, info, size, size
	then()
	if err := wholefile.SyncFolder(filepath.Dir(f.path)); err != nil {
		f.close() // and begun anew: after a loss of power there might be the one before
		return err
	}
	return nil
}

// fill writes a whole table to a file that is nobody else's.
func (f *warmFile) fill(file *os.File, t *warmTable) (info os.FileInfo, size int64, then func(), err error) {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, 0, nil, err
	}
	buffer := bufio.NewWriterSize(file, 1<<16)
	w := &warmWriter{to: buffer}
	w.put(&warmLine{File: &warmHead{Format: warmFormat, Broker: Version}})
	then = f.put(w, t, nil)
	if err := errors.Join(w.err, buffer.Flush()); err != nil {
		return nil, 0, nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, 0, nil, err
	}
	info, err = file.Stat()
	return info, w.bytes, then, err
}

// lockWarm locks the file for as long as it is open; nil if it cannot even be opened, and is to be replaced.
func lockWarm(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		_ = file.Close()
		return nil, discovery.ErrStandby // as while a predecessor keeps it
	}
	opened, err := file.Stat()
	if err == nil {
		if now, gone := os.Lstat(path); gone == nil && !os.SameFile(opened, now) && now.Mode().IsRegular() {
			_ = file.Close()
			return nil, discovery.ErrStandby // it was just replaced
		}
	}
	return file, nil
}

// put writes what is different from what was written before, and returns what is to be done once that is on disk.
func (f *warmFile) put(w *warmWriter, t *warmTable, before map[string]*servicetable.Registration) (then func()) {
	now := time.Now().Round(0)
	wanted := make(map[string]*servicetable.Registration, len(t.entries)+len(t.departed))
	heard := map[servicetable.ID]time.Time{}
	for _, r := range t.entries {
		key := "r" + string(r.ID)
		wanted[key] = r
		at := time.Time{}
		if r.Stale {
			if at = f.heard[r.ID]; at.IsZero() {
				at = now
			}
			heard[r.ID] = at
		}
		if before[key] != r {
			w.put(&warmLine{Key: key, Instance: &warmEntry{Registration: *r, Heard: at}})
		}
	}
	for _, d := range t.departed {
		key := fmt.Sprintf("d%d %s", d.at.UnixNano(), d.registration.ID)
		wanted[key] = d.registration
		if before[key] != d.registration {
			w.put(&warmLine{Key: key, Departed: &warmEntry{Registration: *d.registration, Heard: d.at}})
		}
	}
	for key := range before {
		if wanted[key] == nil {
			w.put(&warmLine{Key: key, Gone: true})
		}
	}
	w.conclude(now, t.version)
	return func() { f.written, f.heard = wanted, heard }
}

// Close gives the file back, unless the disk keeps it from that.
func (f *warmFile) Close(ctx context.Context) error {
	return f.disk.do(ctx, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.close()
		return nil
	})
}

func (f *warmFile) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
	f.file, f.written = nil, nil
}

// diskWork is work that may have to wait for a disk, for ever if that hangs: nothing can end a call that does. Whoever needs
// its result waits no longer than their context, and the work goes on; there is never more than one at a time.
type diskWork chan struct{}

func newDiskWork() diskWork { return make(diskWork, 1) }

// errSlowDisk is what there is instead of a result in time.
var errSlowDisk = errors.New("the disk did not answer")

// do has work done after what was begun before, and returns what came of it.
func (d diskWork) do(ctx context.Context, work func() error) error {
	began := time.Now()
	slow := func() error { return fmt.Errorf("%w within %v", errSlowDisk, time.Since(began).Round(time.Second)) }
	select {
	case d <- struct{}{}:
	case <-ctx.Done():
		return slow()
	}
	result := make(chan error, 1)
	go func() {
		err := work()
		<-d
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return slow()
	}
}
