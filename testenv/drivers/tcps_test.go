package drivers

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

// Clients are told apart by their certificates.
func TestMutualTLSOfDrivers(t *testing.T) {
	s := newSecurity(t)
	b := startBroker(t, brokerOptions{
		addresses: []string{s.address("(TLS_CLIENT_CA=" + filepath.Join(s.folder, "ca.pem") + ")")}, parameters: []string{s.certificate(), "HOLD_TIMEOUT=0"},
		rules: []string{`RULE=(SRC=*)(DST=*)(SRV=ours)(ACT=accept)(DN="O=Acme,CN=ap*")`, `RULE=(SRC=*)(DST=*)(SRV=theirs)(ACT=accept)(DN="CN=other,*")`}})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"ours", "theirs"}, brokers: []string{b.address}})
	b.awaitService(t, "ours", "READY", 1)
	eachDriver(t, func(t *testing.T, driver Driver) {
		if got, err := visited(work(t, s.withTLS(driver), visit(s.descriptorOf(b.Further[0], "ours", "")), nil)); err != nil || got != "sales1" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := visited(work(t, s.withTLS(driver), visit(s.descriptorOf(b.Further[0], "theirs", "")), nil)); err == nil || !strings.Contains(err.Error(), "12529") {
			t.Errorf("what is for others: %v", err)
		}
		if _, err := visited(work(t, driver, visit(b.descriptor("(SERVICE_NAME=ours)")), nil)); err == nil || !strings.Contains(err.Error(), "12529") {
			t.Errorf("without a certificate: %v", err)
		}
	})
}

