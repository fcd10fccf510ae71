package stage

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Network is another network on this machine: a network namespace joined to ours by a pair of interfaces. A nil Network
// is the one this process is in.
type Network struct {
	Namespace string
	Here      string // our address on it
	There     string // the address over there
	Prefix    string // of both

	outer, inner string // names of the interfaces on our side and over there
}

// ErrNoNetwork is wrapped by the errors that say why a namespace cannot be made here.
var ErrNoNetwork = errors.New("no network namespace can be made")

// Networks makes networks, each with addresses of its own.
type Networks struct{ made atomic.Uint32 }

// New makes a network. Close removes it.
func (all *Networks) New() (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w by others than root: run this as root", ErrNoNetwork)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("%w without iproute2: run scripts/testdeps as root, or apt-get install iproute2", ErrNoNetwork)
	}
	// 198.18.0.0/15 is set aside for tests of networks; it has room for 2^15 pairs of addresses. The process id keeps two
	// runs at a time apart, eight networks each.
	const each = 8
	number := all.made.Add(1) - 1
	base := 198<<24 | 18<<16 | (uint32(os.Getpid())*each+number%each)%(1<<15)<<2
	id := fmt.Sprintf("%d-%d", os.Getpid(), number)
	n := &Network{
		Namespace: "broker-test-" + id, outer: "bto" + id, inner: "bti" + id,
		Here: address4(base + 1), There: address4(base + 2), Prefix: address4(base) + "/30",
	}
	if said, err := ip("netns", "add", n.Namespace); err != nil {
		return nil, fmt.Errorf("%w: %w: %s: run this with CAP_SYS_ADMIN and CAP_NET_ADMIN", ErrNoNetwork, err, said)
	}
	for _, command := range [][]string{
		{"link", "add", n.outer, "type", "veth", "peer", "name", n.inner, "netns", n.Namespace},
		{"addr", "add", n.Here + "/30", "dev", n.outer},
		{"link", "set", n.outer, "up"},
		{"-n", n.Namespace, "addr", "add", n.There + "/30", "dev", n.inner},
		{"-n", n.Namespace, "link", "set", n.inner, "up"},
		{"-n", n.Namespace, "link", "set", "lo", "up"},
	} {
		if said, err := ip(command...); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: ip %s: %w: %s: run this with CAP_NET_ADMIN and veth interfaces",
				ErrNoNetwork, strings.Join(command, " "), err, said), n.Close())
		}
	}
	return n, nil
}

// Close removes the network.
func (n *Network) Close() error {
	_, _ = ip("link", "del", n.outer)
	if said, err := ip("netns", "del", n.Namespace); err != nil {
		return fmt.Errorf("the namespace %s is left behind: %w: %s", n.Namespace, err, said)
	}
	return nil
}

func address4(number uint32) string {
	return netip.AddrFrom4([4]byte{byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}).String()
}

func ip(arguments ...string) (string, error) {
	said, err := exec.Command("ip", arguments...).CombinedOutput()
	return strings.TrimSpace(string(said)), err
}

// nobody is a hardware address that no interface has.
const nobody = "02:00:00:00:00:fe"

// Drop has every packet between here and there vanish without a word, in both directions.
func (n *Network) Drop() error {
	for _, command := range [][]string{
		{"neigh", "replace", n.There, "lladdr", nobody, "dev", n.outer, "nud", "permanent"},
		{"-n", n.Namespace, "neigh", "replace", n.Here, "lladdr", nobody, "dev", n.inner, "nud", "permanent"},
	} {
		if said, err := ip(command...); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(command, " "), err, said)
		}
	}
	return nil
}

// Pass ends Drop.
func (n *Network) Pass() error {
	for _, command := range [][]string{
		{"neigh", "del", n.There, "dev", n.outer},
		{"-n", n.Namespace, "neigh", "del", n.Here, "dev", n.inner},
	} {
		if said, err := ip(command...); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(command, " "), err, said)
		}
	}
	return nil
}

// command is how to run a program there; the process keeps its number.
func (n *Network) command(program string, arguments []string) (string, []string) {
	if n == nil {
		return program, arguments
	}
	return "ip", append([]string{"netns", "exec", n.Namespace, program}, arguments...)
}

// Inside runs a function with its thread in the namespace. The thread comes back afterwards: processes that it started
// would be killed if it ended.
func (n *Network) Inside(do func() error) error {
	if n == nil {
		return do()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + n.Namespace)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = do()
	return errors.Join(err, unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
}
