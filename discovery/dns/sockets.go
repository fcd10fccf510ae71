package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"

	wire "github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Sockets are what a Server listens on: one address over TCP, and over UDP with a socket for each processor.
type Sockets struct {
	UDP []net.PacketConn
	TCP net.Listener
}

// Listen opens sockets at an address, "host:port". With port 0 any free one is taken, the same for both.
func Listen(ctx context.Context, address string) (*Sockets, error) {
	sockets := &Sockets{}
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, failed)
	}}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("DNS cannot be served at %s: %w", address, err)
	}
	sockets.TCP = l
	for range runtime.GOMAXPROCS(0) {
		conn, err := reuse.ListenPacket(ctx, "udp", l.Addr().String())
		if err != nil {
			sockets.Close()
			return nil, fmt.Errorf("DNS cannot be served at %s: %w", address, err)
		}
		sockets.UDP = append(sockets.UDP, conn)
	}
	return sockets, nil
}

// Close closes all sockets.
func (s *Sockets) Close() {
	if s.TCP != nil {
		s.TCP.Close()
	}
	for _, c := range s.UDP {
		c.Close()
	}
}

const (
	maxConns   = 512 // over TCP, at the same time
	idleTime   = 8 * time.Second
	stopWithin = 2 * time.Second

	lastQuestions = 300 * time.Millisecond // for those who have connected, and not asked yet
)

// Run serves at the sockets, which it closes, and notifies secondaries, until ctx ends. It returns at once with an error if the
// settings are wrong.
func (s *Server) Run(ctx context.Context, sockets *Sockets) error {
	defer sockets.Close()
	if err := s.prepare(); err != nil {
		return err
	}
	select { // questions wait in the sockets until there is something to answer with
	case <-s.ready:
	case <-ctx.Done():
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var working sync.WaitGroup
	var failed error
	var once sync.Once
	conns := newBounded(sockets.TCP, maxConns)
	servers := s.servers(conns, sockets.UDP)
	for _, server := range servers {
		working.Go(func() {
			if err := server.ActivateAndServe(); err != nil && ctx.Err() == nil {
				once.Do(func() { failed = fmt.Errorf("DNS is not served any more: %w", err) })
			}
			cancel()
		})
	}
	for _, to := range s.Secondaries {
		working.Go(func() {
			if s.loaded(ctx) {
				s.notify(ctx, to)
			}
		})
	}
	<-ctx.Done()
	s.end(servers, conns)
	working.Wait()
	return failed
}

// end lets servers answer what has been asked already: whoever has the same sockets is never asked that. The first is that of conns.
func (s *Server) end(servers []*wire.Server, conns *bounded) {
	stopping, done := context.WithTimeout(context.Background(), stopWithin)
	defer done()
	_ = conns.Listener.Close()
	for _, server := range servers[1:] {
		if server.ShutdownContext(stopping) != nil { // it has not started, and ends by its closed socket
			_ = server.PacketConn.Close()
		}
	}
	conns.await(lastQuestions)
	_ = servers[0].ShutdownContext(stopping)
	conns.closeAll() // else who does not read what it asked for would be waited for
}

func (s *Server) servers(tcp net.Listener, udp []net.PacketConn) []*wire.Server {
	base := func() *wire.Server {
		return &wire.Server{
			Handler: s, TsigProvider: s.secrets, ReadTimeout: idleTime, IdleTimeout: func() time.Duration { return idleTime },
			MsgAcceptFunc: accept, MsgInvalidFunc: s.invalid,
		}
	}
	overTCP := base()
	overTCP.Listener, overTCP.MaxTCPQueries = tcp, -1
	all := []*wire.Server{overTCP}
	for _, conn := range udp {
		overUDP := base()
		overUDP.PacketConn, overUDP.UDPSize = conn, 4096
		all = append(all, overUDP)
	}
	return all
}

// accept leaves alone what is an answer itself, lest two servers answer each other for ever. All else is judged as a question.
func accept(h wire.Header) wire.MsgAcceptAction {
	const isAnswer = 1 << 15
	if h.Bits&isAnswer != 0 {
		return wire.MsgIgnore
	}
	return wire.MsgAccept
}

// invalid is told of what cannot be read. What has a header is answered so by the library.
func (s *Server) invalid(message []byte, _ error) {
	if len(message) >= headerSize && s.Answered != nil {
		s.Answered(wire.TypeNone, wire.RcodeFormatError)
	}
}

const headerSize = 12

// loaded waits for the first Sync; false if ctx ended before.
func (s *Server) loaded(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.ready:
		return true
	}
}
