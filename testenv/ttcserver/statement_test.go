package ttcserver

import (
	"fmt"
	"strings"
	"testing"

	"servicebroker/ttc"
)

func rowsOf(values ...ttc.Value) [][]ttc.Value {
	var rows [][]ttc.Value
	for _, v := range values {
		rows = append(rows, []ttc.Value{v})
	}
	return rows
}

func (c *client) count(table string) string {
	c.t.Helper()
	_, r := c.exec("select count(*) a from "+table, options{prefetch: 1})
	return show(r.must(c))
}

func TestTransactions(t *testing.T) {
	w := newWorld(t, nil)
	c, other := w.dial(Login{}), w.dial(Login{})
	c.fill("t", 2)
	_, r := c.exec("delete from t where n = 1", options{})
	if r.must(c); r.end.Rows != 1 || r.end.Status&ttc.StatusTransaction == 0 {
		t.Errorf("delete: %+v", r.end)
	}
	if other.count("t") != "2" || c.count("t") != "1" {
		t.Error("an uncommitted change is seen by others, or not by its session")
	}
	if r := c.call(ttc.FunctionRollback); r.status == nil || r.status.Status&ttc.StatusTransaction != 0 || c.count("t") != "2" {
		t.Errorf("rollback: %+v", r.status)
	}
	c.exec("delete from t where n = 1", options{})
	if r := c.call(ttc.FunctionCommit); r.status == nil || r.status.Status&ttc.StatusTransaction != 0 || other.count("t") != "1" {
		t.Errorf("commit: %+v", r.status)
	}
	_, r = c.exec("delete from t", options{set: ttc.OptionCommit})
	if r.must(c); r.end.Status&ttc.StatusTransaction != 0 || other.count("t") != "0" {
		t.Error("the commit option does not commit")
	}
}

// A client that leaves in good order commits; one that vanishes does not.
func TestHowClientsLeave(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	c.fill("t", 3)
	c.exec("delete from t where n = 1", options{})
	if r := c.call(ttc.FunctionLogoff); r.status == nil {
		t.Error("a logoff is not answered")
	}
	c.gone()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	vanished := w.dial(Login{})
	vanished.exec("delete from t where n = 2", options{})
	vanished.raw.Close()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if got := w.dial(Login{}).count("t"); got != "2" {
		t.Errorf("%s rows left, want 2", got)
	}
}

func TestArrayDML(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	_, r := c.exec("create table t (n number primary key, g number)", options{})
	r.must(c)
	one := []ttc.Bind{numberBind()}
	cur, r := c.exec("insert into t values (:1, 0)", options{binds: one, rows: rowsOf(number("1"), number("2"), number("3")), rowCounts: true})
	if r.must(c); r.end.Rows != 3 || fmt.Sprint(r.parameters.RowCounts) != "[1 1 1]" {
		t.Errorf("insert: %d rows, counts %v", r.end.Rows, r.parameters.RowCounts)
	}
	// A re-execute does not say again that it wants the counts.
	r = c.again(cur, 0, []ttc.Value{number("4")}, []ttc.Value{number("5")}).must(c)
	if r.end.Rows != 2 || fmt.Sprint(r.parameters.RowCounts) != "[1 1]" {
		t.Errorf("again: %d rows, counts %v", r.end.Rows, r.parameters.RowCounts)
	}
	_, r = c.exec("update t set g = 1 where n <= :1", options{binds: one, rows: rowsOf(number("2"), number("0"), number("4")), rowCounts: true})
	if fmt.Sprint(r.must(c).parameters.RowCounts) != "[2 0 4]" {
		t.Errorf("update: counts %v", r.parameters.RowCounts)
	}
	// What went before the failing row is done.
	_, r = c.exec("insert into t values (:1, 2)", options{binds: one, rows: rowsOf(number("10"), number("1"), number("11"))})
	if r.want(c, 1); r.end.Rows != 1 || c.count("t where g = 2") != "1" {
		t.Errorf("failure in the second row: %d rows", r.end.Rows)
	}
	// The same statement so often, without binds.
	_, r = c.exec("update t set g = g + 1 where n = 10", options{rows: make([][]ttc.Value, 3)})
	if r.must(c); r.end.Rows != 3 || c.count("t where g = 5") != "1" {
		t.Errorf("three times without binds: %d rows", r.end.Rows)
	}
}

