package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// argon is how much work it is to try one password: the least that is recommended for logins, about 30 ms and 19 MB.
type argon struct {
	memory, time uint32 // kB; passes
	threads      uint8
	salt, key    []byte
}

// Bounds of the work that a file can ask for with one login.
const (
	maxArgonMemory = 256 << 10 // kB
	maxArgonTime   = 16
	maxBcryptCost  = 14
)

// HashPassword is what a file of credentials has of a password: Argon2id, in the usual text form.
func HashPassword(password string) string {
	a := argon{memory: 19 << 10, time: 2, threads: 1, salt: make([]byte, 16)}
	_, _ = rand.Read(a.salt) // which never fails
	a.key = a.derive(password, 32)
	return a.text()
}

// text is the usual form, of which there is one alone for each hash.
func (a *argon) text() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads,
		base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.key))
}

func (a *argon) derive(password string, size uint32) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.threads, size)
}

var errHash = errors.New("the password is not hashed as it has to be: broker credentials add NAME makes such a line; hashes of htpasswd -B are read too")

// parseArgon reads what HashPassword, and other programs, make.
func parseArgon(text string) (a argon, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return a, errHash
	}
	var version int
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &a.memory, &a.time, &a.threads); err != nil || version != argon2.Version {
		return a, errHash
	}
	var errSalt, errKey error
	a.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	a.key, errKey = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	switch {
	case errSalt != nil, errKey != nil, a.text() != text: // nothing before, after or between what was read
		return a, errHash
	case len(a.salt) < 8, len(a.salt) > 64, len(a.key) < 16, len(a.key) > 64:
		return a, errHash
	case a.memory < 8*uint32(a.threads), a.time < 1, a.threads < 1:
		return a, errHash
	case a.memory > maxArgonMemory || a.time > maxArgonTime || a.threads > 16:
		return a, fmt.Errorf("the password takes too much work to check: make it with m up to %d, t up to %d and p up to 16", maxArgonMemory, maxArgonTime)
	}
	return a, nil
}

// isBcrypt tells hashes that htpasswd -B makes.
func isBcrypt(text string) bool {
	return strings.HasPrefix(text, "$2a$") || strings.HasPrefix(text, "$2b$") || strings.HasPrefix(text, "$2y$")
}

// checkHash says what is wrong with a hash.
func checkHash(text string) error {
	if !isBcrypt(text) {
		_, err := parseArgon(text)
		return err
	}
	switch cost, err := bcrypt.Cost([]byte(text)); {
	case err != nil || len(text) != 60:
		return errHash
	case cost > maxBcryptCost:
		return fmt.Errorf("the password takes too much work to check: make it with a cost up to %d", maxBcryptCost)
	}
	return nil
}

// isPassword tells whether a password is the one that was hashed. It takes the same time either way.
func isPassword(hash, password string) bool {
	if isBcrypt(hash) {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}
	a, err := parseArgon(hash)
	return err == nil && subtle.ConstantTimeCompare(a.derive(password, uint32(len(a.key))), a.key) == 1
}
