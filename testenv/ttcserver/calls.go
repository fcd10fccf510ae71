package ttcserver

import (
	"context"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// call runs one call whose header is read. What it has no answer to is
// answered with an error, so that no client waits for ever.
func (c *conversation) call(ctx context.Context, f ttc.Function) error {
	switch f {
	case ttc.FunctionExecute:
		return c.execute(ctx)
	case ttc.FunctionReexecute, ttc.FunctionReexecuteFetch:
		return c.reexecute(ctx, f)
	case ttc.FunctionFetch:
		return c.fetch(ctx)
	case ttc.FunctionLOB:
		return c.lobCall(ctx)
	case ttc.FunctionCommit, ttc.FunctionRollback:
		return c.endTransaction(ctx, f == ttc.FunctionCommit)
	case ttc.FunctionPing, ttc.FunctionSessionGet, ttc.FunctionPipelineEnd:
		return c.simplyDone()
	case ttc.FunctionVersion:
		return c.version()
	case ttc.FunctionLogoff:
		return c.logoff(ctx)
	case ttc.FunctionAuthOne, ttc.FunctionAuthTwo:
		if err := c.skipRequest(); err != nil {
			return err
		}
		return c.fail(&sqlengine.Error{Code: 1031, Text: "insufficient privileges: passwords cannot be changed here"}, 0)
	}
	if err := c.skipRequest(); err != nil {
		return err
	}
	return c.fail(notSupported("%v", f), 0)
}

// endTransaction runs commit and rollback, which nothing interrupts.
func (c *conversation) endTransaction(ctx context.Context, commit bool) error {
	end := c.session.engine.Rollback
	if commit {
		end = c.session.engine.Commit
	}
	if err := end(context.WithoutCancel(ctx)); err != nil {
		return c.fail(err, 0)
	}
	return c.simplyDone()
}

func (c *conversation) version() error {
	var m ttc.VersionCall
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	id := c.server.Identity.withDefaults()
	// The one driver that asks unpacks the number the old way.
	reply := ttc.Version{Banner: id.banner(), Number: id.packedRelease(false)}
	c.out.buf = reply.AppendTo(c.out.buf, c.dialect)
	return c.simplyDone()
}

// logoff commits, as the database does when a client leaves in good order, and
// waits for the client to close.
func (c *conversation) logoff(ctx context.Context) error {
	if err := c.session.engine.Commit(context.WithoutCancel(ctx)); err != nil {
		return c.fail(err, 0)
	}
	if err := c.simplyDone(); err != nil {
		return err
	}
	return errGoodbye
}

// oneWay handles what is not answered: a pooled client gives its session back.
func (c *conversation) oneWay(ctx context.Context, f ttc.Function) error {
	if f != ttc.FunctionSessionRelease {
		c.log.Info("one-way call ignored", "function", f.String())
		return c.skipRequest()
	}
	var m ttc.SessionRelease
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	return c.release(context.WithoutCancel(ctx), c.login.Pooled && !c.login.PurityNew)
}

// piggyback handles what goes before a call and is not answered. Attributes
// are the session's, so a pooled client without one gets it here already.
func (c *conversation) piggyback(ctx context.Context, f ttc.Function) error {
	switch f {
	case ttc.FunctionCloseCursors, ttc.FunctionCancelCursors:
		return c.cursorsEnd(f)
	case ttc.FunctionEndToEnd, ttc.FunctionSetSchema:
		if err := c.attach(ctx); err != nil {
			return err
		}
		if f == ttc.FunctionEndToEnd {
			return c.endToEnd()
		}
		return c.setSchema()
	case ttc.FunctionLOB:
		return c.lobPiggyback()
	case ttc.FunctionPipelineBegin:
		c.in.UB2()
		c.in.Skip(2)
		return c.in.Err()
	}
	var body interface {
		Decode(*ttc.Reader, ttc.Dialect)
	}
	switch f {
	case ttc.FunctionKeyValues:
		body = new(ttc.KeyValues)
	case ttc.FunctionSessionState:
		body = new(ttc.SessionState)
	case ttc.FunctionAlterSession:
		body = new(ttc.AlterSession)
	case ttc.FunctionEndUserSecurity:
		body = new(ttc.EndUserSecurity)
	default:
		// Its length is not known, nor where the call behind it begins.
		return c.fatal(3001, "unimplemented feature: piggyback "+f.String())
	}
	body.Decode(c.in, c.dialect)
	return c.in.Err()
}

func (c *conversation) cursorsEnd(f ttc.Function) error {
	var m ttc.Cursors
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil || c.session == nil {
		return err
	}
	for _, id := range m.IDs {
		if f == ttc.FunctionCloseCursors {
			c.session.closeCursor(id)
		} else if cur := c.session.cursors[id]; cur != nil {
			cur.endRows()
		}
	}
	return nil
}

func (c *conversation) endToEnd() error {
	var m ttc.EndToEnd
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	id := c.session.engine.Identity()
	for _, change := range []struct{ from, to *string }{
		{m.ClientID, &id.ClientIdentifier}, {m.Module, &id.Module}, {m.Action, &id.Action}, {m.ClientInfo, &id.ClientInfo},
	} {
		if change.from != nil {
			*change.to = *change.from
		}
	}
	return nil
}

func (c *conversation) setSchema() error {
	var m ttc.SetSchema
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	c.session.engine.Identity().Schema = userName(m.Schema)
	return nil
}

func (c *conversation) lobPiggyback() error {
	var m ttc.LOBCall
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil || c.session == nil {
		return err
	}
	// The client expects no answer, so a failure has no place to go.
	var reply ttc.LOBReply
	if err := c.session.lobs.operate(&m, &reply); err != nil {
		c.log.Debug("LOB piggyback failed", "error", err)
	}
	return nil
}