func TestBatchErrors(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.exec("create table t (n number primary key)", options{})
	var values []ttc.Value
	for i := range 300 {
		values = append(values, number(fmt.Sprint(i/2))) // every second one is there already
	}
	_, r := c.exec("insert into t values (:1)", options{binds: []ttc.Bind{numberBind()}, rows: rowsOf(values...), set: ttc.OptionBatchError | ttc.OptionCommit})
	if r.end.Code != codeArrayErrors || len(r.end.Batch) != 150 || r.end.Rows != 150 {
		t.Fatalf("end %d, %d errors, %d rows", r.end.Code, len(r.end.Batch), r.end.Rows)
	}
	for i, e := range r.end.Batch {
		if e.Code != 1 || e.Row != uint32(2*i+1) || !strings.HasPrefix(e.Text, "ORA-00001: ") {
			t.Fatalf("error %d: %+v", i, e)
		}
	}
	if r.end.Status&ttc.StatusTransaction == 0 {
		t.Error("a batch with errors is committed")
	}
	_, r = c.exec("delete from t where n = :1", options{binds: []ttc.Bind{numberBind()}, rows: rowsOf(number("1")), set: ttc.OptionBatchError})
	if r.must(c); len(r.end.Batch) != 0 {
		t.Errorf("errors of a batch without any: %v", r.end.Batch)
	}
}

// A request whose statement is wrong has its binds behind it all the same.
func TestBindsOfWrongStatements(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	var rows [][]ttc.Value
	for range 3000 { // several packets
		rows = append(rows, []ttc.Value{number("1"), text(strings.Repeat("x", 30))})
	}
	for _, sql := range []string{"insert into nosuch values (:1, :2)", "insert int wrong values (:1, :2)", "begin wrong wrong :1 := :2; end;"} {
		for _, some := range [][][]ttc.Value{rows[:1], rows} {
			_, r := c.exec(sql, options{binds: []ttc.Bind{numberBind(), textBind(30)}, rows: some})
			if r.end.Code == 0 {
				t.Errorf("%s: no error", sql)
			}
		}
	}
	_, r := c.exec("update nosuch set a = :1 wher b returning c into :2", options{
		binds: []ttc.Bind{numberBind(), textBind(30)}, rows: rows[:1], returning: []int{1},
	})
	if r.end.Code == 0 {
		t.Error("no error")
	}
	if c.count("dual") != "1" {
		t.Error("the conversation is out of step")
	}
}

func TestRepeatedBinds(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	again := numberBind()
	again.Flags |= ttc.BindRepeated // one driver sends the value of a name once
	_, r := c.exec("select :a + :b + :a x from dual", options{
		binds: []ttc.Bind{numberBind(), numberBind(), again}, rows: [][]ttc.Value{{number("10"), number("1"), {}}}, prefetch: 1,
	})
	if got := show(r.must(c)); got != "21" {
		t.Errorf("got %s, want 21", got)
	}
}

func TestReturning(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 4)
	binds := []ttc.Bind{textBind(10), numberBind(), numberBind(), textBind(30)}
	row := []ttc.Value{text("new"), number("2"), {}, {}}
	for _, vector := range []uint32{0, ttc.OptionIOVector} { // who asks for directions sends place-holders
		cur, r := c.exec("update t set t = :1 where n <= :2 returning n, t into :3, :4", options{
			binds: binds, returning: []int{2, 3}, rows: [][]ttc.Value{row, {text("newer"), number("0"), {}, {}}}, set: vector,
		})
		if r.must(c); r.end.Rows != 2 || len(r.outs) != 2 {
			t.Fatalf("%d rows, returned %v", r.end.Rows, r.outs)
		}
		if got := fmt.Sprintf("%q", r.outs[0][1]); got != `["new" "new"]` {
			t.Errorf("returned %s", got)
		}
		if got := fmt.Sprint(r.outs[1]); got != "[[] []]" {
			t.Errorf("returned for no rows: %s", got)
		}
		if asked := vector != 0; asked != (len(r.directions) == 4) || asked && (r.directions[0] != ttc.DirectionIn || r.directions[2] != ttc.DirectionOut) {
			t.Errorf("directions %v", r.directions)
		}
		r = c.again(cur, 0, []ttc.Value{text("third"), number("1"), {}, {}}).must(c)
		if got := fmt.Sprintf("%q", r.outs[0][1]); got != `["third"]` {
			t.Errorf("again returned %s", got)
		}
	}
	small := []ttc.Bind{textBind(10), numberBind(), numberBind(), textBind(2)}
	_, r := c.exec("update t set t = :1 where n <= :2 returning n, t into :3, :4", options{binds: small, returning: []int{2, 3}, rows: [][]ttc.Value{row}})
	r.want(c, 6502)
}

