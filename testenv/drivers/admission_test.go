package drivers

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"servicebroker/registration/nsgr"
	"servicebroker/testenv/stage"
)

// foreignNetwork is another network on this machine.
type foreignNetwork struct {
	*stage.Network
	here, there, prefix string // our address on it, the one over there, and both
}

// newForeignNetwork makes a network of the test's own, or skips where that is not allowed.
func newForeignNetwork(t *testing.T) *foreignNetwork {
	t.Helper()
	made, err := networks.New()
	if errors.Is(err, stage.ErrNoNetwork) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	})
	return &foreignNetwork{Network: made, here: made.Here, there: made.There, prefix: made.Prefix}
}

// dial connects from within the namespace.
func (f *foreignNetwork) dial(t *testing.T, address string) net.Conn {
	t.Helper()
	type dialled struct {
		conn net.Conn
		err  error
	}
	result := make(chan dialled, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { // with a thread of its own, since a namespace is a thread's
		var d dialled
		d.err = f.Inside(func() (err error) {
			d.conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
			return err
		})
		result <- d
	}()
	got := <-result
	if got.err != nil {
		t.Fatal(got.err)
	}
	t.Cleanup(func() { got.conn.Close() })
	if from, _, _ := net.SplitHostPort(got.conn.LocalAddr().String()); from != f.there {
		t.Fatalf("dialled from %s instead of %s", from, f.there)
	}
	return got.conn
}

// poisonProbes are what published scanners for CVE-2012-1675 send. They call a
// listener vulnerable unless the reply is a refusal with an error stack.
func poisonProbes() map[string][]byte {
	return map[string][]byte{
		"as a database":          registerConnect(),
		"as a scanner":           rawConnect([]byte(registerCommand)),
		"in lower case":          rawConnect([]byte(strings.ToLower(registerCommand))),
		"within a description":   rawConnect([]byte("(DESCRIPTION=" + registerCommand + ")")),
		"with blanks and breaks": rawConnect([]byte("(CONNECT_DATA =\n  (COMMAND = service_register_NSGR))")),
		"of a long description":  rawConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=" + strings.Repeat("x", 400) + "))(COMMAND=service_register_NSGR)))")),
	}
}

// Who is not invited registers nothing and is told so in the form that scanners
// and databases know.
func TestForeignRegistrationRefused(t *testing.T) {
	network := newForeignNetwork(t)
	b := startBroker(t, brokerOptions{listen: "0.0.0.0:0"})
	_, port, _ := net.SplitHostPort(b.address)
	at := net.JoinHostPort(network.here, port)
	message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})
	for name, probe := range poisonProbes() {
		t.Run(name, func(t *testing.T) {
			c := network.dial(t, at)
			writeAll(t, c, probe)
			_, _ = c.Write(rawData(message)) // a bold one does not wait for the answer
			reply, err := readRaw(c, patience)
			if err != nil {
				t.Fatal(err)
			}
			if text := reply.text(); reply.kind != typeRefuse || !strings.Contains(text, "(ERROR_STACK=(ERROR=") || !strings.Contains(text, "(ERR=") {
				t.Errorf("vulnerable: answered with type %d and %q", reply.kind, text)
			}
			if _, err := discardUntilClosed(c, patience); err != nil {
				t.Error(err)
			}
			b.awaitTable(t, nil)
		})
	}
	t.Run("this host still registers", func(t *testing.T) {
		c := register(t, "127.0.0.1:"+port, registerConnect())
		writeAll(t, c, rawData(message))
		b.awaitTable(t, tableOf(t, message))
		c.Close()
		b.awaitTable(t, nil)
	})
	t.Run("this host registers by its outer address", func(t *testing.T) {
		c := register(t, at, registerConnect())
		writeAll(t, c, rawData(message))
		b.awaitTable(t, tableOf(t, message))
	})
}

// Who is invited registers from afar, by network and by address; administration
// stays with this host all the same, but for ping.
func TestForeignRegistrationInvited(t *testing.T) {
	network := newForeignNetwork(t)
	message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1, at: network.there})
	for name, invitation := range map[string]string{
		"network":          "REGISTRATION_INVITED_NODES=" + network.prefix,
		"address":          "REGISTRATION_INVITED_NODES=(203.0.113.7, " + network.there + ")",
		"subnet":           "VALID_NODE_CHECKING_REGISTRATION=SUBNET",
		"everyone":         "VALID_NODE_CHECKING_REGISTRATION=OFF",
		"not one of these": "REGISTRATION_INVITED_NODES=203.0.113.0/24",
	} {
		t.Run(name, func(t *testing.T) {
			b := startBroker(t, brokerOptions{listen: "0.0.0.0:0", parameters: []string{invitation}})
			_, port, _ := net.SplitHostPort(b.address)
			at := net.JoinHostPort(network.here, port)
			c := network.dial(t, at)
			writeAll(t, c, registerConnect())
			reply, err := readRaw(c, patience)
			if err != nil {
				t.Fatal(err)
			}
			if name == "not one of these" {
				if reply.kind != typeRefuse {
					t.Errorf("answered with type %d", reply.kind)
				}
			} else {
				if reply.kind != typeAccept {
					t.Fatalf("answered with type %d and %q", reply.kind, reply.text())
				}
				writeAll(t, c, rawData(message))
				b.awaitTable(t, tableOf(t, message))
			}
			for command, want := range map[string]string{"ping": "(ERR=0)", "status": "(ERR=1189)", "services": "(ERR=1189)", "stop": "(ERR=1189)"} {
				c := network.dial(t, at)
				writeAll(t, c, rawConnect([]byte("(CONNECT_DATA=(COMMAND="+command+"))")))
				if reply, err := readRaw(c, patience); err != nil || reply.kind != typeRefuse || !strings.Contains(reply.text(), want) {
					t.Errorf("%s from afar is answered with type %d and %q, %v; want %s", command, reply.kind, reply.text(), err, want)
				}
			}
		})
	}
}
