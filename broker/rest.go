package broker

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/netutil"
	"servicebroker/certs"
	"servicebroker/console"
	"servicebroker/descriptor"
)

// restAPI is the API over the network, with TLS and credentials.
type restAPI struct {
	listener net.Listener // nil: there is none
	logins   *console.Logins
}

// maxRESTConnections bounds what strangers can keep open there.
const maxRESTConnections = 512

// bindREST listens on REST_ADDRESS.
func (b *Broker) bindREST() error {
	c := &b.config
	if !c.servesREST() {
		return nil
	}
	b.rest.logins = &console.Logins{File: c.RESTCredentials, Log: b.log.With("component", "audit")}
	l, err := b.listenHTTP(socketREST, c.RESTAddress)
	if err != nil {
		return fmt.Errorf("REST_ADDRESS: %w: choose another, or off", err)
	}
	b.rest.listener = netutil.LimitListener(l, maxRESTConnections)
	return nil
}

// loadREST reads who may use it.
func (b *Broker) loadREST() error {
	if b.rest.logins == nil {
		return nil
	}
	if err := b.rest.logins.Load(); err != nil {
		return fmt.Errorf("REST_CREDENTIALS: %w", err)
	}
	return nil
}

// servesREST tells whether the API is to be had over the network: with credentials alone.
func (c *Config) servesREST() bool { return c.RESTAddress != "" && c.RESTCredentials != "" }

// canServeREST tells whether there is a certificate for it besides.
func (c *Config) canServeREST() bool {
	return c.servesREST() && (c.TLS.hasCertificate() || len(c.ACME.Names) > 0 && slices.ContainsFunc(c.Addresses, func(a descriptor.Address) bool {
		return strings.EqualFold(a.Protocol, "tcps")
	}))
}

// rest makes the source of the certificate of REST_ADDRESS: the one for all addresses, else that of ACME. Clients show who they
// are by credentials.
func (m *tlsMaker) rest() error {
	if !m.config.servesREST() {
		if m.before != nil && m.before.rest != nil { // it is listened on until the broker is started again
			m.made.rest, _ = m.use(m.before.rest)
		}
		return nil
	}
	t := &m.config.TLS
	s := &certs.Source{Certificate: t.Certificate, Key: t.Key, Wallet: t.Wallet, WalletPasswordFile: t.WalletPasswordFile}
	if at := slices.IndexFunc(m.places, m.config.byACME); !t.hasCertificate() && at >= 0 {
		issued, err := m.sourceFor(m.places[at])
		if err != nil {
			return fmt.Errorf("REST_ADDRESS: %w", err)
		}
		s = &certs.Source{ACME: issued.ACME}
	}
	s.MinVersion, s.Log = t.MinVersion, m.log
	s.CipherSuites, _ = certs.ParseCipherSuites(t.CipherSuites)
	source, err := m.use(s)
	if err == nil {
		_, err = source.ServerConfig()
	}
	if err != nil {
		return fmt.Errorf("REST_ADDRESS: %w", err)
	}
	m.made.rest = source
	return nil
}

// RESTAddress returns where the API is to be had over the network; empty if it is not.
func (b *Broker) RESTAddress() string {
	if b.rest.listener == nil {
		return ""
	}
	return b.rest.listener.Addr().String()
}

// restTLS is how TLS is spoken at REST_ADDRESS: with the certificate that is in use when a client comes, and with HTTP/2.
func (b *Broker) restTLS() *tls.Config {
	protocols := []string{"h2", "http/1.1"}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := b.security.current.Load().rest.ServerConfig()
		if err == nil && c.GetConfigForClient != nil {
			c, err = c.GetConfigForClient(hello)
		}
		if err != nil {
			return nil, err
		}
		c = c.Clone()
		c.NextProtos = protocols
		return c, nil
	}}
}

// reloadREST reads the credentials again. Those that cannot be used change nothing.
func (b *Broker) reloadREST() error {
	if b.rest.listener == nil {
		return nil
	}
	return b.rest.logins.Load()
}
