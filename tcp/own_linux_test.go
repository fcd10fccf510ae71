package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shortListener has room for one connection that nobody has accepted.
func shortListener() (net.Listener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}

func TestWhatIsSetOnConnections(t *testing.T) {
	near, far := pair(t)
	option := func(c net.Conn, level, name int) (v int) {
		_ = c.(*Conn).control("get", func(fd int) (err error) { v, err = unix.GetsockoptInt(fd, level, name); return err })
		return v
	}
	for _, c := range []net.Conn{near, far} {
		if option(c, unix.IPPROTO_TCP, unix.TCP_NODELAY) == 0 {
			t.Errorf("%v waits with small packets", c.LocalAddr())
		}
	}
	if idle := option(near, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); option(near, unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 || idle != int(keepAlive.Idle/time.Second) {
		t.Errorf("keep-alive after %d s", idle)
	}
}

func TestReadingNeedsNoPollerWhereSomethingIsThere(t *testing.T) {
	near, far := pair(t)
	_, _ = near.Write([]byte("x"))
	if _, err := far.Read(make([]byte, 1)); err != nil || far.(*Conn).file.Load() != nil {
		t.Errorf("a byte that is there: %v", err)
	}
}

func TestWaitingWithoutReading(t *testing.T) {
	near, far := pair(t)
	c, b := far.(*Conn), make([]byte, 8)
	if _, there, err := c.ReadNow(b); there || err != nil {
		t.Fatalf("ReadNow of nothing: %v, %v", there, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := c.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Wait for nothing: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	for range 3 {
		var sent sync.WaitGroup
		sent.Go(func() { _, _ = near.Write([]byte("x")) })
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if n, there, err := c.ReadNow(b); n != 1 || !there || err != nil {
			t.Fatalf("ReadNow of a byte: %d, %v, %v", n, there, err)
		}
		sent.Wait()
	}
	_ = near.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("Wait for the end: %v", err)
	}
	if _, _, err := c.ReadNow(b); err != io.EOF {
		t.Fatalf("ReadNow of the end: %v", err)
	}
}

// scoped is an address of this machine that means something on a link alone.
func scoped(t *testing.T) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		at, ok := a.(*net.IPNet)
		if !ok || at.IP.To4() != nil || !at.IP.IsLinkLocalUnicast() {
			continue
		}
		links, _ := net.Interfaces()
		for _, link := range links {
			own, _ := link.Addrs()
			if slices.ContainsFunc(own, func(o net.Addr) bool { return o.String() == at.String() }) {
				addr, _ := netip.AddrFromSlice(at.IP)
				return addr.WithZone(link.Name)
			}
		}
	}
	t.Skip("no interface has a link-local address")
	return netip.Addr{}
}

func TestAddressesOfALinkNameIt(t *testing.T) {
	at := scoped(t)
	l := listen(t, netip.AddrPortFrom(at, 0).String())
	near, err := Dial(t.Context(), netip.AddrPortFrom(at, uint16(l.Addr().(*net.TCPAddr).Port)), keepAlive)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for _, a := range []net.Addr{near.LocalAddr(), near.RemoteAddr(), far.RemoteAddr()} { // far's own is its listener's
		if zone := a.(*net.TCPAddr).Zone; zone != at.Zone() {
			t.Errorf("%v is on link %q, want %q", a, zone, at.Zone())
		}
	}
}

func TestZonesHaveNamesAndNumbers(t *testing.T) {
	link, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	for zone, want := range map[string]uint32{"": 0, "lo": uint32(link.Index), "77777": 77777, "no such link": 0} {
		if got := zoneNumber(zone); got != want {
			t.Errorf("zone %q is %d, want %d", zone, got, want)
		}
	}
	if got := inet6([16]byte{0xfe, 0x80, 15: 1}, uint32(link.Index), 7).String(); got != "[fe80::1%lo]:7" {
		t.Errorf("an address on lo is %s", got)
	}
	if got := inet6([16]byte{0xfe, 0x80, 15: 1}, 77777, 7).String(); got != "[fe80::1%77777]:7" {
		t.Errorf("an address on a link without a name is %s", got)
	}
}

func TestADetachedDescriptorOutlivesItsConnection(t *testing.T) {
	near, far := pair(t)
	fd, ok := near.(*Conn).Detach()
	if !ok || near.Close() == nil {
		t.Fatal("still the connection's")
	}
	if _, again := near.(*Conn).Detach(); again {
		t.Error("given away twice")
	}
	if n, errno := Send(fd, []byte("x")); n != 1 || errno != 0 {
		t.Errorf("%d bytes, %v", n, errno)
	}
	_ = Reset(fd)
	if _, err := io.ReadAll(far); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other side read %v", err)
	}
}

func TestWhoeverWaitedKeepsTheDescriptor(t *testing.T) {
	near, far := pair(t)
	_, _ = near.Write([]byte("x"))
	c := far.(*Conn)
	if err := c.Wait(); err != nil || !c.Parked() {
		t.Fatalf("%v, parked: %v", err, c.Parked())
	}
	if _, ok := c.Detach(); ok {
		t.Error("what Go's poller has was given away")
	}
	if n, err := far.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	cause := errors.New("no longer wanted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := Dial(ctx, netip.MustParseAddrPort("127.0.0.1:9"), keepAlive); !errors.Is(err, cause) {
		t.Errorf("Dial with a context that is over: %v", err)
	}
	full := netip.MustParseAddrPort(silentAddress(t))
	limited, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := Dial(limited, full, keepAlive); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial of one who does not answer: %v", err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	var gave sync.WaitGroup
	gave.Go(func() {
		if _, err := Dial(ctx, full, keepAlive); !errors.Is(err, cause) {
			t.Errorf("Dial that was ended: %v", err)
		}
	})
	cancel(cause)
	gave.Wait()
}

// silentAddress is one where connections are never accepted: the room for them is full.
func silentAddress(t *testing.T) string {
	t.Helper()
	l, err := shortListener()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for range 8 {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		c, err := Dial(ctx, l.Addr().(*net.TCPAddr).AddrPort(), keepAlive)
		stop()
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("the system accepts more connections than it was asked to")
	return ""
}
