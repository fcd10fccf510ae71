package dn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificate is one with that subject, as it is encoded or by its fields.
func certificate(t *testing.T, raw []byte, name pkix.Name) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: raw, Subject: name}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// rawName builds a subject in which the attributes have the order and types given.
func rawName(t *testing.T, attributes ...[2]string) []byte {
	t.Helper()
	oids := map[string]asn1.ObjectIdentifier{}
	for oid, name := range attributeNames {
		var id asn1.ObjectIdentifier
		for part := range strings.SplitSeq(oid, ".") {
			n := 0
			for _, digit := range part {
				n = n*10 + int(digit-'0')
			}
			id = append(id, n)
		}
		oids[name] = id
	}
	oids["1.2.3"] = asn1.ObjectIdentifier{1, 2, 3}
	var name pkix.RDNSequence
	for _, a := range attributes {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: oids[a[0]], Value: a[1]}})
	}
	der, err := asn1.Marshal(name)
	must(t, err)
	return der
}

func TestSubject(t *testing.T) {
	for _, tc := range []struct {
		want string
		name [][2]string
	}{
		{"CN=app,OU=Sales,O=Acme,C=US", [][2]string{{"C", "US"}, {"O", "Acme"}, {"OU", "Sales"}, {"CN", "app"}}},
		{"CN=app,DC=example,DC=com", [][2]string{{"DC", "com"}, {"DC", "example"}, {"CN", "app"}}},
		{"EMAIL=a@example.com,UID=a,CN=app", [][2]string{{"CN", "app"}, {"UID", "a"}, {"EMAIL", "a@example.com"}}},
		{"C=US,CN=app", [][2]string{{"CN", "app"}, {"C", "US"}}},
		{`CN=\ a\, b\+c\=\"x\" \\ \ ,O=\#1`, nil},
		{"1.2.3=#13017a,CN=app", [][2]string{{"CN", "app"}, {"1.2.3", "z"}}},
	} {
		if tc.name == nil {
			tc.want, tc.name = `CN=\ a\, b\+c=\"x\" \\\ ,O=\#1`, [][2]string{{"O", "#1"}, {"CN", ` a, b+c="x" \ `}}
		}
		cert := certificate(t, rawName(t, tc.name...), pkix.Name{})
		if got := Subject(cert); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
		if !Match(Subject(cert), Subject(cert)) {
			t.Errorf("%s does not match itself", tc.want)
		}
	}
}

// Where pkix writes a name in full, it says the same.
func TestSubjectLikePkix(t *testing.T) {
	cert := certificate(t, nil, pkix.Name{CommonName: "app", OrganizationalUnit: []string{"Sales, East"}, Organization: []string{"Acme"}, Country: []string{"US"}})
	if got, want := Subject(cert), cert.Subject.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMatch(t *testing.T) {
	const dn = "CN=app1,OU=Sales,O=Acme Corp,C=US"
	for _, tc := range []struct {
		pattern, dn string
		want        bool
	}{
		{dn, dn, true},
		{"c=us, o=acme corp, ou=SALES, cn=APP1", dn, true},
		{`C=US; O="Acme Corp"; OU=Sales; CN=app1`, dn, true},
		{"CN=app*,OU=Sales,O=Acme Corp,C=US", dn, true},
		{"CN=*1,OU=S*s,O=*,C=US", dn, true},
		{"CN=a*p*1,*", dn, true},
		{"*", dn, true},
		{"CN=app1", dn, false},
		{"CN=app1,OU=Sales,O=Acme Corp", dn, false},
		{"CN=app1,OU=Sales,O=Acme Corp,C=US,L=X", dn, false},
		{"CN=app2,OU=Sales,O=Acme Corp,C=US", dn, false},
		{"CN=app11*,OU=Sales,O=Acme Corp,C=US", dn, false},
		{"O=app1,*", dn, false},
		{"", dn, false},
		{"*", "", false},
		{"", "", false},
		{"CN=a,OU=x,OU=y", "CN=a,OU=y,OU=x", true},
		{"CN=a,OU=x,OU=x", "CN=a,OU=y,OU=x", false},
		{"CN=a,OU=*,OU=x", "CN=a,OU=x,OU=y", true},
		{"CN=a,OU=x*,OU=xy*", "CN=a,OU=xyz,OU=xz", true},
		{`CN=a\,b`, `CN="a,b"`, true},
		{`CN=a\*`, "CN=a*", true},
		{`CN=a\*`, "CN=ab", false},
		{"CN=ab", "CN=a*", false},
		{"CN=a,*", "CN=*,O=x", false},
		{"E=x@y,DomainComponent=com", "EMAIL=x@y,DC=com", true},
		{"0.9.2342.19200300.100.1.25=com", "DC=com", true},
		{"CN=aba", "CN=ab", false},
		{"CN=ab*ba", "CN=aba", false},
		{`CN=a\2Cb`, `CN="a,b"`, true},
		{`CN=\C3\BC`, "CN=ü", true},
		{`CN=a\ `, "CN=a", false},
		{`CN=a\ `, `CN="a "`, true},
		{"S=Bavaria,USERID=u", "ST=bavaria,UID=U", true},
		{`CN=a\,O=b`, "CN=a,O=b", false},
		{`CN=a`, `CN=a\,O=b`, false},
		{`*,O=example`, `CN=x\,O=example,O=other`, false},
		{"CN=a,CN=a", "CN=a", false},
		{"CN=MÜLLER", "CN=Müller", true},
		{`CN=M\C3\9CLLER`, "CN=müller", true},
		{`CN=M\FCller`, "CN=m\xfcLLER", true}, // Latin-1, as old certificates have it
		{`CN=M\FCller`, "CN=M\xe4ller", false},
		{`CN=M\FCller`, "CN=M\uFFFDller", false},
		{`CN=M\FC*`, "CN=M\xe4ller", false},
		{`CN=\C3\9C\FC`, "CN=\xc3\xbc\xfc", false}, // each byte is a letter of its own
		{`CN=*\BC`, "CN=Ü", false},                 // which is ü, and ends in BC
		{"CN=M*", "CN=M\xfcller", true},
		{"CN=admin", "CN=admİn", false},
		{"CN=kiosk", "CN=\u212aiosk", false}, // the Kelvin sign
		{"CN=sales", "CN=ſales", false},
		{"U\u0130D=a", "UID=a", false},
		{"CN=admin", "CN=admin\x00", false},
		{"CN=a b", "CN=a\x00b", false},
		{"CN=a\x00b", "CN=a b", false},
		{"CN=a*", "CN=a\x00b", true},
		{"CN=*,CN=b", "CN=b", false},
		{strings.Repeat("CN=a,", 70), strings.Repeat("CN=a,", 70), false},
	} {
		if got := Match(tc.pattern, tc.dn); got != tc.want {
			t.Errorf("%q against %q: %v", tc.pattern, tc.dn, got)
		}
	}
}

// Texts that differ are equal only where one has the other case of the same letters, and that both ways.
func TestLettersThatAreEqual(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		others := []rune{unicode.ToLower(r), unicode.ToUpper(r), unicode.ToTitle(r)}
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			others = append(others, o)
		}
		for _, o := range others {
			pair := o == r || unicode.ToLower(r) == o && unicode.ToUpper(o) == r || unicode.ToLower(o) == r && unicode.ToUpper(r) == o
			if got := folded(string(o)) == folded(string(r)); got != pair {
				t.Errorf("%q (%U) and %q (%U): equal is %v", r, r, o, o, got)
			}
		}
	}
}

