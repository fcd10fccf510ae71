package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// connected is a TCP connection over loopback, both ends.
func connected(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	must(t, err)
	server, err = l.Accept()
	must(t, err)
	deadline := time.Now().Add(10 * time.Second)
	must(t, errors.Join(client.SetDeadline(deadline), server.SetDeadline(deadline)))
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

// ends are both ends of a TLS connection of ours, the handshake not run.
func ends(t testing.TB, ca *authority, version uint16) (client, server *Conn) {
	t.Helper()
	f := newFolder(t)
	s := loaded(t, &Source{Certificate: f.pair(t, "cert.pem", ca.host(t)), MinVersion: version})
	trusting := &Outbound{Source: loaded(t, &Source{CA: f.put(t, "ca.pem", ca.pem()), MinVersion: version})}
	rawClient, rawServer := connected(t)
	server, err := s.Server(rawServer)
	must(t, err)
	client = newConn(rawClient, func(raw net.Conn) *tls.Conn {
		config := trusting.config("db1.example.com")
		config.MaxVersion = version
		return tls.Client(raw, config)
	})
	return client, server
}

// talk sends a text each way.
func talk(t *testing.T, client, server net.Conn, text string) {
	t.Helper()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			if _, err := io.WriteString(way[0], text); err != nil {
				t.Error(err)
			}
		})
		got := make([]byte, len(text))
		if _, err := io.ReadFull(way[1], got); err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
	both.Wait()
}

// Both sides run a second handshake on the same socket, and a third; each is a whole one.
func TestRestartTLS(t *testing.T) {
	ca := newAuthority(t, "root")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			client, server := ends(t, ca, version)
			talk(t, client, server, "before")
			seen := map[string]bool{binding(t, client): true}
			for range 2 {
				done := make(chan error, 1)
				go func() { done <- server.RestartTLS(t.Context()) }()
				must(t, client.RestartTLS(t.Context()))
				must(t, <-done)
				talk(t, client, server, "after")
				state := client.ConnectionState()
				if state.DidResume || state.Version != version {
					t.Errorf("resumed %v, version %s", state.DidResume, tls.VersionName(state.Version))
				}
				seen[binding(t, client)] = true
				if binding(t, client) != binding(t, server) {
					t.Error("the ends do not share a session")
				}
			}
			if len(seen) != 3 {
				t.Errorf("%d different sessions, want 3", len(seen))
			}
		})
	}
}

// binding tells TLS sessions apart.
func binding(t *testing.T, c *Conn) string {
	t.Helper()
	state := c.ConnectionState()
	key, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 16)
	must(t, err)
	return string(key)
}

// A peer that does not go along leaves a closed connection and an error.
func TestRestartTLSFails(t *testing.T) {
	ca := newAuthority(t, "root")
	client, server := ends(t, ca, tls.VersionTLS13)
	talk(t, client, server, "before")
	go func() { _, _ = client.NetConn().Write([]byte("000800000b080000")) }()
	if err := server.RestartTLS(t.Context()); !errors.Is(err, ErrNotTLS) {
		t.Errorf("%v, want ErrNotTLS", err)
	}
	if _, err := server.NetConn().Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is still open: %v", err)
	}

	client, server = ends(t, ca, tls.VersionTLS13)
	talk(t, client, server, "before")
	ctx, cancel := context.WithCancel(t.Context())
	context.AfterFunc(ctx, func() {})
	go cancel()
	if err := client.RestartTLS(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's end", err)
	}
}

// Closing after a linger of 0 does not wait for a peer that does not read.
func TestAbruptClose(t *testing.T) {
	client, server := ends(t, newAuthority(t, "root"), tls.VersionTLS13)
	talk(t, client, server, "before")
	must(t, server.SetLinger(0))
	must(t, server.Close())
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v, want a reset", err)
	}
}

