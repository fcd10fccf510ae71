package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"servicebroker/servicetable"
)

// How much of a file is read, and for how long that may take: clients wait for the broker meanwhile.
const (
	maxWarmBytes = 1 << 30
	warmPatience = 3 * time.Second
)

// readWarm reads the table at path. A file that is damaged, or of a format to come, is set aside under another name, and the
// error says so; what could be read of it is returned all the same. No file is no error.
func readWarm(ctx context.Context, path string) (warmRead, error) {
	ctx, cancel := context.WithTimeout(ctx, warmPatience)
	defer cancel()
	disk := newDiskWork()
	found := make(chan []byte, 1) // has room: nobody may be there any more
	err := disk.do(ctx, func() error {
		text, err := contentOf(path)
		found <- text
		return err
	})
	var read warmRead
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return read, nil
	case err == nil:
		read, err = decodeWarm(<-found, time.Now())
	}
	suffix := ""
	switch {
	case errors.Is(err, servicetable.ErrNewerFormat):
		suffix = ".newer"
	case errors.Is(err, errDamagedTable):
		suffix = ".damaged"
	default:
		return read, err
	}
	if failed := disk.do(ctx, func() error { return os.Rename(path, path+suffix) }); failed != nil {
		return read, fmt.Errorf("%w; it could not be set aside: %w", err, failed)
	}
	return read, fmt.Errorf("%w; it is now %s", err, path+suffix)
}

// contentOf is what is in a file, if that is one.
func contentOf(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is no file at all", errDamagedTable)
	case info.Size() > maxWarmBytes:
		return nil, fmt.Errorf("%w: it has %d bytes", errDamagedTable, info.Size())
	}
	text := make([]byte, info.Size()) // whatever is appended meanwhile is not looked at
	n, err := io.ReadFull(file, text)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // it has become shorter
		err = nil
	}
	return text[:n], err
}
