package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Hello is what a client says in the first message of its TLS handshake.
type Hello struct {
	ServerName string // SNI; "" if it sent none. ParseSNI reads Oracle's
	Protocols  []string
	Bytes      []byte // all that was read of the connection, also if it is no TLS
}

// PeekHello reads a ClientHello without answering it, so that a connection can be passed
// on by its server name with TLS left to the two ends. Hello.Bytes are what has been taken
// from the connection, also if there is an error: write them to whom it is passed on, or
// use Replay. The error is ErrNotTLS if the peer speaks something else. The caller's
// deadline bounds it.
func PeekHello(c net.Conn) (Hello, error) {
	var hello Hello
	var taken bytes.Buffer
	stop := errors.New("that is all")
	config := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello.ServerName, hello.Protocols = h.ServerName, h.SupportedProtos
		return nil, stop
	}}
	err := tls.Server(listening{io.TeeReader(c, &taken)}, config).Handshake()
	hello.Bytes = taken.Bytes()
	if errors.Is(err, stop) {
		return hello, nil
	}
	return hello, notTLS(err)
}

// Replay is c with bytes in front of what is still to be read of it.
func Replay(c net.Conn, before []byte) net.Conn {
	if len(before) == 0 {
		return c
	}
	return &replayed{Conn: c, before: before}
}

type replayed struct {
	net.Conn
	before []byte

	enter   func() error // see InTurns; nil: there are no turns
	leave   func()
	working bool // it has a turn
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.before) > 0 {
		n := copy(b, r.before)
		r.before = r.before[n:]
		return n, nil
	}
	if r.enter != nil {
		return r.readInTurn(b)
	}
	return r.Conn.Read(b)
}

// NetConn is the connection without what was put in front of it.
func (r *replayed) NetConn() net.Conn { return r.Conn }

var errNoDescriptor = errors.New("the connection has no descriptor that stands for all of it")

// File is a descriptor of the connection, once what was put in front of it has been read.
func (r *replayed) File() (*os.File, error) {
	f, ok := r.Conn.(interface{ File() (*os.File, error) })
	if !ok || len(r.before) > 0 {
		return nil, errNoDescriptor
	}
	return f.File()
}

// SyscallConn is the connection's socket, once what was put in front of it has been read.
func (r *replayed) SyscallConn() (syscall.RawConn, error) {
	s, ok := r.Conn.(syscall.Conn)
	if !ok || len(r.before) > 0 {
		return nil, errNoDescriptor
	}
	return s.SyscallConn()
}

// SetLinger is that of the connection underneath, if it has one.
func (r *replayed) SetLinger(seconds int) error {
	if t, ok := r.Conn.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(seconds)
	}
	return nil
}

// CloseWrite ends our half of the connection underneath. One that has no halves ends whole.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return r.Conn.Close()
}

// listening is a connection that only reads: whoever listens must not be heard.
type listening struct{ io.Reader }

func (listening) Write(b []byte) (int, error)      { return len(b), nil }
func (listening) Close() error                     { return nil }
func (listening) LocalAddr() net.Addr              { return nil }
func (listening) RemoteAddr() net.Addr             { return nil }
func (listening) SetDeadline(time.Time) error      { return nil }
func (listening) SetReadDeadline(time.Time) error  { return nil }
func (listening) SetWriteDeadline(time.Time) error { return nil }
