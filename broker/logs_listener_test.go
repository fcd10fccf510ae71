package broker

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// scraped is what a strict reader of listener.log makes of an entry, features.md 1.9.
var (
	stamp        = `\d\d-(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)-\d{4} \d\d:\d\d:\d\d`
	anyEntry     = regexp.MustCompile(`^(` + stamp + `)((?: \* .+?)*) \* (\d+)$`)
	connectEntry = regexp.MustCompile(`^` + stamp + ` \* (\((?i:CONNECT_DATA)=.*\)|\((?i:CONNECT_DATA)=.*\.\.\.|<unknown connect data>) \* \(ADDRESS=\(PROTOCOL=tcps?\)\(HOST=([0-9a-f.:]+)\)\(PORT=(\d+)\)\) \* establish(?: \* (.+?))? \* (\d+)$`)
	codeEntry    = regexp.MustCompile(`^TNS-(\d{5}): TNS:.+$`)
)

// entry reads one entry with the line of its code; fields are those between time and code.
func entry(t interface {
	Errorf(string, ...any)
}, text string) (fields []string, code string) {
	lines := strings.Split(text, "\n")
	m := anyEntry.FindStringSubmatch(lines[0])
	if m == nil {
		t.Errorf("no entry: %q", text)
		return nil, ""
	}
	fields, code = strings.Split(m[2], " * ")[1:], m[3]
	switch {
	case code == "0" && len(lines) == 1:
	case code != "0" && len(lines) == 2 && codeEntry.MatchString(lines[1]):
	default:
		t.Errorf("%d lines with code %s: %q", len(lines), code, text)
	}
	return fields, code
}

func reportOf(t interface{ Fatal(...any) }, text string, outcome journal.Outcome, code tns.Code) *relay.ConnectReport {
	asked, err := descriptor.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	data := descriptor.ConnectData(asked)
	return &relay.ConnectReport{
		Explanation: &journal.Explanation{
			Time: time.Date(2018, 5, 15, 10, 34, 43, 0, time.Local), Took: time.Second, Outcome: outcome, Code: int(code),
			Query: journal.Query{Service: data.Text("SERVICE_NAME"), SID: data.Text("SID")},
		},
		Asked: asked, Client: netip.MustParseAddrPort("192.168.1.20:35405"),
	}
}

// TestListenerLogLines compares with the lines of features.md 1.9.
func TestListenerLogLines(t *testing.T) {
	const jdbc = "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521))(CONNECT_DATA=(CID=(PROGRAM=)(HOST=__jdbc__)(USER=))(SERVICE_NAME=ORCL_RW)))"
	unread := &relay.ConnectReport{
		Explanation: &journal.Explanation{Time: time.Date(2008, 2, 29, 15, 36, 46, 0, time.Local), Outcome: journal.Refuse, Code: int(tns.CodeInboundTimeout)},
		Client:      netip.MustParseAddrPort("[::1]:35405"), Secure: true,
	}
	bad := *unread
	bad.Explanation = &journal.Explanation{Time: unread.Explanation.Time, Outcome: journal.Refuse, Code: int(tns.CodeNoConnectData)}
	at := time.Date(2009, 5, 14, 15, 28, 43, 0, time.Local)
	sales := &servicetable.Registration{Instance: "sales"}
	peer := netip.MustParseAddrPort("[::1]:33928")
	status := tns.NewConnect([]byte("(CONNECT_DATA=(CID=(PROGRAM=)(HOST=h)(USER=oracle))(COMMAND=status)(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=202375680))"))
	for want, got := range map[string]string{
		`15-MAY-2018 10:34:44 * (CONNECT_DATA=(CID=(PROGRAM=)(HOST=__jdbc__)(USER=))(SERVICE_NAME=ORCL_RW)) * (ADDRESS=(PROTOCOL=tcp)(HOST=192.168.1.20)(PORT=35405)) * establish * ORCL_RW * 0`: listenerConnect(reportOf(t, jdbc, journal.Relay, 0)),
		`15-MAY-2018 10:34:44 * (CONNECT_DATA=(SID=orcl)) * (ADDRESS=(PROTOCOL=tcp)(HOST=192.168.1.20)(PORT=35405)) * establish * orcl * 0`:                                                      listenerConnect(reportOf(t, "(CONNECT_DATA=(SID=orcl))", journal.Redirect, 0)),
		`15-MAY-2018 10:34:44 * (CONNECT_DATA=(SERVICE_NAME=ORCL_RO)) * (ADDRESS=(PROTOCOL=tcp)(HOST=192.168.1.20)(PORT=35405)) * establish * ORCL_RO * 12514
TNS-12514: TNS:listener does not currently know of service requested in connect descriptor`: listenerConnect(reportOf(t, "(CONNECT_DATA=(SERVICE_NAME=ORCL_RO))", journal.Refuse, tns.CodeUnknownService)),
		"29-FEB-2008 15:36:46 * 12502\nTNS-12502: TNS:" + tns.CodeNoConnectData.Meaning():                                                                                                           listenerConnect(&bad),
		"29-FEB-2008 15:36:46 * <unknown connect data> * (ADDRESS=(PROTOCOL=tcps)(HOST=::1)(PORT=35405)) * establish * <unknown sid> * 12525\nTNS-12525: TNS:" + tns.CodeInboundTimeout.Meaning():   listenerConnect(unread),
		"14-MAY-2009 15:28:43 * (ADDRESS=(PROTOCOL=tcp)(HOST=::1)(PORT=33928)) * service_register * sales * 0":                                                                                      listenerRegistration(at, registration.Event{Kind: registration.Registered, Registration: sales, Peer: peer}),
		"14-MAY-2009 15:28:43 * service_update * sales * 0":                                                                                                                                         listenerRegistration(at, registration.Event{Kind: registration.Updated, Registration: sales, Peer: peer}),
		"14-MAY-2009 15:28:43 * service_died * sales * 12537\nTNS-12537: TNS:" + tns.CodeClosed.Meaning():                                                                                           listenerRegistration(at, registration.Event{Kind: registration.Died, Registration: sales, Peer: peer}),
		"Listener(VNCR option 1) rejected Registration request from destination ::1\n14-MAY-2009 15:28:43 * service_register_NSGR * 1182\nTNS-01182: TNS:" + tns.CodeRegistrationRejected.Meaning(): listenerRegistration(at, registration.Event{Kind: registration.Refused, Peer: peer, Code: tns.CodeRegistrationRejected}),
		"":                                listenerRegistration(at, registration.Event{Kind: registration.Undecodable, Peer: peer}),
		"14-MAY-2009 15:28:43 * ping * 0": listenerCommand(at, tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=ping))")), "ping", 0),
		"14-MAY-2009 15:28:43 * (CONNECT_DATA=(CID=(PROGRAM=)(HOST=h)(USER=oracle))(COMMAND=status)(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=202375680)) * status * 0": listenerCommand(at, status, "status", 0),
		"14-MAY-2009 15:28:43 * (CONNECT_DATA=(COMMAND=password)(VALUE=***)) * password * 1189\nTNS-01189: TNS:" + tns.CodeAdminRefused.Meaning():                     listenerCommand(at, tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=password)(VALUE=tiger))")), "password", tns.CodeAdminRefused),
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// FuzzListenerLog: whatever a client sends, its entry is one that a strict reader reads as one, with
// the client's true address and the true code in it.
func FuzzListenerLog(f *testing.F) {
	for _, text := range []string{
		"(CONNECT_DATA=(SERVICE_NAME=sales))",
		"(CONNECT_DATA=(SERVICE_NAME=\"a\n15-MAY-2018 10:34:44 * (CONNECT_DATA=(SID=x)) * establish * x * 0\"))",
		`(CONNECT_DATA=(CID=(PROGRAM="x * y * * z *")(HOST=*)(USER= * ))(SERVICE_NAME="* * 0"))`,
		"(CONNECT_DATA=(SERVICE_NAME=a\u2028b\u0085c\r\x00\x1b[2K\xff))",
		"(CONNECT_DATA=(SID=* )(SECURITY=(WALLET=secret)))",
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + strings.Repeat("long *", 2000) + ")))",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		asked, err := descriptor.Parse(text)
		if err != nil || descriptor.ConnectData(asked) == nil {
			return
		}
		checkEntry(t, reportOf(t, text, journal.Refuse, tns.CodeUnknownService))
	})
}

