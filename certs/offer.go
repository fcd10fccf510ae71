package certs

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"servicebroker/dn"
)

// secureSuites are the suites of TLS 1.2 with forward secrecy and authenticated
// encryption. TLS 1.3 has no others.
var secureSuites = [...]uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// limits are what both sides of TLS are held to.
func (s *Source) limits() *tls.Config {
	suites := s.CipherSuites
	if len(suites) == 0 {
		suites = secureSuites[:]
	}
	return &tls.Config{MinVersion: cmp.Or(s.MinVersion, tls.VersionTLS12), CipherSuites: suites}
}

// offer is the server's configuration for m.
func (s *Source) offer(m *material) (*tls.Config, error) {
	config := s.limits()
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.show(m, hello) }
	policy := s.Clients
	if policy == ClientsAuto {
		policy = ClientsNone
		if s.CA != "" {
			policy = ClientsRequired
		}
	}
	if policy == ClientsNone {
		if len(s.ClientDNs) > 0 {
			return nil, errors.New("names of clients' certificates are given, and clients are not asked for certificates: give TLS_CLIENT_CA")
		}
		return config, nil
	}
	if m.trusted == nil {
		return nil, errors.New("clients are asked for certificates, and no authority for them is given: give TLS_CLIENT_CA, or a wallet with trusted certificates")
	}
	config.ClientCAs, config.ClientAuth = m.trusted, tls.RequireAndVerifyClientCert
	if policy == ClientsOptional {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if patterns := s.ClientDNs; len(patterns) > 0 {
		config.VerifyConnection = func(state tls.ConnectionState) error { return welcome(patterns, state) }
	}
	return config, nil
}

// welcome refuses who has shown a certificate that no pattern fits.
func welcome(patterns []string, state tls.ConnectionState) error {
	name := PeerDN(state)
	if name == "" || slices.ContainsFunc(patterns, func(p string) bool { return dn.Match(p, name) }) {
		return nil
	}
	return fmt.Errorf("%w: the client is %q", ErrUnwantedPeer, name)
}

// ErrUnwantedPeer is wrapped by the error about a peer whose certificate is valid and
// names somebody else.
var ErrUnwantedPeer = errors.New("the certificate names somebody else")

// show chooses the certificate for a client: whatever server name it sends, there is one.
func (s *Source) show(m *material, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.issued != nil {
		return s.issued.show(hello)
	}
	if m.certificate == nil {
		return nil, errors.New("no certificate")
	}
	return m.certificate, nil
}

// ParseVersion reads a TLS version as configuration files have it: "1.2", "TLSv1.3", "TLS1.3".
func ParseVersion(text string) (uint16, error) {
	switch strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "tls"), "v") {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("TLS version %q: write 1.2 or 1.3; older ones are broken, and are not offered", text)
}

// ParseCipherSuites reads names of TLS 1.2 suites ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
// also with Oracle's prefix SSL_. Those without forward secrecy, which clients of 11.2 and
// 12.1 may need, are accepted by name and never used otherwise; broken ones are not.
func ParseCipherSuites(names []string) ([]uint16, error) {
	var suites []uint16
	known := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, name := range names {
		want := strings.ToUpper(strings.TrimSpace(name))
		if rest, is := strings.CutPrefix(want, "SSL_"); is {
			want = "TLS_" + rest
		}
		at := slices.IndexFunc(known, func(c *tls.CipherSuite) bool { return c.Name == want })
		switch {
		case at < 0:
			return nil, fmt.Errorf("cipher suite %q is not known: write one such as TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", name)
		case strings.Contains(want, "RC4") || strings.Contains(want, "3DES"):
			return nil, fmt.Errorf("cipher suite %q is broken: leave it out; TLS_RSA_WITH_AES_128_CBC_SHA is what the oldest clients speak", name)
		}
		suites = append(suites, known[at].ID)
	}
	return suites, nil
}
