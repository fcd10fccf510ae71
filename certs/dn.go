package certs

import (
	"crypto/tls"
	"crypto/x509"

	"servicebroker/dn"
)

// PeerDN is the subject of the peer's certificate in the form of RFC 2253, the most
// specific part first ("CN=app,OU=Sales,O=Acme,C=US"), if that certificate was verified;
// "" otherwise.
func PeerDN(state tls.ConnectionState) string {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return ""
	}
	return dn.Subject(state.PeerCertificates[0])
}

// Subject is that of a certificate in the same form.
func Subject(cert *x509.Certificate) string { return dn.Subject(cert) }
