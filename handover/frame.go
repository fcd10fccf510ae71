package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// A frame is a head of headSize bytes, the kind, and the body. Numbers are big-endian:
//
//	0  "SBH1"         which says how all that follows is laid out
//	4  what           one of those below
//	5  length of kind
//	6  number of files, which come with the first byte
//	8  id             of a record; in an answer, of what is answered
//	16 length of body
//	20 0
const (
	magic    = "SBH1"
	headSize = 24

	whatRecord   = 1 // not to be answered
	whatOffer    = 2
	whatTaken    = 3 // the receiver can go on with it, and waits until the sender has let go
	whatDeclined = 4 // body: the reason
	whatReleased = 5 // the sender has let go
	whatKept     = 6 // the sender has not, and did not wait for the answer
)

// Bounds of a frame.
const (
	MaxFiles = 16       // that one record carries
	MaxBody  = 64 << 20 // bytes of its JSON
	maxKind  = 64
)

// ErrDamaged says that the other end sends something else.
var ErrDamaged = errors.New("what came over the channel between generations is damaged")

// ErrNoDescriptors says that a record came whole but for its files, for which this process has no descriptors left.
var ErrNoDescriptors = errors.New("no descriptors left")

type frame struct {
	what  byte
	id    uint64
	kind  string
	body  []byte
	files []*os.File
	short bool // it had files, for which there were too few descriptors here: there are none now
}

func (f *frame) closeFiles() {
	for _, one := range f.files {
		_ = one.Close()
	}
}

// check tells why a frame cannot be sent.
func (f *frame) check() error {
	switch {
	case len(f.kind) > maxKind:
		return fmt.Errorf("the kind %.20q… of a record has more than %d bytes", f.kind, maxKind)
	case len(f.body) > MaxBody:
		return fmt.Errorf("%s: %d bytes are more than a record can have (%d)", f.kind, len(f.body), MaxBody)
	case len(f.files) > MaxFiles:
		return fmt.Errorf("%s: %d files are more than a record can have (%d)", f.kind, len(f.files), MaxFiles)
	}
	return nil
}

// writeFrame sends a frame with its files.
func writeFrame(to *net.UnixConn, f *frame) error {
	out := make([]byte, headSize, headSize+len(f.kind)+len(f.body))
	copy(out, magic)
	out[4], out[5] = f.what, byte(len(f.kind))
	binary.BigEndian.PutUint16(out[6:], uint16(len(f.files)))
	binary.BigEndian.PutUint64(out[8:], f.id)
	binary.BigEndian.PutUint32(out[16:], uint32(len(f.body)))
	out = append(append(out, f.kind...), f.body...)
	return withNumbers(f.files, nil, func(numbers []int) error {
		var rights []byte
		if len(numbers) > 0 {
			rights = syscall.UnixRights(numbers...)
		}
		n, _, err := to.WriteMsgUnix(out, rights, nil)
		if err == nil && n < len(out) {
			_, err = to.Write(out[n:])
		}
		return err
	})
}

// withNumbers calls do with the numbers of files, none of which is closed meanwhile.
func withNumbers(files []*os.File, numbers []int, do func([]int) error) error {
	if len(files) == 0 {
		return do(numbers)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(n uintptr) { inner = withNumbers(files[1:], append(numbers, int(n)), do) })
	return errors.Join(err, inner)
}

// source is where frames are read from.
type source interface {
	// receive reads some bytes, and the numbers of files that came with them; cut: not of all that were sent.
	receive(into []byte) (n int, files []int, cut bool, err error)
}

// readFrame reads a frame. Where it fails, files that came with it are closed.
func readFrame(from source) (_ *frame, err error) {
	r := reader{from: from}
	defer func() {
		if err != nil {
			r.got.closeFiles()
		}
	}()
	head := make([]byte, headSize)
	if r.full(head); r.err != nil {
		return nil, r.err
	}
	f := &r.got
	f.what, f.id = head[4], binary.BigEndian.Uint64(head[8:])
	files, length := int(binary.BigEndian.Uint16(head[6:])), binary.BigEndian.Uint32(head[16:])
	switch {
	case string(head[:4]) != magic:
		return nil, fmt.Errorf("%w: it begins with %q", ErrDamaged, head[:4])
	case f.what < whatRecord || f.what > whatKept:
		return nil, fmt.Errorf("%w: a frame of the unknown sort %d", ErrDamaged, f.what)
	case files > MaxFiles:
		return nil, fmt.Errorf("%w: %d files", ErrDamaged, files)
	case head[5] > maxKind || length > MaxBody:
		return nil, fmt.Errorf("%w: a kind of %d and a body of %d bytes", ErrDamaged, head[5], length)
	}
	f.kind = string(r.some(uint32(head[5])))
	f.body = r.some(length)
	switch {
	case r.err != nil:
	case f.short && len(f.files) < files: // what came of them is of no use without the rest
		f.closeFiles()
		f.files = nil
	case f.short || len(f.files) != files: // more were sent than it says, or others
		r.err = fmt.Errorf("%w: %d files instead of %d", ErrDamaged, len(f.files), files)
	}
	return f, r.err
}

// reader reads the parts of a frame; the first error stays.
type reader struct {
	from source
	got  frame
	err  error
}

// full fills a buffer. An end within it is damage, one before the first byte of a frame is not.
func (r *reader) full(into []byte) {
	for at := 0; at < len(into) && r.err == nil; {
		n, files, cut, err := r.from.receive(into[at:])
		r.got.short = r.got.short || cut
		for _, number := range files {
			r.got.files = append(r.got.files, os.NewFile(uintptr(number), "handover"))
		}
		if len(r.got.files) > MaxFiles {
			err = fmt.Errorf("%w: more than %d files", ErrDamaged, MaxFiles)
		}
		at += n
		r.err = err
		if err == nil && n == 0 {
			r.err = io.EOF
		}
	}
}

// step bounds what memory is taken for a length before so many bytes have come.
const step = 64 << 10

// some reads n bytes.
func (r *reader) some(n uint32) []byte {
	var all []byte
	for left := int(n); left > 0 && r.err == nil; {
		next := min(left, max(step, len(all)))
		have := len(all)
		all = append(all, make([]byte, next)...)
		r.full(all[have:])
		left -= next
	}
	return all
}

// socket is the source that a channel has.
type socket struct{ *net.UnixConn }

func (s socket) receive(into []byte) (n int, files []int, cut bool, err error) {
	control := make([]byte, syscall.CmsgSpace(MaxFiles*4))
	n, size, flags, _, err := s.ReadMsgUnix(into, control) // which sets close-on-exec
	if size > 0 {
		var parsed error
		if files, parsed = numbersIn(control[:size]); err == nil {
			err = parsed
		}
	}
	return n, files, flags&syscall.MSG_CTRUNC != 0, err
}

// numbersIn are those of the files that a control message brought.
func numbersIn(control []byte) (all []int, err error) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for i := range messages {
		numbers, problem := syscall.ParseUnixRights(&messages[i])
		if problem != nil { // it is about something else
			continue
		}
		all = append(all, numbers...)
	}
	return all, nil
}
