package relay

import (
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func redirecting(t *testing.T) *world {
	w := newWorld(t)
	w.mode(ModeRedirect)
	w.instance("db2-vip", accepts, "sales")
	return w
}

func (w *world) wantRedirect(text, connectData string) {
	w.t.Helper()
	m := w.reply(w.client(text))
	r, ok := m.(*tns.Redirect)
	if !ok {
		w.t.Fatalf("answer %T %v, want a redirect", m, m)
	}
	if r.Address != "(ADDRESS=(PROTOCOL=TCP)(HOST=db2-vip)(PORT=1521))" {
		w.t.Errorf("address %q", r.Address)
	}
	if r.ConnectData != connectData {
		w.t.Errorf("connect data\n %q\nwant\n %q", r.ConnectData, connectData)
	}
}

// wantRelayed connects and expects to be carried, not redirected.
func (w *world) wantRelayed(connect *tns.Connect) {
	w.t.Helper()
	client := w.clientWith(connect)
	if m := w.reply(client); !isAccept(m) {
		w.t.Errorf("answer %T %v, want the session to be carried", m, m)
	}
	client.NetConn().Close()
}

func isAccept(m tns.Message) bool { _, ok := m.(*tns.Accept); return ok }

// The whole answer, byte by byte, as all drivers take it (tns.md 4).
func TestRedirectBytes(t *testing.T) {
	w := redirecting(t)
	client := w.client("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))")
	want := "000a000005020000" + "0079" + "0083000006000000" + "0040" + hex.EncodeToString([]byte(
		"(ADDRESS=(PROTOCOL=TCP)(HOST=db2-vip)(PORT=1521))\x00(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=db2-vip)))"))
	// 7 bytes more than the example of tns.md 4: the instance is db2-vip here, sales2 there, and the service name differs.
	want = strings.Replace(strings.Replace(want, "0079", "007a", 1), "0083", "0084", 1)
	got := make([]byte, len(want)/2)
	if _, err := io.ReadFull(client.NetConn(), got); err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
	client.NetConn().Close()
}

func TestRedirectKeepsWhatTheClientAsked(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"addresses go, the rest stays",
			"(DESCRIPTION=(CONNECT_TIMEOUT=5)(ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=a)(PORT=1))(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=1)))(CONNECT_DATA=(SERVICE_NAME=SALES)(SERVER=dedicated)(CID=(PROGRAM=p)(HOST=h)(USER=u))(CONNECTION_ID=abc==)))",
			"(DESCRIPTION=(CONNECT_TIMEOUT=5)(CONNECT_DATA=(SERVICE_NAME=SALES)(SERVER=dedicated)(CID=(PROGRAM=p)(HOST=h)(USER=u))(CONNECTION_ID=abc==)(INSTANCE_NAME=db2-vip)))"},
		{"an instance asked for is replaced",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=DB2-VIP)))",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=db2-vip)))"},
		{"a SID stays alone",
			"(DESCRIPTION=(CONNECT_DATA=(SID=db2-vip)))",
			"(DESCRIPTION=(CONNECT_DATA=(SID=db2-vip)))"},
		{"bare connect data",
			" (CONNECT_DATA =\n (SERVICE_NAME = sales))",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=db2-vip)))"},
		{"the name the instance knows",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales.example.com)))",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=db2-vip)))"},
		{"first description of a list",
			"(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=a)(PORT=1))(CONNECT_DATA=(SERVICE_NAME=sales)))(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=other))))",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=db2-vip)))"},
		{"what does not fit is left out",
			"(DESCRIPTION=(PAD=" + strings.Repeat("p", 9000) + ")(CONNECT_DATA=(SERVICE_NAME=sales)))",
			"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=db2-vip)))"},
	} {
		t.Run(c.name, func(t *testing.T) { redirecting(t).wantRedirect(c.sent, c.want) })
	}
}

func TestCarriesWhomItCannotRedirect(t *testing.T) {
	plain := func() *tns.Connect { return tns.NewConnect([]byte(sales)) }
	t.Run("already redirected", func(t *testing.T) {
		connect := plain()
		connect.HeaderFlags = tns.FlagRedirected
		redirecting(t).wantRelayed(connect)
	})
	t.Run("more connect data than a redirect holds", func(t *testing.T) {
		redirecting(t).wantRelayed(tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(PAD=" + strings.Repeat("p", 9000) + ")))")))
	})
	for name, change := range map[string]func(*servicetable.Handler){
		"host that some drivers do not take": func(h *servicetable.Handler) { h.Host = "db2 vip" },
		"other protocol":                     func(h *servicetable.Handler) { h.Protocol = "tcps" },
	} {
		t.Run(name, func(t *testing.T) {
			w := redirecting(t)
			r := *w.table.Snapshot().Registrations()[0]
			r.Handlers = append([]servicetable.Handler(nil), r.Handlers...)
			change(&r.Handlers[0])
			w.table.Apply(r)
			w.listeners["db2 vip:1521"] = accepts
			m := w.reply(w.client(sales))
			if _, redirected := m.(*tns.Redirect); redirected {
				t.Error("redirected")
			}
		})
	}
	t.Run("an address of our own", func(t *testing.T) {
		w := redirecting(t)
		w.Own = func(host string, port int) bool { return host == "db2-vip" && port == 1521 }
		w.wantCode(sales, tns.CodeRedirectDenied)
	})
}

