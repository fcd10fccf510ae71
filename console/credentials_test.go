package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// aToken is a hash as the file has it.
const aToken = "sha256:51d90d63c14380978da979242cfbfb51973aebc1a4c92a2aa961dbeb0d174781"

// aHash is of "correct horse", with as little work as possible.
const aHash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$Xo4cb8+5GkZ1tWUaJ7gvZQ"

func TestCredentialsAreRead(t *testing.T) {
	hash := HashPassword("correct horse")
	all, err := ParseCredentials([]byte("# who\n\nalice operator basic " + hash + "\n ci\tVIEWER bearer " + aToken + "  services=a_*,hr # nightly\r\nalice viewer bearer " + aToken + "\n"))
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	same(t, "a password", all[0], nil, Credential{Name: "alice", Role: Operator, Password: hash})
	same(t, "a token", all[1], nil, Credential{Name: "ci", Role: Viewer, Services: []string{"a_*", "hr"}, Token: strings.TrimPrefix(aToken, "sha256:")})
	for _, c := range all {
		again, err := ParseCredentials([]byte(c.String()))
		same(t, "printed and read again", again, err, []Credential{c})
	}
}

func TestWhatIsWrongWithCredentials(t *testing.T) {
	hash := HashPassword("x")
	for line, want := range map[string]string{
		"alice":                         "it has 1 words",
		"alice operator":                "write NAME viewer|operator",
		"alice operater basic " + hash:  `did you mean "operator"?`,
		"al/ice operator basic " + hash: "use letters, digits",
		strings.Repeat("a", 65) + " operator basic " + hash:                        "1 to 64 characters",
		"alice operator plain secret":                                              "write basic for a password",
		"alice operator basic secret":                                              "the password is not hashed",
		"alice operator bearer secret":                                             "the token is not hashed",
		"alice operator bearer sha256:abcd":                                        "the token is not hashed",
		"alice operator basic " + hash + " a_*":                                    "only services=",
		"alice operator basic " + hash + " services=":                              "no list of services",
		"alice operator basic " + hash + " services=a,,b":                          "no list of services",
		"alice operator basic " + hash + " services=a b":                           "it has 6 words",
		"alice operator basic " + strings.Replace(hash, "m=19456", "m=9999999", 1): "too much work",
		"alice operator basic " + strings.Replace(hash, "t=2", "t=99", 1):          "too much work",
		"alice operator basic " + strings.Replace(hash, "argon2id", "argon2i", 1):  "the password is not hashed",
		"alice operator basic $2y$18$" + strings.Repeat("a", 53):                   "too much work",
		"alice operator basic $2y$10$short":                                        "the password is not hashed",
		"alice operator basic " + hash + "\nalice viewer basic " + hash:            "line 2: alice has a password already",
	} {
		if _, err := ParseCredentials([]byte(line)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s: %v; want %q", line, err, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	hash := HashPassword("correct horse")
	if HashPassword("correct horse") == hash {
		t.Error("two hashes of one password are the same")
	}
	// of htpasswd -nbB, cost 5
	const bcrypted = "$2y$05$abcdefghijklmnopqrstuuVfmwyvO4stAvjeqBHqpGr1hTwVBwJ2e"
	for _, c := range []struct {
		hash, password string
		right          bool
	}{{hash, "correct horse", true}, {hash, "correct horse ", false}, {hash, "", false}, {"nonsense", "nonsense", false}, {bcrypted, "wrong", false}} {
		if isPassword(c.hash, c.password) != c.right {
			t.Errorf("%s is %q: %v", c.hash, c.password, !c.right)
		}
	}
}

// A file that others can read or write is not used, and it is said what to do.
func TestCredentialsOfOthersAreNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	if _, err := ReadCredentials(file); err == nil || !strings.Contains(err.Error(), "broker credentials add") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("ci viewer bearer "+aToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o440: true, 0o644: false, 0o660: false, 0o620: false, 0o601: false, 0o666: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		all, err := ReadCredentials(file)
		if good && (err != nil || len(all) != 1) || !good && (err == nil || !strings.Contains(err.Error(), "chmod 600 "+file)) {
			t.Errorf("mode %o: %v, %v", mode, all, err)
		}
	}
	if _, err := ReadCredentials(filepath.Dir(file)); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}

func TestTokensAreNotGuessed(t *testing.T) {
	a, b := NewToken(), NewToken()
	if a == b || len(a) < 40 || HashToken(a) == HashToken(b) || strings.ContainsAny(a, ": ") {
		t.Errorf("%s, %s", a, b)
	}
}

// Whatever is read is printed so that it is read again.
func FuzzCredentials(f *testing.F) {
	for _, line := range []string{"alice operator basic " + aHash, "ci viewer bearer " + aToken + " services=a,b*", "# x\n\n a b c d e f", "alice operator basic\t#" + aHash} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, _ := ParseCredentials([]byte(text))
		for _, c := range all {
			again, err := ParseCredentials([]byte(c.String()))
			if err != nil || len(again) != 1 || again[0].String() != c.String() {
				t.Errorf("%s: %v, %v", c, again, err)
			}
		}
	})
}

// What a scope covers it also shows.
func TestScopes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ab_]{1,4}(\.x)?`)
		a := &Access{Who: "tina", Services: rapid.SliceOfN(rapid.StringMatching(`[ab_*]{1,3}(\.[x*])?`), 1, 3).Draw(t, "scope")}
		service := name.Draw(t, "service")
		if a.covers(service) && !a.sees(service) {
			t.Fatalf("%v covers %s and does not show it", a.Services, service)
		}
	})
	whole, part := &Access{}, &Access{Services: []string{"a_*"}}
	for service, both := range map[string]bool{"a_1": true, "A_1.x": true, "b_1": false, "": false} {
		if !whole.sees(service) || !whole.covers(service) || part.sees(service) != both || part.covers(service) != both {
			t.Errorf("%q", service)
		}
	}
}
