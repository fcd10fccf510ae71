package console

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Credential is one line of a file of credentials: who may use the API over the network, and for what.
type Credential struct {
	Name     string
	Role     Role
	Services []string // patterns; none: all, and the broker itself
	Password string   // as HashPassword hashed it; "" where Token is set
	Token    string   // SHA-256 of a bearer token, in hex
}

// Bounds of a file of credentials.
const (
	maxCredentialsFile = 1 << 20
	maxCredentials     = 10_000
	maxCredentialName  = 64
)

// schemes are how somebody can show who he is.
const (
	schemeBasic  = "basic"
	schemeBearer = "bearer"
	tokenMark    = "sha256:"
)

// String is the credential as a line of a file.
func (c Credential) String() string {
	line := c.Name + " " + string(c.Role)
	if c.Token != "" {
		line += " " + schemeBearer + " " + tokenMark + c.Token
	} else {
		line += " " + schemeBasic + " " + c.Password
	}
	if len(c.Services) > 0 {
		line += " services=" + strings.Join(c.Services, ",")
	}
	return line
}

// ParseCredentials reads a file of credentials: one a line, NAME ROLE SCHEME SECRET [services=PATTERN,…]; # begins a comment.
// The error names each line that is wrong, and what to do.
func ParseCredentials(text []byte) ([]Credential, error) {
	var all []Credential
	var errs []error
	passwords := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), " #")
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCredential(strings.Fields(line))
		if err == nil && c.Password != "" && passwords[c.Name] {
			err = fmt.Errorf("%s has a password already: take one of the lines out", c.Name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		passwords[c.Name] = passwords[c.Name] || c.Password != ""
		if all = append(all, c); len(all) > maxCredentials {
			return nil, fmt.Errorf("there are more than %d credentials: take some out", maxCredentials)
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("it cannot be read: %w: it has to be lines of text", err))
	}
	return all, errors.Join(errs...)
}

const credentialForm = "write NAME viewer|operator basic|bearer SECRET [services=PATTERN,…], as broker credentials add prints it"

func parseCredential(words []string) (c Credential, err error) {
	if len(words) < 4 || len(words) > 5 {
		return c, fmt.Errorf("it has %d words: %s", len(words), credentialForm)
	}
	c.Name, c.Role = words[0], Role(strings.ToLower(words[1]))
	if err := CheckCredentialName(c.Name); err != nil {
		return c, err
	}
	if !slices.Contains(Roles(), c.Role) {
		return c, fmt.Errorf("there is no role %q: %s", words[1], suggestion(words[1], wordsOf(Roles()))+"roles are viewer and operator")
	}
	switch strings.ToLower(words[2]) {
	case schemeBasic:
		c.Password = words[3]
		err = checkHash(words[3])
	case schemeBearer:
		c.Token, err = parseToken(words[3])
	default:
		err = fmt.Errorf("there is no scheme %q: write basic for a password, bearer for a token", words[2])
	}
	if err == nil && len(words) == 5 {
		list, is := strings.CutPrefix(words[4], "services=")
		if !is {
			return c, fmt.Errorf("%q is too much: only services=PATTERN,… can follow", words[4])
		}
		c.Services, err = ParseScope(list)
	}
	return c, err
}

// CheckCredentialName says what is wrong with a name, which has to be fit for a line and for the log.
func CheckCredentialName(name string) error {
	if name == "" || len(name) > maxCredentialName {
		return fmt.Errorf("a name has 1 to %d characters", maxCredentialName)
	}
	for _, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@", c) {
			return fmt.Errorf("the name %q has a %q: use letters, digits, and . _ - @", name, c)
		}
	}
	return nil
}

// ParseScope reads patterns of services between commas.
func ParseScope(list string) ([]string, error) {
	var patterns []string
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "" || strings.ContainsAny(one, " \t#") {
			return nil, fmt.Errorf("%q is no list of services: write for example services=orders*,hr", list)
		}
		patterns = append(patterns, one)
	}
	return patterns, nil
}

func parseToken(text string) (string, error) {
	hash, marked := strings.CutPrefix(text, tokenMark)
	if sum, err := hex.DecodeString(hash); !marked || err != nil || len(sum) != sha256.Size {
		return "", errors.New("the token is not hashed: broker credentials add NAME --token makes one and its line")
	}
	return strings.ToLower(hash), nil
}

// HashToken is what a file of credentials has of a token, which has to be one that nobody can guess.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// NewToken makes a token out of 32 random bytes.
func NewToken() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // which never fails
	return "broker_" + base64.RawURLEncoding.EncodeToString(random)
}

// ReadCredentials reads the file at path, which nobody but its owner may be able to write, and nobody but he and his group to
// read. The error says what to do.
func ReadCredentials(path string) ([]Credential, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: make it with broker credentials add NAME --role operator --file %s", err, path)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name a file in it", path)
	case info.Mode().Perm()&0o027 != 0:
		return nil, fmt.Errorf("%s can be read or written by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	case info.Size() > maxCredentialsFile:
		return nil, fmt.Errorf("%s is larger than %d bytes: it is no file of credentials", path, maxCredentialsFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all, err := ParseCredentials(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}