func TestBlocks(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	binds := []ttc.Bind{numberBind(), numberBind()}
	cur, r := c.exec("begin :o := :i * 2; end;", options{binds: binds, rows: [][]ttc.Value{{{}, number("21")}}})
	if r.must(c); fmt.Sprint(r.directions) != "[16 32]" || showValue(r.outs[0][0], true) != "42" {
		t.Errorf("directions %v, out %v", r.directions, r.outs)
	}
	r = c.again(cur, 0, []ttc.Value{{}, number("4")}).must(c) // the OUT bind is left out now
	if showValue(r.outs[0][0], true) != "8" {
		t.Errorf("again: out %v", r.outs)
	}
	cur, r = c.exec("begin :x := :x || 'y'; end;", options{binds: []ttc.Bind{textBind(10)}, rows: rowsOf(text("a"))})
	if r.must(c); r.directions[0] != ttc.DirectionInOut || showValue(r.outs[0][0], false) != "ay" {
		t.Errorf("directions %v, out %v", r.directions, r.outs)
	}
	if r = c.again(cur, 0, []ttc.Value{text("b")}).must(c); showValue(r.outs[0][0], false) != "by" {
		t.Errorf("again: out %v", r.outs)
	}
	_, r = c.exec("begin :x := 'too long'; end;", options{binds: []ttc.Bind{textBind(3)}, rows: rowsOf(ttc.Value{})})
	r.want(c, 6502)
	_, r = c.exec("begin :x := null; end;", options{binds: []ttc.Bind{textBind(3)}, rows: rowsOf(ttc.Value{})})
	if r.must(c); r.outs[0][0].([]byte) != nil {
		t.Errorf("NULL out: %v", r.outs)
	}
	if _, r = c.exec("begin null; end;", options{}); r.must(c).directions != nil {
		t.Errorf("directions %v of no binds", r.directions)
	}
	_, r = c.exec("begin null; end;", options{binds: []ttc.Bind{textBind(3)}, rows: rowsOf(text("x"))})
	if len(r.outs) != 0 {
		t.Errorf("outs %v", r.outs)
	}
	_, r = c.exec("begin raise_application_error(-20001, 'mine'); end;", options{})
	r.want(c, 20001)
	table := textBind(10)
	table.Flags |= ttc.BindArray
	_, r = c.exec("begin :x := 1; end;", options{binds: []ttc.Bind{table}, rows: [][]ttc.Value{{{Elements: [][]byte{{'a'}, {'b'}}}}}})
	r.want(c, 3001)
	c.call(ttc.FunctionPing)
}

func TestBlockRunsForEachRow(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	_, r := c.exec("begin :o := :i + 1; end;", options{binds: []ttc.Bind{numberBind(), numberBind()}, rows: [][]ttc.Value{{{}, number("1")}, {{}, number("2")}}})
	if r.must(c); len(r.outs) != 2 || showValue(r.outs[1][0], true) != "3" || r.end.Rows != 2 {
		t.Errorf("outs %v, %d rows", r.outs, r.end.Rows)
	}
	c.fill("t", 1)
	_, r = c.exec("begin insert into t values (:1, 'x'); end;", options{binds: []ttc.Bind{numberBind()}, rows: rowsOf(number("5")), set: ttc.OptionCommit})
	if r.must(c); r.end.Status&ttc.StatusTransaction != 0 {
		t.Error("the commit option does not commit")
	}
}

