package broker

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

const static = "(STATIC_SERVICE=(NAME=%s)%s(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%d)))"

func TestStaticRegistrations(t *testing.T) {
	c := configured(t, goodAddress, fmt.Sprintf(static+static+static+static+static,
		"sales", "(INSTANCE=sales1)", "db1", 1521, "hr", "(INSTANCE=SALES1)", "DB1", 1521, "sales", "(INSTANCE=sales1)(TIER=2)(MAX=300)", "db1", 1522,
		"x", "", "db2", 1521, "y", "", "db2", 1522))
	var got []string
	for _, r := range c.StaticRegistrations() {
		text := string(r.ID) + " " + r.Key()
		for _, h := range r.Handlers {
			text += " " + h.Name + fmt.Sprint(h.Services, h.Port)
		}
		for i := range r.Services {
			text += " " + r.Services[i].Name + "=" + r.Status(&r.Services[i]).String()
		}
		got = append(got, fmt.Sprint(text, " ", r.Tier, " ", r.Max))
	}
	same(t, "registrations", []string{
		"static:sales1@db1 sales1@db1 DEDICATED[0 1] 1521 sales=UNKNOWN hr=UNKNOWN 0 0",
		"static:sales1@db1#2 sales1@db1 DEDICATED2[0] 1522 sales=UNKNOWN 2 300",
		"static:@db2 @db2 DEDICATED[0] 1521 DEDICATED2[1] 1522 x=UNKNOWN y=UNKNOWN 0 0",
	}, got)
	if c.StaticServices[0].Where == "" {
		t.Error("nobody knows where it is written")
	}
}

func staticFile(t *testing.T, file, parameters string) {
	t.Helper()
	text := "T=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))(PARAMETER_LIST=(HOLD_TIMEOUT=0)(PROBE_INTERVAL=0)" + parameters + "))"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Static services are there from the start, by service and, where the instance is known, by SID; a
// reload brings and takes them and leaves alone those that stay.
func TestStaticServicesOverTheWire(t *testing.T) {
	host, port := database(t)
	host2, port2 := database(t)
	file := write(t, "")
	first := fmt.Sprintf(static, "sales", "(INSTANCE=sales1)", host, port)
	staticFile(t, file, first)
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress = state, ""
	})
	accepted := func(text string) *tns.Conn {
		t.Helper()
		conn, reply := r.ask(text)
		if _, ok := reply.(*tns.Accept); !ok {
			t.Errorf("%s answered %T %v", text, reply, reply)
		}
		return conn
	}
	session := accepted(sales)
	accepted("(DESCRIPTION=(CONNECT_DATA=(SID=sales1)))")
	since := r.Snapshot().Registrations()[0].RegisteredAt

	second := fmt.Sprintf(static, "hr", "", host2, port2)
	staticFile(t, file, first+second+"(REGISTRANT=(NAME=prod)(SRC=127.0.0.1)(TIER=3))")
	result, err := r.Reload(t.Context())
	if err != nil || !slices.Contains(result.Changed, "STATIC_SERVICE") {
		t.Fatalf("%+v, %v", result, err)
	}
	accepted("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=hr)))")
	accepted(sales)
	all := r.Snapshot().Registrations()
	stayed := slices.IndexFunc(all, func(one *servicetable.Registration) bool { return one.ID == "static:sales1@127.0.0.1" })
	if len(all) != 2 || stayed < 0 || !all[stayed].RegisteredAt.Equal(since) || all[stayed].Tier != 3 || all[stayed].Database != "prod" {
		t.Errorf("registrations %+v; one was there since %v", all, since)
	}

	staticFile(t, file, strings.Replace(second, "(NAME=hr)", "(NAME=hr)(TIER=1)", 1)+"(REGISTRANT=(NAME=prod)(SRC=127.0.0.1)(TIER=3))")
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantCode(sales, tns.CodeUnknownService)
	if all := r.Snapshot().Registrations(); len(all) != 1 || all[0].Tier != 1 {
		t.Errorf("%+v", all)
	}
	if _, err := session.NetConn().Write([]byte("x")); err != nil {
		t.Errorf("the reload touched a session: %v", err)
	}
}

// A registered instance of the service is used before a static one, and the static one is there
// when that is gone.
func TestStaticServicesComeBehindRegisteredOnes(t *testing.T) {
	host, port := database(t)
	r := start(t, func(c *Config) {
		c.HoldTimeout, c.StaleTimeout = 0, time.Nanosecond
		c.Addresses[0].Port = 0
		var s StaticService
		s.Name, s.Address.Protocol, s.Address.Host, s.Address.Port = "sales", "tcp", host, port
		c.StaticServices = []StaticService{s}
	})
	r.join("sales1", "sales")
	found, err := r.Snapshot().Match(servicetable.Query{Service: "sales"})
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	for range 5 {
		if _, reply := r.ask(sales); !isAccept(reply) {
			t.Fatalf("%T", reply)
		}
	}
	for _, s := range r.consoleSessions() {
		if s.Instance != "sales1@sales1-host" {
			t.Errorf("a session is on %s", s.Instance)
		}
	}
}

// An instance whose name is not known is not asked for by name.
func TestNoInstanceNameIsMadeUp(t *testing.T) {
	asked := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		conn := tns.NewConn(raw)
		connect, err := conn.ReadConnect()
		if err == nil {
			asked <- string(connect.Data)
			_ = conn.Send(tns.AnswerConnect(connect, 318, nil))
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	at := l.Addr().(*net.TCPAddr)
	host, port := at.IP.String(), at.Port
	r := start(t, func(c *Config) {
		var s StaticService
		s.Name, s.Address.Protocol, s.Address.Host, s.Address.Port = "sales", "tcp", host, port
		c.StaticServices, c.ProbeInterval = []StaticService{s}, 0
	})
	r.ask(sales)
	if text := <-asked; strings.Contains(text, "INSTANCE_NAME") || !strings.Contains(text, "(SERVICE_NAME=sales)") {
		t.Errorf("the database was asked %s", text)
	}
}
