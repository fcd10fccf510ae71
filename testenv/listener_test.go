package testenv

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/tns"
)

// served is what a refusal's code is compared with where there is none.
const served tns.Code = -1

const toSales = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"

func TestListenerJudges(t *testing.T) {
	d := start(t, &Database{Services: []string{"sales", "orders.example.com"}})
	data := func(s string) string { return "(DESCRIPTION=(CONNECT_DATA=" + s + "))" }
	for _, c := range []struct {
		descriptor string
		want       tns.Code
	}{
		{data("(SERVICE_NAME=sales)"), served},
		{data("(SERVICE_NAME=SaLeS)"), served},
		{"(CONNECT_DATA=(SERVICE_NAME=sales))", served},
		{data("(SERVICE_NAME=ORDERS.EXAMPLE.COM)"), served},
		{data("(SID=SALES1)"), served},
		{data("(SERVICE_NAME=sales)(INSTANCE_NAME=Sales1)"), served},
		{data("(SERVICE_NAME=sales)(SERVER=dedicated)"), served},
		{data("(SERVICE_NAME=sales)(SERVER=POOLED)(POOL_PURITY=NEW)"), served},
		{data("(SERVICE_NAME=hr)"), tns.CodeUnknownService},
		{data("(SERVICE_NAME=sales1)"), tns.CodeUnknownService},
		{data("(SID=sales)"), tns.CodeUnknownSID},
		{data("(SERVICE_NAME=sales)(INSTANCE_NAME=sales2)"), tns.CodeUnknownInstance},
		{data("(SERVICE_NAME=sales)(SERVER=SHARED)"), tns.CodeNoHandlerOfKind},
		{data("(CID=(PROGRAM=x))"), tns.CodeNoServiceName},
		{"(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)))", tns.CodeNoConnectData},
		{data("(COMMAND=status)"), tns.CodeUnknownCommand},
		{data("(COMMAND=service_register_NSGR)"), tns.CodeUnknownCommand},
		{"(DESCRIPTION=(CONNECT_DATA=", tns.CodeBadDescriptor},
		{"sales", tns.CodeBadDescriptor},
		{"", tns.CodeBadDescriptor},
	} {
		if got := d.code(t, c.descriptor); got != c.want {
			t.Errorf("%s: %v, want %v", c.descriptor, got, c.want)
		}
	}
}

// A client that asks by SID still gets in when the last service has gone.
func TestListenerWithoutServices(t *testing.T) {
	d := start(t, &Database{})
	d.tell(t, "/services", `{"drop": ["SALES"]}`)
	if got := d.code(t, toSales); got != tns.CodeUnknownService {
		t.Errorf("by service: %v", got)
	}
	if got := d.code(t, "(CONNECT_DATA=(SID=sales1))"); got != served {
		t.Errorf("by SID: %v", got)
	}
}

func TestListenerStatus(t *testing.T) {
	d := start(t, &Database{})
	const privileged = "(CONNECT_DATA=(SERVICE_NAME=sales)(UR=A))"
	for _, c := range []struct {
		status           string
		ordinary, anyway tns.Code
	}{
		{"blocked", tns.CodeBlocked, served},
		{"restricted", tns.CodeRestricted, served},
		{"ready", served, served},
	} {
		d.tell(t, "/status", `{"status": "`+c.status+`"}`)
		if got := d.code(t, toSales); got != c.ordinary {
			t.Errorf("%s: %v, want %v", c.status, got, c.ordinary)
		}
		if got := d.code(t, privileged); got != c.anyway {
			t.Errorf("%s with UR=A: %v, want %v", c.status, got, c.anyway)
		}
	}
}

func TestListenerPing(t *testing.T) {
	d := start(t, &Database{})
	for _, mode := range []string{`{"mode": "accept"}`, `{"mode": "refuse"}`, `{"mode": "redirect", "to": "db2:1521"}`} {
		d.tell(t, "/listener", mode)
		reply, err := tns.Ping(context.Background(), d.dial(t))
		if err != nil || !strings.Contains(reply, "(ALIAS=LISTENER)") {
			t.Errorf("%s: ping: %q, %v", mode, reply, err)
		}
	}
}