// A name matches itself, whatever is in it, and nothing with a further part.
func TestMatchOfCertificates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"CN", "OU", "O", "DC", "UID"}
		var attributes [][2]string
		for range rapid.IntRange(1, 6).Draw(rt, "parts") {
			attributes = append(attributes, [2]string{rapid.SampledFrom(names).Draw(rt, "name"), rapid.StringMatching(`[ -~]{1,12}`).Draw(rt, "value")})
		}
		var parts []string
		for _, a := range attributes {
			parts = append(parts, a[0]+"="+escaped(a[1]))
		}
		dn := strings.Join(parts, ",")
		pattern := strings.ReplaceAll(dn, "*", `\*`)
		if strings.TrimSpace(attributes[0][1]) == "" {
			return
		}
		if !Match(pattern, dn) {
			rt.Fatalf("%q does not match %q", pattern, dn)
		}
		if Match(pattern, dn+",L=elsewhere") || Match(pattern+",L=elsewhere", dn) {
			rt.Fatalf("%q matches more or less than itself", pattern)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("CN=a*,*", `CN=a\,b,O="x"`)
	f.Add(`=\`, "\x00")
	f.Fuzz(func(t *testing.T, pattern, dn string) {
		if Match(pattern, dn) && Parse(dn).None() {
			t.Fatalf("%q matches %q, which names nobody", pattern, dn)
		}
	})
}

func TestCheck(t *testing.T) {
	for text, says := range map[string]string{
		"CN=app1,O=x": "", "*": "", "CN=a, * ,O=x": "", `CN="a,b"`: "", "CN=a;O=x": "", "CN=a+OU=b": "", `CN=C\+\+`: "",
		"app1": `"app1" is not part of a distinguished name`, "CN=a,,O=x": `"" is not part`, "=x": `"=x" is not part`, "CN=a,app*": `"app*" is not part`, "": `"" is not part`, "+=": `"" is not part`, `""=`: `"\"\"=" is not part`, "CN=C++": `"" is not part`, `\*=x,CN=a`: "", "CN=a\x00b": "NUL byte after 4",
		strings.Repeat("CN=a,", maxParts-1) + "CN=a": "", strings.Repeat("*,", maxParts) + "CN=a": "", strings.Repeat("CN=a,", maxParts) + "CN=a": "65 parts",
	} {
		err := Check(text)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		wide, narrow string
		want         bool
	}{
		{"*", "CN=a,*", true}, {"*", "CN=a", true}, {"CN=a*", "CN=ab", true}, {"CN=a*,*", "O=x,CN=ab", true},
		{"CN=a*", "CN=A*", true}, {"O=x,CN=a", "CN=a,O=x", true}, {"CN=a", "CN=b", false}, {"CN=a", "CN=*", false}, {"CN=a", "*", false},
		{`\*=x`, "CN=a", false}, {"CN=a", "CN=a,*", false}, {"", "", false}, {"*", "", false},
	} {
		if got := Compile(tc.wide).Covers(Compile(tc.narrow)); got != tc.want {
			t.Errorf("%q covers %q: %v", tc.wide, tc.narrow, got)
		}
	}
}

// What is written of a certificate's subject is read as that subject.
func TestNameSurvivesWriting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := pkix.Name{
			CommonName:         rapid.StringMatching(`[ -~]{1,12}`).Draw(t, "cn"),
			Organization:       []string{rapid.StringMatching(`[ -~äöü]{1,12}`).Draw(t, "o")},
			OrganizationalUnit: []string{rapid.StringMatching(`[a-z,"\\+#= ]{1,12}`).Draw(t, "ou")},
		}
		got := Parse(name.String()).parts
		want := []part{{"cn", strings.ToLower(name.CommonName)}, {"ou", name.OrganizationalUnit[0]}, {"o", strings.ToLower(name.Organization[0])}}
		if !slices.Equal(got, want) {
			t.Fatalf("%s was read as %q, want %q", name, got, want)
		}
	})
}
