// Package dn reads and compares distinguished names of X.509 certificates, as people and
// Oracle's tools write them.
package dn

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
		return name + "=" + escaped(text)
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

// escaped escapes a value as RFC 2253 2.4 says.
func escaped(value string) string {
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

// Name is a distinguished name ready to be compared. The zero Name is none.
type Name struct{ parts []part }

// Parse reads a name as Subject writes it, or leniently as people do.
func Parse(text string) Name { return Name{read(text, '*').parts} }

// Of is the subject of a certificate.
func Of(cert *x509.Certificate) Name { return Parse(Subject(cert)) }

// None tells whether there is no name.
func (n Name) None() bool { return len(n.parts) == 0 }

// Pattern is what names are compared with: parts in any order, without regard to case (see
// folded), blanks around them and quotes. In a value * stands for any text, and a part that is *
// alone for any further parts.
type Pattern struct {
	parts []part // the exact ones first
	open  bool   // there may be further parts
	given bool
}

// maxParts bounds how long a comparison can take. A longer name matches nothing.
const maxParts = 64

// Compile reads a pattern. See Check for what is wrong with one; one with a NUL byte matches nothing.
func Compile(text string) Pattern {
	if strings.IndexByte(text, star) >= 0 {
		return Pattern{given: true}
	}
	p := Pattern{parts: read(text, star).parts}
	p.given = len(p.parts) > 0
	p.open = slices.ContainsFunc(p.parts, part.isStar)
	p.parts = slices.DeleteFunc(p.parts, part.isStar)
	slices.SortStableFunc(p.parts, func(a, b part) int { return a.loose() - b.loose() })
	return p
}

// Given tells whether the pattern says anything. One that does not matches nothing.
func (p Pattern) Given() bool { return p.given }

// Matches tells whether n is what the pattern says. No name matches nothing.
func (p Pattern) Matches(n Name) bool {
	if !p.given || n.None() || len(n.parts) > maxParts || len(p.parts) > maxParts {
		return false
	}
	have := slices.Clone(n.parts)
	for _, w := range p.parts {
		at := slices.IndexFunc(have, w.covers)
		if at < 0 {
			return false
		}
		have = slices.Delete(have, at, at+1)
	}
	return p.open || len(have) == 0
}

// Covers tells whether the pattern matches every name that o matches. It may miss that
// where both have stars.
func (p Pattern) Covers(o Pattern) bool {
	if p.open && len(p.parts) == 0 || p.open == o.open && slices.Equal(p.parts, o.parts) {
		return p.given && o.given
	}
	starless := !o.open && !slices.ContainsFunc(o.parts, func(w part) bool { return w.loose() != 0 })
	return starless && p.Matches(Name{o.parts})
}

// Match compares a pattern with a name, both as text.
func Match(pattern, name string) bool { return Compile(pattern).Matches(Parse(name)) }

// Check reports what is wrong with a pattern, nil if nothing is.
func Check(pattern string) error {
	if at := strings.IndexByte(pattern, star); at >= 0 {
		return fmt.Errorf("%q has a NUL byte after %d others, which no distinguished name has: remove it", pattern, at)
	}
	found := read(pattern, star)
	if wrong := found.wrong; len(wrong) > 0 {
		return fmt.Errorf("%q is not part of a distinguished name: write TYPE=value parts with commas, such as CN=app1,OU=sales,O=example, "+
			"where the part * stands for any others, and a comma, semicolon or plus sign in a value with \\ before it", wrong[0])
	}
	if parts := slices.DeleteFunc(found.parts, part.isStar); len(parts) > maxParts {
		return fmt.Errorf("%.60q has %d parts, and a name of more than %d matches nothing: leave some out, and write the part * for them",
			pattern, len(parts), maxParts)
	}
	return nil
}

// star stands for an unescaped * of a pattern. Patterns have no other NUL bytes; those of a
// name, which certificates may have, are like any other byte.
const star = '\x00'

// part is one attribute of a distinguished name, folded.
type part struct {
	name   string
	pieces string // the value; of a pattern, what is between its stars
}

// loose orders parts: exact ones choose first, then those that say most.
func (p part) loose() int {
	if strings.IndexByte(p.pieces, star) < 0 {
		return 0
	}
	return 1<<20 - len(p.pieces)
}

func (p part) covers(have part) bool {
	if p.name != have.name {
		return false
	}
	pieces, value := strings.Split(p.pieces, string(star)), have.pieces
	if len(pieces) == 1 {
		return value == p.pieces
	}
	if !utf8.ValidString(p.pieces) && utf8.ValidString(value) { // folded in two ways, so that ends of letters may look alike
		return false
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

// isStar tells a part that stands for any others.
func (p part) isStar() bool { return p.name == "" && p.pieces == string(star) }

// reading is what read found.
type reading struct {
	of    string
	parts []part
	wrong []string // what is between separators and neither TYPE=value nor a star
	began int      // the part that is being read
	now   part
	text  []byte
	kept  int // so many bytes of text are no blanks at its end, being escaped
}

// read reads a distinguished name leniently. An unescaped * becomes the byte star.
func read(dn string, star byte) reading {
	r, quoted := reading{of: dn}, false
	for i := 0; i < len(dn); i++ {
		switch c := dn[i]; {
		case c == '\\' && i+1 < len(dn):
			var b byte
			b, i = unescape(dn, i+1)
			r.literal(b)
		case c == '"':
			quoted = !quoted
		case quoted:
			r.literal(c)
		case c == ',' || c == ';' || c == '+':
			r.end(i)
		case c == '=' && r.now.name == "":
			r.now.name = attributeName(string(r.text))
			r.text, r.kept = nil, 0
		case c == '*':
			r.text = append(r.text, star)
		case c == ' ' && len(r.text) == 0: // before a value
		default:
			r.text = append(r.text, c)
		}
	}
	r.end(len(dn))
	return r
}

// unescape reads what follows a backslash at i, two hexadecimal digits or a letter, and
// returns where it ends.
func unescape(dn string, i int) (byte, int) {
	if i+1 < len(dn) {
		if b, err := hex.DecodeString(dn[i : i+2]); err == nil && b[0] != 0 {
			return b[0], i + 1
		}
	}
	return dn[i], i
}

// literal adds a byte that means itself.
func (r *reading) literal(b byte) {
	r.text = append(r.text, b)
	r.kept = len(r.text)
}

// end ends a part at a separator.
func (r *reading) end(at int) {
	for len(r.text) > r.kept && r.text[len(r.text)-1] == ' ' {
		r.text = r.text[:len(r.text)-1]
	}
	r.now.pieces = folded(string(r.text))
	if r.now.name == "" && !r.now.isStar() {
		r.wrong = append(r.wrong, strings.TrimSpace(r.of[r.began:at]))
	}
	if r.now != (part{}) {
		r.parts = append(r.parts, r.now)
	}
	r.now, r.text, r.kept, r.began = part{}, nil, 0, at+1
}

func attributeName(text string) string {
	name := folded(strings.TrimSpace(text))
	if other, found := otherNames[name]; found {
		return other
	}
	if short, found := attributeNames[strings.TrimPrefix(name, "oid.")]; found {
		return strings.ToLower(short)
	}
	return name
}

// folded returns text in the form in which it is compared: a letter that is one of a pair of
// cases becomes the lower one. No other two texts become one: ſ is no s, İ no i, and the
// Kelvin sign no k. Of text that is not UTF-8, such as Latin-1 in old certificates, only
// ASCII letters are folded.
func folded(text string) string {
	if !utf8.ValidString(text) {
		return asciiFolded(text)
	}
	return strings.Map(func(r rune) rune {
		if lower := unicode.ToLower(r); unicode.ToUpper(lower) == r {
			return lower
		}
		return r
	}, text)
}

// asciiFolded returns text with its ASCII letters in lower case.
func asciiFolded(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
