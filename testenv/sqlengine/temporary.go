package sqlengine

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A temporaryFolder holds a temporary database. It is locked as long as its process lives, so that what a killed
// process left behind can be told and removed.
type temporaryFolder struct {
	path string
	lock *os.File
}

const (
	temporaryPrefix = "testdb-"
	lockName        = "lock"
	// sweepAge spares folders that another process is just making.
	sweepAge = time.Minute
)

// newTemporaryFolder makes a folder in directory, and removes those there that nobody uses any more.
func newTemporaryFolder(directory string, now time.Time) (*temporaryFolder, error) {
	sweep(directory, now)
	path, err := os.MkdirTemp(directory, temporaryPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(path, lockName), os.O_CREATE)
	if err != nil {
		os.RemoveAll(path) // nothing is in it yet
		return nil, err
	}
	return &temporaryFolder{path, lock}, nil
}

// lockFile opens and locks a file; it fails if another process has it locked.
func lockFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() // the lock is what failed
		return nil, err
	}
	return f, nil
}

// sweep removes the folders of processes that are gone. What cannot be removed stays: it is not ours to report.
func sweep(directory string, now time.Time) {
	found, err := filepath.Glob(filepath.Join(directory, temporaryPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range found {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < sweepAge {
			continue
		}
		if lock, err := lockFile(filepath.Join(path, lockName), 0); err == nil {
			os.RemoveAll(path)
			lock.Close()
		}
	}
}

func (t *temporaryFolder) remove() error {
	defer t.lock.Close() // unlocks, and is gone with the folder
	return os.RemoveAll(t.path)
}
