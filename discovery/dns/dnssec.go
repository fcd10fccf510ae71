package dns

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// signer signs answers as they are given, with one key for all that a zone needs (ECDSA P-256, RFC 6605).
type signer struct {
	key     *wire.DNSKEY
	private crypto.Signer
	tag     uint16
}

const (
	signatureAge     = time.Hour      // it begins so long ago, for clocks that are late
	signatureLife    = 48 * time.Hour // it ends so much later
	signatureRefresh = 24 * time.Hour // no older one is given out
)

// loadSigner reads the key of a zone from a folder, or makes one on first use. The files are such as dnssec-keygen writes.
func loadSigner(folder, zone string) (*signer, error) {
	found, err := filepath.Glob(filepath.Join(folder, "K"+zone+"+013+*.key"))
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return newSigner(folder, zone)
	case 1:
		return readSigner(found[0])
	}
	return nil, fmt.Errorf("%s holds %d keys for %s: leave the one whose DS stands in the parent zone", folder, len(found), zone)
}

func newSigner(folder, zone string) (*signer, error) {
	key := &wire.DNSKEY{
		Hdr:   wire.RR_Header{Name: zone, Rrtype: wire.TypeDNSKEY, Class: wire.ClassINET, Ttl: 3600},
		Flags: wire.ZONE | wire.SEP, Protocol: 3, Algorithm: wire.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(folder, fmt.Sprintf("K%s+013+%05d", zone, key.KeyTag()))
	if err = writeFile(base+".private", key.PrivateKeyString(private)); err == nil {
		err = writeFile(base+".key", key.String()+"\n")
	}
	if err != nil {
		return nil, fmt.Errorf("the key of zone %s could not be kept: %w: check the state directory", zone, err)
	}
	return &signer{key, private.(*ecdsa.PrivateKey), key.KeyTag()}, nil
}

func readSigner(path string) (*signer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rr, err := wire.NewRR(string(content))
	key, isKey := rr.(*wire.DNSKEY)
	if err != nil || !isKey {
		return nil, fmt.Errorf("%s holds no DNSKEY record: restore it, or remove it to have a new key", path)
	}
	private := strings.TrimSuffix(path, ".key") + ".private"
	f, err := os.Open(private)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	secret, err := key.ReadPrivateKey(f, private)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: restore it, or remove both files of the key to have a new one", private, err)
	}
	sign, able := secret.(*ecdsa.PrivateKey)
	if !able {
		return nil, errors.New(private + " is no ECDSA key: remove both files of the key to have a new one")
	}
	return &signer{key, sign, key.KeyTag()}, nil
}

// ds returns the record that the parent zone needs.
func (s *signer) ds() string { return s.key.ToDS(wire.SHA256).String() }

func (s *signer) public(ttl uint32) wire.RR {
	key := *s.key
	key.Hdr.Ttl = ttl
	return &key
}

// sign returns the signature of set, made now or lately; nil where it cannot be made.
func (s *signer) sign(set *rrset, now time.Time) *wire.RRSIG {
	if old := set.signature.Load(); old != nil && old.KeyTag == s.tag {
		// One that ends later than one made now was made while the clock was ahead, and may not have begun.
		if left := time.Duration(int64(old.Expiration)-now.Unix()) * time.Second; left > signatureRefresh && left <= signatureLife {
			return old
		}
	}
	h := set.rrs[0].Header()
	sig := &wire.RRSIG{
		Hdr:       wire.RR_Header{Name: h.Name, Rrtype: wire.TypeRRSIG, Class: wire.ClassINET, Ttl: h.Ttl},
		Algorithm: s.key.Algorithm, KeyTag: s.tag, SignerName: s.key.Hdr.Name,
		Inception: uint32(now.Add(-signatureAge).Unix()), Expiration: uint32(now.Add(signatureLife).Unix()),
	}
	if err := sig.Sign(s.private, set.rrs); err != nil {
		return nil
	}
	set.signature.Store(sig)
	return sig
}

// denial is the record that says that name has no type but those of kinds; of a name that does not exist, that it has none at
// all (a black lie: nothing is told of other names, and no list of them is needed).
func denial(name string, kinds []uint16, ttl uint32) *rrset {
	kinds = append(slices.Clone(kinds), wire.TypeRRSIG, wire.TypeNSEC)
	slices.Sort(kinds)
	return &rrset{rrs: []wire.RR{&wire.NSEC{
		Hdr:        wire.RR_Header{Name: name, Rrtype: wire.TypeNSEC, Class: wire.ClassINET, Ttl: ttl},
		NextDomain: `\000.` + name, TypeBitMap: slices.Compact(kinds),
	}}}
}