func TestListenerModes(t *testing.T) {
	d := start(t, &Database{})
	t.Run("refuse", func(t *testing.T) {
		for body, want := range map[string]tns.Code{`{"mode": "refuse", "code": 12518}`: tns.CodeHandoff, `{"mode": "refuse"}`: tns.CodeUnknownService} {
			d.tell(t, "/listener", body)
			if got := d.code(t, toSales); got != want {
				t.Errorf("%s: %v, want %v", body, got, want)
			}
		}
	})
	t.Run("redirect", func(t *testing.T) {
		d.tell(t, "/listener", `{"mode": "redirect", "to": "db2:1522"}`)
		reply, _, err := d.ask(t, toSales)
		r, ok := reply.(*tns.Redirect)
		if err != nil || !ok || r.Address != "(ADDRESS=(PROTOCOL=TCP)(HOST=db2)(PORT=1522))" || r.ConnectData != toSales {
			t.Errorf("%+v, %v", reply, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		d.tell(t, "/listener", `{"mode": "reset"}`)
		if reply, _, err := d.ask(t, toSales); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%+v, %v", reply, err)
		}
	})
	t.Run("hang", func(t *testing.T) {
		d.tell(t, "/listener", `{"mode": "hang"}`)
		conn := tns.NewConn(d.dial(t))
		for range 4 { // more than the CONNECT must not end the silence
			if err := conn.Send(tns.NewConnect([]byte(toSales))); err != nil {
				t.Fatal(err)
			}
			conn.NetConn().SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if p, err := conn.ReadPacket(); !isTimeout(err) {
				t.Fatalf("%+v, %v", p, err)
			}
		}
		conn.NetConn().SetReadDeadline(time.Now().Add(patience))
		d.tell(t, "/listener", `{"mode": "refuse", "code": 12516}`)
		p, err := conn.ReadPacket()
		if err != nil || p.Type != tns.TypeRefuse {
			t.Errorf("who has waited is told %+v, %v", p, err)
		}
	})
	t.Run("accept", func(t *testing.T) {
		d.tell(t, "/listener", `{"mode": "accept"}`)
		if got := d.code(t, toSales); got != served {
			t.Errorf("%v", got)
		}
	})
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// A client that asks for nothing in time, or for nonsense, is told so if it
// speaks Oracle Net at all.
func TestListenerWithoutConnect(t *testing.T) {
	patient, impatient := start(t, &Database{}), start(t, &Database{ConnectPatience: 20 * time.Millisecond})
	for _, c := range []struct {
		name string
		of   *running
		sent []byte
		want tns.Code // 0: closed without a word
	}{
		{"silence", impatient, nil, tns.CodeInboundTimeout},
		{"half a header", impatient, []byte{0, 200, 0}, tns.CodeInboundTimeout},
		{"a CONNECT that contradicts itself", patient, []byte{0, 9, 0, 0, 1, 0, 0, 0, 1}, tns.CodeBadPacket},
		{"HTTP", patient, []byte("GET / HTTP/1.1\r\n\r\n"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := c.of.dial(t)
			if _, err := raw.Write(c.sent); err != nil {
				t.Fatal(err)
			}
			reply, err := tns.NewConn(raw).ReadReply()
			refuse, _ := reply.(*tns.Refuse)
			switch {
			case c.want == 0 && (err == nil || isTimeout(err)):
				t.Errorf("answered %+v, %v", reply, err)
			case c.want != 0 && (refuse == nil || refuse.Code() != c.want):
				t.Errorf("answered %+v, %v; want %v", reply, err, c.want)
			}
		})
	}
}

// Who comes when all places are taken is refused, and let in once one is free.
func TestListenerFull(t *testing.T) {
	d := start(t, &Database{Max: 1})
	reply, first, err := d.ask(t, toSales)
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("%+v, %v", reply, err)
	}
	if got := d.code(t, toSales); got != tns.CodeNoHandler {
		t.Errorf("the second: %v", got)
	}
	if got := d.State().Open; got != 1 {
		t.Errorf("%d places are taken", got)
	}
	half := first.NetConn().(*net.TCPConn)
	half.CloseWrite()
	if _, err := io.Copy(io.Discard, half); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience) // the place is free shortly after the client sees the end
	for d.code(t, toSales) != served {
		if time.Now().After(deadline) {
			t.Fatal("the place is not given back")
		}
	}
}