// Closing tells the peer, and so does ending the write side.
func TestGentleClose(t *testing.T) {
	client, server := ends(t, newAuthority(t, "root"), tls.VersionTLS13)
	talk(t, client, server, "before")
	must(t, client.CloseWrite())
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
	if _, err := io.WriteString(server, "still"); err != nil {
		t.Error(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "still" {
		t.Errorf("%q, %v", got, err)
	}
	must(t, server.Close())
	if _, err := client.Read(got); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
}

// A deadline ends a handshake, too, and a client without TLS is told apart.
func TestHandshakeEnds(t *testing.T) {
	s := loaded(t, &Source{Certificate: newFolder(t).pair(t, "cert.pem", newAuthority(t, "root").host(t))})
	_, raw := connected(t)
	server, err := s.Server(raw)
	must(t, err)
	must(t, server.SetReadDeadline(time.Now().Add(-time.Second)))
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	client, raw := connected(t)
	server, err = s.Server(raw)
	must(t, err)
	_, err = client.Write([]byte{0, 0x3a, 0, 0, 1, 0, 0, 0})
	must(t, err)
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, ErrNotTLS) {
		t.Errorf("%v, want ErrNotTLS", err)
	}
}

func TestPeekHello(t *testing.T) {
	client, server := connected(t)
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "S4.orcl.V3.319", NextProtos: []string{"a", "b"}, InsecureSkipVerify: true}).Handshake()
	}()
	hello, err := PeekHello(server)
	must(t, err)
	if hello.ServerName != "S4.orcl.V3.319" || len(hello.Protocols) != 2 || len(hello.Bytes) < 100 || hello.Bytes[0] != 22 {
		t.Errorf("%q %v, %d bytes", hello.ServerName, hello.Protocols, len(hello.Bytes))
	}
	// The handshake can still be had, as if nobody had looked.
	s := loaded(t, &Source{Certificate: newFolder(t).pair(t, "cert.pem", newAuthority(t, "root").host(t))})
	again, err := s.Server(Replay(server, hello.Bytes))
	must(t, err)
	must(t, again.HandshakeContext(t.Context()))
	if got := again.ConnectionState().ServerName; got != hello.ServerName {
		t.Errorf("%q", got)
	}
	must(t, again.SetLinger(0))
	must(t, again.Close())
}

// What is no TLS can be passed on as it came.
func TestPeekHelloOfOthers(t *testing.T) {
	connect := append([]byte{0, 0x3a, 0, 0, 1, 0, 0, 0}, bytes.Repeat([]byte{7}, 50)...)
	client, server := connected(t)
	_, err := client.Write(connect)
	must(t, err)
	hello, err := PeekHello(server)
	if !errors.Is(err, ErrNotTLS) {
		t.Errorf("%v, want ErrNotTLS", err)
	}
	must(t, client.(*net.TCPConn).CloseWrite())
	got, err := io.ReadAll(Replay(server, hello.Bytes))
	if err != nil || !bytes.Equal(got, connect) {
		t.Errorf("%x, %v, want %x", got, err, connect)
	}
	client, server = connected(t)
	must(t, client.Close())
	if hello, err := PeekHello(server); err == nil || len(hello.Bytes) > 0 || Replay(server, hello.Bytes) != server {
		t.Errorf("%v, %v", hello, err)
	}
}

// Bytes put in front of a connection take nothing from it: one half of it can end, and the other goes on.
func TestReplayEndsOneHalf(t *testing.T) {
	client, server := connected(t)
	c := Replay(server, []byte("fir"))
	must(t, c.(interface{ CloseWrite() error }).CloseWrite())
	if got, err := io.ReadAll(client); err != nil || len(got) > 0 {
		t.Errorf("the client reads %q, %v", got, err)
	}
	_, err := io.WriteString(client, "st")
	must(t, err)
	must(t, client.Close())
	if got, err := io.ReadAll(c); err != nil || string(got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
	near, far := net.Pipe() // which has no halves
	must(t, Replay(near, []byte("x")).(interface{ CloseWrite() error }).CloseWrite())
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v", err)
	}
}

// Records that nobody sealed, and a handshake that nobody asked for, are the peer's fault; that the network ends is nobody's.
func TestWhoBreaksTLSIsTold(t *testing.T) {
	ca := newAuthority(t, "root")
	for name, c := range map[string]struct {
		breaks func(raw net.Conn)
		broken bool
	}{
		"forged": {func(raw net.Conn) {
			_, _ = raw.Write([]byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
		}, true},
		"a handshake in clear": {func(raw net.Conn) { _, _ = raw.Write([]byte{22, 3, 3, 0, 4, 1, 0, 0, 0}) }, true},
		"no record":            {func(raw net.Conn) { _, _ = raw.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, true},
		"end":                  {func(raw net.Conn) { _ = raw.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := ends(t, ca, tls.VersionTLS12)
			talk(t, client, server, "before")
			go c.breaks(client.raw)
			_ = client.raw.SetDeadline(time.Now().Add(10 * time.Second))
			go func() { _, _ = io.Copy(io.Discard, client.raw) }()
			if _, err := server.Read(make([]byte, 10)); err == nil || errors.Is(err, ErrBroken) != c.broken {
				t.Errorf("%v", err)
			}
		})
	}
}
