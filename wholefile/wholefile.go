// Package wholefile replaces small files so that after a crash there is the old content or the new one, and nothing in
// between. It is a package of its own because several keep state by the same few calls, in the same order.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace replaces a file, readable by us alone, and returns once that is on disk, its name included.
func Replace(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncFolder(filepath.Dir(path))
}

// SyncFolder makes the names in a folder last.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
