package attack

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// handshakes is the row of the catalogue about TLS, as far as it is about bytes.
func handshakes(t *testing.T) []probe {
	t.Helper()
	good := hello(t, &tls.Config{ServerName: "localhost"})
	record := func(kind byte, body []byte) []byte {
		return append([]byte{kind, 3, 1, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	return []probe{
		{name: "SSLv2 hello", at: overTLS, send: sslv2, want: wantAlert, class: "foreign"},
		{name: "SSLv2 hello on the clear port", send: sslv2, want: wantClose, class: "foreign"},
		{name: "a CONNECT on the port with TLS", at: overTLS, send: connect(sales), want: tns.CodeProtocolAdapter, class: "tls"},
		{name: "half a CONNECT on the port with TLS", at: overTLS, send: connect(sales)[:20], want: wantClose, class: "incomplete"},
		{name: "TLS on the clear port", send: good, want: tns.CodeProtocolAdapter, class: "tls"},
		{name: "HTTP on the port with TLS", at: overTLS, send: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), want: wantClose, class: "foreign"},
		{name: "zeros on the port with TLS", at: overTLS, send: make([]byte, 4096), want: wantClose, class: "foreign"},
		{name: "nothing on the port with TLS", at: overTLS, want: wantClose},
		{name: "half a hello", at: overTLS, send: good[:len(good)/2], want: wantAny, class: "incomplete"},
		{name: "half a hello, silence", at: overTLS, send: good[:len(good)/2], then: stay, want: wantClose, class: "silence"},
		{name: "a hello cut short within its record", at: overTLS, send: record(0x16, good[5:60]), want: wantAny, class: "incomplete"},
		{name: "a hello of 16 MB, announced", at: overTLS, send: record(0x16, append([]byte{1, 0xff, 0xff, 0xff}, good[9:]...)), want: wantAlert, class: "tls"},
		{name: "a record of 65535 bytes", at: overTLS, send: append([]byte{0x16, 3, 1, 0xff, 0xff}, make([]byte, 0xffff)...), want: wantAlert, class: "foreign"},
		{name: "a server's hello", at: overTLS, send: record(0x16, []byte{2, 0, 0, 4, 3, 3, 0, 0}), want: wantAlert, class: "tls"},
		{name: "data before the handshake", at: overTLS, send: record(0x17, connect(sales)), want: wantClose, class: "foreign"},
		{name: "an alert", at: overTLS, send: record(0x15, []byte{2, 40}), want: wantAny, class: "tls"},
		{name: "empty records for ever", at: overTLS, send: bytes.Repeat(record(0x16, nil), 1000), want: wantAlert, class: "tls"},
	}
}

func TestHandshakes(t *testing.T) {
	besiege(t, handshakes(t))
}

// What a client says of the server's name, and of protocols, changes nothing for it: there is one certificate.
func TestNamesInHandshakes(t *testing.T) {
	w := start(t, nil)
	many := make([]string, 200)
	for i := range many {
		many[i] = strings.Repeat(string(rune('a'+i%26)), 1+i%250)
	}
	for name, c := range map[string]*tls.Config{
		"none": {}, "of another host": {ServerName: "nosuch.example.com"}, "in the form of Oracle's clients": {ServerName: "S5.sales.T1.D.I6.sales1.V3.319"},
		"in that form, broken": {ServerName: "S99999999999999999999.sales.T1"}, "of 250 letters": {ServerName: strings.Repeat("a.", 125)},
		"junk": {ServerName: "x\x01\x7f\xff'\"<>"}, "protocols": {NextProtos: many}, "protocols of junk": {NextProtos: []string{"\x00", "\xff\xfe", "h2", "http/1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.metrics()
			c.InsecureSkipVerify = true
			answer, err := w.overTLS(overTLS, c)
			if _, ok := answer.(*tns.Accept); !ok || err != nil {
				t.Errorf("answered with %#v, %v", answer, err)
			}
			w.counted(t, before, "")
		})
	}
	for _, length := range []int{16_000, 60_000} {
		t.Run(fmt.Sprint(length, " bytes"), func(t *testing.T) {
			before := w.metrics()
			if answer, err := w.overTLS(overTLS, &tls.Config{ServerName: strings.Repeat("a", length), InsecureSkipVerify: true}); err == nil {
				t.Logf("answered with %T", answer)
			} else {
				w.counted(t, before, "tls")
			}
		})
	}
	w.unharmed()
}

// overTLS asks for sales at a door.
func (w *world) overTLS(at int, c *tls.Config) (tns.Message, error) {
	raw := w.dial(at)
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(answerLimit))
	secure := tls.Client(raw, c)
	if _, err := secure.Write(connect(sales)); err != nil {
		return nil, err
	}
	reply, err := tns.NewConn(secure).ReadReply()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return reply, err
}

// Only clients with a certificate of the right authority, that is good now, are let in where certificates are asked for.
func TestCertificatesOfClients(t *testing.T) {
	w := start(t, nil)
	other := authority.New(t)
	with := func(pair tls.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	}
	template := func() *x509.Certificate { return &x509.Certificate{Subject: pkix.Name{CommonName: "app"}} }
	expired, early := template(), template()
	expired.NotBefore, expired.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	early.NotBefore, early.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	for _, c := range []struct {
		name  string
		tls   *tls.Config
		class string
	}{
		{"good", with(w.ca.Sign(template())), ""}, {"none", &tls.Config{InsecureSkipVerify: true}, "tls"}, {"expired", with(w.ca.Sign(expired)), "tls"},
		{"not good yet", with(w.ca.Sign(early)), "tls"}, {"of another authority", with(other.Sign(template())), "tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.metrics()
			answer, err := w.overTLS(mutual, c.tls)
			if _, ok := answer.(*tns.Accept); ok != (c.class == "") || (err == nil) != ok {
				t.Errorf("answered with %#v, %v", answer, err)
			}
			w.counted(t, before, c.class)
		})
	}
	w.unharmed()
}
