package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

func nowhere() ([]netip.Prefix, error) { return nil, nil }

func TestAdmissionIsReplacedWhileServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.connects(t, "192.0.2.66:1").refused()
		if err := b.SetAdmission(&Admission{Invited: []string{"192.0.2.0/24"}, Interfaces: nowhere}); err != nil {
			t.Fatal(err)
		}
		r := b.connects(t, "192.0.2.66:2").accepted()
		r.says(encode(t, sales("one", 1)))
		if err := b.SetAdmission(&Admission{Invited: []string{"10.1"}}); err == nil || !strings.Contains(err.Error(), "REGISTRATION_INVITED_NODES") {
			t.Errorf("a list that cannot be read: %v", err)
		}
		b.connects(t, "192.0.2.67:1").accepted()
		if err := b.SetAdmission(&Admission{Interfaces: nowhere}); err != nil {
			t.Fatal(err)
		}
		b.connects(t, "192.0.2.66:3").refused()
		synctest.Wait()
		if got := b.registered(); len(got) != 1 {
			t.Errorf("%d registrations are left of 1", len(got))
		}
		r.says(encode(t, sales("one", 2)))
		synctest.Wait()
		if got := b.registered(); len(got) != 1 || got[0].Load != 2 {
			t.Errorf("who has registered is not heard any more: %v", got)
		}
	})
}

func (r *registrant) refused() {
	r.t.Helper()
	if m, ok := r.reply().(*tns.Refuse); !ok {
		r.t.Fatalf("answered with %T, want REFUSE", m)
	}
}

// An Admission set before the first registrant comes counts, though the one the Server was made with cannot be read.
func TestAdmissionSetBeforeServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Admit = &Admission{Invited: []string{"10.1"}}
		b.connects(t, "127.0.0.1:1").refused()
		checkLog(t, b, `node \"10.1\" is no IP address`)
		if err := b.SetAdmission(nil); err != nil {
			t.Fatal(err)
		}
		b.connects(t, "127.0.0.1:2").accepted()
	})
}

// What the receiver of a registration does to its services stays with the receiver.
func TestServicesAreTheReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		var seen []string
		b.Apply = func(r servicetable.Registration) {
			seen = append(seen, fmt.Sprint(r.Services[0].Name, len(r.Services[0].Marks)))
			r.Services[0].Name = "scribbled"
			r.Services[0].Marks = append(r.Services[0].Marks, servicetable.Mark{})
		}
		r := b.connects(t, "127.0.0.1:1").accepted()
		full := sales("one", 1)
		r.says(encode(t, full))
		full.Load = 2
		r.says(encode(t, full))
		synctest.Wait()
		if got := fmt.Sprint(seen); got != "[sales0 sales0]" {
			t.Error(got)
		}
		r.leaves()
		for _, e := range b.events {
			if s := e.Registration.Services[0]; s.Name != "sales" || len(s.Marks) != 0 {
				t.Errorf("event %d tells of %+v", e.Kind, s)
			}
		}
	})
}

func TestManyNamesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := names{resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, nil }}
		for i := range maxKnown {
			n.lookup(t.Context(), []string{fmt.Sprintf("old%d", i)})
		}
		pass(lookupFresh)
		n.lookup(t.Context(), []string{"new1", "new2"})
		if len(n.known) != 2 {
			t.Errorf("%d names remembered", len(n.known))
		}
	})
}

// certificate signs one for a subject; by itself if parent is nil.
func certificate(t *testing.T, subject string, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject, Organization: []string{"Acme"}}, NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	issuer, signer := template, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTheSubjectOfAVerifiedCertificateIsKept(t *testing.T) {
	authority := certificate(t, "authority", nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	ours, theirs := certificate(t, "broker", &authority), certificate(t, "db1", &authority)
	for _, c := range []struct {
		name string
		auth tls.ClientAuthType
		want string
	}{
		{"verified", tls.RequireAndVerifyClientCert, "CN=db1,O=Acme"},
		{"taken unseen", tls.RequireAnyClientCert, ""},
		{"none asked for", tls.NoClientCert, ""},
	} {
		a, b := net.Pipe()
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{ours}, ClientCAs: pool, ClientAuth: c.auth})
		client := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{theirs}, RootCAs: pool, InsecureSkipVerify: true})
		shaken := make(chan error, 1)
		go func() { // the client reads on, for whatever the server sends after its handshake
			err := client.HandshakeContext(t.Context())
			shaken <- err
			drain(client)
			shaken <- nil
		}()
		if err := server.HandshakeContext(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := <-shaken; err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := subjectOf(&wrapped{server}); got != c.want || transportOf(server) != "TCPS" {
			t.Errorf("%s: subject %q over %s, want %q", c.name, got, transportOf(server), c.want)
		}
		a.Close()
		b.Close()
		<-shaken
	}
	plain, other := net.Pipe()
	defer plain.Close()
	defer other.Close()
	if got := subjectOf(plain); got != "" {
		t.Errorf("without TLS: %q", got)
	}
}
