package ttc

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha512"
	"slices"
)

// VerifierType says how a verifier was made from a password; its value travels
// beside AUTH_VFR_DATA.
type VerifierType uint32

// The kinds of verifier (ttc.md 7).
const (
	Verifier12c VerifierType = 0x4815 // PBKDF2 with SHA-512
	Verifier11g VerifierType = 0x1B25 // salted SHA-1
)

const (
	speedyKeySalt     = "AUTH_PBKDF2_SPEEDY_KEY"
	verifierRounds    = 4096 // AUTH_PBKDF2_VGEN_COUNT
	combinationRounds = 3    // AUTH_PBKDF2_SDER_COUNT
	saltLength12c     = 16
	saltLength11g     = 10
)

// Verifier is what a database stores instead of a password. Whoever holds it
// and sees one login learns the password, so it is as secret.
type Verifier struct {
	Type VerifierType
	Salt []byte
	Hash []byte // 64 bytes for 12c, 20 for 11g
}

// NewVerifier12c makes a verifier of the current kind, with a random salt.
func NewVerifier12c(password string) Verifier {
	return makeVerifier(Verifier12c, password, randomBytes(saltLength12c))
}

// NewVerifier11g makes a verifier of the kind older databases have, with a
// random salt.
func NewVerifier11g(password string) Verifier {
	return makeVerifier(Verifier11g, password, randomBytes(saltLength11g))
}

func makeVerifier(t VerifierType, password string, salt []byte) Verifier {
	v := Verifier{Type: t, Salt: salt}
	if t == Verifier12c {
		v.Hash = hash12c(passwordKey(password, salt), salt)
	} else {
		v.Hash = hash11g(password, salt)
	}
	return v
}

// NewFakeVerifier is for a user that does not exist: it looks like any other of
// its type and no password fits it. The same name gives the same salt, as a
// stored one would; secret is the server's own.
func NewFakeVerifier(t VerifierType, user string, secret []byte) Verifier {
	digest := sha512.Sum512(append(slices.Clone(secret), user...))
	if t == Verifier11g {
		return Verifier{Type: t, Salt: digest[:saltLength11g], Hash: randomBytes(sha1.Size)}
	}
	return Verifier{Type: t, Salt: digest[:saltLength12c], Hash: randomBytes(sha512.Size)}
}

// passwordKey is the slow step of a 12c verifier.
func passwordKey(password string, salt []byte) []byte {
	return derive(password, append(slices.Clone(salt), speedyKeySalt...), verifierRounds, 64)
}

func hash12c(key, salt []byte) []byte {
	sum := sha512.Sum512(append(slices.Clone(key), salt...))
	return sum[:]
}

func hash11g(password string, salt []byte) []byte {
	sum := sha1.Sum(append([]byte(password), salt...))
	return sum[:]
}

// key is what both sides encrypt their halves of the session key with.
func (v Verifier) key() []byte {
	if v.Type == Verifier12c {
		return v.Hash[:32]
	}
	return append(slices.Clone(v.Hash), 0, 0, 0, 0)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails; the program ends if it would
	return b
}
