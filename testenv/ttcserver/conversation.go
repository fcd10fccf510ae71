package ttcserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"servicebroker/testenv/sqlengine"
	"servicebroker/tns"
	"servicebroker/ttc"
)

const (
	loginTimeout   = 60 * time.Second // from ACCEPT to the end of the login
	partingTimeout = 2 * time.Second  // for the client to read the last answer and close

	maxStranger = 1 << 16 // bytes of one message before the login
	maxRequest  = 1 << 28 // bytes of one message afterwards, all binds included

	// breakPause is how long a break stays unanswered. A database takes some
	// milliseconds to stop a call; the two threads of one driver get into each
	// other's way if the answer is there before the break is sent.
	breakPause = 20 * time.Millisecond
)

// errGoodbye ends a conversation that ended well or was answered already.
var errGoodbye = errors.New("ttcserver: end of conversation")

// conversation is one connection's dialogue. Its methods run in the goroutine
// of Serve, but for interrupt and gone, which the pump calls.
type conversation struct {
	server *Server
	conn   *tns.Conn
	login  Login
	log    *slog.Logger

	pump   *pump
	in     *ttc.Reader
	out    answer
	last   int  // length of the last piece
	strict bool // take no piece that does not belong to the request at hand

	caps    ttc.Capabilities
	mayEnd  bool // the ACCEPT offered endings of answers
	dialect ttc.Dialect
	auth    *authentication // while logging in

	session     *session
	lastSession int
	sequence    byte // of the call at hand

	end context.CancelCauseFunc // ends the whole conversation

	mu          sync.Mutex
	interrupted bool
	cancelCall  context.CancelCauseFunc // of the running call, nil between calls
}

func newConversation(s *Server, conn *tns.Conn, login Login) *conversation {
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &conversation{
		server: s, conn: conn, login: login, dialect: ttc.Fallback(),
		log: log.With("client", conn.NetConn().RemoteAddr().String()),
	}
}

// run holds the conversation. The connection is closed and its reader has
// ended when it returns.
func (c *conversation) run(ctx context.Context, connect *tns.Connect) error {
	ctx, c.end = context.WithCancelCause(ctx)
	defer c.end(nil)
	stop := context.AfterFunc(ctx, func() { c.conn.NetConn().SetWriteDeadline(time.Now().Add(partingTimeout)) })
	defer stop()
	if err := c.accept(connect); err != nil {
		c.conn.CloseAfterReply(partingTimeout)
		return err
	}
	c.conn.NetConn().SetReadDeadline(time.Now().Add(loginTimeout))

	c.pump = &pump{conn: c.conn, pieces: make(chan piece, maxWaitingPieces), interrupt: c.interrupt, gone: c.gone}
	pumping, stopPump := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.pump.run(pumping)
	}()
	c.in = ttc.NewStreamReader(func() ([]byte, error) { return c.nextPiece(ctx) })
	c.in.Limit = maxStranger

	err := c.converse(ctx)
	c.part(err)
	stopPump()
	<-done
	if closeErr := c.release(context.WithoutCancel(ctx), false); closeErr != nil {
		c.log.Warn("closing the session failed", "error", closeErr)
	}
	for _, ordinary := range []error{errGoodbye, io.EOF, errKilled, context.Canceled} {
		if errors.Is(err, ordinary) {
			return nil
		}
	}
	return err
}

// part closes the connection so that the client can read the last answer: ends
// the write side, waits a little for the client to close, and closes.
func (c *conversation) part(err error) {
	conn := c.conn.NetConn()
	defer conn.Close()
	half, ok := conn.(interface{ CloseWrite() error })
	if !errors.Is(err, errGoodbye) || !ok || half.CloseWrite() != nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(partingTimeout))
	for range c.pump.pieces { // closed by the pump when the connection ends
	}
}

// nextPiece gives the reader the next payload. A reset with nothing pending is
// answered by a reset.
func (c *conversation) nextPiece(ctx context.Context) ([]byte, error) {
	if c.strict && c.last < c.out.sdu-fullMargin {
		return nil, ttc.ErrTruncated
	}
	for {
		next := c.pump.next(ctx)
		switch {
		case next.err == nil:
			c.last = len(next.payload)
			return next.payload, nil
		case errors.Is(next.err, errReset):
			if err := c.out.markers(tns.MarkerReset); err != nil {
				return nil, err
			}
		default:
			return nil, next.err
		}
	}
}

// fullMargin is how much shorter than the agreed size drivers make packets of
// a request that goes on in the next one.
const fullMargin = 80

// skipRequest drops what is left of a request that was not understood to its
// end: the piece at hand and, if that was a full one, those that follow.
func (c *conversation) skipRequest() error {
	c.strict = true
	defer func() { c.strict = false }()
	c.in.Discard()
	for c.last >= c.out.sdu-fullMargin {
		c.in.Peek()
		if err := c.in.Err(); err != nil {
			return err
		}
		c.in.Discard()
	}
	return nil
}

