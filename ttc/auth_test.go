package ttc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// Made with another implementation of PBKDF2, SHA-512 and SHA-1.
func TestVerifierVectors(t *testing.T) {
	salt := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for _, test := range []struct {
		v    Verifier
		hash string
	}{
		{makeVerifier(Verifier12c, "tiger", salt), "14ea3f411c70c9a3e7aa9026b8d71b205a99b5efb1e5f739b6c13191e5935ab3" +
			"f6ececb4c111043185de4b188fa2d82dee74bc9ac0233ed3940cb5507162a586"},
		{makeVerifier(Verifier11g, "tiger", salt[:10]), "15597abe90e7a4ff4e897831ad7eab681374006a"},
	} {
		if got := hex.EncodeToString(test.v.Hash); got != test.hash {
			t.Errorf("type %#x: hash %s, want %s", uint32(test.v.Type), got, test.hash)
		}
	}
}

// login runs both phases between the two sides of this package and returns
// what the server says.
func login(t testing.TB, v Verifier, classic bool, password string, tamper func(*Auth)) (newPassword string, err error) {
	t.Helper()
	server := NewChallenge(v, classic)
	pairs, verify, err := AnswerChallenge(password, &AuthReply{Pairs: server.Pairs()})
	if err != nil {
		t.Fatalf("the client cannot answer: %v", err)
	}
	answer := &Auth{User: "SCOTT", Pairs: pairs}
	if tamper != nil {
		tamper(answer)
	}
	proof, newPassword, err := server.Check(answer)
	if err == nil && verify(proof) != nil {
		t.Fatalf("the client refuses the server's proof: %v", verify(proof))
	}
	return newPassword, err
}

func TestLogin(t *testing.T) {
	for _, test := range []struct {
		name    string
		make    func(string) Verifier
		classic bool
	}{
		{"12c", NewVerifier12c, false}, {"11g", NewVerifier11g, false}, {"11g, oldest form", NewVerifier11g, true},
		{"12c has no oldest form", NewVerifier12c, true},
	} {
		v := test.make("Tiger_1é")
		if _, err := login(t, v, test.classic, "Tiger_1é", nil); err != nil {
			t.Errorf("%s: the right password fails: %v", test.name, err)
		}
		for _, wrong := range []string{"", "tiger_1é", "Tiger_1é ", "Tiger_1"} {
			if _, err := login(t, v, test.classic, wrong, nil); !errors.Is(err, ErrWrongPassword) {
				t.Errorf("%s: password %q gives %v, want ErrWrongPassword", test.name, wrong, err)
			}
		}
	}
}

// Some clients of 12c verifiers send the password only.
func TestLoginWithoutSpeedyKey(t *testing.T) {
	without := func(a *Auth) { a.Pairs = append(a.Pairs[:1:1], a.Pairs[2:]...) }
	v := NewVerifier12c("tiger")
	if _, err := login(t, v, false, "tiger", without); err != nil {
		t.Errorf("the right password fails: %v", err)
	}
	if _, err := login(t, v, false, "lion", without); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("a wrong password gives %v", err)
	}
}

func TestLoginTamperedWith(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := makeVerifier(Verifier11g, "tiger", []byte("0123456789"))
		server := NewChallenge(v, false)
		pairs, _, err := AnswerChallenge("tiger", &AuthReply{Pairs: server.Pairs()})
		if err != nil {
			t.Fatal(err)
		}
		pair := &pairs[rapid.IntRange(0, len(pairs)-1).Draw(t, "pair")]
		value := []byte(pair.Value)
		at := rapid.IntRange(0, 31).Draw(t, "at") // within the first block, where any change shows
		value[at] = "0123456789ABCDEFxyz"[rapid.IntRange(0, 18).Draw(t, "to")]
		if pair.Value == string(value) || pair.Key == KeyPassword {
			return
		}
		pair.Value = string(value)
		if _, _, err := server.Check(&Auth{Pairs: pairs}); !errors.Is(err, ErrWrongPassword) {
			t.Fatalf("a changed %s gives %v", pair.Key, err)
		}
	})
}

