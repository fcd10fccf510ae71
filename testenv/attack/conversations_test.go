package attack

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"servicebroker/tns"
)

// Captures of real clients and databases are beside the module, on some machines.
const captures = "../../../shared/captures"

// conversations are good ones with each door, to be broken.
func (w *world) conversations(t *testing.T) map[Door][][][]byte {
	t.Helper()
	clients := slices.Concat(dialogues(), registrations(t), captured(t), states(connect(sales)))
	over := append(requests(), smuggled()...)
	return map[Door][][][]byte{
		ClientDoor: clients, StrangerDoor: clients, SealedDoor: clients,
		RegistrantDoor: append(registrations(t), states(connect(registerCommand))...), ProxyDoor: headers(),
		TLSDoor:    append(hellos(t), dialogues()...),
		SocketDoor: over, ConsoleDoor: over, RESTDoor: over,
		DNSDoor: questions(t, false), DNSStreamDoor: questions(t, true),
		InstanceDoor: w.answers(),
	}
}

// dialogues are those of clients: what is asked, and what follows when it is answered.
func dialogues() (all [][][]byte) {
	texts := []string{
		sales, "(CONNECT_DATA=(SID=sales1))", "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)(SERVER=DEDICATED)(CID=(PROGRAM=sqlplus)(HOST=h)(USER=u))))",
		"(CONNECT_DATA=(COMMAND=ping))", "(CONNECT_DATA=(COMMAND=status))", "(CONNECT_DATA=(COMMAND=version)(ARGUMENTS=64))", "(CONNECT_DATA=(SERVICE_NAME=nosuch))",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.1)(PORT=1))(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.2)(PORT=1))(CONNECT_DATA=(SERVICE_NAME=sales)))",
		wide(20, "(CONNECT_DATA=(SERVICE_NAME=sales))"), wide(200, "(CONNECT_DATA=(SERVICE_NAME=sales)(SECURITY=(TOKEN=x)))"),
	}
	session := [][]byte{
		large(tns.TypeData, append([]byte{0, 0}, bytes.Repeat([]byte{1, 6, 0, 0x7f}, 50)...)), large(tns.TypeMarker, []byte{1, 0, 2}), large(tns.TypeMarker, []byte{1, 0, 1}),
		large(tns.TypeData, []byte{0, 0x40}), large(tns.TypeAbort, nil), large(tns.TypeControl, []byte{0, 8, 0, 0, 0, 0}), large(tns.TypeAttention, nil), large(tns.TypeResend, nil),
	}
	for _, text := range texts {
		whole := connect(text)
		all = append(all, [][]byte{whole}, append([][]byte{whole}, session...), [][]byte{whole, whole}, [][]byte{append(bytes.Clone(whole), session[0]...)})
		old := bytes.Clone(whole)
		copy(old[8:], []byte{1, 0x36, 1, 0x2c}) // version 310
		all = append(all, [][]byte{old, data([]byte("hello")), {0, 11, 0, 0, 12, 0, 0, 0, 1, 0, 2}})
	}
	return append(all, [][]byte{announcing(300), data(bytes.Repeat([]byte("x"), 100)), data(bytes.Repeat([]byte("x"), 200))}, [][]byte{[]byte(proxyHeader), connect(sales)})
}

