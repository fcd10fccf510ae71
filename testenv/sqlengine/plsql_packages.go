package sqlengine

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"
)

// A procedure is one of the known packages' procedures. Nil means accepted and nothing done.
type procedure func(r *runner, ctx context.Context, call *plsqlCall) *Error

// procedures are the procedures known by name. A function, for the procedures evaluate calls themselves.
func procedures() map[string]procedure {
	return map[string]procedure{
		"DBMS_SESSION.SLEEP":                        (*runner).sleep,
		"DBMS_LOCK.SLEEP":                           (*runner).sleep,
		"DBMS_SESSION.SET_IDENTIFIER":               (*runner).setIdentifier,
		"DBMS_SESSION.CLEAR_IDENTIFIER":             (*runner).setIdentifier,
		"DBMS_SESSION.SET_NLS":                      (*runner).setNLS,
		"DBMS_SESSION.RESET_PACKAGE":                nil,
		"DBMS_SESSION.MODIFY_PACKAGE_STATE":         nil,
		"DBMS_SESSION.SET_ROLE":                     nil,
		"DBMS_SESSION.FREE_UNUSED_USER_MEMORY":      nil,
		"DBMS_SESSION.CLOSE_DATABASE_LINK":          nil,
		"DBMS_APPLICATION_INFO.SET_MODULE":          (*runner).setModule,
		"DBMS_APPLICATION_INFO.SET_ACTION":          (*runner).setAction,
		"DBMS_APPLICATION_INFO.SET_CLIENT_INFO":     (*runner).setClientInfo,
		"DBMS_APPLICATION_INFO.READ_MODULE":         (*runner).readModule,
		"DBMS_APPLICATION_INFO.READ_CLIENT_INFO":    (*runner).readClientInfo,
		"DBMS_OUTPUT.ENABLE":                        (*runner).outputEnable,
		"DBMS_OUTPUT.DISABLE":                       (*runner).outputDisable,
		"DBMS_OUTPUT.PUT":                           (*runner).outputPut,
		"DBMS_OUTPUT.PUT_LINE":                      (*runner).outputPutLine,
		"DBMS_OUTPUT.NEW_LINE":                      (*runner).outputNewLine,
		"DBMS_OUTPUT.GET_LINE":                      (*runner).outputGetLine,
		"DBMS_STATS.GATHER_TABLE_STATS":             nil,
		"DBMS_STATS.GATHER_SCHEMA_STATS":            nil,
		"DBMS_RANDOM.SEED":                          nil,
		"DBMS_RANDOM.INITIALIZE":                    nil,
		"DBMS_MONITOR.SESSION_TRACE_ENABLE":         nil,
		"DBMS_MONITOR.SESSION_TRACE_DISABLE":        nil,
		"RAISE_APPLICATION_ERROR":                   raiseApplicationError,
		"DBMS_STANDARD.RAISE_APPLICATION_ERROR":     raiseApplicationError,
		"DBMS_TRANSACTION.COMMIT":                   commitProcedure,
		"DBMS_TRANSACTION.ROLLBACK":                 rollbackProcedure,
		"DBMS_UTILITY.COMPILE_SCHEMA":               nil,
		"DBMS_APPLICATION_INFO.SET_SESSION_LONGOPS": nil,
		"DBMS_CONNECTION_POOL.START_POOL":           nil,
		"DBMS_CONNECTION_POOL.ALTER_PARAM":          nil,
	}
}

// isProcedure reports whether a procedure is known.
func isProcedure(name string) bool {
	_, found := procedures()[name]
	return found
}

// procedure runs a call of a known procedure.
func (r *runner) procedure(ctx context.Context, c *plsqlCall) *Error {
	name := functionName(c.procedure)
	p, found := procedures()[name]
	if !found {
		return r.compileError(&Error{Code: 6550, Text: "PLS-00201: identifier '" + name + "' must be declared"}, c.start)
	}
	if p == nil {
		return nil
	}
	return p(r, ctx, c)
}

// argument evaluates an argument; NULL if there are not so many.
func (r *runner) argument(ctx context.Context, c *plsqlCall, i int) (driver.Value, *Error) {
	if i >= len(c.arguments) {
		return nil, nil
	}
	v, t, err := r.evaluate(ctx, c.arguments[i])
	if err == nil && t.Kind == kindBool {
		return nil, r.wrongArguments(c)
	}
	return v, err
}

func (r *runner) textArgument(ctx context.Context, c *plsqlCall, i int) (string, *Error) {
	v, err := r.argument(ctx, c, i)
	if isTime(v) {
		out, problem := toCharacters([]driver.Value{v, r.session.settings["NLS_"+timeFormatName(storedKind(v))+"_FORMAT"]})
		if problem != nil {
			return "", ownError(problem)
		}
		v = out
	}
	return text(v), err
}

func (r *runner) wrongArguments(c *plsqlCall) *Error {
	name := functionName(c.procedure)
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	return r.compileError(&Error{Code: 6550, Text: "PLS-00306: wrong number or types of arguments in call to '" + name + "'"}, c.start)
}

