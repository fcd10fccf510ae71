package console

import (
	"strings"
	"testing"
)

func TestCertificates(t *testing.T) {
	o := newOperated(t)
	list := answer[CertificateList](t, o.request("GET", "/api/v1/certificates", ""), 200)
	same(t, "certificates", list.Certificates, nil, o.Certificates())
	var b strings.Builder
	if err := WriteCertificates(&b, list, noon()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"own ", "CN=cman", "3 d", "EXPIRED", "authority ", "/etc/ca.pem"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := WriteCertificates(&b, CertificateList{}, noon()); err != nil || !strings.Contains(b.String(), "No certificate is in use") {
		t.Errorf("%q, %v", b.String(), err)
	}
}
