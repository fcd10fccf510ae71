package ttcserver

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"servicebroker/tns"
	"servicebroker/ttc"
)

// Whatever packets a client sends, before or after its login, the
// conversation ends without a panic and soon after the client has gone.
func FuzzConversation(f *testing.F) {
	w := newWorld(f, nil)
	d := ttc.Dialect{FieldVersion: 12, CLRText: true, RawScale: true, MaxString: 32767}
	execute := ttc.Execute{Options: 0x8069, SQL: []byte("select :1 a from dual"), Binds: []ttc.Bind{{Type: ttc.TypeNumber, Size: 22}}, IsQuery: true, PrefetchRows: 2}
	request := ttc.AppendCall(nil, d, ttc.FunctionExecute, &execute)
	f.Add(true, append(request, 7, 2, 0xc1, 8))
	f.Add(true, ttc.AppendCall(nil, d, ttc.FunctionFetch, &ttc.Fetch{Cursor: 1, Rows: 10}))
	f.Add(true, ttc.AppendCall(nil, d, ttc.FunctionReexecuteFetch, &ttc.Reexecute{Cursor: 1, Iterations: 1 << 30}))
	f.Add(true, ttc.AppendCall(nil, d, ttc.FunctionLOB, &ttc.LOBCall{Operation: ttc.LOBCreateTemp, Source: make([]byte, 40)}))
	f.Add(true, ttc.AppendPiggyback(nil, d, ttc.FunctionEndToEnd, &ttc.EndToEnd{}))
	f.Add(false, (&ttc.Protocol{Versions: []byte{6}, Driver: "x"}).AppendTo(nil))
	f.Add(false, ttc.NewDataTypes(ttc.ClientCapabilities(12, false)).AppendTo(nil))
	f.Add(false, []byte{0xDE, 0xAD, 0xBE, 0xEF})
	f.Fuzz(func(t *testing.T, loggedIn bool, payload []byte) {
		if bytes.Contains(bytes.ToLower(payload), []byte("sleep")) || len(payload) > 1<<16 {
			return
		}
		w.t = t
		c := w.connect(context.Background(), Login{}, 318)
		if loggedIn {
			c.negotiate()
			c.login("scott", "tiger")
		}
		c.send(payload)
		c.raw.(*net.TCPConn).CloseWrite()
		for {
			if _, err := c.conn.ReadPacket(); err != nil {
				break
			}
		}
		w.end()
	})
}

// Garbage in packets, in their headers, and nothing at all.
func TestBrokenPackets(t *testing.T) {
	w := newWorld(t, nil)
	for name, garbage := range map[string][]byte{
		"no packet":         []byte("GET / HTTP/1.0\r\n\r\n"),
		"length too short":  {0, 0, 0, 4, 6, 0, 0, 0},
		"length enormous":   {0x7f, 0xff, 0xff, 0xff, 6, 0, 0, 0},
		"another CONNECT":   {0, 0, 0, 10, 1, 0, 0, 0, 0, 0},
		"short DATA":        {0, 0, 0, 9, 6, 0, 0, 0, 0},
		"short MARKER":      {0, 0, 0, 9, 12, 0, 0, 0, 0},
		"half a packet":     {0, 0, 0, 20, 6, 0, 0, 0, 0, 0, 3},
		"end of file":       {0, 0, 0, 10, 6, 0, 0, 0, 0, 0x40},
		"NULL, end of file": {0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 10, 6, 0, 0, 0, 0, 0x40},
		"ABORT":             {0, 0, 0, 8, 9, 0, 0, 0},
	} {
		c := w.dial(Login{})
		if _, err := c.raw.Write(garbage); err != nil {
			t.Fatal(err)
		}
		c.raw.(*net.TCPConn).CloseWrite()
		c.gone()
		c.raw.Close()
		w.end()
		if n := len(w.server.Sessions()); n != 0 {
			t.Errorf("%s: %d sessions left", name, n)
		}
	}
}

// A client that does not read its answer cannot hold the conversation longer
// than its context.
func TestClientThatDoesNotRead(t *testing.T) {
	w := newWorld(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	c := w.connect(ctx, Login{}, 318)
	c.negotiate()
	c.login("scott", "tiger")
	m := ttc.Execute{
		Options:      ttc.OptionParse | ttc.OptionExecute | ttc.OptionFetch,
		SQL:          []byte("with r(n) as (select 1 from dual union all select n + 1 from r where n < 100000000) select n, rpad('x', 1000, 'x') t from r"),
		PrefetchRows: 100_000_000, IsQuery: true,
	}
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &m))
	w.running()
	stop()
	began := time.Now()
	w.end()
	if took := time.Since(began); took > patience/3 {
		t.Errorf("ends after %v", took)
	}
}

// A request in the smallest pieces is the same request.
func TestRequestInSinglePackets(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	m := ttc.Execute{
		Options: ttc.OptionParse | ttc.OptionExecute | ttc.OptionFetch | ttc.OptionBind | ttc.OptionNotPLSQL, SQL: []byte("select :1 a from dual"),
		PrefetchRows: 1, IsQuery: true, Binds: []ttc.Bind{textBind(20)},
	}
	cur := &cursorState{binds: m.Binds}
	request := c.appendRows(ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &m), cur, rowsOf(text("in pieces")), true)
	for _, b := range request {
		if err := c.conn.Send(tns.Data{Payload: []byte{b}}); err != nil {
			t.Fatal(err)
		}
	}
	if r := c.answer(cur); show(r.must(c)) != "in pieces" {
		t.Errorf("got %s", show(r))
	}
}