func TestDDLAndOthers(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	for _, sql := range []string{
		"create table t (n number)", "insert into t values (1)", "commit", "savepoint s", "rollback to s", "rollback",
		"alter session set nls_date_format = 'YYYY'", "drop table t",
	} {
		_, r := c.exec(sql, options{})
		r.must(c)
	}
	_, r := c.exec("drop table t", options{})
	r.want(c, 942)
	// A driver parses DDL into its cursor again.
	cur, r := c.exec("create table u (n number)", options{})
	r.must(c)
	_, r = c.exec("create table u (n number)", options{cursor: cur, set: ttc.OptionParse})
	r.want(c, 955)
}

func TestEndToEnd(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	id, module, action, info, empty := "who", "m1", "a1", "i1", ""
	attributes := "select sys_context('USERENV','CLIENT_IDENTIFIER') || '/' || sys_context('USERENV','MODULE') || '/' || sys_context('USERENV','ACTION') || '/' || sys_context('USERENV','CLIENT_INFO') a from dual"
	for _, step := range []struct {
		set  ttc.EndToEnd
		want string
	}{
		{ttc.EndToEnd{ClientID: &id, Module: &module, Action: &action, ClientInfo: &info}, "who/m1/a1/i1"},
		{ttc.EndToEnd{Module: &id}, "who/who/a1/i1"},
		{ttc.EndToEnd{ClientID: &empty, Action: &empty}, "/who//i1"},
	} {
		request := ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionEndToEnd, &step.set)
		c.send(ttc.AppendCall(request, c.dialect, ttc.FunctionPing, nil))
		c.answer(&cursorState{})
		if _, r := c.exec(attributes, options{prefetch: 1}); show(r.must(c)) != step.want {
			t.Errorf("got %s, want %s", show(r), step.want)
		}
	}
	request := ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionSetSchema, &ttc.SetSchema{Schema: "app"})
	c.send(ttc.AppendCall(request, c.dialect, ttc.FunctionPing, nil))
	c.answer(&cursorState{})
	if _, r := c.exec("select sys_context('USERENV','CURRENT_SCHEMA') a from dual", options{prefetch: 1}); show(r.must(c)) != "APP" {
		t.Errorf("schema %s, want APP", show(r))
	}
}

// Piggybacks that mean nothing here are read to their end and skipped.
func TestOtherPiggybacks(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	request := ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionKeyValues, &ttc.KeyValues{Namespace: "ORA$HA", Pairs: []ttc.Pair{{Key: "k", Value: "v"}}})
	request = ttc.AppendPiggyback(request, c.dialect, ttc.FunctionSessionState, &ttc.SessionState{State: ttc.StateRequestBegin})
	request = ttc.AppendPiggyback(request, c.dialect, ttc.FunctionAlterSession, &ttc.AlterSession{Pairs: []ttc.Pair{{Key: "k", Value: "v"}}})
	request = ttc.AppendPiggyback(request, c.dialect, ttc.FunctionEndUserSecurity, &ttc.EndUserSecurity{Pairs: []ttc.KeyTextBinary{{Key: "k", Binary: []byte{1}}}})
	request = append(request, byte(ttc.MessageFlushOutBinds), 0)
	c.send(ttc.AppendCall(request, c.dialect, ttc.FunctionPing, nil))
	if r := c.answer(&cursorState{}); r.status == nil {
		t.Error("no answer")
	}
}

func TestUnknownCalls(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	for _, size := range []int{0, 10, 3000, 20000} {
		for _, f := range []ttc.Function{ttc.FunctionXASwitch, ttc.FunctionXAChangeState, 121, 122, 145, ttc.FunctionDirectPathPrepare, 187, 98, 255} {
			request := append(ttc.AppendCall(nil, c.dialect, f, nil), make([]byte, size)...)
			c.send(request)
			c.answer(&cursorState{}).want(c, 3001)
		}
	}
	if c.count("dual") != "1" {
		t.Error("the conversation is out of step")
	}
}
