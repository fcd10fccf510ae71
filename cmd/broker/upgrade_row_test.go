package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// upgrades is how often a broker is upgraded where that is done again and again.
var upgrades = flag.Int("upgrades", 2, "how many upgrades follow each other")

// unusedAddress is one of loopback that nobody has.
func unusedAddress(t *testing.T) string {
	t.Helper()
	at, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// echoing is a database that accepts every CONNECT and sends back what comes.
func echoing(t *testing.T) descriptor.Address {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				conn := tns.NewConn(raw)
				if connect, err := conn.ReadConnect(); err == nil && conn.Send(tns.AnswerConnect(connect, 318, nil)) == nil {
					_, _ = io.Copy(raw, raw)
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return descriptor.Address{Protocol: "TCP", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
}

// registers keeps an instance registered with a broker.
func registers(t *testing.T, broker string) {
	t.Helper()
	at := echoing(t)
	agent := &registration.Agent{Brokers: []string{broker}, Describe: func() servicetable.Registration {
		return servicetable.Registration{
			Instance: "s1", Host: "dbhost", HostRaw: "(HOST=dbhost)", NodeMax: 100, Max: 247,
			Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Goodness: 1, Delta: 1}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: at.Host, Port: at.Port, Address: at.String(), Info: "REMOTE SERVER", Max: 149, Flags: 2, Services: []int{0}}},
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = agent.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// accepted asks for the service, and returns the connection if that was accepted.
func accepted(broker string) (net.Conn, error) {
	c, err := net.Dial("tcp", broker)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	conn := tns.NewConn(c)
	err = conn.Send(tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))")))
	var reply tns.Message
	if err == nil {
		reply, err = conn.ReadReply()
	}
	if _, is := reply.(*tns.Accept); err == nil && !is {
		err = fmt.Errorf("answered %T %v", reply, reply)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// eachFrom keeps asking until the returned function is called, which tells how often there was an answer.
func eachFrom(t *testing.T, what string, ask func() error) (stop func() int) {
	ended, done, n := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(done)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-pace.C:
			case <-ended:
				return
			}
			if err := ask(); err != nil {
				t.Errorf("%s, after %d that were answered: %v", what, n, err)
				return
			}
			n++
		}
	}()
	return sync.OnceValue(func() int {
		close(ended)
		<-done
		return n
	})
}

// fetched asks for a page.
func fetched(client *http.Client, at string, change func(*http.Request)) error {
	request, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	if change != nil {
		change(request)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return errors.Join(err, errors.New(answer.Status))
	}
	return nil
}

// resolved asks for the addresses of the service.
func resolved(network, at string) error {
	question := new(dns.Msg)
	question.SetQuestion("sales.db.example.", dns.TypeA)
	answer, _, err := (&dns.Client{Net: network, Timeout: 10 * time.Second}).Exchange(question, at)
	if err == nil && (answer.Rcode != dns.RcodeSuccess || len(answer.Answer) != 1) {
		err = fmt.Errorf("answered %v", answer)
	}
	return err
}

// gauge is a value of /metrics.
func gauge(t *testing.T, at, name string) float64 {
	t.Helper()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // else a generation that has just handed over may answer
	answer, err := fresh.Get("http://" + at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if err != nil || found == nil {
		t.Fatalf("%s: %v", name, err)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// All that a broker listens on answers all the time while it is upgraded, open sessions go on, and however many generations
// there were, the last one needs no more than the second.
func TestUpgradesInARow(t *testing.T) {
	r := startReal(t, nil)
	metrics, rest, zone := unusedAddress(t), unusedAddress(t), unusedAddress(t)
	server := httptest.NewTLSServer(nil) // for its certificate
	certificate := server.TLS.Certificates[0]
	server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pair, credentials := filepath.Join(r.folder, "pair.pem"), filepath.Join(r.folder, "credentials")
	text := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	if err := os.WriteFile(pair, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said, code := typed(t, "a long password\n", "credentials", "add", "tina", "--role", "viewer", "--file", credentials); code != exitDone {
		t.Fatal(said)
	}
	r.configure(configText(r.folder, "0", fmt.Sprintf("(METRICS_ADDRESS=%s)(REST_ADDRESS=%s)(REST_CREDENTIALS=%s)(TLS_CERTIFICATE=%s)(DNS_ADDRESS=%s)(DNS_ZONE=db.example)(LOG_DIRECTORY=%s)",
		metrics, rest, credentials, pair, zone, r.folder)))
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves") // binds what is new
	at := r.address()
	registers(t, at)
	for limit := time.Now().Add(20 * time.Second); resolved("udp", zone) != nil; {
		if time.Now().After(limit) {
			t.Fatal(resolved("udp", zone))
		}
	}
	var sessions []net.Conn
	for range 10 {
		c, err := accepted(at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sessions = append(sessions, c)
	}
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 30 * time.Second}
	defer trusting.CloseIdleConnections()
	all := map[string]func() int{}
	for what, ask := range map[string]func() error{
		"connects": func() error {
			c, err := accepted(at)
			if err == nil {
				c.Close()
			}
			return err
		},
		"DNS by UDP": func() error { return resolved("udp", zone) }, "DNS by TCP": func() error { return resolved("tcp", zone) },
		"metrics": func() error { return fetched(trusting, "http://"+metrics+"/metrics", nil) },
		"REST": func() error {
			return fetched(trusting, "https://"+rest+"/api/v1/status", func(q *http.Request) { q.SetBasicAuth("tina", "a long password") })
		},
	} {
		all[what] = eachFrom(t, what, ask)
	}
	needs := map[string][]float64{}
	for n := range *upgrades {
		says(t, []string{"--api", r.api, "upgrade"}, fmt.Sprintf("Generation %d serves", n+3), "Moved: 10 sessions", "Moved: 1 registration")
		for _, c := range sessions {
			if _, err := io.WriteString(c, "ping"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(time.Minute))
		}
		for _, name := range []string{"process_open_fds", "go_goroutines", "process_resident_memory_bytes"} {
			needs[name] = append(needs[name], gauge(t, metrics, name))
		}
	}
	for what, stop := range all {
		if n := stop(); n < *upgrades {
			t.Errorf("%s: only %d", what, n)
		}
	}
	t.Logf("after each upgrade: %v", needs)
	for name, slack := range map[string]float64{"process_open_fds": 12, "go_goroutines": 40, "process_resident_memory_bytes": 32 << 20} {
		first, last := needs[name][0], slices.Min(needs[name][max(0, len(needs[name])-3):])
		if last > first+slack {
			t.Errorf("%s grows: %v", name, needs[name])
		}
	}
	for _, c := range sessions {
		c.Close()
	}
	if err := syscall.Kill(r.newest().PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(r.said(), "lines lost"); lines > 0 {
		t.Errorf("%d times lines were lost", lines)
	}
}
