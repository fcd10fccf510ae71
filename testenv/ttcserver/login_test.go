package ttcserver

import (
	"context"
	"errors"
	"strings"
	"testing"

	"servicebroker/testenv/sqlengine"
	"servicebroker/tns"
	"servicebroker/ttc"
)

func TestLogin(t *testing.T) {
	w := newWorld(t, nil)
	for _, test := range []struct {
		user, password string
		code           uint32
	}{
		{"scott", "tiger", 0}, {"SCOTT", "tiger", 0}, {`"SCOTT"`, "tiger", 0}, {"app", "app", 0}, {`"mixed"`, "x", 0},
		{"scott", "lion", 1017}, {"scott", "", 1017}, {"scott", "TIGER", 1017}, {"nobody", "tiger", 1017}, {"", "tiger", 1017},
		{"mixed", "x", 1017}, {`"scott"`, "tiger", 1017}, {"app", "tiger", 1017},
	} {
		c := w.connect(context.Background(), Login{Service: "sales"}, 318)
		c.negotiate()
		end := c.login(test.user, test.password)
		if end.Code != test.code {
			t.Errorf("%s/%s: %d %s, want %d", test.user, test.password, end.Code, end.Text, test.code)
		}
		if test.code != 0 {
			if !strings.Contains(end.Text, "invalid username/password") {
				t.Errorf("%s/%s: %q", test.user, test.password, end.Text)
			}
			c.gone()
		}
		c.raw.Close()
		if err := w.end(); err != nil {
			t.Errorf("%s/%s: the conversation ends with %v", test.user, test.password, err)
		}
	}
}

func TestLoginDialects(t *testing.T) {
	for _, test := range []struct {
		name    string
		server  Dialect
		client  ttc.Capabilities
		version uint16
		ending  bool
	}{
		{"default", Dialect{}, ttc.ClientCapabilities(24, true), 319, false},
		{"old client", Dialect{}, ttc.ClientCapabilities(7, false), 314, false},
		{"end of response", Dialect{TNSVersion: 319, EndOfResponse: true, FieldVersion: 24}, ttc.ClientCapabilities(24, true), 319, true},
		{"end of response not asked for", Dialect{TNSVersion: 319, EndOfResponse: true, FieldVersion: 13}, ttc.ClientCapabilities(24, false), 319, false},
		{"end of response too early", Dialect{TNSVersion: 319, EndOfResponse: true}, ttc.ClientCapabilities(24, true), 318, false},
		{"oldest login", Dialect{ClassicVerifier: true}, ttc.ClientCapabilities(12, false), 318, false},
		{"small packets", Dialect{SDU: 512, FieldVersion: 18}, ttc.ClientCapabilities(18, false), 318, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(s *Server) { s.Dialect = test.server })
			c := w.connect(context.Background(), Login{Service: "sales"}, test.version)
			c.caps = test.client
			c.negotiate()
			if c.dialect.EndOfResponse != test.ending {
				t.Errorf("end of response: %v, want %v", c.dialect.EndOfResponse, test.ending)
			}
			for _, user := range []string{"scott/tiger", "app/app"} {
				name, password, _ := strings.Cut(user, "/")
				if end := c.login(name, password); end.Code != 0 {
					t.Fatalf("%s: %s", user, end.Text)
				}
				_, r := c.exec("select 'x' a, 1.5 b from dual", options{prefetch: 2})
				if got := show(r.must(c)); got != "x,1.5" {
					t.Errorf("%s: %s", user, got)
				}
				c.raw.Close()
				if err := w.end(); err != nil {
					t.Error(err)
				}
				c = w.connect(context.Background(), Login{Service: "sales"}, test.version)
				c.caps = test.client
				c.negotiate()
			}
		})
	}
}

func TestAcceptForm(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Dialect = Dialect{TNSVersion: 319, EndOfResponse: true, FastAuth: true} })
	c := w.connect(context.Background(), Login{}, 319)
	if want := tns.Flags2EndOfResponse | tns.Flags2FastAuth; c.accept.Flags2 != want || c.accept.Flags0 != tns.AcceptFlags0NoNA {
		t.Errorf("flags %#x %#x, want %#x %#x", c.accept.Flags2, c.accept.Flags0, want, tns.AcceptFlags0NoNA)
	}
	if c.accept.Offset != 61 || c.accept.SDU != 8192 {
		t.Errorf("data offset %d, SDU %d; want 61, 8192", c.accept.Offset, c.accept.SDU)
	}
}

func TestVersionsDoNotMeet(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Dialect.TNSVersion = 314 })
	raw := w.serve(context.Background(), Login{})
	conn := tns.NewConn(raw)
	request := tns.NewConnect([]byte("(CONNECT_DATA=(SERVICE_NAME=x))"))
	request.Lowest = 315
	if err := conn.Send(request); err != nil {
		t.Fatal(err)
	}
	reply, err := conn.ReadReply()
	refuse, ok := reply.(*tns.Refuse)
	if !ok || refuse.Code() != 12618 {
		t.Fatalf("got %#v, error %v; want a refusal with 12618", reply, err)
	}
	raw.Close()
	if err := w.end(); !errors.Is(err, tns.ErrVersion) {
		t.Errorf("Serve returns %v", err)
	}
}

