package attack

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"servicebroker/broker"
	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// evil is a text that begins a line of its own, colours it, turns its direction, ends it early and is no UTF-8.
const evil = "x\r\nFORGED level=ERROR\x1b[31m\x1b]0;title\a\x00\u202e\u2028\u0085\x7f\xff\x9b31m\xc0\xaf{{.}}<script>\",'\\"

// written is text that people read in a terminal: nothing in it does anything there.
func written(where, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is no UTF-8", where)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "FORGED") {
			return fmt.Errorf("%s has a line of its own: %q", where, line)
		}
		for _, c := range strings.TrimSuffix(line, "\n") {
			if c != '\t' && (unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)) {
				return fmt.Errorf("%s has %q in %.300q", where, c, line)
			}
		}
	}
	return nil
}

// shown is JSON or HTML: whole, and without what a terminal acts upon.
func shown(where string, body []byte) error {
	if strings.HasPrefix(where, "/api/") && !json.Valid(body) {
		return fmt.Errorf("%s is no JSON: %.300q", where, body)
	}
	for _, c := range string(body) {
		if unicode.IsControl(c) && c != '\n' && c != '\t' && c != '\r' || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			return fmt.Errorf("%s has %q", where, c)
		}
	}
	if strings.Contains(string(body), "<script>\"") {
		return fmt.Errorf("%s passes markup on", where)
	}
	return nil
}

// No text of anybody's does anything where people or programs read it: logs, files, page, API, metrics.
func TestTextsDoNothing(t *testing.T) {
	logs := t.TempDir()
	w := start(t, func(c *broker.Config) {
		c.ProbeInterval, c.LogDirectory = 0, logs
		c.Listening[overTLS].Passthrough = true
	})
	quoted := `"` + strings.ReplaceAll(evil, `"`, `\"`) + `"`
	var probes []probe
	for _, text := range []string{
		"(CONNECT_DATA=(SERVICE_NAME=%s))", "(CONNECT_DATA=(SID=%s))", "(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=%s))", "(CONNECT_DATA=(COMMAND=%s))", "(%s=(SERVICE_NAME=sales))",
		"(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=%s)(HOST=%s)(USER=%s)))", "(CONNECT_DATA=(SERVICE_NAME=sales)(SERVER=%s)(COLOCATION_TAG=%s)(CONNECTION_ID=%s))",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=1))(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=1))(CONNECT_DATA=(SERVICE_NAME=sales)))", "%s",
	} {
		for _, value := range []string{evil, quoted} {
			for _, at := range []int{plain, proxied} {
				probes = append(probes, probe{name: fmt.Sprintf("%.40q", text), at: at, send: connect(strings.ReplaceAll(text, "%s", value)), want: wantAny})
			}
		}
	}
	for _, p := range probes {
		if _, err := p.run(w); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
	sni, _ := tls.Dial("tcp", w.Addresses()[overTLS], &tls.Config{ServerName: "S1.x.T1." + evil[:40], NextProtos: []string{evil[:40]}, InsecureSkipVerify: true})
	if sni != nil {
		sni.Close()
	}
	r := offer{instance: evil, services: []string{evil, "y\n" + evil}}.registration()
	r.Host, r.HostRaw = evil, "(HOST="+quoted+")"
	r.Handlers = []servicetable.Handler{{Name: evil, Address: "(ADDRESS=(PROTOCOL=tcp)(HOST=" + quoted + ")(PORT=1))", Info: evil, Max: 9, Flags: 2, Services: []int{0, 1}}}
	c := w.registrant(t, plain)
	defer c.Close()
	c.say(message(t, r))
	w.eventually(t, func() error {
		if len(w.Snapshot().Registrations()) < 2 {
			return errors.New("the evil one is not registered")
		}
		return nil
	})
	c.say([]byte("not a message at all, " + evil + strings.Repeat(evil, nsgr.MinMessage)))
	w.read(t, "/", "/?service="+url.QueryEscape(evil), "/api/v1/services", "/api/v1/services/"+url.PathEscape(evil), "/api/v1/events?since=0", "/api/v1/sessions", "/api/v1/mirrors", "/api/v1/quarantine", "/api/v1/limits",
		"/api/v1/explain?descriptor="+url.QueryEscape("(CONNECT_DATA=(SERVICE_NAME="+quoted+"))"), "/metrics", "/api/v1/"+url.PathEscape(evil))
	if err := written("the log", w.log.String()); err != nil {
		t.Error(err)
	}
	w.eventually(t, func() error {
		all := ""
		files, _ := filepath.Glob(filepath.Join(logs, "*.log"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := written(file, string(text)); err != nil {
				t.Fatal(err)
			}
			all += string(text)
		}
		if !strings.Contains(all, "FORGED") { // escaped, it is there
			return errors.New("the files tell nothing of it")
		}
		return nil
	})
	c.Close()
	w.eventually(t, func() error {
		if len(w.Snapshot().Registrations()) > 1 {
			return errors.New("the evil one is still registered")
		}
		return nil
	})
	w.unharmed()
}

// read looks at what the console shows.
func (w *world) read(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		status, body := w.get(path)
		if err := shown(path, body); err != nil || status >= 500 {
			t.Errorf("%.80q: status %d, %v", path, status, err)
		}
	}
	w.metrics() // each line of which has to be one
}

// The refusals that instances send go to clients and logs as they may.
func TestTextsOfInstances(t *testing.T) {
	text := "(DESCRIPTION=(ERR=12514)(VSNNUM=" + evil + ")(X=" + evil + "))"
	body := append([]byte{0, 0, 4, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))}, text...)
	refusal := append([]byte{0, byte(2 + len(body))}, body...)
	w := start(t, func(c *broker.Config) { c.ProbeInterval = 0 })
	at := w.instance(func(c net.Conn) {
		if _, err := tns.NewConn(c).ReadConnect(); err == nil {
			says(refusal)(c, "")
		}
	})
	withdraw := w.register(offer{instance: "rude1", services: []string{"rude"}, at: []string{at}})
	w.all(t, []probe{{name: "a refusal", send: connect("(CONNECT_DATA=(SERVICE_NAME=rude))"), then: stay, want: tns.CodeUnknownService}})
	w.read(t, "/", "/api/v1/events?since=0", "/metrics")
	if err := written("the log", w.log.String()); err != nil {
		t.Error(err)
	}
	withdraw()
}
