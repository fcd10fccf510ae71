package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// certificate is one whose subject is CN="App 1, Inc", OU=Sales, O=Example, DC=example, DC=com.
func certificate(t *testing.T) []*x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(id asn1.ObjectIdentifier, value string) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{{Type: id, Value: value}}
	}
	dc := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	subject, err := asn1.Marshal(pkix.RDNSequence{
		set(dc, "com"), set(dc, "example"), set(asn1.ObjectIdentifier{2, 5, 4, 10}, "Example"),
		set(asn1.ObjectIdentifier{2, 5, 4, 11}, "Sales"), set(asn1.ObjectIdentifier{2, 5, 4, 3}, "App 1, Inc"),
	})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: subject}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

func TestDNIsRead(t *testing.T) {
	for text, want := range map[string]string{
		"CN=app1":                       "cn=app1",
		" CN = App1 ,O= Example":        "cn=app1|o=example",
		`CN=a\,b,O=x`:                   "cn=a,b|o=x",
		`CN="a,b",O=x`:                  "cn=a,b|o=x",
		`CN=a\2Cb`:                      "cn=a,b",
		`CN=a\ `:                        "cn=a ",
		`CN=\C3\BC`:                     "cn=ü",
		"S=Bavaria,E=x@y,USERID=u":      "st=bavaria|emailaddress=x@y|uid=u",
		"*,O=x":                         "*|o=x",
		"CN=a=b":                        "cn=a=b",
		"1.2.840.113549.1.9.1=someone@": "1.2.840.113549.1.9.1=someone@",
	} {
		if got := strings.Join(parseDN(text), "|"); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestCheckDN(t *testing.T) {
	for text, says := range map[string]string{
		"CN=app1,O=x": "", "*": "", "CN=a, * ,O=x": "", `CN="a,b"`: "",
		"app1": `"app1" is not part of a distinguished name`, "CN=a,,O=x": `"" is not part`, "=x": `"=x" is not part`, "CN=a,app*": `"app*" is not part`,
	} {
		err := CheckDN(text)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

// What is written of a certificate's subject is read as that subject.
func TestDNSurvivesWriting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := pkix.Name{
			CommonName:         rapid.StringMatching(`[ -~]{1,12}`).Draw(t, "cn"),
			Organization:       []string{rapid.StringMatching(`[ -~äöü]{1,12}`).Draw(t, "o")},
			OrganizationalUnit: []string{rapid.StringMatching(`[a-z,"\\+#= ]{1,12}`).Draw(t, "ou")},
		}
		got := parseDN(name.String())
		want := dn{partOf("cn", name.CommonName), partOf("ou", name.OrganizationalUnit[0]), partOf("o", name.Organization[0])}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("%s was read as %q, want %q", name, got, want)
		}
	})
}