func TestAConnectThatComesBackIsCarried(t *testing.T) {
	withID := strings.Replace(sales, "(CID=", "(CONNECTION_ID=one==)(CID=", 1)
	t.Run("by CONNECTION_ID", func(t *testing.T) {
		w := redirecting(t)
		if _, ok := w.reply(w.client(withID)).(*tns.Redirect); !ok {
			t.Fatal("not redirected at first")
		}
		w.wantRelayed(tns.NewConnect([]byte(withID)))
		if _, ok := w.reply(w.client(strings.Replace(withID, "one==", "two==", 1))).(*tns.Redirect); !ok {
			t.Error("another connect of the same address was not redirected")
		}
	})
	t.Run("by the instance we put in", func(t *testing.T) {
		w := redirecting(t)
		r, ok := w.reply(w.client(sales)).(*tns.Redirect)
		if !ok {
			t.Fatal("not redirected at first")
		}
		w.wantRelayed(tns.NewConnect([]byte(r.ConnectData)))
		if _, ok := w.reply(w.client(sales)).(*tns.Redirect); !ok {
			t.Error("another client of the same address and service was not redirected")
		}
	})
}

func TestLoopGuardForgets(t *testing.T) {
	var g loopGuard
	for range loopMaximum + 1 {
		g.sent([]string{"k" + strconv.Itoa(len(g.recent))}, "s1@h/D")
	}
	if to, known := g.returned([]string{"k1"}); !known || to != "s1@h/D" || len(g.recent) > loopMaximum || len(g.previous) > loopMaximum {
		t.Errorf("%d recent, %d previous", len(g.recent), len(g.previous))
	}
	g.turned = g.turned.Add(-2 * loopPeriod)
	if _, known := g.returned([]string{"k1"}); known {
		t.Error("remembered for longer than two periods")
	}
}

// Every captured CONNECT must come out of a relay as one that names the chosen
// instance and address, and nothing of the client's route.
func TestCapturedConnects(t *testing.T) {
	files, _ := filepath.Glob("../../shared/captures/connect/*.hex")
	if len(files) == 0 {
		t.Skip("captured CONNECTs are not beside the project: ../shared/captures/connect")
	}
	c := servicetable.Candidate{
		Registration: &servicetable.Registration{Instance: "inst1"}, Service: &servicetable.Service{Name: "sales.example.com"},
		Handler: &servicetable.Handler{Protocol: "tcp", Host: "db9", Port: 1599},
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			connect := readCapture(t, file)
			asked, err := descriptor.Parse(string(connect.Data))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := question(asked); err != nil && !strings.Contains(file, "noservice") && !strings.Contains(file, "command") {
				t.Fatal(err)
			}
			n := withAddress(retarget(asking(asked), c), descriptor.Address{Protocol: "tcp", Host: "db9", Port: 1599})
			if all := descriptor.Addresses(n); len(all) != 1 || all[0].Text("HOST") != "db9" {
				t.Errorf("addresses of %s", n)
			}
			if descriptor.SourceRoute(n) {
				t.Errorf("a route is left: %s", n)
			}
			if service := n.Text("CONNECT_DATA", "SERVICE_NAME"); service != "" && n.Text("CONNECT_DATA", "INSTANCE_NAME") != "inst1" {
				t.Errorf("instance not named: %s", n)
			}
		})
	}
}

// asking is the dialogue of a client that sent a descriptor.
func asking(asked *descriptor.Node) *dialogue {
	q, _ := question(asked)
	return &dialogue{asked: asked, query: q}
}

func readCapture(t *testing.T, file string) *tns.Connect {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	go func() {
		defer near.Close()
		for _, line := range strings.Fields(string(text)) {
			packet, _ := hex.DecodeString(line)
			_, _ = near.Write(packet)
		}
	}()
	connect, err := tns.NewConn(far).ReadConnect()
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	return connect
}

// What is sent on names what was judged and nothing else, however a client hides
// more in its descriptor.
func TestOnlyWhatWasJudgedIsSentOn(t *testing.T) {
	c := servicetable.Candidate{Registration: &servicetable.Registration{Instance: "i1"}, Service: &servicetable.Service{Name: "allowed"}, Handler: &servicetable.Handler{}}
	for sent, want := range map[string]string{
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed)(SID=db1)))":                                    "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed)(INSTANCE_NAME=i1)))",
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed)(SERVICE_NAME=secret)))":                        "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed)(INSTANCE_NAME=i1)))",
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed))(CONNECT_DATA=(SID=db1)))":                     "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed)(INSTANCE_NAME=i1)))",
		"(DESCRIPTION=(SDU=8192)(CONNECT_DATA=(SID=i1)(SID=db1)))":                                        "(DESCRIPTION=(SDU=8192)(CONNECT_DATA=(SID=i1)))",
		"(DESCRIPTION=(FOO=(CONNECT_DATA=(SID=db1)))(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed))))": "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=allowed)(INSTANCE_NAME=i1)))",
		"(DESCRIPTION=(DESCRIPTION=(CONNECT_DATA=(SID=db1)))(CONNECT_DATA=(SERVICE_NAME=allowed)))":       "(DESCRIPTION=(CONNECT_DATA=(SID=db1)))",
	} {
		asked, err := descriptor.Parse(sent)
		if err != nil {
			t.Fatal(err)
		}
		q, err := question(asked)
		if err != nil {
			t.Fatalf("%s: %v", sent, err)
		}
		if got := retarget(asking(asked), c).String(); got != want {
			t.Errorf("%s\n judged %+v\n sent on as %s\n want %s", sent, q, got, want)
		}
	}
}
