package drivers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"servicebroker/tns"
)

// startHAProxy runs HAProxy, which passes what comes to each of its addresses, given first,
// on to the other, with a header of the PROXY protocol.
func startHAProxy(t *testing.T, version string, ways ...[2]string) {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy"
		if _, err := os.Stat(program); err != nil {
			t.Skip("HAProxy is not installed: run scripts/testdeps")
		}
	}
	text := "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
	for i, way := range ways {
		text += fmt.Sprintf("listen l%d\n  bind %s\n  server s %s %s\n", i, way[0], way[1], version)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.Command(program, "-db", "-f", file)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("HAProxy said: %s", said.String())
		}
	})
	for _, way := range ways {
		eventually(t, patience, func() error {
			c, err := net.Dial("tcp", way[0])
			if err == nil {
				c.Close()
			}
			return err
		})
	}
}

// Behind HAProxy the client is still the client: in the session list, and to rules, which
// here let in 127.0.0.9 alone; with and without TLS.
func TestBehindHAProxy(t *testing.T) {
	s := newSecurity(t)
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		t.Run(version, func(t *testing.T) {
			b := startBroker(t, brokerOptions{addresses: []string{s.address("")}, parameters: []string{s.certificate(), "PROXY_PROTOCOL=(IN=127.0.0.1/32)", "HOLD_TIMEOUT=0"},
				rules: []string{"RULE=(SRC=127.0.0.9)(DST=*)(SRV=*)(ACT=accept)"}})
			plain, secure := freeAddress(t), freeAddress(t)
			startHAProxy(t, version, [2]string{plain, b.address}, [2]string{secure, b.Further[0]})
			startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{plain}}) // which registers by it too
			b.awaitService(t, "sales", "READY", 1)
			eachDriver(t, func(t *testing.T, driver Driver) {
				for _, target := range []string{descriptorFor(plain, "(SERVICE_NAME=sales)"), s.descriptor(secure, "")} {
					_, err := visited(work(t, s.withTLS(driver), visit(target), nil))
					if err == nil || !strings.Contains(err.Error(), "12529") {
						t.Errorf("%s: from 127.0.0.1: %v", target, err)
					}
				}
			})
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", plain)
			must(t, err)
			defer c.Close()
			reply, err := tns.TryService(t.Context(), c, []byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=p)(HOST=h)(USER=u))))"))
			if _, accepted := reply.(*tns.Accept); !accepted {
				t.Fatalf("from 127.0.0.9: %T %v, %v", reply, reply, err)
			}
			eventually(t, patience, func() error {
				var list sessionList
				err := b.getJSON("/api/v1/sessions", &list)
				if err == nil && (len(list.Sessions) != 1 || list.Sessions[0].Client != c.LocalAddr().String()) {
					err = fmt.Errorf("sessions %+v, the client is %v", list, c.LocalAddr())
				}
				return err
			})
		})
	}
}
