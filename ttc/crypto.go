package ttc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
)

var errPadding = errors.New("ttc: encrypted value of a wrong length or padding")

// derive is PBKDF2 with HMAC-SHA-512.
func derive(password string, salt []byte, rounds, length int) []byte {
	key, err := pbkdf2.Key(sha512.New, password, salt, rounds, length)
	if err != nil {
		panic("ttc: " + err.Error()) // only for key lengths no caller uses
	}
	return key
}

// encrypt is AES-CBC with a zero vector, without padding: plain is a whole
// number of blocks.
func encrypt(key, plain []byte) []byte {
	out := make([]byte, len(plain))
	cipher.NewCBCEncrypter(newAES(key), make([]byte, aes.BlockSize)).CryptBlocks(out, plain)
	return out
}

// decrypt undoes encrypt. It fails if secret is no whole number of blocks.
func decrypt(key, secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret)%aes.BlockSize != 0 {
		return nil, errPadding
	}
	out := make([]byte, len(secret))
	cipher.NewCBCDecrypter(newAES(key), make([]byte, aes.BlockSize)).CryptBlocks(out, secret)
	return out, nil
}

func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("ttc: " + err.Error()) // keys are 24 or 32 bytes by construction
	}
	return block
}

// pad fills the last block as PKCS#7 does.
func pad(plain []byte) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	return append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
}

func unpad(plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, errPadding
	}
	n := int(plain[len(plain)-1])
	if n == 0 || n > aes.BlockSize || n > len(plain) {
		return nil, errPadding
	}
	for _, b := range plain[len(plain)-n:] {
		if int(b) != n {
			return nil, errPadding
		}
	}
	return plain[:len(plain)-n], nil
}

// combine makes the key of the session from both halves (ttc.md 7). A classic
// server half, of 48 bytes, is combined by MD5.
func combine(t VerifierType, client, server, cskSalt []byte) ([]byte, error) {
	length := 24
	if t == Verifier12c {
		length = 32
	}
	if len(client) < length || len(server) < length {
		return nil, errPadding
	}
	if len(server) == classicHalf && t == Verifier11g {
		if len(client) < classicHalf {
			return nil, errPadding
		}
		var x [24]byte
		for i := range x {
			x[i] = server[16+i] ^ client[16+i]
		}
		first, second := md5.Sum(x[:16]), md5.Sum(x[16:])
		return append(first[:], second[:8]...), nil
	}
	both := append(bytes.Clone(client[:length]), server[:length]...)
	return derive(upperHex(both), cskSalt, combinationRounds, length), nil
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// fromHex decodes hexadecimal text in either case; anything else gives nil.
func fromHex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
