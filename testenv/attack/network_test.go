package attack

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/broker"
)

// askDNS sends bytes to the DNS and returns the code of the answer. If next is not nil, it is sent after them, and -1 is
// returned if the first answer is that to it.
func (w *world) askDNS(t *testing.T, at string, question, next []byte) int {
	t.Helper()
	c, err := net.Dial("udp", at)
	must(t, err)
	defer c.Close()
	_, err = c.Write(question)
	must(t, err)
	if next != nil {
		_, err = c.Write(next)
		must(t, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 64<<10)
	n, err := c.Read(b)
	must(t, err)
	if n > 4096 {
		t.Errorf("an answer of %d bytes over UDP", n)
	}
	if next != nil && bytes.Equal(b[:2], next[:2]) {
		return -1
	}
	return int(b[3] & 15)
}

// Questions that are malformed, not allowed or not ours are answered as such, and counted.
func TestQuestions(t *testing.T) {
	w := start(t, nil)
	at := w.dnsAt()
	header := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	packed := func(name string, kind uint16, change func(*wire.Msg)) []byte {
		m := new(wire.Msg)
		m.SetQuestion(name, kind)
		if change != nil {
			change(m)
		}
		b, err := m.Pack()
		must(t, err)
		return b
	}
	next := packed("sales.db.example.", wire.TypeSRV, func(m *wire.Msg) { m.Id = 0x4321 }) // not that of a header here
	const none, format, refused, notImplemented = -1, wire.RcodeFormatError, wire.RcodeRefused, wire.RcodeNotImplemented
	for _, q := range []struct {
		name string
		send []byte
		want int
		dns  bool // counted as rejected
	}{
		{"good", packed("sales.db.example.", wire.TypeSRV, nil), wire.RcodeSuccess, false},
		{"a pointer to itself", []byte(header + "\xc0\x0c\x00\x01\x00\x01"), format, true},
		{"pointers in a circle", []byte(header + "\x01a\xc0\x10\x01b\xc0\x0c\x00\x01\x00\x01"), format, true},
		{"a label of 64", []byte(header + "\x40" + strings.Repeat("a", 64) + "\x00\x00\x01\x00\x01"), format, true},
		{"a name of 300 bytes", []byte(header + strings.Repeat("\x3f"+strings.Repeat("a", 63), 5) + "\x00\x00\x01\x00\x01"), format, true},
		{"half a question", []byte(header + "\x05sal"), format, true},
		{"65535 questions, announced", append([]byte(header[:4]+"\xff\xff\x00\x00\x00\x00\x00\x00"), packed("sales.db.example.", wire.TypeSRV, nil)[12:]...), format, true},
		{"no header", []byte("\x12"), none, false},
		{"an answer", []byte("\x12\x34\x81\x00\x00\x00\x00\x00\x00\x00\x00\x00"), none, false},
		{"ANY", packed("db.example.", wire.TypeANY, nil), wire.RcodeSuccess, false},
		{"another zone", packed("example.com.", wire.TypeA, nil), refused, true},
		{"AXFR over UDP", packed("db.example.", wire.TypeAXFR, nil), refused, true},
		{"NOTIFY", packed("db.example.", wire.TypeSOA, func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }), notImplemented, true},
		{"UPDATE", packed("db.example.", wire.TypeSOA, func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }), notImplemented, true},
		{"EDNS of 65535 bytes", packed("sales.db.example.", wire.TypeANY, func(m *wire.Msg) { m.SetEdns0(65535, true) }), wire.RcodeSuccess, false},
		{"EDNS of 0 bytes", packed("sales.db.example.", wire.TypeSRV, func(m *wire.Msg) { m.SetEdns0(0, false) }), wire.RcodeSuccess, false},
		{"TSIG of a key that nobody has", packed("sales.db.example.", wire.TypeSRV, func(m *wire.Msg) { m.SetTsig("nosuch.", wire.HmacSHA256, 300, time.Now().Unix()) }), wire.RcodeNotAuth, true},
	} {
		t.Run(q.name, func(t *testing.T) {
			before, class := w.metrics(), ""
			if q.dns {
				class = "dns"
			}
			var after []byte
			if q.want == none {
				after = next
			}
			if got := w.askDNS(t, at, q.send, after); got != q.want {
				t.Errorf("answered with code %d, want %d", got, q.want)
			}
			w.counted(t, before, class)
		})
	}
	w.unharmed()
}

// Requests that are a client's mistake are answered so, and counted; nobody without credentials learns or changes anything.
func TestRequests(t *testing.T) {
	w := start(t, func(c *broker.Config) { c.RESTAddress, c.RESTCredentials = "127.0.0.1:0", credentials(t) })
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	console, rest := "http://"+w.ConsoleAddress(), "https://"+w.RESTAddress()
	for _, r := range []struct {
		method, url, body string
		header            map[string]string
		want              int
		class             string
	}{
		{"GET", console + "/api/v1/services", "", nil, 200, ""},
		{"GET", console + "/api/v1/nosuch", "", nil, 404, ""},
		{"POST", console + "/api/v1/shutdown", "{}", nil, 403, "api"},
		{"DELETE", console + "/api/v1/sessions/1", "", nil, 403, "api"},
		{"PUT", console + "/api/v1/load", `{"instance":"x","services":{"y":{"goodness":1e400}}}`, nil, 403, "api"},
		{"BREW", console + "/api/v1/services", "", nil, 0, "api"},
		{"GET", console + "/api/v1/services", "", map[string]string{"Host": "evil.example.com"}, 0, ""},
		{"GET", rest + "/api/v1/services", "", nil, 401, "api"},
		{"GET", rest + "/metrics", "", nil, 401, "api"},
		{"GET", rest + "/api/v1/services", "", map[string]string{"Authorization": "Bearer " + strings.Repeat("x", 4000)}, 401, "api"},
		{"POST", rest + "/api/v1/shutdown", "{}", map[string]string{"Authorization": "Basic eDp4"}, 401, "api"},
		{"GET", console + "/" + strings.Repeat("x", 60_000), "", nil, 0, ""},
	} {
		t.Run(r.method+" "+r.url[strings.LastIndex(r.url[:min(len(r.url), 60)], "/"):][:min(20, len(r.url)-strings.LastIndex(r.url[:min(len(r.url), 60)], "/"))], func(t *testing.T) {
			before := w.metrics()
			request, err := http.NewRequestWithContext(t.Context(), r.method, r.url, strings.NewReader(r.body))
			must(t, err)
			for name, value := range r.header {
				request.Header.Set(name, value)
			}
			request.Host = r.header["Host"]
			answer, err := client.Do(request)
			must(t, err)
			answer.Body.Close()
			if r.want != 0 && answer.StatusCode != r.want || answer.StatusCode >= 500 {
				t.Errorf("status %s, want %d", answer.Status, r.want)
			}
			if r.want != 0 {
				w.counted(t, before, r.class)
			}
		})
	}
	if len(w.Snapshot().Registrations()) != 1 {
		t.Error(errors.New("the table has changed"))
	}
	w.unharmed()
}
