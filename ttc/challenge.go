package ttc

import (
	"bytes"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
)

// ErrWrongPassword says that a login's answer does not prove knowledge of the
// password, for whatever reason: wrong password, unknown user, a damaged
// answer. The client is told no more than that (ORA-01017).
var ErrWrongPassword = errors.New("ttc: password does not match")

const (
	sessionHalf    = 32 // length of the server's half of the session key
	classicHalf    = 48 // the same in the oldest form
	proofOfServer  = "SERVER_TO_CLIENT"
	maxAuthPayload = 4096
)

// Challenge is one login seen from the server: what was asked of the client,
// and what its answer is checked against.
type Challenge struct {
	verifier Verifier
	half     []byte
	cskSalt  []byte // nil in the oldest form
}

// NewChallenge starts a login against a verifier. Classic leaves out, for 11g
// verifiers, what newer clients want (ttc.md 7).
func NewChallenge(v Verifier, classic bool) *Challenge {
	if classic && v.Type == Verifier11g {
		return &Challenge{verifier: v, half: append(randomBytes(40), bytes.Repeat([]byte{8}, 8)...)}
	}
	return &Challenge{verifier: v, half: randomBytes(sessionHalf), cskSalt: randomBytes(16)}
}

// Pairs are the answer to phase one.
func (c *Challenge) Pairs() []Pair {
	pairs := []Pair{
		{Key: KeySessionKey, Value: upperHex(encrypt(c.verifier.key(), c.half))},
		{Key: KeyVerifierData, Value: upperHex(c.verifier.Salt), Flags: uint32(c.verifier.Type)},
	}
	if c.cskSalt == nil {
		return pairs
	}
	return append(pairs,
		Pair{Key: KeyCSKSalt, Value: upperHex(c.cskSalt)},
		Pair{Key: KeyVGenCount, Value: strconv.Itoa(verifierRounds)},
		Pair{Key: KeySDerCount, Value: strconv.Itoa(combinationRounds)})
}

// Check verifies phase two and returns AUTH_SVR_RESPONSE, by which the server
// proves itself, and the new password if the client asks for a change. Any
// failure is ErrWrongPassword.
func (c *Challenge) Check(answer *Auth) (proof, newPassword string, err error) {
	secret := fromHex(answer.Value(KeySessionKey))
	if len(secret) > maxAuthPayload {
		return "", "", ErrWrongPassword
	}
	client, err := decrypt(c.verifier.key(), secret)
	if err != nil {
		return "", "", ErrWrongPassword
	}
	key, err := combine(c.verifier.Type, client, c.half, c.cskSalt)
	if err != nil || !c.matches(key, answer) {
		return "", "", ErrWrongPassword
	}
	if changed := answer.Value(KeyNewPassword); changed != "" {
		if newPassword, err = openPassword(key, changed); err != nil {
			return "", "", ErrWrongPassword
		}
	}
	sealed := encrypt(key, pad(append(randomBytes(16), proofOfServer...)))
	return upperHex(sealed), newPassword, nil
}

func (c *Challenge) matches(key []byte, answer *Auth) bool {
	var hash []byte
	if speedy := answer.Value(KeySpeedyKey); c.verifier.Type == Verifier12c && speedy != "" {
		plain, err := decrypt(key, fromHex(speedy))
		if err != nil || len(plain) < 80 {
			return false
		}
		sum := sha512.Sum512(append(bytes.Clone(plain[16:80]), c.verifier.Salt...))
		hash = sum[:]
	} else {
		password, err := openPassword(key, answer.Value(KeyPassword))
		if err != nil {
			return false
		}
		hash = makeVerifier(c.verifier.Type, password, c.verifier.Salt).Hash
	}
	return subtle.ConstantTimeCompare(hash, c.verifier.Hash) == 1
}

// openPassword decrypts a password as clients send it: after 16 random bytes.
func openPassword(key []byte, text string) (string, error) {
	plain, err := decrypt(key, fromHex(text))
	if err != nil {
		return "", err
	}
	if plain, err = unpad(plain); err != nil || len(plain) < 16 {
		return "", errPadding
	}
	return string(plain[16:]), nil
}

// AnswerChallenge is the client's side: from the password and the answer to
// phase one it makes the pairs of phase two. Verify then checks the server's
// proof, the AUTH_SVR_RESPONSE of the answer to those.
func AnswerChallenge(password string, challenge *AuthReply) (pairs []Pair, verify func(proof string) error, err error) {
	t := VerifierType(challenge.Flags(KeyVerifierData))
	salt := fromHex(challenge.Value(KeyVerifierData))
	if t != Verifier12c && t != Verifier11g || len(salt) == 0 {
		return nil, nil, fmt.Errorf("%w: verifier of type %#x with a salt of %d bytes", ErrMalformed, uint32(t), len(salt))
	}
	v := makeVerifier(t, password, salt)
	server, err := decrypt(v.key(), fromHex(challenge.Value(KeySessionKey)))
	if err != nil {
		return nil, nil, err
	}
	half := randomBytes(len(server))
	key, err := combine(t, half, server, fromHex(challenge.Value(KeyCSKSalt)))
	if err != nil {
		return nil, nil, err
	}
	pairs = []Pair{{Key: KeySessionKey, Value: upperHex(encrypt(v.key(), half)), Flags: 1}}
	if t == Verifier12c {
		speedy := append(randomBytes(16), passwordKey(password, salt)...)
		pairs = append(pairs, Pair{Key: KeySpeedyKey, Value: upperHex(encrypt(key, speedy))})
	}
	sealed := encrypt(key, pad(append(randomBytes(16), password...)))
	pairs = append(pairs, Pair{Key: KeyPassword, Value: upperHex(sealed)})
	return pairs, func(proof string) error { return checkProof(key, proof) }, nil
}

func checkProof(key []byte, proof string) error {
	plain, err := decrypt(key, fromHex(proof))
	if err != nil {
		return err
	}
	if len(plain) < 32 || string(plain[16:32]) != proofOfServer {
		return fmt.Errorf("%w: the server does not know the password", ErrMalformed)
	}
	return nil
}