func TestFastAuth(t *testing.T) {
	for _, login := range []byte{13, 24} { // drivers differ in what they write the login in
		w := newWorld(t, func(s *Server) {
			s.Dialect = Dialect{TNSVersion: 319, EndOfResponse: true, FastAuth: true, FieldVersion: 24}
		})
		c := w.connect(context.Background(), Login{Service: "sales"}, 319)
		types := ttc.NewDataTypes(c.caps)
		server := ttc.ServerCapabilities(24, false)
		c.agree(server, types)
		m := ttc.FastAuth{
			Protocol: ttc.Protocol{Versions: []byte{6}, Driver: "fast"}, FieldVersion: login, DataTypes: *types,
			Login: ttc.Auth{User: "scott", Mode: ttc.AuthLogon},
		}
		c.send(m.AppendTo(nil, c.dialect))
		c.in.Byte()
		var protocol ttc.ProtocolReply
		protocol.Decode(c.in)
		c.in.Byte()
		types.DecodeReply(c.in)
		c.in.Byte()
		var challenge ttc.AuthReply
		challenge.Decode(c.in)
		c.in.Byte()
		var end ttc.CallEnd
		end.Decode(c.in, c.dialect)
		c.ended()
		if end := c.phaseTwo("scott", "tiger", &challenge, nil); end.Code != 0 {
			t.Fatalf("login: %s", end.Text)
		}
		c.exec("select 1 a from dual", options{prefetch: 1})
	}
}

func TestSessionProperties(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.Identity = Identity{Instance: "sales1", Database: "sales", UniqueName: "sales_u", Domain: "example.com", Host: "db1", Release: [5]byte{23, 6, 0, 24, 10}}
	})
	c := w.dial(Login{Service: "orders"})
	for key, want := range map[string]string{
		"AUTH_SC_SERVICE_NAME": "orders", "AUTH_INSTANCENAME": "sales1", "AUTH_DBNAME": "sales", "AUTH_SC_DBUNIQUE_NAME": "sales_u",
		"AUTH_SC_DB_DOMAIN": "example.com", "AUTH_SC_SERVER_HOST": "db1", "AUTH_SESSION_ID": "101",
		"AUTH_VERSION_NO": "386269578", // 23<<24 | 6<<16 | 24<<4 | 10
	} {
		if got := c.reply.Value(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if c.reply.Value("AUTH_DB_MOUNT_ID") == "" {
		t.Error("no AUTH_DB_MOUNT_ID, without which some drivers refuse")
	}
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionVersion, &ttc.VersionCall{}))
	var version ttc.Version
	c.in.Begin()
	c.in.Byte()
	version.Decode(c.in, c.dialect)
	if c.in.Byte() != byte(ttc.MessageStatus) || !strings.HasPrefix(version.Banner, "Test Database Release 23.6.0.24.10") || version.Number>>24 != 23 {
		t.Errorf("version %+v", version)
	}
}

func TestSessionsAreListed(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{Service: "sales", ClientAddress: "192.0.2.7"})
	infos := w.server.Sessions()
	if len(infos) != 1 {
		t.Fatalf("%d sessions, want 1", len(infos))
	}
	got := infos[0]
	if got.User != "SCOTT" || got.Program != "tester" || got.Machine != "here" || got.OSUser != "me" || got.ClientAddress != "192.0.2.7" ||
		got.Service != "sales" || got.SessionID == 0 || got.Driver != "test driver" {
		t.Errorf("listed as %+v", got)
	}
	c.exec("create table listed (a number)", options{})
	c.exec("insert into listed values (1)", options{})
	if got := w.server.Sessions()[0]; got.Statement != "insert into listed values (1)" || !got.InTransaction || got.Active {
		t.Errorf("after an insert: %+v", got)
	}
	c.raw.Close()
	if w.end(); len(w.server.Sessions()) != 0 {
		t.Error("a session outlives its connection in the list")
	}
}

func TestProxyUser(t *testing.T) {
	current := "select sys_context('USERENV','CURRENT_USER') || '/' || sys_context('USERENV','PROXY_USER') a from dual"
	w := newWorld(t, nil)
	c := w.connect(context.Background(), Login{}, 318)
	c.negotiate()
	if end := c.login("scott", "tiger", ttc.Pair{Key: ttc.KeyProxyClient, Value: "app"}); end.Code != 0 {
		t.Fatal(end.Text)
	}
	if _, r := c.exec(current, options{prefetch: 1}); show(r) != "APP/SCOTT" {
		t.Errorf("acting as %s", show(r))
	}
	for _, denied := range []struct {
		may    func(string, string) bool
		client string
	}{{nil, "nobody"}, {func(user, client string) bool { return user != "SCOTT" }, "app"}} {
		w := newWorld(t, func(s *Server) { s.MayProxy = denied.may })
		c := w.connect(context.Background(), Login{}, 318)
		c.negotiate()
		if end := c.login("scott", "tiger", ttc.Pair{Key: ttc.KeyProxyClient, Value: denied.client}); end.Code != 28150 {
			t.Errorf("as %s: %d %s, want 28150", denied.client, end.Code, end.Text)
		}
	}
}

