package certs

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Who may connect, by policy and certificate, and what the server then knows of him.
func TestMutualTLS(t *testing.T) {
	ours, foreign := newAuthority(t, "clients"), newAuthority(t, "others")
	server := newAuthority(t, "servers")
	f := newFolder(t)
	cert, ca := f.pair(t, "cert.pem", server.host(t)), f.put(t, "ca.pem", ours.pem())
	app, web, stranger := ours.client(t, "app1"), ours.client(t, "web"), foreign.client(t, "app1")
	ended := issue(t, subject{name: pkix.Name{CommonName: "app1"}, ended: true, signer: ours})
	for _, tc := range []struct {
		name   string
		policy ClientPolicy
		dns    []string
		shown  *issuedPair
		dn     string
		fails  bool
	}{
		{"required, shown", ClientsAuto, nil, &app, "CN=app1,O=Acme", false},
		{"required, none", ClientsAuto, nil, nil, "", true},
		{"required, another authority's", ClientsRequired, nil, &stranger, "", true},
		{"required, expired", ClientsRequired, nil, &ended, "", true},
		{"optional, none", ClientsOptional, nil, nil, "", false},
		{"optional, shown", ClientsOptional, nil, &web, "CN=web,O=Acme", false},
		{"optional, another authority's", ClientsOptional, nil, &stranger, "", true},
		{"not asked", ClientsNone, nil, &app, "", false},
		{"DN fits", ClientsAuto, []string{"CN=nobody", "o=ACME, cn=app*"}, &app, "CN=app1,O=Acme", false},
		{"DN does not fit", ClientsAuto, []string{"O=Acme,CN=app*"}, &web, "", true},
		{"DN does not fit, optional", ClientsOptional, []string{"O=Acme,CN=app*"}, &web, "", true},
		{"no DN, optional", ClientsOptional, []string{"O=Acme,CN=app*"}, nil, "", false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tc.name+"/"+tls.VersionName(version), func(t *testing.T) {
				l := serve(t, loaded(t, &Source{Certificate: cert, CA: ca, Clients: tc.policy, ClientDNs: tc.dns}))
				config := &tls.Config{RootCAs: server.pool(), ServerName: "db1.example.com", MinVersion: version, MaxVersion: version}
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if tc.shown == nil {
						return &tls.Certificate{}, nil
					}
					return &tls.Certificate{Certificate: [][]byte{tc.shown.cert.Raw}, PrivateKey: tc.shown.key}, nil
				}
				_, dn, err := l.handshake(config)
				if (err != nil) != tc.fails || dn != tc.dn {
					t.Errorf("%q, %v; want %q, failure %v", dn, err, tc.dn, tc.fails)
				}
			})
		}
	}
}

// The error about a client with a wrong name says who it is.
func TestUnwantedClientIsNamed(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	l := serve(t, loaded(t, &Source{Certificate: f.pair(t, "cert.pem", ca.host(t)), CA: f.put(t, "ca.pem", ca.pem()), ClientDNs: []string{"CN=app"}}))
	web := ca.client(t, "web")
	_, _, _ = l.handshake(&tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com", Certificates: []tls.Certificate{{Certificate: [][]byte{web.cert.Raw}, PrivateKey: web.key}}})
	if err := <-l.errors; !errors.Is(err, ErrUnwantedPeer) || !strings.Contains(err.Error(), `"CN=web,O=Acme"`) {
		t.Error(err)
	}
}

// Whose authority or name is taken away gets no further, not even by resuming a session.
func TestClientsAuthorityIsReplaced(t *testing.T) {
	old, next := newAuthority(t, "old"), newAuthority(t, "next")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f := newFolder(t)
		s := loaded(t, &Source{Certificate: f.pair(t, "cert.pem", old.host(t)), CA: f.put(t, "ca.pem", old.pem())})
		l := serve(t, s)
		app := old.client(t, "app")
		config := &tls.Config{RootCAs: old.pool(), ServerName: "db1.example.com", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4),
			Certificates: []tls.Certificate{{Certificate: [][]byte{app.cert.Raw}, PrivateKey: app.key}}}
		for range 2 {
			if _, dn, err := l.handshake(config); err != nil || dn != "CN=app,O=Acme" {
				t.Fatalf("%q, %v", dn, err)
			}
		}
		if state, _, err := l.handshake(config); err != nil || !state.DidResume {
			t.Fatalf("the session was not resumed, so that nothing is shown here: %v", err)
		}
		f.put(t, "ca.pem", next.pem())
		if changed, err := s.Reload(); !changed || err != nil {
			t.Fatal(changed, err)
		}
		if _, dn, err := l.handshake(config); err == nil {
			t.Errorf("%s: %q still gets in", tls.VersionName(version), dn)
		}
	}
}

