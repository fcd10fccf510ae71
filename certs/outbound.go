package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"servicebroker/dn"
)

// Outbound is how connections to instances use TLS.
type Outbound struct {
	// Source has our certificate, if instances ask for one, and the authorities we trust.
	// It must have been loaded; nil: no certificate, and the system's authorities.
	Source *Source
	// DNs are patterns of package dn, of which an instance's certificate has to fit one. Empty:
	// its host name, or IP address, has to be among the names of its certificate; for a
	// certificate without any such name, as Oracle's tools make them, its CN counts.
	DNs []string
	// AnyName accepts whatever certificate the authorities have signed, if DNs is empty. It
	// makes everyone with such a certificate as good as the instance.
	AnyName bool
	// Unverified accepts any certificate at all. It is for those who only want to know
	// what is there, and say nothing that is worth anything.
	Unverified bool
}

// DialTLS connects to an instance whose handler has PROTOCOL=tcps: it calls dial with
// "tcp" and address, host:port, and runs the handshake. settings may be nil. The errors
// say whether the network or TLS is at fault, and what to do. When ctx ends it gives up.
func DialTLS(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), address string, settings *Outbound) (*Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w: write host:port", address, err)
	}
	raw, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := newConn(raw, func(raw net.Conn) *tls.Conn { return tls.Client(raw, settings.config(host)) })
	c.dialled = true
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, readableClient(err))
	}
	return c, nil
}

// config is the client's configuration for one host, with what is in use now. It checks
// the certificate itself, since crypto/tls knows neither DNs nor names in CN alone.
func (o *Outbound) config(host string) *tls.Config {
	if o == nil {
		o = &Outbound{}
	}
	config := (&Source{}).limits()
	var roots *x509.CertPool
	if s := o.Source; s != nil {
		config = s.limits()
		if m := s.current.Load(); m != nil {
			roots = m.trusted
			config.GetClientCertificate = m.showClient
		}
	}
	config.ServerName = host
	config.InsecureSkipVerify = true // VerifyConnection does
	config.VerifyConnection = func(state tls.ConnectionState) error { return o.judge(host, roots, state) }
	return config
}

// showClient is the certificate for a server that asks; an empty one is none.
func (m *material) showClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if m.certificate == nil {
		return &tls.Certificate{}, nil
	}
	return m.certificate, nil
}

// judge verifies an instance's certificate.
func (o *Outbound) judge(host string, roots *x509.CertPool, state tls.ConnectionState) error {
	if o.Unverified {
		return nil
	}
	leaf := state.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	name := Subject(leaf)
	switch {
	case len(o.DNs) > 0:
		if slices.ContainsFunc(o.DNs, func(p string) bool { return dn.Match(p, name) }) {
			return nil
		}
		return fmt.Errorf("%w: it is %q: correct the DN in UPSTREAM_TLS if that is the instance", ErrUnwantedPeer, name)
	case o.AnyName:
		return nil
	case len(leaf.DNSNames)+len(leaf.IPAddresses) > 0:
		if err := leaf.VerifyHostname(host); err != nil {
			return fmt.Errorf("%w: %w: register the instance under a name of its certificate, or give its DN %q in UPSTREAM_TLS", ErrUnwantedPeer, err, name)
		}
		return nil
	case !nameCovers(leaf.Subject.CommonName, host):
		return fmt.Errorf("%w: it is %q and has no other names, and the instance is at %q: give that DN in UPSTREAM_TLS if it is the instance's", ErrUnwantedPeer, name, host)
	}
	return nil
}

// nameCovers tells whether a CN is host, or *. and the domain of host.
func nameCovers(cn, host string) bool {
	cn, host = strings.ToLower(cn), strings.ToLower(strings.TrimSuffix(host, "."))
	if cn == host {
		return cn != ""
	}
	domain, wild := strings.CutPrefix(cn, "*.")
	_, rest, found := strings.Cut(host, ".")
	return wild && found && rest == domain && net.ParseIP(host) == nil && strings.Contains(domain, ".")
}

// readableClient says what to do about a handshake that failed on our side as a client.
func readableClient(err error) error {
	switch {
	case errors.Is(err, ErrNotTLS):
		return fmt.Errorf("%w: the instance answers without TLS there; let it register PROTOCOL=tcp, or another port", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w before the handshake was over: an Oracle listener is silent if that port is one without TLS", err)
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Errorf("%w: give the CA of the instances' certificates in UPSTREAM_TLS", err)
	}
	return unwanted(err)
}

// unwanted says what to do about an alert by which an instance ends the connection. In
// TLS 1.3 it comes when the handshake is over for us.
func unwanted(err error) error {
	if said, ok := errors.AsType[*net.OpError](err); ok && said.Op == "remote error" {
		return fmt.Errorf("%w: the instance does not want us; if it asks for a certificate, give one in UPSTREAM_TLS", err)
	}
	return err
}
