package sqlengine

import (
	"context"
	"slices"
)

// statement takes a whole statement.
func (p *parser) statement() (any, StatementKind) {
	tree, kind := p.anyStatement()
	if kind != KindPLSQL {
		p.accept(";") // tolerated, as some tools send it
		p.atEnd()
	}
	return tree, kind
}

func (p *parser) anyStatement() (any, StatementKind) {
	t := p.peek()
	switch {
	case p.seesQuery():
		return &queryStatement{p.query()}, KindQuery
	case t.is("INSERT"):
		return p.insert(), KindDML
	case t.is("UPDATE"):
		return p.update(), KindDML
	case t.is("DELETE"):
		return p.delete(), KindDML
	case t.is("MERGE"):
		return p.merge(), KindDML
	case t.is("BEGIN"), t.is("DECLARE"), t.is("<<"):
		p.shared = true
		return p.plsql(), KindPLSQL
	case t.is("CALL"):
		p.shared = true
		return p.callStatement(), KindPLSQL
	case t.is("LOCK"):
		return p.lockTable(), KindDML
	}
	if tree := p.control(t); tree != nil {
		return tree, KindOther
	}
	if tree := p.definition(t); tree != nil {
		return tree, KindDDL
	}
	p.fail(failure(900, "invalid SQL statement"))
	return nil, KindOther
}

func (p *parser) lockTable() *lockTableStatement {
	p.next++
	p.expect("TABLE")
	s := &lockTableStatement{table: p.tableName()}
	p.expect("IN")
	for p.err == nil && !p.peek().is("MODE") && p.peek().kind != tokenEnd {
		p.next++
	}
	p.expect("MODE")
	s.nowait = p.accept("NOWAIT")
	return s
}

// A controlStatement changes the session or its transaction.
type controlStatement interface {
	control(ctx context.Context, s *Session) *Error
}

type (
	commitStatement    struct{}
	rollbackStatement  struct{ to string }
	savepointStatement struct{ name string }
	acceptedStatement  struct{} // accepted, and nothing done
	alterSession       struct{ names, values []string }
)

func (commitStatement) control(ctx context.Context, s *Session) *Error {
	return s.finish(ctx, "COMMIT")
}

func (acceptedStatement) control(context.Context, *Session) *Error { return nil }

func (r rollbackStatement) control(ctx context.Context, s *Session) *Error {
	if r.to == "" {
		return s.finish(ctx, "ROLLBACK")
	}
	i := slices.Index(s.savepoints, r.to)
	if i < 0 || s.writer == nil {
		return failure(1086, "savepoint '%s' never established in this session or is invalid", r.to)
	}
	s.savepoints = s.savepoints[:i+1]
	return s.unmark(ctx, r.to)
}

func (v savepointStatement) control(ctx context.Context, s *Session) *Error {
	if err := s.begin(ctx, s.engine.LockWait); err != nil {
		return err
	}
	if err := s.mark(ctx, v.name); err != nil {
		return err
	}
	s.savepoints = append(slices.DeleteFunc(s.savepoints, func(have string) bool { return have == v.name }), v.name)
	return nil
}

func (a alterSession) control(ctx context.Context, s *Session) *Error {
	for i, name := range a.names {
		if err := s.alter(ctx, name, a.values[i]); err != nil {
			return err
		}
	}
	return nil
}

// control takes the statements of transaction and session control; nil if it is none.
func (p *parser) control(t token) controlStatement {
	switch t.text {
	case "COMMIT":
		p.next++
		p.rest()
		return commitStatement{}
	case "ROLLBACK":
		p.next++
		p.accept("WORK")
		if !p.accept("TO") {
			return rollbackStatement{}
		}
		p.accept("SAVEPOINT")
		return rollbackStatement{to: p.name().text}
	case "SAVEPOINT":
		p.next++
		return savepointStatement{name: p.name().text}
	case "SET":
		if next := p.peekAt(1); next.is("TRANSACTION") || next.is("ROLE") || next.is("CONSTRAINTS") || next.is("CONSTRAINT") {
			p.rest()
			return acceptedStatement{}
		}
	case "ALTER":
		if p.accept("ALTER", "SESSION") {
			return p.alterSession()
		}
	case "GRANT", "REVOKE", "COMMENT", "ANALYZE", "EXPLAIN":
		p.rest()
		return acceptedStatement{}
	}
	return nil
}

// rest takes all that is left of the statement.
func (p *parser) rest() {
	for p.peek().kind != tokenEnd && !(p.shared && p.peek().is(";")) {
		p.next++
	}
}

// alterSession takes SET name = value … ; anything else ALTER SESSION can do is accepted and does nothing.
func (p *parser) alterSession() controlStatement {
	if !p.accept("SET") {
		if t := p.peek(); t.kind != tokenWord {
			p.fail(failure(2248, "invalid option for ALTER SESSION"))
		}
		p.rest()
		return acceptedStatement{}
	}
	var a alterSession
	for p.err == nil && p.peek().kind == tokenWord {
		name := p.take().text
		p.expect("=")
		v := p.take()
		text := v.text
		if v.is("+") || v.is("-") {
			text += p.take().text
		}
		for p.peek().kind == tokenWord && !p.peekAt(1).is("=") { // READ COMMITTED
			text += " " + p.take().text
		}
		a.names, a.values = append(a.names, name), append(a.values, text)
	}
	if len(a.names) == 0 {
		p.fail(failure(2248, "invalid option for ALTER SESSION"))
	}
	return a
}