func TestNoDescriptorBecomesTwoEntries(t *testing.T) {
	hostile := rapid.StringOf(rapid.SampledFrom([]rune(" *\n\r\t\x00\u0085\u2028a=\"'\\.0")))
	rapid.Check(t, func(t *rapid.T) {
		data := &descriptor.Node{Name: "CONNECT_DATA", Children: []*descriptor.Node{
			{Name: hostile.Draw(t, "name") + "N", Value: hostile.Draw(t, "value")}, {Name: "SERVICE_NAME", Value: hostile.Draw(t, "service")},
		}}
		r := reportOf(t, "(CONNECT_DATA=(SID=x))", journal.Refuse, tns.CodeUnknownService)
		r.Asked, r.Explanation.Query = data, journal.Query{Service: data.Text("SERVICE_NAME")}
		checkEntry(t, r)
	})
}

func checkEntry(t interface{ Errorf(string, ...any) }, r *relay.ConnectReport) {
	text := listenerConnect(r)
	first, _, _ := strings.Cut(text, "\n")
	m := connectEntry.FindStringSubmatch(first)
	if m == nil || m[2] != "192.168.1.20" || m[3] != "35405" || m[5] != "12514" {
		t.Errorf("read as %q: %q", m, first)
	}
	fields, code := entry(t, text)
	named := 1
	if r.Explanation.Query == (journal.Query{}) {
		named = 0
	}
	if len(fields) != 3+named || fields[2] != "establish" || code != "12514" {
		t.Errorf("%d fields, code %s: %q", len(fields), code, first)
	}
	if len(first) > maxLogField+maxLogName+300 {
		t.Errorf("%d bytes", len(first))
	}
	for _, r := range text {
		if r < ' ' && r != '\n' || r == '\u2028' || r == '\u0085' {
			t.Errorf("%q in %q", r, text)
		}
	}
	if strings.Count(text, "\n") != 1 {
		t.Errorf("lines in %q", text)
	}
}

func BenchmarkListenerConnect(b *testing.B) {
	r := reportOf(b, "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=15210))(CONNECT_DATA=(SERVICE_NAME=sales.example.com)(CID=(PROGRAM=app)(HOST=client1)(USER=app))(CONNECTION_ID=KE2Zabcdefghijklmnopqr==)))", journal.Relay, 0)
	for b.Loop() {
		listenerConnect(r)
	}
}