func TestLoginGarbage(t *testing.T) {
	server := NewChallenge(NewVerifier12c("tiger"), false)
	for _, value := range []string{"", "zz", "00", "00112233445566778899AABBCCDDEEFF"} {
		answer := &Auth{Pairs: []Pair{{Key: KeySessionKey, Value: value}, {Key: KeyPassword, Value: value}, {Key: KeySpeedyKey, Value: value}}}
		if _, _, err := server.Check(answer); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("%q gives %v", value, err)
		}
	}
}

func TestFakeVerifier(t *testing.T) {
	for _, kind := range []VerifierType{Verifier12c, Verifier11g} {
		a, again := NewFakeVerifier(kind, "NOBODY", []byte("secret")), NewFakeVerifier(kind, "NOBODY", []byte("secret"))
		other := NewFakeVerifier(kind, "NOBODY", []byte("another secret"))
		if !bytes.Equal(a.Salt, again.Salt) || bytes.Equal(a.Salt, other.Salt) {
			t.Errorf("%#x: the salt of an unknown user must depend on name and secret, and on nothing else", uint32(kind))
		}
		if real := makeVerifier(kind, "x", a.Salt); len(real.Salt) != len(a.Salt) || len(real.Hash) != len(a.Hash) || a.Type != kind {
			t.Errorf("%#x: a fake verifier looks unlike a real one", uint32(kind))
		}
		if _, err := login(t, a, false, "", nil); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("%#x: logging in gives %v", uint32(kind), err)
		}
	}
}

func TestPasswordChange(t *testing.T) {
	server := NewChallenge(NewVerifier12c("tiger"), false)
	pairs, _, err := AnswerChallenge("tiger", &AuthReply{Pairs: server.Pairs()})
	if err != nil {
		t.Fatal(err)
	}
	// A client changes a password by sending another in the same way; here the
	// same one will do.
	changed := pairs[len(pairs)-1]
	changed.Key = KeyNewPassword
	if _, newPassword, err := server.Check(&Auth{Pairs: append(pairs, changed)}); err != nil || newPassword != "tiger" {
		t.Errorf("new password %q, error %v", newPassword, err)
	}
	changed.Value = "00"
	if _, _, err := server.Check(&Auth{Pairs: append(pairs, changed)}); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("a new password that cannot be decrypted gives %v", err)
	}
}

func TestAnswerToStrangeChallenge(t *testing.T) {
	good := NewChallenge(NewVerifier12c("tiger"), false).Pairs()
	change := func(key, value string, flags uint32) *AuthReply {
		reply := &AuthReply{Pairs: append([]Pair{}, good...)}
		for i := range reply.Pairs {
			if reply.Pairs[i].Key == key {
				reply.Pairs[i] = Pair{Key: key, Value: value, Flags: flags}
			}
		}
		return reply
	}
	for name, reply := range map[string]*AuthReply{
		"unknown verifier": change(KeyVerifierData, "00", 0x939),
		"no salt":          change(KeyVerifierData, "", uint32(Verifier12c)),
		"no session key":   change(KeySessionKey, "", 0),
		"short key":        change(KeySessionKey, "00112233445566778899AABBCCDDEEFF", 0),
		"nothing at all":   {},
	} {
		if _, _, err := AnswerChallenge("tiger", reply); err == nil {
			t.Errorf("%s: the client answers", name)
		}
	}
	_, verify, err := AnswerChallenge("tiger", &AuthReply{Pairs: good})
	if err != nil {
		t.Fatal(err)
	}
	for _, proof := range []string{"", "00", "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"} {
		if verify(proof) == nil {
			t.Errorf("proof %q passes", proof)
		}
	}
}
