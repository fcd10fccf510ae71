package broker

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// inNamespace is in the environment of a test that runs in a network of its own.
const inNamespace = "SERVICEBROKER_TEST_NETWORK"

// inOwnNetwork runs the test in a network namespace of its own, and reports whether it is there.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("a network namespace takes privileges")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// fewPorts leaves so many ports in this namespace from which to connect to one address.
func fewPorts(t *testing.T, ports string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(ports), 0o600); err != nil {
		t.Skipf("the ports of a namespace cannot be set: %v", err)
	}
}

// answering is an instance at an address, that accepts whoever comes.
func answering(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serveAccepts(t, l)
}

// takePorts connects to an address until no port is left for that.
func takePorts(t *testing.T, address string) (giveBack func()) {
	t.Helper()
	var all []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return func() {
				for _, c := range all {
					reset(c)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	t.Fatal("there are more ports than were left")
	return nil
}

// Where no port is left towards an instance others take its connects, nobody is ejected, and
// who is refused in the end is told why.
func TestPortsThatAreUsedUp(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	fewPorts(t, "40000 40029")
	const a, b = "127.0.0.1:20001", "127.0.0.2:20001"
	answering(t, a)
	answering(t, b)
	r := start(t, func(c *Config) {
		c.Addresses = []descriptor.Address{{Protocol: "tcp", Host: "127.0.0.1", Port: 20000}}
		c.ConsoleAddress, c.HoldTimeout = "", 0
	})
	r.put("1", "a", "127.0.0.1", 20001)
	r.put("2", "b", "127.0.0.2", 20001)
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Registrations()) == 2 })
	freeA := takePorts(t, a)
	for range 6 {
		conn, reply := r.ask(sales)
		if _, ok := reply.(*tns.Accept); !ok {
			t.Fatalf("%T %v, though one instance can be reached", reply, reply)
		}
		reset(conn.NetConn())
	}
	if notes := strings.Join(r.notes(), "\n"); !strings.Contains(notes, "short of ports") || !strings.Contains(notes, "ip_local_port_range") {
		t.Errorf("notes: %s", notes)
	}
	var free []func()
	until(t, "nobody can be reached", func() bool { // ports of sessions that have ended come back for a while
		free = append(free, takePorts(t, a), takePorts(t, b))
		conn, reply := r.ask(sales)
		defer reset(conn.NetConn())
		refuse, ok := reply.(*tns.Refuse)
		return ok && refuse.Code() == tns.CodeHandoff
	})
	explained := false
	for _, one := range r.journal.Recent(50) {
		if one.Code == int(tns.CodeHandoff) {
			explained = strings.Contains(one.Text, "ip_local_port_range") && !strings.Contains(one.Text, "can be reached from this host")
		}
	}
	if !explained {
		t.Error("it is not explained by the ports")
	}
	for _, one := range r.Snapshot().Registrations() {
		if marks := r.Snapshot().Marks(one.HandlerKey(&one.Handlers[0])); len(marks) > 0 {
			t.Errorf("%s: %v", one.Instance, marks)
		}
	}
	for _, give := range append(free, freeA) {
		give()
	}
	until(t, "ports are there again", func() bool {
		conn, reply := r.ask(sales)
		defer reset(conn.NetConn())
		_, ok := reply.(*tns.Accept)
		return ok
	})
}
