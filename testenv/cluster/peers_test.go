package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// Brokers look at each other over TLS with credentials, whether a list or Consul tells of them. What one of them has lost it
// relays or redirects to by what another has; an upgrade does not make it away, an end does.
func TestPeersOverTLS(t *testing.T) {
	for _, known := range []string{"list", "consul"} {
		t.Run(known, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			all := startPeers(t, known)
			there := startDatabase(t, stage.DatabaseOptions{Instance: "there1", Services: []string{"there"}}, all[1], all[2])
			startDatabase(t, stage.DatabaseOptions{Instance: "here1", Services: []string{"here"}}, all[0], all[2])
			startDatabase(t, stage.DatabaseOptions{Instance: "all1", Services: []string{"all"}}, all[:]...)
			for _, b := range all {
				must(t, b.AwaitInstances(within(t, patience), "all", 1))
			}
			must(t, all[1].AwaitInstances(within(t, patience), "there", 1))
			must(t, all[2].AwaitInstances(within(t, patience), "there", 1))
			must(t, all[0].AwaitInstances(within(t, patience), "here", 1))
			awaitPeers(t, all[0], "there1@", "absent here, READY there", "here1@", "READY here, absent there", "share the load: 3")
			awaitPeers(t, all[1], "here1@", "absent here, READY there", "share the load: 3")
			for _, d := range realDrivers(t) {
				identify(t, d, all[0], "there", "there1") // relayed
				identify(t, d, all[1], "here", "here1")   // redirected
				identify(t, d, all[0], "all", "all1")
			}
			upgraded(t, all[0], all[2])
			identify(t, drivers.GoOra{}, all[0], "there", "there1")
			_, code, err := all[1].Command(within(t, patience), "shutdown", "--timeout", "0s")
			if err != nil || code != 0 {
				t.Fatalf("%d %v", code, err)
			}
			awaitPeers(t, all[0], " away ", "share the load: 2")
			identify(t, drivers.GoOra{}, all[0], "there", "there1")
			there.Kill()
			awaitNobody(t, all[0], "there")
		})
	}
}

// startPeers starts brokers that look at each other over their REST_ADDRESS. The second redirects.
func startPeers(t *testing.T, known string) (all [brokers]*stage.Broker) {
	a := newAuthority(t)
	file := func(name, text string) string {
		path := filepath.Join(a.Folder, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	add := exec.CommandContext(within(t, patience), program("broker"), "credentials", "add", "--role", "viewer", "peer")
	add.Stdin = strings.NewReader("a good password\n")
	line, err := add.Output()
	must(t, err)
	parameters := []string{
		a.Parameter(), "REST_CREDENTIALS=" + file("rest", string(line)), "PEER_CREDENTIALS=" + file("peers", "peer:a good password\n"), "PEER_CA=" + file("ca.pem", certificate(t, a)),
		"HOLD_TIMEOUT=0", "STALE_TIMEOUT=0",
	}
	var addresses, urls [brokers]string
	for i := range addresses {
		addresses[i] = free(t)
		_, port, _ := net.SplitHostPort(addresses[i])
		urls[i] = "https://localhost:" + port
	}
	if known == "list" {
		parameters = append(parameters, "PEERS="+strings.Join(urls[:], ","))
	} else {
		consul, err := stage.StartConsul(within(t, patience), "../..")
		if errors.Is(err, stage.ErrNoConsul) {
			t.Skip(err)
		}
		must(t, err)
		t.Cleanup(consul.Stop)
		parameters = append(parameters, "CONSUL_ADDRESS="+consul.Address)
	}
	for i := range all {
		own := append([]string{"REST_ADDRESS=" + addresses[i]}, parameters...)
		if i == 1 {
			own = append(own, "ROUTE=redirect")
		}
		all[i] = startBrokerAt(t, stage.BrokerOptions{Parameters: own})
	}
	return all
}

// certificate is that of the broker, which is its own authority, without the key.
func certificate(t *testing.T, a *stage.Authority) string {
	text, err := os.ReadFile(filepath.Join(a.Folder, "host.pem"))
	must(t, err)
	before, _, _ := strings.Cut(string(text), "-----BEGIN PRIVATE KEY")
	return before
}

// awaitPeers waits until broker peers says all that is wanted.
func awaitPeers(t *testing.T, b *stage.Broker, want ...string) {
	t.Helper()
	ctx := within(t, patience)
	must(t, stage.Eventually(ctx, func() error {
		said, code, err := b.Command(ctx, "peers")
		for _, text := range want {
			if err != nil || code != 0 || !strings.Contains(said, text) {
				_ = stage.Pause(ctx, 100*time.Millisecond) // a program is not started as cheaply as a question is asked
				return fmt.Errorf("no %q (exit code %d, %w) in\n%s", text, code, err, said)
			}
		}
		return nil
	}))
}

// identify connects by a driver and looks which instance it came to.
func identify(t *testing.T, d drivers.Looper, at *stage.Broker, service, instance string) {
	t.Helper()
	talk, err := conversationWith(t.Context(), d)
	must(t, err)
	defer func() { _ = talk.End() }()
	for _, s := range []drivers.Step{
		{Do: drivers.Connect, User: stage.User, Password: stage.Password, Target: descriptor(at.Address, service)},
		{Do: drivers.Query, SQL: "select sys_context('USERENV','INSTANCE_NAME') from dual"},
		{Do: drivers.Close},
	} {
		r := talk.Do(within(t, patience), s)
		if r.Error != "" {
			t.Errorf("%s, %s for %s: %s", d.Name(), s.Do, service, explain(t, at, r.Error))
			return
		}
		if s.Do == drivers.Query && (len(r.Rows) != 1 || *r.Rows[0][0] != instance) {
			t.Errorf("%s came to %v for %s", d.Name(), r.Rows, service)
		}
	}
}

// upgraded looks whether a broker sees another one's new generation, and never took it for away.
func upgraded(t *testing.T, b, other *stage.Broker) {
	t.Helper()
	said, code, err := other.Command(within(t, patience), "upgrade")
	if err != nil || code != 0 {
		t.Fatalf("%d %v: %s", code, err, said)
	}
	must(t, stage.Eventually(within(t, patience), func() error {
		var list struct {
			Peers []struct {
				API, State string
				Generation int
			}
		}
		err := b.GetJSON("/api/v1/peers", &list)
		for _, p := range list.Peers {
			if p.Generation == 2 && p.State == "alive" {
				return nil
			}
		}
		return fmt.Errorf("no peer of generation 2 in %+v, %w", list, err)
	}))
	said, _, err = b.Command(within(t, patience), "events", "--kind", "peer_down")
	if err != nil || strings.Contains(said, "peer_down") {
		t.Errorf("a broker that was upgraded was away: %s, %v", said, err)
	}
	said, _, err = other.Command(within(t, patience), "events", "--kind", "peer_up,peer_down")
	if n := strings.Count(said, "peer_"); err != nil || n != brokers-1 {
		t.Errorf("after an upgrade %d events of peers that were alive all the time: %s, %v", n, said, err)
	}
}

// awaitNobody waits until clients are refused.
func awaitNobody(t *testing.T, b *stage.Broker, service string) {
	t.Helper()
	ctx := within(t, patience)
	must(t, stage.Eventually(ctx, func() error {
		said, _, err := b.Command(ctx, "explain", service)
		if err != nil || !strings.Contains(said, "would be refused") {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	}))
}
