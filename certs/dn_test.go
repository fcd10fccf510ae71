package certs

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

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
		p := issue(t, subject{raw: rawName(t, tc.name...)})
		if got := Subject(p.cert); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
		if !MatchDN(Subject(p.cert), Subject(p.cert)) {
			t.Errorf("%s does not match itself", tc.want)
		}
	}
}

// Where pkix writes a name in full, it says the same.
func TestSubjectLikePkix(t *testing.T) {
	p := issue(t, subject{name: pkix.Name{CommonName: "app", OrganizationalUnit: []string{"Sales, East"}, Organization: []string{"Acme"}, Country: []string{"US"}}})
	if got, want := Subject(p.cert), p.cert.Subject.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMatchDN(t *testing.T) {
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
		{strings.Repeat("CN=a,", 70), strings.Repeat("CN=a,", 70), false},
	} {
		if got := MatchDN(tc.pattern, tc.dn); got != tc.want {
			t.Errorf("%q against %q: %v", tc.pattern, tc.dn, got)
		}
	}
}

// A name matches itself, whatever is in it, and nothing with a further part.
func TestMatchDNOfCertificates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"CN", "OU", "O", "DC", "UID"}
		var attributes [][2]string
		for range rapid.IntRange(1, 6).Draw(rt, "parts") {
			attributes = append(attributes, [2]string{rapid.SampledFrom(names).Draw(rt, "name"), rapid.StringMatching(`[ -~]{1,12}`).Draw(rt, "value")})
		}
		var parts []string
		for _, a := range attributes {
			parts = append(parts, a[0]+"="+escapeDN(a[1]))
		}
		dn := strings.Join(parts, ",")
		pattern := strings.ReplaceAll(dn, "*", `\*`)
		if strings.TrimSpace(attributes[0][1]) == "" {
			return
		}
		if !MatchDN(pattern, dn) {
			rt.Fatalf("%q does not match %q", pattern, dn)
		}
		if MatchDN(pattern, dn+",L=elsewhere") || MatchDN(pattern+",L=elsewhere", dn) {
			rt.Fatalf("%q matches more or less than itself", pattern)
		}
	})
}

func FuzzMatchDN(f *testing.F) {
	f.Add("CN=a*,*", `CN=a\,b,O="x"`)
	f.Add(`=\`, "\x00")
	f.Fuzz(func(t *testing.T, pattern, dn string) {
		if MatchDN(pattern, dn) && len(dnParts(dn)) == 0 {
			t.Fatalf("%q matches %q, which names nobody", pattern, dn)
		}
	})
}
