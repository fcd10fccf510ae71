// Package handover is the channel between two generations of a program on one host: a pair of connected Unix sockets, over
// which the older one hands records with open files to its successor, and learns of each what became of it.
package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Variable is the environment variable that tells a successor the number of its end of the channel.
const Variable = "SERVICEBROKER_HANDOVER"

// ErrOver says that the other end is gone, or that it sent what cannot be understood.
var ErrOver = errors.New("the other generation is gone")

// DeclinedError says that the other end did not take what it was offered: it is still the sender's.
type DeclinedError struct {
	Reason string // for people
}

func (e *DeclinedError) Error() string { return "declined: " + e.Reason }

// Channel is one end. Its methods may be called from any goroutine.
type Channel struct {
	conn    *net.UnixConn
	records chan *Record
	over    chan struct{} // closed when nothing more is read
	closing chan struct{}
	close   sync.Once
	reader  sync.WaitGroup

	sending chan struct{} // has room for whoever writes
	lastID  uint64        // whoever writes has it

	mu      sync.Mutex
	waiting map[uint64]chan error  // for what becomes of an offer
	taking  map[uint64]func(error) // what was taken, and is the sender's until that lets go; nil once nothing can come
	cause   error                  // why it is over
}

// errKept says that the sender did not wait for the answer to what it offered.
var errKept = errors.New("it took too long to take it, and the sender has kept it")

// queued is how many records are read before somebody receives them.
const queued = 8

// Pair makes a channel: the end to keep, and the one to start a successor with, as the file whose number is in [Variable].
func Pair() (*Channel, *os.File, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("a channel to a successor cannot be made: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "handover")
	ours := os.NewFile(uintptr(ends[0]), "handover")
	c, err := Open(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// Inherited returns the channel that this process was started with, and false if there is none. The environment does not
// name it any more afterwards.
func Inherited() (*Channel, bool, error) {
	text, set := os.LookupEnv(Variable)
	if !set {
		return nil, false, nil
	}
	_ = os.Unsetenv(Variable)
	number, err := strconv.Atoi(text)
	if err != nil || number < 3 {
		return nil, false, fmt.Errorf("%s=%q is no number of an open file: unset it", Variable, text)
	}
	syscall.CloseOnExec(number)
	c, err := Open(os.NewFile(uintptr(number), "handover"))
	if err != nil {
		return nil, false, fmt.Errorf("%s=%s: %w", Variable, text, err)
	}
	return c, true, nil
}

// Open makes an end of the socket in file, which it closes.
func Open(file *os.File) (*Channel, error) {
	defer file.Close()
	made, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("a channel to another generation cannot be opened: %w", err)
	}
	conn, ok := made.(*net.UnixConn)
	if !ok {
		_ = made.Close()
		return nil, errors.New("what should be a channel to another generation is no Unix socket")
	}
	c := &Channel{
		conn: conn, records: make(chan *Record, queued), over: make(chan struct{}), closing: make(chan struct{}), sending: make(chan struct{}, 1),
		waiting: map[uint64]chan error{}, taking: map[uint64]func(error){},
	}
	c.reader.Go(c.read)
	return c, nil
}

// Close ends the channel. Files of records that nobody received are closed.
func (c *Channel) Close() error {
	var err error
	c.close.Do(func() {
		close(c.closing)
		err = c.conn.Close()
		c.reader.Wait()
		for {
			select {
			case r := <-c.records:
				r.closeFiles()
			default:
				return
			}
		}
	})
	return err
}

// Over is closed when nothing more can come from the other end.
func (c *Channel) Over() <-chan struct{} { return c.over }

// read takes what comes, until nothing more can.
func (c *Channel) read() {
	from := socket{c.conn}
	var err error
	for err == nil {
		var f *frame
		if f, err = readFrame(from); err == nil {
			err = c.came(f)
		}
	}
	c.mu.Lock()
	c.cause = err
	for id, answer := range c.waiting {
		delete(c.waiting, id)
		answer <- c.gone()
	}
	kept, why := c.taking, c.gone()
	c.taking = nil
	c.mu.Unlock()
	for _, then := range kept {
		then(why)
	}
	close(c.over)
}

// came passes a frame on to whom it is for.
func (c *Channel) came(f *frame) error {
	switch f.what {
	case whatRecord, whatOffer:
		r := &Record{Kind: f.kind, Body: f.body, Files: f.files, channel: c, id: f.id, offered: f.what == whatOffer, short: f.short}
		select {
		case c.records <- r:
		case <-c.closing:
			r.closeFiles()
			return net.ErrClosed
		}
		return nil
	}
	f.closeFiles()
	var answer error
	switch f.what {
	case whatReleased, whatKept:
		c.mu.Lock()
		then := c.taking[f.id]
		delete(c.taking, f.id)
		c.mu.Unlock()
		if f.what == whatKept {
			answer = errKept
		}
		if then != nil {
			then(answer)
		}
		return nil
	case whatDeclined:
		d := &DeclinedError{}
		if err := json.Unmarshal(f.body, &d.Reason); err != nil {
			return fmt.Errorf("%w: a reason that is no text", ErrDamaged)
		}
		answer = d
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch to := c.waiting[f.id]; {
	case to != nil:
		delete(c.waiting, f.id)
		to <- answer
	case f.what == whatTaken: // nobody waits any more, and the other end would have it for as long as both live
		c.reader.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), answerTime)
			defer cancel()
			_, _ = c.write(ctx, &frame{what: whatKept, id: f.id}, nil)
		})
	}
	return nil
}

