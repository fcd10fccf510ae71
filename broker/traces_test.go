package broker

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"servicebroker/console"
	"servicebroker/tns"
)

// TestPacketTrace: the dialogue with the client, that with the instance, and the session, of
// whom was asked for, and of nobody else.
func TestPacketTrace(t *testing.T) {
	r := start(t, func(c *Config) { c.Name, c.HoldTimeout, c.ProbeInterval = "cman1", 0, 0 })
	r.register("sales1", "sales")
	elsewhere, err := r.startTrace(console.TraceRequest{Client: "192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	trace, err := r.startTrace(console.TraceRequest{Client: "127.0.0.1", Seconds: 60})
	if err != nil || !strings.HasPrefix(trace.File, r.config.StateDirectory+"/cman1_") || trace.Client != "127.0.0.1" {
		t.Fatalf("%+v, %v", trace, err)
	}
	if level := r.traceLevel(); level != "" {
		t.Errorf("trace level %s", level)
	}
	if all, err := r.startTrace(console.TraceRequest{Client: "*", Data: true}); err != nil || r.traceLevel() != "support" || all.Client != "*" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := r.stopTrace(3); err != nil || r.traceLevel() != "" {
		t.Error(err)
	}
	conn, reply := r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(X=y))(SECURITY=(PASSWORD=tiger)))")
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("answer %T", reply)
	}
	r.echo(conn, "\x00\x00\x00\x12\x06\x00\x00\x00\x00\x00\x03\x76hunter")
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=none)))", tns.CodeUnknownService)
	if _, err := r.stopTrace(2); err != nil {
		t.Fatal(err)
	}
	r.echo(conn, "\x00\x00\x00\x12\x06\x00\x00\x00\x00\x00\x03\x76after!")
	conn.NetConn().Close()
	r.end()
	views := r.traceViews()
	if views[0].Packets != 0 || views[0].Ended != "the broker ended" || views[1].Packets < 8 || views[1].Lost != 0 {
		t.Errorf("%+v", views)
	}
	text, err := os.ReadFile(trace.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`# packets of clients 127\.0\.0\.1/32 from `, ` 127\.0\.0\.1:\d+ > broker CONNECT, `, ` broker for 127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+ CONNECT, `,
		` 127\.0\.0\.1:\d+ > broker for 127\.0\.0\.1:\d+ ACCEPT, `, ` broker > 127\.0\.0\.1:\d+ ACCEPT, `, ` broker > 127\.0\.0\.1:\d+ REFUSE, `,
		` session 1 127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+ DATA, 18 bytes, flags 00`, `  0008  00 00 03 76 `, `  6 bytes more`, `# over at .*: an operator ended it; `,
	} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for _, secret := range []string{"tige", "hunt", "afte"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s in\n%s", secret, text)
		}
	}
	if other, err := os.ReadFile(elsewhere.File); err != nil || strings.Count(string(other), "\n") != 2 {
		t.Errorf("of nobody: %s, %v", other, err)
	}
}

// echo sends a packet through a session and waits until it is back.
func (r *running) echo(conn *tns.Conn, packet string) {
	r.t.Helper()
	if _, err := io.WriteString(conn.NetConn(), packet); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn.NetConn(), make([]byte, len(packet))); err != nil {
		r.t.Fatal(err)
	}
}

// TestTraceOfAnOpenSession begins while the session is there.
func TestTraceOfAnOpenSession(t *testing.T) {
	r := start(t, nil)
	r.register("sales1", "sales")
	conn, _ := r.ask(sales)
	const packet = "\x00\x00\x00\x0e\x06\x00\x00\x00\x00\x00text"
	r.echo(conn, packet)
	trace, err := r.startTrace(console.TraceRequest{Session: "1"})
	if err != nil {
		t.Fatal(err)
	}
	r.echo(conn, packet)
	r.echo(conn, packet)
	r.end()
	if list := r.traceViews(); list[0].Session != "1" || list[0].Packets != 4 {
		t.Errorf("%+v", list)
	}
	if text, err := os.ReadFile(trace.File); err != nil || strings.Count(string(text), "session 1 127.0.0.1:") != 4 {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestTraceRequests(t *testing.T) {
	r := start(t, func(c *Config) { c.TraceDirectory = "/nonexistent" })
	for _, c := range []struct {
		request console.TraceRequest
		say     string
	}{
		{console.TraceRequest{Session: "99"}, "session 99"}, {console.TraceRequest{Client: "10.0.0"}, "neither an address nor a network"},
		{console.TraceRequest{Client: "10.0.0.1"}, "no such folder: make it"}, {console.TraceRequest{Client: "*", Seconds: 1e6}, "name a shorter time"},
	} {
		if _, err := r.startTrace(c.request); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v: %v, want %q", c.request, err, c.say)
		}
	}
	if _, err := r.stopTrace(7); !errors.Is(err, console.ErrNotFound) {
		t.Error(err)
	}
	for word, want := range map[string]string{"SUPPORT": "support", "0": "off", "user": "user"} {
		if now, err := r.setLogLevel(word); err != nil || now.Level != want || r.levelWord() != want {
			t.Errorf("%s: %+v, %v", word, now, err)
		}
	}
	if _, err := r.setLogLevel("supprt"); err == nil || !strings.Contains(err.Error(), "support") {
		t.Error(err)
	}
}
