package drivers

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// address is an ADDRESS of a broker on a port of its own choice.
func (s *security) address(further string) string {
	return "(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=0)" + further + ")"
}

// certificate is the entry that names the broker's certificate.
func (s *security) certificate() string {
	return "TLS_CERTIFICATE=" + filepath.Join(s.folder, "host.pem")
}

// upstream is how the broker trusts the test's authority, and shows a certificate of it.
func (s *security) upstream() string {
	return fmt.Sprintf("UPSTREAM_TLS=(CA=%s)(CERTIFICATE=%s)", filepath.Join(s.folder, "ca.pem"), filepath.Join(s.folder, "app.pem"))
}

// secureDatabase are the arguments of a test database with a listener over TLS, which asks
// each client for so many new handshakes.
func (s *security) secureDatabase(t *testing.T, restarts int) []string {
	listen := freeAddress(t)
	_, port, _ := net.SplitHostPort(listen)
	return []string{"--tls-cert", filepath.Join(s.folder, "host.pem"), "--tls-client-ca", filepath.Join(s.folder, "ca.pem"),
		"--tls-restarts", fmt.Sprint(restarts), "--listen", listen, "--advertise", "localhost:" + port}
}

// Every driver goes through the broker with TLS on either side, or on both, and asks the
// instance for a second handshake where a real listener would.
func TestTCPS(t *testing.T) {
	s := newSecurity(t)
	b := startBroker(t, brokerOptions{addresses: []string{s.address("")}, parameters: []string{s.certificate(), s.upstream(), "HOLD_TIMEOUT=0"}})
	startDatabase(t, databaseOptions{instance: "plain1", services: []string{"plain"}, brokers: []string{b.address}})
	startDatabase(t, databaseOptions{instance: "secure1", services: []string{"secure"}, brokers: []string{b.address},
		arguments: s.secureDatabase(t, 1)})
	b.awaitService(t, "plain", "READY", 1)
	b.awaitService(t, "secure", "READY", 1)
	eachDriver(t, func(t *testing.T, driver Driver) {
		for _, way := range []struct{ name, target, instance string }{
			{"TCP to TCP", b.descriptor("(SERVICE_NAME=plain)"), "plain1"},
			{"TCP to TCPS", b.descriptor("(SERVICE_NAME=secure)"), "secure1"},
			{"TCPS to TCP", s.descriptorOf(b.Further[0], "plain", ""), "plain1"},
			{"TCPS to TCPS", s.descriptorOf(b.Further[0], "secure", ""), "secure1"},
			{"TCPS to TCPS with SNI", s.descriptorOf(b.Further[0], "secure", "(USE_SNI=ON)"), "secure1"},
		} {
			got, err := visited(work(t, s.withTLS(driver), visit(way.target), nil))
			if err != nil || got != way.instance {
				t.Errorf("%s: %q, %v, want %q", way.name, got, err, way.instance)
			}
		}
	})
}

// Drivers that say in their TLS handshake what they ask for are passed on with TLS in it:
// the instance sees their certificate, and the broker needs none.
func TestPassthroughOfDrivers(t *testing.T) {
	s := newSecurity(t)
	b := startBroker(t, brokerOptions{addresses: []string{s.address("(PASSTHROUGH=on)")}, parameters: []string{s.upstream(), "HOLD_TIMEOUT=0"}})
	startDatabase(t, databaseOptions{instance: "secure1", services: []string{"secure"}, brokers: []string{b.address}, arguments: s.secureDatabase(t, 1)})
	b.awaitService(t, "secure", "READY", 1)
	eachDriver(t, func(t *testing.T, driver Driver) {
		got, err := visited(work(t, s.withTLS(driver), visit(s.descriptorOf(b.Further[0], "secure", "(USE_SNI=ON)")), nil))
		silent := driver.Name() == "go-ora" || driver.Name() == "python-oracledb" // which learnt it in version 3
		switch {
		case silent && err != nil:
			if !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("who sends no such name is told: %v", err)
			}
		case err != nil || got != "secure1":
			t.Errorf("%q, %v", got, err)
		}
	})
}