// out assigns to an OUT argument.
func (r *runner) out(c *plsqlCall, i int, v driver.Value) *Error {
	if i >= len(c.arguments) {
		return r.wrongArguments(c)
	}
	switch c.arguments[i].(type) {
	case *bindRef, *columnRef:
		return r.store(c.arguments[i], v, storedKind(v))
	}
	return r.compileError(&Error{Code: 6550, Text: "PLS-00363: expression cannot be used as an assignment target"}, c.start)
}

// sleep waits, or until it is cancelled.
func (r *runner) sleep(ctx context.Context, c *plsqlCall) *Error {
	v, failed := r.argument(ctx, c, 0)
	if failed != nil {
		return failed
	}
	seconds, err := float(v)
	if err != nil {
		return valueError(ownError(err))
	}
	if v == nil || seconds < 0 || seconds > 1e6 {
		return failure(38148, "invalid time limit specified")
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errCancelled()
	}
}

func (r *runner) setIdentifier(ctx context.Context, c *plsqlCall) *Error {
	id, err := r.textArgument(ctx, c, 0)
	r.session.identity.ClientIdentifier = id
	return err
}

func (r *runner) setNLS(ctx context.Context, c *plsqlCall) *Error {
	name, err := r.textArgument(ctx, c, 0)
	if err != nil {
		return err
	}
	v, err := r.textArgument(ctx, c, 1)
	if err != nil {
		return err
	}
	return r.session.alter(ctx, strings.ToUpper(name), strings.Trim(v, "'"))
}

func (r *runner) setModule(ctx context.Context, c *plsqlCall) *Error {
	module, err := r.textArgument(ctx, c, 0)
	if err != nil {
		return err
	}
	action, err := r.textArgument(ctx, c, 1)
	r.session.identity.Module, r.session.identity.Action = module, action
	return err
}

func (r *runner) setAction(ctx context.Context, c *plsqlCall) *Error {
	action, err := r.textArgument(ctx, c, 0)
	r.session.identity.Action = action
	return err
}

func (r *runner) setClientInfo(ctx context.Context, c *plsqlCall) *Error {
	info, err := r.textArgument(ctx, c, 0)
	r.session.identity.ClientInfo = info
	return err
}

func (r *runner) readModule(_ context.Context, c *plsqlCall) *Error {
	if err := r.out(c, 0, orNull(r.session.identity.Module)); err != nil {
		return err
	}
	return r.out(c, 1, orNull(r.session.identity.Action))
}

func (r *runner) readClientInfo(_ context.Context, c *plsqlCall) *Error {
	return r.out(c, 0, orNull(r.session.identity.ClientInfo))
}

func raiseApplicationError(r *runner, ctx context.Context, c *plsqlCall) *Error {
	v, err := r.argument(ctx, c, 0)
	if err != nil {
		return err
	}
	n, problem := integer(v)
	if problem != nil {
		return valueError(ownError(problem))
	}
	message, err := r.textArgument(ctx, c, 1)
	if err != nil {
		return err
	}
	if n < -20999 || n > -20000 {
		return failure(21000, "error number argument to raise_application_error of %d is out of range", n)
	}
	return failure(int(-n), "%s", message)
}

func commitProcedure(r *runner, ctx context.Context, _ *plsqlCall) *Error {
	return r.session.finish(ctx, "COMMIT")
}

func rollbackProcedure(r *runner, ctx context.Context, _ *plsqlCall) *Error {
	return r.session.finish(ctx, "ROLLBACK")
}

// An outputBuffer is the session's DBMS_OUTPUT.
type outputBuffer struct {
	enabled bool
	line    string
	lines   []string
}

// maxOutputLines bounds the buffer.
const maxOutputLines = 100_000

func (r *runner) outputEnable(context.Context, *plsqlCall) *Error {
	r.session.output.enabled = true
	return nil
}

func (r *runner) outputDisable(context.Context, *plsqlCall) *Error {
	r.session.output = outputBuffer{}
	return nil
}

func (r *runner) outputPut(ctx context.Context, c *plsqlCall) *Error {
	if len(c.arguments) != 1 {
		return r.wrongArguments(c)
	}
	part, err := r.textArgument(ctx, c, 0)
	if o := &r.session.output; o.enabled && err == nil {
		o.line += part
	}
	return err
}

func (r *runner) outputPutLine(ctx context.Context, c *plsqlCall) *Error {
	if err := r.outputPut(ctx, c); err != nil {
		return err
	}
	return r.outputNewLine(ctx, c)
}

func (r *runner) outputNewLine(context.Context, *plsqlCall) *Error {
	o := &r.session.output
	if !o.enabled {
		return nil
	}
	if len(o.lines) >= maxOutputLines {
		return failure(20000, "ORU-10027: buffer overflow")
	}
	o.lines, o.line = append(o.lines, o.line), ""
	return nil
}

// outputGetLine is GET_LINE(line OUT, status OUT); status is 1 if there is no line.
func (r *runner) outputGetLine(_ context.Context, c *plsqlCall) *Error {
	o := &r.session.output
	var line driver.Value
	status := int64(1)
	if len(o.lines) > 0 {
		line, status = orNull(o.lines[0]), 0
		o.lines = o.lines[1:]
	}
	if err := r.out(c, 0, line); err != nil {
		return err
	}
	return r.out(c, 1, encodeNumber(decimalOf(status)))
}
