package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// stateDir is an instance's folder, locked for as long as the broker runs.
type stateDir struct {
	path string
	lock *os.File
}

// openState makes and locks an instance's state folder.
func openState(path string) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w: set STATE_DIRECTORY to a folder this user may write", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w: set STATE_DIRECTORY to a folder this user may write", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another broker runs on the state folder %s: stop it, or give this one a STATE_DIRECTORY of its own", path)
		}
		return nil, fmt.Errorf("state folder %s cannot be locked: %w", path, err)
	}
	return &stateDir{path: path, lock: lock}, nil
}

// folder is its path, "" if there is none.
func (s *stateDir) folder() string {
	if s == nil {
		return ""
	}
	return s.path
}

func (s *stateDir) Close() error { return s.lock.Close() }

// listenSocket listens on the admin socket, which only this user may use. A
// socket left behind by a broker that died is replaced: the folder's lock
// proves that nobody listens there.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("admin socket: %s exists and is no socket: remove it, or set ADMIN_SOCKET elsewhere", path)
		}
		_ = os.Remove(path)
	}
	// The socket gets its mode at birth, so that there is no moment in which
	// others may connect.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w: set ADMIN_SOCKET to a short path this user may write", err)
	}
	return l, nil
}
