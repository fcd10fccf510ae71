package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
)

// attributeNames are the short names that RFC 4514 and Oracle's tools write.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.17": "POSTALCODE", "2.5.4.42": "GN",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "EMAIL",
}

// otherNames are further names of the same attributes, in lower case.
var otherNames = map[string]string{
	"e": "email", "emailaddress": "email", "s": "st", "sp": "st", "domaincomponent": "dc", "userid": "uid",
	"commonname": "cn", "organizationname": "o", "organizationalunitname": "ou", "countryname": "c",
}

// PeerDN is the subject of the peer's certificate in the form of RFC 2253, the most
// specific part first ("CN=app,OU=Sales,O=Acme,C=US"), if that certificate was verified;
// "" otherwise.
func PeerDN(state tls.ConnectionState) string {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return ""
	}
	return Subject(state.PeerCertificates[0])
}

// Subject is the subject of a certificate in the form of RFC 2253, the most specific part
// first. Unlike pkix.Name it keeps the certificate's order, and has names for DC, UID and
// EMAIL.
func Subject(cert *x509.Certificate) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &rdns); err != nil || len(rest) > 0 {
		return cert.Subject.String()
	}
	var parts []string
	for _, rdn := range slices.Backward(rdns) {
		var values []string
		for _, attribute := range rdn {
			values = append(values, attributeText(attribute))
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	return strings.Join(parts, ",")
}

func attributeText(a pkix.AttributeTypeAndValue) string {
	oid := a.Type.String()
	name, known := attributeNames[oid]
	text, isText := a.Value.(string)
	if known && isText {
		return name + "=" + escapeDN(text)
	}
	if !known {
		name = oid
	}
	der, err := asn1.Marshal(a.Value)
	if err != nil {
		return name + "="
	}
	return name + "=#" + hex.EncodeToString(der)
}

// escapeDN escapes a value as RFC 2253 2.4 says.
func escapeDN(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		edge := i == 0 && (c == ' ' || c == '#') || i == len(value)-1 && c == ' '
		if edge || strings.IndexByte(`,+"\<>;`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// maxDNParts bounds how long a comparison can take.
const maxDNParts = 64

// MatchDN tells whether dn, as PeerDN gives it, is what pattern says: the same parts in
// any order, without regard to case, blanks around them and quotes. In a value of the
// pattern * stands for any text, and a part that is * alone for any further parts. An
// empty dn matches nothing.
func MatchDN(pattern, dn string) bool {
	wanted, have := dnParts(pattern), dnParts(dn)
	if len(have) == 0 || len(wanted) == 0 || len(have) > maxDNParts || len(wanted) > maxDNParts {
		return false
	}
	open := slices.Contains(wanted, dnPart{name: "*"})
	wanted = slices.DeleteFunc(wanted, func(p dnPart) bool { return p.name == "*" })
	slices.SortStableFunc(wanted, func(a, b dnPart) int { return a.loose() - b.loose() })
	for _, w := range wanted {
		at := slices.IndexFunc(have, w.covers)
		if at < 0 {
			return false
		}
		have = slices.Delete(have, at, at+1)
	}
	return open || len(have) == 0
}

// dnPart is one attribute of a distinguished name, in lower case. Only an unescaped * of
// a pattern is a star in pieces.
type dnPart struct {
	name   string
	pieces string // the value; stars are \x00
}

// loose orders parts: exact ones choose first, then those that say most.
func (p dnPart) loose() int {
	if !strings.Contains(p.pieces, "\x00") {
		return 0
	}
	return 1<<20 - len(p.pieces)
}

func (p dnPart) covers(have dnPart) bool {
	if p.name != have.name {
		return false
	}
	pieces := strings.Split(p.pieces, "\x00")
	value := strings.ReplaceAll(have.pieces, "\x00", "*") // in a certificate it is a letter like others
	if len(pieces) == 1 {
		return value == pieces[0]
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(value) < len(first)+len(last) || !strings.HasPrefix(value, first) || !strings.HasSuffix(value, last) {
		return false
	}
	value = value[len(first) : len(value)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		at := strings.Index(value, piece)
		if at < 0 {
			return false
		}
		value = value[at+len(piece):]
	}
	return true
}

// dnParts reads a distinguished name leniently, as people write it.
func dnParts(dn string) []dnPart {
	var parts []dnPart
	var text strings.Builder
	part, quoted := dnPart{}, false
	end := func() {
		value := strings.ToLower(strings.TrimSpace(text.String()))
		if part.name == "" && value == "\x00" {
			parts = append(parts, dnPart{name: "*"})
		} else if part.name != "" || value != "" {
			part.pieces = value
			parts = append(parts, part)
		}
		part, text = dnPart{}, strings.Builder{}
	}
	dn = strings.ReplaceAll(dn, "\x00", " ")
	for i := 0; i < len(dn); i++ {
		switch c := dn[i]; {
		case c == '\\' && i+1 < len(dn):
			i++
			text.WriteByte(dn[i])
		case c == '"':
			quoted = !quoted
		case quoted:
			text.WriteByte(c)
		case c == ',' || c == ';' || c == '+':
			end()
		case c == '=' && part.name == "":
			part.name = attributeName(text.String())
			text.Reset()
		case c == '*':
			text.WriteByte(0)
		default:
			text.WriteByte(c)
		}
	}
	end()
	return parts
}

func attributeName(text string) string {
	name := strings.ToLower(strings.TrimSpace(text))
	if other, found := otherNames[name]; found {
		return other
	}
	if short, found := attributeNames[strings.TrimPrefix(name, "oid.")]; found {
		return strings.ToLower(short)
	}
	return name
}
