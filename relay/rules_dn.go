package relay

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
)

// dn is a distinguished name as it is compared: its parts from the most particular one
// to the most general, each "type=value", folded and without escapes. In a pattern the
// part * stands for any number of parts, and a * within a part for any text.
type dn []string

// CheckDN reports what is wrong with a pattern of TLS client names, nil if nothing is.
func CheckDN(pattern string) error {
	parts := splitDN(pattern)
	for _, part := range parts {
		if t, _, is := strings.Cut(part, "="); strings.TrimSpace(part) != "*" && (!is || strings.TrimSpace(t) == "") {
			return fmt.Errorf("%q is not part of a distinguished name: write TYPE=value parts with commas, such as CN=app1,OU=sales,O=example, "+
				"where the part * stands for any others", strings.TrimSpace(part))
		}
	}
	return nil
}

// parseDN reads a name in the form CN=app1,OU=sales,O=example, with backslashes
// before what would be special, or parts of it in double quotes.
func parseDN(text string) dn {
	var name dn
	for _, part := range splitDN(text) {
		t, value, is := strings.Cut(part, "=")
		if !is {
			name = append(name, strings.TrimSpace(part)) // *
			continue
		}
		name = append(name, partOf(strings.TrimSpace(t), unescape(trimPart(value))))
	}
	return name
}

// partOf is one part in the form in which it is compared.
func partOf(t, value string) string {
	t = fold(t)
	switch t {
	case "s":
		t = "st"
	case "e", "email":
		t = "emailaddress"
	case "userid":
		t = "uid"
	}
	return t + "=" + fold(value)
}

// splitDN cuts at commas that are neither escaped nor quoted.
func splitDN(text string) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				parts = append(parts, text[begin:i])
				begin = i + 1
			}
		}
	}
	return append(parts, text[begin:])
}

// trimPart removes what surrounds a value: blanks, but none that is escaped, and quotes.
func trimPart(value string) string {
	value = strings.TrimLeft(value, " ")
	for strings.HasSuffix(value, " ") && !strings.HasSuffix(value, `\ `) {
		value = value[:len(value)-1]
	}
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value
}

func unescape(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	var plain []byte
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			if b, err := hex.DecodeString(value[i+1 : min(i+3, len(value))]); err == nil && len(b) == 1 {
				plain = append(plain, b[0])
				i += 2
				continue
			}
			i++
		}
		plain = append(plain, value[i])
	}
	return string(plain)
}

// matches compares a pattern with a name.
func (pattern dn) matches(name dn) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == "*":
			star, from = p, n
			p++
		case p < len(pattern) && glob(pattern[p], name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "*" {
		p++
	}
	return p == len(pattern)
}

// attributeName is the type of RFC 4519 and its like, by object identifier.
func attributeName(id asn1.ObjectIdentifier) string {
	switch id.String() {
	case "2.5.4.3":
		return "cn"
	case "2.5.4.5":
		return "serialnumber"
	case "2.5.4.6":
		return "c"
	case "2.5.4.7":
		return "l"
	case "2.5.4.8":
		return "st"
	case "2.5.4.9":
		return "street"
	case "2.5.4.10":
		return "o"
	case "2.5.4.11":
		return "ou"
	case "2.5.4.17":
		return "postalcode"
	case "0.9.2342.19200300.100.1.1":
		return "uid"
	case "0.9.2342.19200300.100.1.25":
		return "dc"
	case "1.2.840.113549.1.9.1":
		return "emailaddress"
	}
	return id.String()
}

// subjectDN is the subject of a certificate.
func subjectDN(c *x509.Certificate) dn {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &sequence); err != nil || len(rest) > 0 {
		return dn{}
	}
	name := make(dn, 0, len(sequence))
	for _, set := range slices.Backward(sequence) {
		for _, attribute := range set {
			name = append(name, partOf(attributeName(attribute.Type), fmt.Sprint(attribute.Value)))
		}
	}
	return name
}

// clientDN is the name in a client's certificate that was verified; nil if there is none.
func clientDN(c net.Conn) dn {
	secure, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := secure.ConnectionState()
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	return subjectDN(state.PeerCertificates[0])
}