// A database registers over TCPS with its certificate, by which a REGISTRANT rule knows it;
// one without TLS is kept out where registrations have to be over TCPS.
func TestRegistrationOverTCPS(t *testing.T) {
	s := newSecurity(t)
	ca := filepath.Join(s.folder, "ca.pem")
	b := startBroker(t, brokerOptions{
		addresses: []string{s.address("(TLS_CLIENT_CA=" + ca + ")")},
		parameters: []string{s.certificate(), s.upstream(), "HOLD_TIMEOUT=0", "REGISTRATION_TRANSPORTS=TCPS",
			`REGISTRANT=(NAME=prod)(DN="CN=localhost")(SERVICES=secure)`}})
	_, port, _ := net.SplitHostPort(b.Further[0])
	plain := startDatabase(t, databaseOptions{instance: "plain1", services: []string{"plain"}, brokers: []string{b.address}})
	startDatabase(t, databaseOptions{instance: "secure1", services: []string{"secure"}, brokers: []string{"localhost:" + port},
		arguments: append(s.secureDatabase(t, 1), "--broker-ca", ca)})
	b.awaitService(t, "secure", "READY", 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := plain.process.AwaitLine(ctx, regexp.MustCompile("registration refused, trying again.*1182")); err != nil {
		t.Error(err)
	}
	agentless := s.secureDatabase(t, 0)
	startDatabase(t, databaseOptions{instance: "quiet1", services: []string{"quiet"}, arguments: agentless})
	startProcess(t, "agent", programs.broker, "register", "--broker", "localhost:"+port, "--instance", "quiet1", "--service", "quiet",
		"--address", "tcps://"+agentless[len(agentless)-1], "--broker-ca", ca, "--broker-certificate", filepath.Join(s.folder, "app.pem"))
	b.awaitService(t, "quiet", "READY", 1)
	if services, err := b.services(); err != nil || len(services.Services) != 2 {
		t.Errorf("%+v, %v", services, err)
	}
	eachDriver(t, func(t *testing.T, driver Driver) {
		for _, service := range []string{"secure", "quiet"} {
			if got, err := visited(work(t, s.withTLS(driver), visit(s.descriptorOf(b.Further[0], service, "")), nil)); err != nil || got != service+"1" {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}

// The certificate is replaced again and again, now and then by rubbish, and read again by a
// reload each time, while all drivers connect: no connect fails.
func TestCertificatesRotateUnderDrivers(t *testing.T) {
	s := newSecurity(t)
	b := startBroker(t, brokerOptions{addresses: []string{s.address("")}, parameters: []string{s.certificate()}})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 1)
	stop := make(chan struct{})
	var loops sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for _, driver := range loopers(t) {
		looper := s.withTLS(driver).(Looper)
		count[driver.Name()] = 0
		loops.Go(func() {
			job := LoopJob{User: appUser, Password: appPassword, Target: s.descriptor(b.Further[0], ""), SQL: WhereAmI, Rate: 20, Most: 50, GraceMS: 20_000}
			err := looper.Loop(t.Context(), job, stop, func(c Connected) {
				mu.Lock()
				defer mu.Unlock()
				count[driver.Name()]++
				if c.Error != "" || c.Answer != "sales1" {
					t.Errorf("%s, connect %d, at %s: %q, %s", driver.Name(), c.N, c.Stage, c.Answer, c.Error)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	const enough, least = 10, 6 * time.Second // connects of each driver, and time for as many rotations as there can be
	fewest := func() int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Min(slices.Collect(maps.Values(count)))
	}
	rotations := 0
	for begin := time.Now(); time.Since(begin) < least || fewest() < enough && time.Since(begin) < patience; rotations++ {
		if rotations%5 == 4 {
			must(t, os.WriteFile(filepath.Join(s.folder, "host.pem"), []byte("rubbish"), 0o600))
		} else {
			s.renew(t)
		}
		must(t, b.Change("POST", "/api/v1/reload", nil, nil))
	}
	last := s.renew(t)
	must(t, b.Change("POST", "/api/v1/reload", nil, nil))
	close(stop)
	loops.Wait()
	t.Logf("%d rotations, connects %v", rotations, count)
	for name, n := range count {
		if n < enough {
			t.Errorf("%s made only %d connects", name, n)
		}
	}
	if _, err := tls.Dial("tcp", b.Further[0], s.driverTLS.Clone()); err == nil {
		t.Error("127.0.0.1 is no name of the certificate")
	}
	config := s.driverTLS.Clone()
	config.ServerName = "localhost"
	c, err := tls.Dial("tcp", b.Further[0], config)
	must(t, err)
	defer c.Close()
	if shown := c.ConnectionState().PeerCertificates[0]; !shown.Equal(last) {
		t.Errorf("certificate %v is shown, the last one is %v", shown.SerialNumber, last.SerialNumber)
	}
}

// The certificate is in a wallet that openssl made, and ping goes over TLS.
func TestWalletOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: run scripts/testdeps")
	}
	s := newSecurity(t)
	file := func(name string) string { return filepath.Join(s.folder, name) }
	must(t, os.Mkdir(file("wallet"), 0o700))
	must(t, os.WriteFile(file("password"), []byte("Wallet#1\n"), 0o600))
	said, err := exec.Command(openssl, "pkcs12", "-export", "-in", file("host.pem"), "-inkey", file("host.pem"), "-certfile", file("ca.pem"),
		"-passout", "file:"+file("password"), "-out", file("wallet/ewallet.p12")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	b := startBroker(t, brokerOptions{addresses: []string{s.address("")}, parameters: []string{
		"WALLET_LOCATION=(SOURCE=(METHOD=FILE)(METHOD_DATA=(DIRECTORY=" + file("wallet") + ")))", "TLS_WALLET_PASSWORD_FILE=" + file("password"), "SSL_CLIENT_AUTHENTICATION=FALSE"}})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 1)
	eachDriver(t, func(t *testing.T, driver Driver) {
		if got, err := visited(work(t, s.withTLS(driver), visit(s.descriptor(b.Further[0], "")), nil)); err != nil || got != "sales1" {
			t.Errorf("%q, %v", got, err)
		}
	})
	_, port, _ := net.SplitHostPort(b.Further[0])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, tc := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"ping", "tcps://localhost:" + port + "/sales", "--ca", file("ca.pem")}, 0, "accepted, Oracle Net version"},
		{[]string{"ping", "tcps://localhost:" + port}, 0, "CN=localhost until"},
		{[]string{"ping", "tcps://127.0.0.1:" + port, "--ca", file("ca.pem")}, 1, "127.0.0.1"},
		{[]string{"certificates"}, 0, "ewallet.p12"},
	} {
		if out, code, err := b.Command(ctx, tc.arguments...); err != nil || code != tc.code || !strings.Contains(out, tc.says) {
			t.Errorf("%v: exit %d, %v: %s", tc.arguments, code, err, out)
		}
	}
}
