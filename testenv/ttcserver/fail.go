package ttcserver

import (
	"context"
	"errors"
	"fmt"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// errorCode and errorText give an error its ORA form. What is no error of the
// engine's is an internal one.
func errorCode(err error) uint32 {
	var e *sqlengine.Error
	if errors.As(err, &e) {
		return uint32(e.Code)
	}
	return 600
}

func errorText(err error) string {
	var e *sqlengine.Error
	if errors.As(err, &e) {
		return e.Text
	}
	return fmt.Sprintf("internal error: %v", err)
}

// notSupported is the error for what this database does not do.
func notSupported(what string, args ...any) error {
	return &sqlengine.Error{Code: 3001, Text: "unimplemented feature: " + fmt.Sprintf(what, args...)}
}

// status is the end-of-call status: whether a transaction is open. Listings
// know that the call is over before the client does.
func (c *conversation) status() uint32 {
	if c.session == nil {
		return 0
	}
	open := c.session.engine.InTransaction()
	c.server.sessions.note(c.session.id, func(info *SessionInfo) { info.Active, info.InTransaction = false, open })
	if open {
		return ttc.StatusTransaction
	}
	return 0
}

// done ends an answer with a CallEnd.
func (c *conversation) done(end ttc.CallEnd) error {
	end.Status |= c.status()
	end.Sequence, end.Call = 1, c.sequence
	c.out.buf = end.AppendTo(c.out.buf, c.dialect)
	return c.out.finish()
}

// simplyDone ends an answer with a Status.
func (c *conversation) simplyDone() error {
	status := ttc.Status{Status: c.status(), Sequence: 1}
	c.out.buf = status.AppendTo(c.out.buf, c.dialect)
	return c.out.finish()
}

// fail ends an answer with an error about a cursor, 0 for none.
func (c *conversation) fail(err error, cursor uint32) error {
	return c.done(failure(err, cursor))
}

func failure(err error, cursor uint32) ttc.CallEnd {
	code := errorCode(err)
	end := ttc.CallEnd{
		Code: code, Text: fmt.Sprintf("ORA-%05d: %s\n", code, errorText(err)), Cursor: uint16(cursor),
	}
	var e *sqlengine.Error
	if errors.As(err, &e) && e.Position > 0 && e.Position <= 32767 {
		end.Position = int16(e.Position)
	}
	return end
}

// fatal ends an answer with an error, and the conversation with it.
func (c *conversation) fatal(code uint32, text string) error {
	err := c.fail(&sqlengine.Error{Code: int(code), Text: text}, 0)
	if err != nil {
		return err
	}
	return errGoodbye
}

// failed answers a call whose work failed: with the markers of a break if the
// client interrupted it, and so on.
func (c *conversation) failed(ctx context.Context, err error, cursor uint32) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errBreak):
		return c.broken(ctx)
	case errors.Is(cause, errKilled):
		return c.fatal(28, "your session has been killed")
	case cause != nil:
		return cause
	}
	return c.fail(err, cursor)
}
