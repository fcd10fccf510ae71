package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Errors by which the rules end a connect.
var (
	errRejected = errors.New("no rule lets this client have the service")
	errDropped  = errors.New("a rule drops this client")
)

// errLoop is an attempt on an address of this broker's own.
var errLoop = errors.New("the instance's address is one of this broker's own: connecting there would go in a circle; " +
	"correct LOCAL_LISTENER or the handler's address on the database")

// errCircle is a connect that has come through broker after broker.
var errCircle = errors.New("the connect has come through several brokers that point at each other: " +
	"correct NEXT_HOP, aliases and the handler addresses registered with them, so that they name the databases' own listeners")

// clientGone is the client's own end before its answer: nobody is left to tell.
type clientGone struct{ cause error }

func (e *clientGone) Error() string { return fmt.Sprintf("client went away: %v", e.cause) }
func (e *clientGone) Unwrap() error { return e.cause }

// RefusedError is the refusal of an instance's own listener.
type RefusedError struct {
	Code tns.Code
	Text string // as received
}

// Error names the code and its meaning.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("instance refused: %v: %s", e.Code, e.Code.Meaning())
}

// MoveOn tells whether another instance could avoid the refusal.
func (e *RefusedError) MoveOn() bool { return e.Code.Avoidable() }

// sentinels maps the errors of this side of the wire to what clients are told
// (tns.md 12, features.md 1.10).
var sentinels = []struct {
	err  error
	code tns.Code
}{
	{errNoConnectData, tns.CodeNoConnectData},
	{errNoServiceName, tns.CodeNoServiceName},
	{errBadRoute, tns.CodeBadAddress},
	{errRejected, tns.CodeRuleRejects},
	{errUnguarded, tns.CodeRuleRejects},
	{errHostUnknown, tns.CodeHostUnknown},
	{errWithheld, tns.CodeBlocked},
	{errOtherNetwork, tns.CodeUnknownService},
	{errAway, tns.CodeUnknownService},
	{errBehind, tns.CodeBlocked},
	{errUnsealed, tns.CodeHandlerProtocol},
	{errLoop, tns.CodeRedirectDenied},
	{errCircle, tns.CodeRedirectDenied},
	{limits.ErrRate, tns.CodeRateLimit},
	{limits.ErrSessions, tns.CodeNoHandler},
	{servicetable.ErrHeld, tns.CodeBlocked},
	{servicetable.ErrUnknownService, tns.CodeUnknownService},
	{servicetable.ErrUnknownSID, tns.CodeUnknownSID},
	{servicetable.ErrUnknownInstance, tns.CodeUnknownInstance},
	{servicetable.ErrBlocked, tns.CodeBlocked},
	{servicetable.ErrRestricted, tns.CodeRestricted},
	{servicetable.ErrRestrictedOrBlocked, tns.CodeRestrictedOrBlocked},
	{servicetable.ErrNoHandlerOfKind, tns.CodeNoHandlerOfKind},
	{servicetable.ErrNoHandler, tns.CodeNoHandler},
	{syscall.ECONNREFUSED, tns.CodeNoListener},
	{syscall.EHOSTUNREACH, tns.CodeHostUnreachable},
	{syscall.ENETUNREACH, tns.CodeHostUnreachable},
	{syscall.ECONNRESET, tns.CodeLostContact},
	{syscall.EPIPE, tns.CodeLostContact},
	{io.EOF, tns.CodeLostContact},
	{io.ErrUnexpectedEOF, tns.CodeLostContact},
	{os.ErrDeadlineExceeded, tns.CodeTimeout},
	{context.DeadlineExceeded, tns.CodeTimeout},
	{context.Canceled, tns.CodeClosed},
}

// codeOf decides what a client is told about err: the one place where a cause
// becomes a number.
func codeOf(err error) tns.Code {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) && len(several.Unwrap()) > 0 {
		return codeOfAttempts(several.Unwrap())
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Code
	}
	var syntax *descriptor.SyntaxError
	if errors.As(err, &syntax) {
		return tns.CodeBadDescriptor
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.code
		}
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		return tns.CodeHostUnknown
	}
	return tns.CodeHandoff
}

// codeOfAttempts: what an instance itself said tells the client more than that
// another one could not be reached; the last one tried decides among equals.
func codeOfAttempts(all []error) tns.Code {
	code := codeOf(all[len(all)-1])
	for _, err := range all {
		var refused *RefusedError
		if errors.As(err, &refused) {
			code = refused.Code
		}
	}
	return code
}

// refuse tells the client what err means and closes the connection.
func (s *Server) refuse(d *dialogue, err error) {
	var gone *clientGone
	switch {
	case errors.As(err, &gone):
		s.finish(d, journal.Gone, brief(err.Error()))
		s.logGone(d, err)
		_ = d.conn.NetConn().Close()
		return
	case errors.Is(err, errDropped):
		s.finish(d, journal.Drop, brief(err.Error()))
		s.logRefused(d, 0, err)
		_ = d.conn.NetConn().Close()
		return
	}
	code := codeOf(err)
	d.record.Code = int(code)
	d.repeat = s.repeated(d, err)
	s.finish(d, journal.Refuse, brief(err.Error())) // before the client can ask why
	if !d.repeat {
		s.logRefused(d, code, err)
	}
	if d.repeat {
		s.refuseFlood(d, code)
		return
	}
	_ = d.conn.NetConn().SetWriteDeadline(time.Now().Add(replyTimeout))
	if err := s.sendRefusal(d, code); err != nil {
		_ = d.conn.NetConn().Close()
		return
	}
	d.part()
}

// refuseFlood answers one of many that a limit refuses, as cheaply as can be. What the
// client sent has been read, so that its answer arrives without being waited for.
func (s *Server) refuseFlood(d *dialogue, code tns.Code) {
	_ = d.conn.NetConn().SetWriteDeadline(time.Now().Add(floodTimeout))
	_ = s.sendRefusal(d, code)
	_ = d.conn.NetConn().Close()
}

// floodTimeout bounds the answer to one of a flood. There is room for it, since nothing else was
// sent; it is as long as a crowded machine may take to come to the write, because a client that is
// closed without a word does not know that it is refused.
const floodTimeout = time.Second