// states has packets of every type where they do not belong: first, after a CONNECT, twice, and with the length of the other form.
func states(hello []byte) (all [][][]byte) {
	for kind := range tns.Type(20) {
		body := []byte{1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		small, wide := packet(kind, body), large(kind, body)
		all = append(all, [][]byte{small}, [][]byte{wide}, [][]byte{hello, small}, [][]byte{hello, wide}, [][]byte{hello, small, hello}, [][]byte{hello, wide, wide, small})
	}
	return all
}

// packet is one of the small form.
func packet(kind tns.Type, body []byte) []byte {
	n := 8 + len(body)
	return append([]byte{byte(n >> 8), byte(n), 0, 0, byte(kind), 0, 0, 0}, body...)
}

// headers are what proxies say, and those who would like to be one, before a CONNECT.
func headers() (all [][][]byte) {
	const second = "\r\n\r\n\x00\r\nQUIT\n"
	four, six, unix := "\xc0\x00\x02\x4d\xc0\x00\x02\x01\x9c\x41\x05\xf1", strings.Repeat("\x20\x01", 16)+"\x9c\x41\x05\xf1", strings.Repeat("/x", 108)
	for _, header := range []string{
		proxyHeader, "PROXY TCP6 2001:db8::1 2001:db8::2 40001 1521\r\n", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN " + strings.Repeat("f", 90) + "\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n", proxyHeader + proxyHeader,
		"PROXY TCP4 999.0.0.1 1.1.1.1 99999 -1\r\n", "PROXY TCP4 " + strings.Repeat("1", 4000), "PROXY \r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
		second + "\x21\x11\x00\x0c" + four, second + "\x21\x21\x00\x24" + six, second + "\x21\x31\x00\xd8" + unix, second + "\x20\x00\x00\x00", second + "\x21\x11\xff\xff" + four, second + "\x21\x11\x00\x00",
		second + "\x21\x11\x00\x14" + four + "\x20\x00\x05\x01\x00\x00\x00\x00", second + "\x21\x11\x00\x10" + four + "\x04\xff\xff\x00", second + "\x31\x11\x00\x0c" + four, second[:8],
	} {
		all = append(all, [][]byte{[]byte(header), connect(sales)}, [][]byte{append([]byte(header), connect(sales)...)}, [][]byte{[]byte(header[:len(header)/2]), []byte(header[len(header)/2:]), connect(registerCommand)})
	}
	return all
}

// registrations are those of databases, which say further things on the same connection.
func registrations(t *testing.T) (all [][][]byte) {
	t.Helper()
	hello := connect(registerCommand)
	says := func(b []byte) []byte { return tns.AppendData(nil, 0, b, 8192, true) }
	first := message(t, one("made1", "made", "(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.66)(PORT=1521))"))
	many := offer{instance: "made2"}.registration()
	for i := range 50 {
		many.Services = append(many.Services, one("", fmt.Sprintf("made%d", i), "").Services[0])
	}
	second := message(t, many)
	all = append(all, [][]byte{hello, says(first)}, [][]byte{hello, says(first), says(second), says(first)}, [][]byte{hello, says(second), says(first), says(first)},
		[][]byte{hello, says(first), large(tns.TypeData, []byte{0, 0x40})}, [][]byte{hello, says(first[:100]), says(first[100:])}, [][]byte{hello, large(tns.TypeMarker, []byte{1, 0, 2}), says(first)})
	files, _ := filepath.Glob(filepath.Join(captures, "nsgr", "sid_*.bin"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		all = append(all, [][]byte{hello, says(b)}, [][]byte{hello, says(b), says(b)})
	}
	return all
}

// captured are the first packets of real drivers.
func captured(t *testing.T) (all [][][]byte) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(captures, "connect", "*.hex"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		var steps [][]byte
		for line := range strings.FieldsSeq(string(text)) {
			b, err := hex.DecodeString(line)
			must(t, err)
			steps = append(steps, b)
		}
		all = append(all, steps)
	}
	return all
}

// hello is the first flight of a TLS client.
func hello(t *testing.T, c *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tls.Client(theirs, c).Handshake()
	}()
	b := make([]byte, 16<<10)
	n, err := ours.Read(b)
	must(t, err)
	ours.Close()
	theirs.Close()
	<-ended
	return b[:n]
}

// sslv2 is what clients of long ago begin with.
var sslv2 = append([]byte{0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10}, bytes.Repeat([]byte{7, 0, 0xc0}, 12)...)

func hellos(t *testing.T) (all [][][]byte) {
	t.Helper()
	for _, c := range []*tls.Config{
		{InsecureSkipVerify: true}, {ServerName: "localhost"}, {ServerName: "S5.sales.T1.D.I6.sales1.V3.319", NextProtos: []string{"h2", "http/1.1", "acme-tls/1"}},
		{ServerName: "db", MaxVersion: tls.VersionTLS12}, {ServerName: "db", MinVersion: tls.VersionTLS13},
	} {
		b := hello(t, c)
		all = append(all, [][]byte{b}, [][]byte{b, b}, [][]byte{b[:len(b)/2], b[len(b)/2:]}, [][]byte{b, {0x15, 3, 3, 0, 2, 2, 40}}, [][]byte{b, {0x14, 3, 3, 0, 1, 1}})
	}
	return append(all, [][]byte{sslv2})
}