// converse reads one message after the other and answers it.
func (c *conversation) converse(ctx context.Context) error {
	for {
		c.in.Begin()
		code := ttc.MessageCode(c.in.Byte())
		err := c.in.Err()
		if err == nil {
			err = c.message(ctx, code)
		}
		if errors.Is(err, errBreak) {
			c.in.Discard()
			err = c.afterBreak(ctx)
		}
		if errors.Is(err, ttc.ErrMalformed) {
			c.log.Warn("closing the connection: a request cannot be decoded", "error", err)
			err = c.fatal(3137, fmt.Sprintf("malformed TTC packet from client rejected: %v", err))
		}
		if err != nil {
			return err
		}
	}
}

// message handles one message of the client, of which the code is read.
func (c *conversation) message(ctx context.Context, code ttc.MessageCode) error {
	switch code {
	case 0, ttc.MessageFlushOutBinds:
		return nil // nothing to do; some drivers end a text with a zero byte too many
	case ttc.MessageNativeServices, ttc.MessageProtocol, ttc.MessageDataTypes, ttc.MessageFastAuth:
		if !c.loggedIn() {
			return c.negotiate(ctx, code)
		}
	case ttc.MessageFunction, ttc.MessagePiggyback, ttc.MessageOneWay:
		var h ttc.Header
		h.Decode(c.in, code, c.dialect)
		if err := c.in.Err(); err != nil {
			return err
		}
		if !c.loggedIn() {
			return c.authenticate(ctx, h)
		}
		return c.asked(ctx, h)
	}
	return fmt.Errorf("%w: message %d from a client", ttc.ErrMalformed, code)
}

func (c *conversation) loggedIn() bool { return c.auth != nil && c.auth.done }

// asked handles a call, piggyback or one-way call after the login.
func (c *conversation) asked(ctx context.Context, h ttc.Header) error {
	switch h.Message {
	case ttc.MessagePiggyback:
		return c.piggyback(ctx, h.Function)
	case ttc.MessageOneWay:
		return c.oneWay(ctx, h.Function)
	}
	if err := c.attach(ctx); err != nil {
		return err
	}
	c.sequence = h.Sequence
	if h.Token != 0 {
		c.out.buf = ttc.AppendToken(c.out.buf, h.Token)
	}
	callCtx, cancel := c.beginCall(ctx)
	err := c.call(callCtx, h.Function)
	cancel(nil)
	c.endCall()
	return err
}

// attach makes sure that there is a session: a pooled client that gave its own
// back just goes on.
func (c *conversation) attach(ctx context.Context) error {
	if c.session != nil {
		return nil
	}
	changed, err := c.acquire(ctx)
	if err != nil {
		return c.fatal(errorCode(err), errorText(err))
	}
	news := ttc.SessionReturn{Changed: changed, SessionID: uint32(c.session.id), Serial: uint16(c.session.serial)}
	c.out.buf = news.AppendTo(c.out.buf, c.dialect)
	return nil
}

// beginCall gives the context a call runs under, which an interruption ends.
func (c *conversation) beginCall(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	callCtx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelCall = cancel
	if c.interrupted {
		cancel(errBreak)
	}
	return callCtx, cancel
}

func (c *conversation) endCall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelCall = nil
}

// interrupt ends the running call. The break itself is answered when the
// conversation comes to it.
func (c *conversation) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.cancelCall != nil {
		c.cancelCall(errBreak)
	}
}

// gone ends the running call because there is nobody left to answer. What was
// sent before the end is still done.
func (c *conversation) gone(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelCall != nil {
		c.cancelCall(err)
	}
}

// afterBreak does the exchange of markers that follows an interruption, and
// answers the interrupted call, or none, with ORA-01013 (ttc.md 10).
func (c *conversation) afterBreak(ctx context.Context) error {
	c.out.drop()
	select {
	case <-time.After(breakPause):
	case <-ctx.Done():
	}
	// One driver sends its own reset only when it has seen both.
	if err := c.out.markers(tns.MarkerBreak, tns.MarkerReset); err != nil {
		return err
	}
	for {
		next := c.pump.next(ctx)
		if errors.Is(next.err, errReset) {
			break
		}
		if next.err != nil && !errors.Is(next.err, errBreak) {
			return next.err
		}
	}
	c.mu.Lock()
	c.interrupted = false
	c.mu.Unlock()
	return c.fail(&sqlengine.Error{Code: 1013, Text: "user requested cancel of current operation"}, 0)
}

// broken waits for the break that ended the running call, whose piece is
// still to come, so that afterBreak can follow.
func (c *conversation) broken(ctx context.Context) error {
	for {
		next := c.pump.next(context.WithoutCancel(ctx))
		if next.err != nil {
			return next.err
		}
	}
}
