package hardened

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// stranger is a client on another host, who has no credentials.
type stranger struct {
	*stage.Network
	t    *testing.T
	host string // of the broker
}

// dial connects from there.
func (s *stranger) dial(port string) net.Conn {
	s.t.Helper()
	var c net.Conn
	must(s.t, s.Inside(func() (err error) {
		c, err = net.DialTimeout("tcp", net.JoinHostPort(s.host, port), patience)
		return err
	}))
	s.t.Cleanup(func() { _ = c.Close() })
	must(s.t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// told is all that is answered to a text until the connection is closed.
func (s *stranger) told(c net.Conn, text []byte) string {
	s.t.Helper()
	_, err := c.Write(text)
	must(s.t, err)
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	said, _ := io.ReadAll(c) // which a reset may end
	return string(said)
}

// connect is the packet by which a client asks for something.
func connect(t *testing.T, data string) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	var sent bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&sent, theirs)
	}()
	must(t, tns.NewConn(ours).Send(tns.NewConnect([]byte(data))))
	must(t, ours.Close())
	<-done
	return sent.Bytes()
}

// asking is what a client sends that asks for a service.
func asking(service string) string {
	return "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + service + ")(CID=(PROGRAM=p)(HOST=h)(USER=u))))"
}

// secretWords are what no stranger is to learn: what the broker is and runs on, what it knows of databases, where it keeps things.
func secretWords(i *instance) []string {
	return []string{"sales1", "hidden", "go1.", "0.1.0", "servicebroker", i.folder, "cman.ora", "/proc", "linux", "goroutine"}
}

// What a client on another host is told without credentials is what docs/threat-model.md lists, and no word more.
func TestWhatStrangersLearn(t *testing.T) {
	var networks stage.Networks
	network, err := networks.New()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { must(t, network.Close()) })
	i := newInstance(t)
	i.host = network.Here
	certificate, trusting := i.certify()
	i.write("credentials", "viewer viewer basic $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
	must(t, os.Chmod(i.path("credentials"), 0o600))
	i.configure([]string{"tcp 15521", "tcps 15522"}, certificate, "(REST_ADDRESS="+i.host+":15525)(REST_CREDENTIALS="+i.path("credentials")+")",
		"(DNS_ADDRESS="+i.host+":15553)(DNS_ZONE=db.example.com)")
	i.start(`msg="broker started"`)
	i.database("15521")
	s := &stranger{network, t, i.host}

	answers := map[string]string{}
	for name, data := range map[string]string{
		"ping": "(CONNECT_DATA=(COMMAND=ping))", "version": "(DESCRIPTION=(CONNECT_DATA=(COMMAND=version)))", "status": "(CONNECT_DATA=(COMMAND=status)(VERSION=318767104))",
		"services": "(CONNECT_DATA=(COMMAND=services))", "stop": "(CONNECT_DATA=(COMMAND=stop))", "reload": "(CONNECT_DATA=(COMMAND=reload))", "unknown": asking("nosuch"),
		"none": "(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=p))))", "nonsense": "((((", "SID": "(DESCRIPTION=(CONNECT_DATA=(SID=nosuch)))",
		"register": "(CONNECT_DATA=(COMMAND=service_register_NSGR))",
	} {
		answers[name] = s.told(s.dial("15521"), connect(t, data))
	}
	answers["HTTP"] = s.told(s.dial("15521"), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	answers["SSH"] = s.told(s.dial("15521"), []byte("SSH-2.0-x\r\n"))
	answers["nothing"] = s.told(s.dial("15521"), nil)
	answers["plain to TLS"] = s.told(s.dial("15522"), connect(t, asking("nosuch")))
	secured := tls.Client(s.dial("15522"), trusting)
	answers["unknown over TLS"] = s.told(secured, connect(t, asking("nosuch")))
	for name, answer := range answers {
		t.Logf("%-18s %q", name, answer)
	}
	allowed := regexp.MustCompile(`\(VSNNUM=\d+\)|\(ALIAS=CMAN\)|\(REF=[0-9A-Z]+\)|\(ERR=\d+\)|\(CODE=\d+\)`)
	for name, answer := range answers {
		s.judge(i, name, allowed.ReplaceAllString(answer, ""))
	}
	if !strings.Contains(answers["ping"], "(ALIAS=CMAN)") || !strings.Contains(answers["unknown"], "12514") {
		t.Error("it is not the broker that answers")
	}
	for name, answer := range s.rest(trusting) {
		t.Logf("REST %-12s %q", name, answer)
		s.judge(i, "REST "+name, strings.ReplaceAll(strings.ReplaceAll(answer, `realm="service broker CMAN"`, ""), "REST_CREDENTIALS", ""))
	}
	for name, answer := range s.names() {
		t.Logf("DNS %-12s %s", name, answer)
		s.judge(i, "DNS "+name, answer)
	}
}

// judge looks for words that are to be kept.
func (s *stranger) judge(i *instance, name, answer string) {
	s.t.Helper()
	for _, word := range secretWords(i) {
		if strings.Contains(strings.ToLower(answer), strings.ToLower(word)) {
			s.t.Errorf("%s: the answer has %q: %q", name, word, answer)
		}
	}
}

// rest asks the API at REST_ADDRESS without credentials.
func (s *stranger) rest(trusting *tls.Config) map[string]string {
	s.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.dial("15525"), nil }}}
	answers := map[string]string{}
	for _, path := range []string{"/", "/api/v1/services", "/api/v1/version", "/metrics", "/livez", "/readyz", "/readyz/hidden", "/nosuch", "/api/v1/openapi.json", "/style.css"} {
		answer, err := client.Get("https://" + s.host + ":15525" + path)
		must(s.t, err)
		text, err := io.ReadAll(answer.Body)
		must(s.t, err)
		_ = answer.Body.Close()
		if open := path == "/livez" || path == "/readyz" || path == "/style.css"; (answer.StatusCode == http.StatusUnauthorized) == open {
			s.t.Errorf("%s is answered with %s", path, answer.Status)
		}
		answers[path] = fmt.Sprint(answer.Status, answer.Header, string(text))
	}
	return answers
}

// names asks the zone for what is about its server.
func (s *stranger) names() map[string]string {
	s.t.Helper()
	answers := map[string]string{}
	for _, name := range []string{"version.bind.", "hostname.bind.", "id.server.", "example.com.", "db.example.com."} {
		question := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
		if strings.HasSuffix(name, ".bind.") || strings.HasSuffix(name, ".server.") {
			question.Question[0].Qclass = dns.ClassCHAOS
		}
		c := &dns.Conn{Conn: s.dial("15553")}
		must(s.t, c.WriteMsg(question))
		answer, err := c.ReadMsg()
		must(s.t, err)
		answers[name] = answer.String()
	}
	transfer := &dns.Conn{Conn: s.dial("15553")}
	must(s.t, transfer.WriteMsg(new(dns.Msg).SetAxfr("db.example.com.")))
	answer, err := transfer.ReadMsg()
	must(s.t, err)
	answers["transfer"] = answer.String()
	if answer.Rcode != dns.RcodeRefused {
		s.t.Errorf("a transfer is answered with %v", answer)
	}
	return answers
}