// requests are what is asked over HTTP; none of them changes anything.
func requests() (all [][][]byte) {
	for _, path := range []string{
		"/", "/livez", "/readyz", "/metrics", "/api/v1/services", "/api/v1/services/sales", "/api/v1/sessions?service=sales", "/api/v1/explain?descriptor=(CONNECT_DATA=(SERVICE_NAME=sales))", "/api/v1/explain/AAAA",
		"/api/v1/events?since=0", "/api/v1/held", "/api/v1/quarantine", "/api/v1/rules", "/api/v1/parameters", "/api/v1/mirrors", "/api/v1/peers", "/api/v1/openapi.json", "/api/v1/version",
	} {
		all = append(all, [][]byte{[]byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")})
	}
	for _, body := range []string{`{"kind":"dra1n","target":{"service":"nosuch*"}}`, `{"instance":"nosuch@x","services":{"y":{"goodness":-1}}}`, `[[[[`, "{"} {
		for _, path := range []string{"/api/v1/intents", "/api/v1/load", "/api/v1/nosuch"} {
			all = append(all, [][]byte{[]byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Basic eDp4\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", path, len(body))), []byte(body)})
		}
	}
	return all
}

// smuggled are requests that two readers would take for different ones; again none changes anything.
func smuggled() (all [][][]byte) {
	const get, post = "GET /api/v1/services HTTP/1.1\r\nHost: localhost\r\n", "POST /api/v1/intents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for _, text := range []string{
		post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get + "\r\n", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n5\r\n[[[[[\r\n0\r\n\r\n",
		post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n[[[[[[", post + "Content-Length: +5\r\n\r\n[[[[[", post + "Content-Length: -1\r\n\r\n", post + "Content-Length: 99999999999999999999\r\n\r\n[",
		post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n[", post + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 9000) + "\r\n[\r\n0\r\n\r\n", post + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
		post + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n[[[[", get + "Content-Length: 4\r\n\r\nGET ", get + "\r\n" + get + "\r\n" + get + "\r\n", get + "X: a\r\n b\r\n\r\n", get + "X : y\r\n\r\n", get + "Host: other\r\n\r\n",
		"GET /api/v1/services\r\n", "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: localhost\r\n\r\n", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: b\r\n", 20_000) + "\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /api/v1/events?since=18446744073709551616&limit=-1 HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-,0-,0-\r\nAccept-Encoding: gzip;q=99\r\n\r\n",
		"GET /..%2f..%2fetc/passwd%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + strings.Repeat("A", 60_000) + "\r\n\r\n",
	} {
		all = append(all, [][]byte{[]byte(text)})
	}
	return all
}

// questions are what is asked of the DNS.
func questions(t *testing.T, stream bool) (all [][][]byte) {
	t.Helper()
	for _, kind := range []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeSRV, wire.TypeTXT, wire.TypeSOA, wire.TypeNS, wire.TypeANY, wire.TypeAXFR, wire.TypeIXFR, wire.TypePTR} {
		for _, name := range []string{"db.example.", "sales.db.example.", "_oracle._tcp.sales.db.example.", "nosuch.db.example.", "example.com.", "."} {
			m := new(wire.Msg)
			m.SetQuestion(name, kind)
			m.SetEdns0(4096, true)
			if kind == wire.TypeAXFR {
				m.SetTsig("key.", wire.HmacSHA256, 300, 1)
			}
			for _, op := range []int{wire.OpcodeQuery, wire.OpcodeNotify, wire.OpcodeUpdate} {
				m.Opcode = op
				b, err := m.Pack()
				must(t, err)
				if stream {
					b = append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
				}
				all = append(all, [][]byte{b})
			}
		}
	}
	return all
}

// answers are what an instance says to a CONNECT.
func (w *world) answers() [][][]byte {
	accept := tns.AnswerConnect(tns.NewConnect([]byte(sales)), 318, nil).AppendTo(nil, false)
	refuse := tns.NewRefuse(tns.CodeUnknownService, 0).AppendTo(nil, false)
	resend := tns.Resend{}.AppendTo(nil, false)
	all := append(states(resend), [][][]byte{{accept}, {refuse}, {resend, accept}, {resend, resend, resend, resend, resend, resend}, {accept, large(tns.TypeData, append([]byte{0, 0}, "hello"...))}, {accept, large(tns.TypeMarker, []byte{1, 0, 1})}, {data([]byte("x"))}}...)
	for _, to := range []string{addressOf("127.0.0.1:1"), addressOf(w.Addresses()[plain]), addressOf(w.database)} {
		m := &tns.Redirect{Address: to}
		all = append(all, [][]byte{m.AppendTo(nil, false)}, [][]byte{resend, m.AppendTo(nil, false)})
	}
	return all
}