// gone tells why the channel is over; callers hold mu.
func (c *Channel) gone() error {
	if errors.Is(c.cause, ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrOver, c.cause)
	}
	return ErrOver
}

// Send sends a record that is not answered. The files stay the caller's, who may close them afterwards.
func (c *Channel) Send(ctx context.Context, kind string, body any, files ...*os.File) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	_, err = c.write(ctx, &frame{what: whatRecord, kind: kind, body: text, files: files}, nil)
	return err
}

// Offer sends a record and waits until it can be taken; then it says that it lets go. Else it returns why not: a [*DeclinedError], or
// that the channel or ctx is over. After any error the other end does not go on with what was offered: it is still the caller's. The
// files stay the caller's, who closes them if it was taken.
func (c *Channel) Offer(ctx context.Context, kind string, body any, files ...*os.File) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	answer := make(chan error, 1)
	id, err := c.write(ctx, &frame{what: whatOffer, kind: kind, body: text, files: files}, answer)
	if err != nil {
		return err
	}
	if err = c.answered(ctx, id, answer); err != nil {
		if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return err
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	_, err = c.write(within, &frame{what: whatReleased, id: id}, nil)
	return err
}

// answered waits for the answer to an offer; for a moment longer than ctx allows where that has a deadline, since a process that was
// stopped meanwhile has not read what came in time.
func (c *Channel) answered(ctx context.Context, id uint64, answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		last := time.NewTimer(lastLook)
		defer last.Stop()
		select {
		case err := <-answer:
			return err
		case <-last.C:
		}
	}
	c.mu.Lock()
	_, waits := c.waiting[id]
	delete(c.waiting, id)
	c.mu.Unlock()
	if !waits {
		return <-answer
	}
	return ctx.Err()
}

// lastLook is for the reader to find what came before a deadline that has passed.
const lastLook = 100 * time.Millisecond