func TestVersionsAndSuites(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	rsa := issue(t, subject{name: pkix.Name{CommonName: "db1"}, dns: []string{"db1.example.com"}, signer: ca, rsa: true})
	cert := f.pair(t, "rsa.pem", rsa)
	old, err := ParseCipherSuites([]string{"SSL_RSA_WITH_AES_256_CBC_SHA", " tls_ecdhe_rsa_with_aes_128_gcm_sha256"})
	must(t, err)
	for _, tc := range []struct {
		name  string
		s     *Source
		from  uint16
		to    uint16
		suite uint16
		fails bool
	}{
		{"1.3", &Source{}, tls.VersionTLS13, tls.VersionTLS13, 0, false},
		{"1.2", &Source{}, tls.VersionTLS12, tls.VersionTLS12, 0, false},
		{"1.1", &Source{}, tls.VersionTLS10, tls.VersionTLS11, 0, true},
		{"1.2 where 1.3 is asked for", &Source{MinVersion: tls.VersionTLS13}, tls.VersionTLS12, tls.VersionTLS12, 0, true},
		{"no forward secrecy", &Source{}, tls.VersionTLS12, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_256_CBC_SHA, true},
		{"CBC", &Source{}, tls.VersionTLS12, tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, true},
		{"an old client's, allowed", &Source{CipherSuites: old}, tls.VersionTLS12, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_256_CBC_SHA, false},
	} {
		tc.s.Certificate = cert
		l := serve(t, loaded(t, tc.s))
		config := &tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com", MinVersion: tc.from, MaxVersion: tc.to}
		if tc.suite != 0 {
			config.CipherSuites = []uint16{tc.suite}
		}
		state, _, err := l.handshake(config)
		if (err != nil) != tc.fails || !tc.fails && state.Version != tc.to {
			t.Errorf("%s: %v, %s", tc.name, err, tls.VersionName(state.Version))
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]uint16{"1.2": tls.VersionTLS12, " TLSv1.3 ": tls.VersionTLS13, "tlsv1.2": tls.VersionTLS12, "1.1": 0, "1.0": 0, "3.0": 0, "": 0} {
		got, err := ParseVersion(text)
		if got != want || (err == nil) != (want != 0) || err != nil && !strings.Contains(err.Error(), "write 1.2 or 1.3") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestParseCipherSuites(t *testing.T) {
	got, err := ParseCipherSuites([]string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ssl_ecdhe_rsa_with_aes_128_gcm_sha256"})
	if want := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for name, want := range map[string]string{"TLS_NULL": "is not known", "SSL_RSA_WITH_RC4_128_SHA": "is broken", "SSL_RSA_WITH_3DES_EDE_CBC_SHA": "is broken", "": "is not known"} {
		if _, err := ParseCipherSuites([]string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

// Other servers use the same certificates, and follow the same changes.
func TestServerConfig(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	s := loaded(t, &Source{Certificate: f.pair(t, "cert.pem", ca.host(t))})
	config, err := s.ServerConfig()
	must(t, err)
	next := ca.host(t)
	f.pair(t, "cert.pem", next)
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	client, server := connected(t)
	go func() { _ = tls.Server(server, config).Handshake() }()
	c := tls.Client(client, &tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com"})
	must(t, c.Handshake())
	if !c.ConnectionState().PeerCertificates[0].Equal(next.cert) {
		t.Error("the old certificate is shown")
	}
}
