package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"servicebroker/testenv/fuzzing"
)

// captured is what a TLS client says first.
func captured(f *testing.F, config *tls.Config) []byte {
	f.Helper()
	client, server := fuzzing.Pipe("10.0.0.1:40000", "192.0.2.1:1521", 1<<16, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, config).Handshake()
	}()
	b := make([]byte, 1<<16)
	n, err := server.Read(b)
	if err != nil {
		f.Fatal(err)
	}
	_ = server.Close()
	<-done
	return b[:n]
}

// FuzzPeekHello: whatever a client says first, all of it is there for whoever goes on with the connection;
// and what is seen of it is what a TLS server sees, however it arrives.
func FuzzPeekHello(f *testing.F) {
	for _, c := range []*tls.Config{
		{ServerName: "S4.orcl.V3.319", NextProtos: []string{"sqlnet"}}, {ServerName: "db1.example.com", MaxVersion: tls.VersionTLS12}, {InsecureSkipVerify: true},
	} {
		f.Add(captured(f, c), uint8(7))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(1))
	f.Add([]byte{0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff}, uint8(0))
	f.Fuzz(func(t *testing.T, said []byte, piece uint8) {
		read := func(piece int) (Hello, []byte, error) {
			client, server := fuzzing.Pipe("10.0.0.1:40000", "192.0.2.1:1521", len(said)+1, piece)
			client.Offer(said)
			_ = client.CloseWrite()
			var hello Hello
			var err error
			fuzzing.Bounded(t, len(said)+1<<10, func() {
				if hello.Bytes == nil {
					hello, err = PeekHello(server)
				}
			})
			all, readErr := io.ReadAll(Replay(server, hello.Bytes))
			if readErr != nil {
				t.Fatal(readErr)
			}
			_, _ = client.Close(), server.Close()
			return hello, all, err
		}
		whole, all, err := read(0)
		if !bytes.Equal(all, said) {
			t.Fatalf("of %x is left %x", said, all)
		}
		slow, all, slowErr := read(1 + int(piece))
		if whole.ServerName != slow.ServerName || (err == nil) != (slowErr == nil) || !bytes.Equal(all, said) {
			t.Fatalf("%+v %v, in pieces %+v %v", whole, err, slow, slowErr)
		}
		if err != nil && whole.ServerName != "" {
			t.Fatalf("%q and %v", whole.ServerName, err)
		}
		_, _ = ParseSNI(whole.ServerName)
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "write" {
			t.Fatalf("it was answered: %v", err)
		}
	})
}

// FuzzWallets opens files that are to be a wallet, PEM or a password: it is used or refused with a reason.
func FuzzWallets(f *testing.F) {
	f.Add([]byte{0xa1, 0xf8, 0x4e, '6', 0, 0, 0, 6, 0, 0, 0, 0x21, 6, 1, 2, 3, 4, 5, 6, 7, 8}, false)
	f.Add([]byte{0xa1, 0xf8, 0x4e, 0x37, 0xff, 0xff, 0xff, 0xff}, false)
	f.Add([]byte{0x30, 0x82, 1, 0, 2, 1, 3, 0x30, 0x80}, false)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), true)
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte, pem bool) {
		name := filepath.Join(folder, "file")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := &Source{Wallet: name}
		if pem {
			s = &Source{Certificate: name}
		}
		fuzzing.Bounded(t, len(content)+64<<10, func() {
			m, err := s.parse(map[string][]byte{name: content})
			if (m == nil) == (err == nil) {
				t.Fatalf("%v and %v", m, err)
			}
		})
	})
}
