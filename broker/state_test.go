package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// closing tells when it was closed.
type closing chan struct{}

func (c closing) Close() error { close(c); return nil }

// A disk that does not answer is waited for no longer than a bound, and what it comes to later is closed.
func TestFolderOnADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs, thing, began := make(chan struct{}), make(closing), time.Now()
		_, err := fromDisk(func() (closing, error) { <-hangs; return thing, nil })
		if took := time.Since(began); !errors.Is(err, errSlowDisk) || !diskFails(err) || took != folderPatience {
			t.Errorf("%v after %v", err, took)
		}
		close(hangs)
		<-thing
	})
	if _, err := fromDisk(func() (closing, error) { return nil, fs.ErrPermission }); !errors.Is(err, fs.ErrPermission) || diskFails(err) {
		t.Errorf("%v", err)
	}
	if !diskFails(fmt.Errorf("state folder: %w", &os.PathError{Op: "open", Path: "lock", Err: syscall.EIO})) {
		t.Error("an input/output error is no failure of the disk")
	}
}

// What is wrong with the place that somebody chose is theirs to put right, and said at the start.
func TestFoldersThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	socket := filepath.Join(t.TempDir(), "state")
	must(t, os.MkdirAll(filepath.Join(socket, "admin.sock", "full"), 0o700))
	for _, dir := range []string{file, socket} {
		if b, err := New(testConfig(t, func(c *Config) { c.StateDirectory = dir }), nil); err == nil {
			t.Errorf("%s is taken", dir)
			b.closeListeners()
		}
	}
}

// The notes say what is missing, and that all else is well.
func TestABrokerWithoutItsDisk(t *testing.T) {
	r := start(t, func(c *Config) { c.StateDirectory = filepath.Join(t.TempDir(), "state") })
	if notes := r.warmNotes(); len(notes) != 0 {
		t.Errorf("%q", notes)
	}
	r.folderFails = "running without state folder"
	if notes := r.warmNotes(); len(notes) != 1 || r.unready() != nil {
		t.Errorf("%q, %q", notes, r.unready())
	}
}
