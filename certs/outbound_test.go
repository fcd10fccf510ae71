package certs

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// to dials at, whatever address is asked for, which is the name to be verified.
func to(at string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}
}

// Which certificates of an instance are taken, by what was asked for.
func TestDialTLS(t *testing.T) {
	ca, foreign := newAuthority(t, "root"), newAuthority(t, "foreign")
	f := newFolder(t)
	trusting := loaded(t, &Source{CA: f.put(t, "ca.pem", ca.pem())})
	named := func(cn string) issuedPair {
		return issue(t, subject{name: pkix.Name{CommonName: cn, Organization: []string{"Acme"}}, signer: ca})
	}
	db1, cnOnly, wild, plainWild := ca.host(t), named("DB1.example.com"), named("*.example.com"), named("*.com")
	ended := issue(t, subject{name: pkix.Name{CommonName: "db1.example.com"}, ended: true, signer: ca})
	clientOnly := issue(t, subject{name: pkix.Name{CommonName: "db1.example.com"}, use: x509.ExtKeyUsageClientAuth, signer: ca})
	for _, tc := range []struct {
		name    string
		shown   issuedPair
		address string
		dns     []string
		any     bool
		problem string
	}{
		{"its name", db1, "db1.example.com:2484", nil, false, ""},
		{"its IP address", db1, "127.0.0.1:2484", nil, false, ""},
		{"another name", db1, "db2.example.com:2484", nil, false, `give its DN "CN=db1,OU=Sales,O=Acme,C=US" in UPSTREAM_TLS`},
		{"its CN, which does not count beside names", db1, "db1:2484", nil, false, "db1"},
		{"another IP address", db1, "127.0.0.2:2484", nil, false, "127.0.0.2"},
		{"CN alone", cnOnly, "db1.example.com:2484", nil, false, ""},
		{"another CN alone", cnOnly, "db2.example.com:2484", nil, false, "has no other names"},
		{"wild CN", wild, "db7.example.com:2484", nil, false, ""},
		{"wild CN, two labels", wild, "db7.x.example.com:2484", nil, false, "has no other names"},
		{"wild CN of everything", plainWild, "example.com:2484", nil, false, "has no other names"},
		{"DN", db1, "10.9.8.7:2484", []string{"CN=x", "C=US,O=Acme,OU=Sales,CN=db*"}, false, ""},
		{"another DN", db1, "db1.example.com:2484", []string{"CN=db2,OU=Sales,O=Acme,C=US"}, true, "correct the DN in UPSTREAM_TLS"},
		{"any name", db1, "whatever:2484", nil, true, ""},
		{"any name, another authority", foreign.host(t), "db1.example.com:2484", nil, true, "give the CA of the instances' certificates"},
		{"another authority", foreign.host(t), "db1.example.com:2484", nil, false, "give the CA"},
		{"DN, another authority", foreign.host(t), "db1.example.com:2484", []string{"*"}, false, "give the CA"},
		{"expired", ended, "db1.example.com:2484", nil, false, "expired"},
		{"a client's", clientOnly, "db1.example.com:2484", nil, false, "incompatible key usage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := serve(t, loaded(t, &Source{Certificate: newFolder(t).pair(t, "cert.pem", tc.shown)}))
			c, err := DialTLS(t.Context(), to(l.address), tc.address, &Outbound{Source: trusting, DNs: tc.dns, AnyName: tc.any})
			if (err == nil) != (tc.problem == "") || err != nil && !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("%v, want %q", err, tc.problem)
			}
			if err == nil {
				must(t, c.Close())
			} else if !strings.Contains(err.Error(), "TLS with "+tc.address) {
				t.Errorf("%v does not say with whom", err)
			}
		})
	}
}

// Without settings the system decides whom to trust, which is nobody of a test.
func TestDialTLSWithoutSettings(t *testing.T) {
	l := serve(t, loaded(t, &Source{Certificate: newFolder(t).pair(t, "cert.pem", newAuthority(t, "root").host(t))}))
	if _, err := DialTLS(t.Context(), to(l.address), "db1.example.com:2484", nil); err == nil || !strings.Contains(err.Error(), "give the CA") {
		t.Error(err)
	}
}

// An instance that asks for a certificate gets ours, the one of now.
func TestDialTLSShowsCertificate(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	caFile := f.put(t, "ca.pem", ca.pem())
	l := serve(t, loaded(t, &Source{Certificate: f.pair(t, "cert.pem", ca.host(t)), CA: caFile}))
	ours := loaded(t, &Source{Certificate: f.pair(t, "ours.pem", ca.client(t, "broker1")), CA: caFile})
	for _, cn := range []string{"broker1", "broker2"} {
		c, err := DialTLS(t.Context(), to(l.address), "db1.example.com:2484", &Outbound{Source: ours})
		must(t, err)
		said := make([]byte, len("CN=broker1"))
		if _, err := c.Read(said); err != nil || string(said) != "CN="+cn {
			t.Errorf("the instance sees %q, %v", said, err)
		}
		if got, want := c.PeerDN(), "CN=db1,OU=Sales,O=Acme,C=US"; got != want {
			t.Errorf("we see %q, want %q", got, want)
		}
		must(t, c.Close())
		f.pair(t, "ours.pem", ca.client(t, "broker2"))
		_, err = ours.Reload()
		must(t, err)
	}
	// One that has none is told what is missing, as soon as the instance says so.
	c, err := DialTLS(t.Context(), to(l.address), "db1.example.com:2484", &Outbound{Source: loaded(t, &Source{CA: caFile})})
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

func TestDialTLSProblems(t *testing.T) {
	unreachable := errors.New("no route")
	_, err := DialTLS(t.Context(), func(context.Context, string, string) (net.Conn, error) { return nil, unreachable }, "db1:2484", nil)
	if !errors.Is(err, unreachable) {
		t.Errorf("%v, want the dialler's own", err)
	}
	if _, err := DialTLS(t.Context(), to("x"), "db1", nil); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Error(err)
	}
	answering := func(answer string) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			client, server := connected(t)
			_, err := server.Write([]byte(answer))
			return client, err
		}
	}
	if _, err := DialTLS(t.Context(), answering("\x00\x08\x00\x00\x0b\x00\x00\x00"), "db1:2484", nil); !errors.Is(err, ErrNotTLS) || !strings.Contains(err.Error(), "PROTOCOL=tcp") {
		t.Errorf("without TLS: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := DialTLS(ctx, answering(""), "db1:2484", nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "silent") {
		t.Errorf("silence: %v", err)
	}
}

// A context that has ended closes what was dialled.
func TestDialTLSClosesOnFailure(t *testing.T) {
	client, server := connected(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DialTLS(ctx, func(context.Context, string, string) (net.Conn, error) { return client, nil }, "db1:2484", nil); err == nil {
		t.Error("no error")
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is still open: %v", err)
	}
	_ = server.Close()
}

// Who only looks takes any certificate.
func TestDialTLSUnverified(t *testing.T) {
	l := serve(t, loaded(t, &Source{Certificate: newFolder(t).pair(t, "cert.pem", newAuthority(t, "foreign").host(t))}))
	c, err := DialTLS(t.Context(), to(l.address), "whatever:2484", &Outbound{Unverified: true})
	must(t, err)
	if got := c.PeerDN(); got != "CN=db1,OU=Sales,O=Acme,C=US" {
		t.Errorf("%q", got)
	}
	must(t, c.Close())
}