func TestStatementAtLogin(t *testing.T) {
	w := newWorld(t, nil)
	for _, statement := range []string{"ALTER SESSION SET TIME_ZONE='+05:30'\x00", "not a statement", "drop table dual", " "} {
		c := w.connect(context.Background(), Login{}, 318)
		c.negotiate()
		if end := c.login("scott", "tiger", ttc.Pair{Key: ttc.KeyAlterSession, Value: statement}); end.Code != 0 {
			t.Errorf("%q: %s", statement, end.Text)
		}
		if _, r := c.exec("select sessiontimezone a from dual", options{prefetch: 1}); strings.Contains(statement, "+05:30") && show(r) != "+05:30" {
			t.Errorf("time zone %s", show(r))
		}
	}
}

// What is not a login before the login, and negotiation after it, ends the
// conversation with an answer.
func TestOutOfOrder(t *testing.T) {
	w := newWorld(t, nil)
	for _, test := range []struct {
		name  string
		after bool // the login
		send  func(d ttc.Dialect) []byte
		code  uint32
	}{
		{"ping before the login", false, func(d ttc.Dialect) []byte { return ttc.AppendCall(nil, d, ttc.FunctionPing, nil) }, 1012},
		{"phase two first", false, func(d ttc.Dialect) []byte {
			return ttc.AppendCall(nil, d, ttc.FunctionAuthTwo, &ttc.Auth{User: "scott"})
		}, 1017},
		{"piggyback before the login", false, func(d ttc.Dialect) []byte {
			return ttc.AppendPiggyback(nil, d, ttc.FunctionCloseCursors, &ttc.Cursors{})
		}, 1012},
		{"negotiation after the login", true, func(ttc.Dialect) []byte { return ttc.NewDataTypes(ttc.ClientCapabilities(12, false)).AppendTo(nil) }, 3137},
		{"unknown message", true, func(ttc.Dialect) []byte { return []byte{77, 1, 2, 3} }, 3137},
		{"unknown piggyback", true, func(d ttc.Dialect) []byte { return ttc.AppendPiggyback(nil, d, 199+50, &ttc.Fetch{}) }, 3001},
		{"too long a message", false, func(ttc.Dialect) []byte {
			return (&ttc.Protocol{Versions: make([]byte, 0), Driver: strings.Repeat("x", 300)}).AppendTo(nil)
		}, 3137},
	} {
		c := w.connect(context.Background(), Login{}, 318)
		c.negotiate()
		if test.after {
			c.login("scott", "tiger")
		}
		c.send(test.send(c.dialect))
		if end := c.answer(&cursorState{}).end; end.Code != test.code {
			t.Errorf("%s: %d %s, want %d", test.name, end.Code, end.Text, test.code)
		}
		c.gone()
	}
}

func TestPasswordChangeRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionAuthTwo, &ttc.Auth{User: "scott", Mode: ttc.AuthChangePassword}))
	c.answer(&cursorState{}).want(c, 1031)
	c.call(ttc.FunctionPing)
}

func TestNoSession(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.NewSession = func(context.Context, Login) (*sqlengine.Session, error) {
			return nil, &sqlengine.Error{Code: 18, Text: "maximum number of sessions exceeded"}
		}
	})
	c := w.connect(context.Background(), Login{}, 318)
	c.negotiate()
	if end := c.login("scott", "tiger"); end.Code != 18 {
		t.Errorf("%d %s, want 18", end.Code, end.Text)
	}
	c.gone()
}

func TestNativeServices(t *testing.T) {
	w := newWorld(t, nil)
	c := w.connect(context.Background(), Login{}, 318)
	request := ttc.NativeServices{Version: 1, Services: []ttc.NativeService{{Number: ttc.ServiceEncryption, Parts: []ttc.ServicePart{{Type: ttc.PartRaw, Data: []byte{0}}}}}}
	c.send(request.AppendTo(nil))
	var reply ttc.NativeServices
	c.in.Byte()
	if reply.Decode(c.in); c.in.Err() != nil || len(reply.Services) != 1 || reply.Services[0].Error != 0 {
		t.Fatalf("reply %+v, error %v", reply, c.in.Err())
	}
	c.in.Begin()
	c.negotiate()
	if end := c.login("scott", "tiger"); end.Code != 0 {
		t.Error(end.Text)
	}
}