// write sends a frame; answer, unless it is nil, will be told what becomes of it.
func (c *Channel) write(ctx context.Context, f *frame, answer chan error) (uint64, error) {
	select {
	case c.sending <- struct{}{}:
		defer func() { <-c.sending }()
	case <-ctx.Done(): // the one before is not read
		return 0, ctx.Err()
	}
	if f.id == 0 {
		c.lastID++
		f.id = c.lastID
	}
	if err := f.check(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if answer != nil {
		c.mu.Lock()
		select {
		case <-c.over:
			defer c.mu.Unlock()
			return 0, c.gone()
		default:
		}
		if c.cause != nil {
			defer c.mu.Unlock()
			return 0, c.gone()
		}
		c.waiting[f.id] = answer
		c.mu.Unlock()
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetWriteDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	err := writeFrame(c.conn, f)
	if !stop() {
		<-interrupted // or the deadline would be the next record's
		if err == nil {
			err = c.conn.SetWriteDeadline(time.Time{})
		}
	}
	if err == nil {
		return f.id, nil
	}
	c.mu.Lock()
	delete(c.waiting, f.id)
	c.mu.Unlock()
	_ = c.conn.CloseWrite() // half a frame may be out: nothing can follow it
	if cause := ctx.Err(); cause != nil {
		return 0, cause
	}
	return 0, fmt.Errorf("%w: %w", ErrOver, err)
}

// Receive returns the next record, which the caller takes or declines; ErrOver once no more can come. An offer for whose files there
// are no descriptors is declined here, so that it stays the sender's; any other such record is ErrNoDescriptors, and the next may do.
func (c *Channel) Receive(ctx context.Context) (*Record, error) {
	for {
		r, err := c.next(ctx)
		switch {
		case err != nil || !r.short:
			return r, err
		case !r.offered:
			return nil, fmt.Errorf("%w for the files of a record of kind %q", ErrNoDescriptors, r.Kind)
		}
		_ = r.Decline(ErrNoDescriptors.Error())
	}
}

// next is Receive for records whatever became of their files.
func (c *Channel) next(ctx context.Context) (*Record, error) {
	select { // what has come counts, whatever happened since
	case r := <-c.records:
		return r, nil
	default:
	}
	select {
	case r := <-c.records:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.over:
		select {
		case r := <-c.records:
			return r, nil
		default:
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, c.gone()
	}
}

// Record is what came over a channel.
type Record struct {
	Kind  string
	Body  json.RawMessage
	Files []*os.File // the receiver's once it has taken the record

	channel *Channel
	id      uint64
	offered bool
	short   bool // as of its frame
	once    sync.Once
}

// answerTime bounds how long an answer may take to get out.
const answerTime = 10 * time.Second

// Take says that the record was taken; its files are the receiver's. It is for what both ends may have for a moment.
func (r *Record) Take() error { return r.answer(whatTaken, nil) }

// TakeThen says that the record can be taken, and has then called once, which must not wait for anything: with nil when the
// sender has let go of it, else with the reason why it is still the sender's. The files are the receiver's, who closes them in
// both cases. Nobody has it if the sender ends between the two.
func (r *Record) TakeThen(then func(error)) {
	if !r.offered {
		then(nil)
		return
	}
	c := r.channel
	c.mu.Lock()
	if c.taking == nil {
		why := c.gone()
		c.mu.Unlock()
		then(why)
		return
	}
	c.taking[r.id] = then
	c.mu.Unlock()
	if err := r.Take(); err != nil { // half an answer may be out, but no whole one
		c.mu.Lock()
		waits := c.taking[r.id] != nil
		delete(c.taking, r.id)
		c.mu.Unlock()
		if waits {
			then(err)
		}
	}
}

// Decline says that it was not, and closes its files. It does nothing if it was taken.
func (r *Record) Decline(reason string) error {
	text, err := json.Marshal(reason)
	if err != nil {
		return err
	}
	return r.answer(whatDeclined, text)
}

func (r *Record) answer(what byte, body []byte) (err error) {
	r.once.Do(func() {
		if what == whatDeclined {
			r.closeFiles()
		}
		if !r.offered {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		_, err = r.channel.write(ctx, &frame{what: what, id: r.id, body: body}, nil)
	})
	return err
}

func (r *Record) closeFiles() {
	for _, f := range r.Files {
		_ = f.Close()
	}
	r.Files = nil
}
