package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"servicebroker/tns"
)

// authority is the one certificate, self-signed, ECDSA over P-256, in files as servers want them.
type authority struct {
	roots                  *x509.CertPool
	certificate, key, both string
}

// newAuthority makes the certificate.
func newAuthority(folder string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"bench"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	a := &authority{roots: x509.NewCertPool(), certificate: filepath.Join(folder, "bench.crt"), key: filepath.Join(folder, "bench.key"), both: filepath.Join(folder, "bench.pem")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	a.roots.AppendCertsFromPEM(certificate)
	return a, errors.Join(os.WriteFile(a.certificate, certificate, 0o600), os.WriteFile(a.key, secret, 0o600),
		os.WriteFile(a.both, append(certificate, secret...), 0o600))
}

// client is the configuration of a client that has all servers use the same: version, curve and cipher.
func (a *authority) client(version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: a.roots, MinVersion: version, MaxVersion: version, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, ServerName: "127.0.0.1",
	}
}

// bind is what HAProxy's bind says for the same.
func (a *authority) bind() string {
	return " ssl crt " + a.both + " curves X25519:P-256 ciphers ECDHE-ECDSA-AES128-GCM-SHA256 ciphersuites TLS_AES_128_GCM_SHA256"
}

// openSecure connects over TLS and waits for the ACCEPT.
func openSecure(address string, config *tls.Config, packet []byte) (*tls.Conn, error) {
	raw, err := (&net.Dialer{Timeout: patience, KeepAlive: -1}).Dial("tcp4", address)
	if err != nil {
		return nil, err
	}
	_ = raw.(*net.TCPConn).SetLinger(0) // closed as sessions without TLS are
	c := tls.Client(raw, config)
	if err := acceptOver(c, packet); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

func acceptOver(c *tls.Conn, packet []byte) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := c.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if _, err := c.Write(packet); err != nil {
		return fmt.Errorf("send CONNECT: %w", err)
	}
	b := make([]byte, 1024)
	n, err := io.ReadAtLeast(c, b, len(acceptPacket()))
	if err != nil {
		return fmt.Errorf("no answer to CONNECT: %w", err)
	}
	if answered(b[:n]) != tns.TypeAccept {
		return answerError(b[:n])
	}
	return c.SetDeadline(time.Time{})
}

// secureAtOnce is how many connects over TLS are under way.
const secureAtOnce = 16

// secureConnects are connects over TLS, with handshakes that are full or resume an earlier one.
func secureConnects(version uint16, resumed bool) func(context.Context, *lab, *peer, time.Duration) (figures, error) {
	return func(_ context.Context, l *lab, p *peer, lasting time.Duration) (figures, error) {
		when := windowOf(lasting)
		parts := make([]*latencies, secureAtOnce)
		var running sync.WaitGroup
		for i := range parts {
			parts[i] = new(latencies)
			running.Go(func() { parts[i].connectSecurely(l.authority.client(version), resumed, p, when) })
		}
		running.Wait()
		found := join(parts...)
		return found.figures(), found.why
	}
}

var errNotResumed = errors.New("the server makes a full handshake where it could resume one")

// connectSecurely is one goroutine's part.
func (l *latencies) connectSecurely(config *tls.Config, resumed bool, p *peer, when window) {
	if resumed {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	for first := true; !l.enough(when, time.Now()); first = false {
		began := time.Now()
		c, err := openSecure(p.address, config, p.connects.packet)
		if err != nil {
			l.fail(err)
			return
		}
		now := time.Now()
		if resumed && !first && !c.ConnectionState().DidResume {
			l.fail(errNotResumed)
		}
		c.NetConn().Close()
		l.done(when, began, now)
	}
}

// secureBulk receives on n sessions over TLS as much as comes.
func secureBulk(n int) func(context.Context, *lab, *peer, time.Duration) (figures, error) {
	return func(_ context.Context, l *lab, p *peer, lasting time.Duration) (figures, error) {
		var sources []io.Reader
		for range n {
			c, err := openSecure(p.address, l.authority.client(tls.VersionTLS13), p.connects.packet)
			if err != nil {
				return nil, err
			}
			defer c.NetConn().Close()
			if _, err := c.Write(message(asking, messageSize)); err != nil {
				return nil, fmt.Errorf("ask for bulk: %w", err)
			}
			sources = append(sources, c)
		}
		rate, err := receive(sources, lasting)
		return figures{"rate": rate}, err
	}
}
