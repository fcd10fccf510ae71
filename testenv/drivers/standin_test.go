package drivers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/registration/nsgr"
)

// standin is an instance that lets every client in and only notes who came: a thousand of its sessions cost nothing.
type standin struct {
	instance string
	address  string
	max      uint32 // sessions it can take; 0: 149
	from     string // address from which it registers; empty: any
	blocked  bool   // registers its services so
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	came  []string // of each CONNECT for a database, what its WITNESS is
	conns map[net.Conn]bool
	pings int
	dead  bool
}

func startStandin(t *testing.T, instance string) *standin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &standin{instance: instance, address: l.Addr().String(), listener: l, conns: map[net.Conn]bool{}}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			dead := s.dead
			s.mu.Unlock()
			if dead {
				_ = c.Close()
			}
			s.running.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(s.die)
	return s
}

// die closes the listener and all sessions; whoever dials then is reset.
func (s *standin) die() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.dead = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

var witness = regexp.MustCompile(`\(WITNESS=([^)]*)\)`)

// accepts is an ACCEPT of version 310 with an SDU of 8192, tns.md 6.
var accepts = rawPacket(typeAccept, []byte{
	0x01, 0x36, 0x00, 0x00, 0x20, 0x00, 0x7f, 0xff, 0x01, 0x00, 0x00, 0x00, 0x00, 0x20, 0x41, 0x01, 0, 0, 0, 0, 0, 0, 0, 0,
})

func (s *standin) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	data, err := readConnectData(c)
	if err != nil {
		return
	}
	ping := strings.Contains(data, "(COMMAND=") // a probe's
	s.mu.Lock()
	if found := witness.FindStringSubmatch(data); found != nil {
		s.came = append(s.came, found[1])
	}
	if ping {
		s.pings++
	}
	s.mu.Unlock()
	if ping {
		text := "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS=LISTENER))"
		_, _ = c.Write(rawPacket(typeRefuse, append([]byte{0x22, 0, 0, byte(len(text))}, text...)))
		return
	}
	_, _ = c.Write(accepts)
	_, _ = io.Copy(io.Discard, c) // until the client leaves
}

// readConnectData reads a CONNECT and returns its connect data, which may follow in DATA.
func readConnectData(c net.Conn) (string, error) {
	first, err := readRaw(c, patience)
	if err != nil || first.kind != typeConnect || len(first.body) < 26 {
		return "", fmt.Errorf("no CONNECT: type %d, %v", first.kind, err)
	}
	length, offset := int(binary.BigEndian.Uint16(first.body[16:])), int(binary.BigEndian.Uint16(first.body[18:]))-8
	data := first.body[min(max(offset, 0), len(first.body)):]
	for len(data) < length {
		more, err := readRaw(c, patience)
		if err != nil {
			return "", err
		}
		data = append(data, more.text()...)
	}
	return string(data[:length]), c.SetReadDeadline(time.Time{})
}

// seen returns who came, in their order.
func (s *standin) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.came...)
}

// awaitProbe waits until a broker has probed the instance.
func (s *standin) awaitProbe(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.pings == 0 {
			return errors.New(s.instance + " was never probed")
		}
		return nil
	})
}

// register registers the stand-in and returns the connection, by whose end it leaves.
func (s *standin) register(t *testing.T, b *broker, services ...string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if s.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(s.from)}
	}
	link, err := d.DialContext(t.Context(), "tcp", b.address)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	writeAll(t, link, registerConnect())
	reply, err := readRaw(link, patience)
	must(t, err)
	if reply.kind != typeAccept {
		t.Fatalf("the registration of %s was answered with type %d: %s", s.instance, reply.kind, reply.text())
	}
	writeAll(t, link, packets(s.registration(t, services)))
	return link
}

func (s *standin) registration(t *testing.T, services []string) []byte {
	t.Helper()
	host, portText, err := net.SplitHostPort(s.address)
	must(t, err)
	port, err := strconv.Atoi(portText)
	must(t, err)
	most := s.max
	if most == 0 {
		most = 149
	}
	var id [16]byte
	copy(id[:], s.instance)
	nodes := []nsgr.Node{nsgr.NewInstance(id, nsgr.Instance{
		Name: nsgr.NewText(s.instance), Host: nsgr.NewText("(HOST=db-" + s.instance + ")"), NodeMax: 100, Max: most})}
	flags := uint32(4) // nsgr.md 5.2
	if s.blocked {
		flags = 0
	}
	for _, name := range services {
		nodes = append(nodes, nsgr.NewService(nsgr.Service{Name: nsgr.NewText(name), Flags: flags, Delta: 1}))
	}
	id[15] = 1
	nodes = append(nodes, nsgr.NewHandler(id, nsgr.Handler{Name: nsgr.NewText("DEDICATED"), Max: most, Flags: 2, Info: nsgr.NewText("REMOTE SERVER"),
		Address: nsgr.NewText(fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%d))", host, port))}, services...))
	m, err := nsgr.New(nsgr.Linux64(), nodes)
	must(t, err)
	message, err := m.AppendTo(nil)
	must(t, err)
	return message
}

// askFor sends the CONNECT of a client that is told apart by its witness.
func askFor(t *testing.T, b *broker, service, witness, more string) net.Conn {
	t.Helper()
	c := dialRaw(t, b.address)
	writeAll(t, c, rawConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME="+service+")(WITNESS="+witness+")"+more+"))")))
	return c
}
