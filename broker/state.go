package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// stateDir is an instance's folder, locked for as long as the broker runs.
type stateDir struct {
	path string
	lock *os.File
}

// bindSocket opens state folder and admin socket. Where the folder is only the default one, a system that has no place for it
// still gets a broker, and so does one whose disk fails: clients are served all the same.
func (b *Broker) bindSocket() error {
	chosen := b.config.StateDirectory != "" || b.config.AdminSocket != ""
	err := b.openFolder()
	if err == nil {
		return nil
	}
	missing := "admin socket"
	if b.state == nil {
		missing = "state folder, and so without the table and the intents that are there, and without " + missing
	}
	switch {
	case diskFails(err):
		b.folderFails = "running without " + missing + ": " + err.Error()
		b.log.Error("running without "+missing+"; make the disk well and restart the broker", "cause", err.Error())
	case !chosen:
		b.log.Warn("running without "+missing, "cause", err.Error())
	default:
		return err
	}
	return nil
}

func (b *Broker) openFolder() error {
	dir, err := b.config.stateDirectory()
	if err != nil {
		return err
	}
	if b.state, err = fromDisk(func() (*stateDir, error) { return b.openStateDir(dir) }); err != nil {
		return err
	}
	path, err := b.config.SocketPath()
	if err != nil {
		return err
	}
	b.socket, err = b.listen(socketAdmin, path, func() (net.Listener, error) {
		return fromDisk(func() (net.Listener, error) { return listenSocket(path) })
	})
	if l, ok := b.socket.(*net.UnixListener); ok {
		b.socket = newAdminSocket(l, path, b.process.Before == nil)
	}
	return err
}

// adminSocket is a listener whose file is taken away when it is closed, and no disk keeps it from being closed.
type adminSocket struct {
	*net.UnixListener
	path   string
	closed atomic.Bool
	remove atomic.Bool
}

func newAdminSocket(l *net.UnixListener, path string, remove bool) *adminSocket {
	l.SetUnlinkOnClose(false)
	s := &adminSocket{UnixListener: l, path: path}
	s.remove.Store(remove)
	return s
}

// SetUnlinkOnClose decides whether the file is taken away.
func (s *adminSocket) SetUnlinkOnClose(remove bool) { s.remove.Store(remove) }

// Close stops listening.
func (s *adminSocket) Close() error {
	err := s.UnixListener.Close()
	if s.remove.Load() && !s.closed.Swap(true) {
		_, failed := fromDisk(func() (io.Closer, error) { return io.NopCloser(nil), os.Remove(s.path) })
		err = errors.Join(err, failed)
	}
	return err
}

// folderPatience is for how long a disk is waited for when the broker starts and ends.
const folderPatience = 3 * time.Second

// fromDisk returns what open does, if the disk lets it come to its end in time; whatever comes of it later is closed.
func fromDisk[T io.Closer](open func() (T, error)) (T, error) {
	type outcome struct {
		thing T
		err   error
	}
	found := make(chan outcome, 1)
	go func() {
		thing, err := open()
		found <- outcome{thing, err}
	}()
	timer := time.NewTimer(folderPatience)
	defer timer.Stop()
	select {
	case o := <-found:
		return o.thing, o.err
	case <-timer.C:
		go func() {
			if o := <-found; o.err == nil {
				_ = o.thing.Close()
			}
		}()
		var none T
		return none, fmt.Errorf("%w within %v", errSlowDisk, folderPatience)
	}
}

// diskFails tells of errors that are a disk's, and no mistake of whoever configured the broker.
func diskFails(err error) bool {
	for _, one := range []error{errSlowDisk, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.ESTALE} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// openState makes and locks an instance's state folder. What was written to a disk that takes no more can be read yet.
func openState(path string) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w: set STATE_DIRECTORY to a folder this user may write", err)
	}
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, syscall.EROFS) {
		if known, failed := os.Open(name); failed == nil {
			lock, err = known, nil
		} else { // there never was a broker
			err = errors.New(err.Error())
		}
	}
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
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("admin socket: what is left of the last one cannot be removed: %w", err)
		}
	}
	// The socket has its mode before it has a name (unix(7): its file is created with the mode of the descriptor),
	// so that there is no moment in which others may connect. A umask would be the whole process's, files and
	// folders that others create meanwhile included.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(failed, err)
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w: set ADMIN_SOCKET to a short path this user may write", err)
	}
	return l, nil
}
