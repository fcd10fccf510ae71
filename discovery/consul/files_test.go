package consul

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/hashicorp/consul/api"
	"pgregory.net/rapid"
)

var _ certmagic.Storage = (*Files)(nil)

const fileSecret = "0123456789abcdef0123456789abcdef"

// filesOf is what one broker has.
func filesOf(t testing.TB, a *agent, secret string) *Files {
	t.Helper()
	f := &Files{Client: &Client{Address: a.address()}, Secret: []byte(secret), Copy: &certmagic.FileStorage{Path: t.TempDir()}}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Client.Close)
	return f
}

const (
	someKey  = "certificates/ca/db1.example.com/db1.example.com.key"
	someCert = "certificates/ca/db1.example.com/db1.example.com.crt"
	proof    = "acme/ca/challenge_tokens/db1.example.com.json"
)

func store(t testing.TB, f *Files, key, value string) {
	t.Helper()
	if err := f.Store(t.Context(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, f *Files, key, want string) {
	t.Helper()
	if value, err := f.Load(t.Context(), key); err != nil || string(value) != want {
		t.Errorf("%s: %q %v, want %q", key, value, err, want)
	}
}

// What one broker writes the others have, and Consul sees none of it.
func TestFilesShared(t *testing.T) {
	a := startAgent(t)
	one, two := filesOf(t, a, fileSecret), filesOf(t, a, fileSecret)
	before := time.Now()
	store(t, one, someKey, "secret key")
	store(t, one, someCert, "certificate")
	store(t, one, proof, "proof")
	expect(t, two, someKey, "secret key")
	expect(t, two, proof, "proof")
	pair, _, err := a.KV().Get("broker/acme/"+someKey, nil)
	if err != nil || pair == nil || strings.Contains(string(pair.Value), "secret") {
		t.Errorf("Consul has %+v, %v", pair, err)
	}
	info, err := two.Stat(t.Context(), someKey)
	if err != nil || info.Size != 10 || !info.IsTerminal || info.Modified.Before(before) || info.Modified.After(time.Now()) {
		t.Errorf("%+v %v", info, err)
	}
	for _, tc := range []struct {
		below     string
		recursive bool
		want      []string
	}{
		{"certificates/ca", false, []string{"certificates/ca/db1.example.com"}},
		{"certificates/ca/", true, []string{someCert, someKey}},
		{"certificates/ca/db1.example.com", false, []string{someCert, someKey}},
	} {
		if got, err := two.List(t.Context(), tc.below, tc.recursive); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q %v", tc, got, err)
		}
	}
	if !two.Exists(t.Context(), "certificates/ca") || two.Exists(t.Context(), "certificates/other") {
		t.Error("what exists is not known")
	}
	if _, err := two.Load(t.Context(), "certificates/other"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := two.Delete(t.Context(), "certificates/ca"); err != nil || two.Exists(t.Context(), someKey) {
		t.Error("what was deleted is there", err)
	}
	if err := two.Delete(t.Context(), "certificates/ca"); err != nil {
		t.Error(err)
	}
}

// Without Consul there is what was issued, at once, and nothing new; one that has lost its memory gets it back.
func TestFilesWithoutConsul(t *testing.T) {
	a := startAgent(t)
	f := filesOf(t, a, fileSecret)
	store(t, f, someKey, "key")
	store(t, f, proof, "proof")
	other := filesOf(t, a, fileSecret)
	expect(t, other, someKey, "key") // which makes its copy
	if _, err := a.KV().DeleteTree("broker/acme/", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, other, someKey, "key")
	if pair, _, err := a.KV().Get("broker/acme/"+someKey, nil); err != nil || pair == nil {
		t.Errorf("it was not put back: %v", err)
	}
	if _, err := f.Load(t.Context(), proof); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old proof: %v", err)
	}
	a.kill()
	expect(t, f, someKey, "key")
	if list, err := f.List(t.Context(), "certificates", true); err != nil || !slices.Contains(list, someKey) {
		t.Errorf("%q %v", list, err)
	}
	if err := f.Store(t.Context(), someCert, []byte("certificate")); err == nil {
		t.Error("whoever stored it believes that all have it")
	}
	expect(t, f, someCert, "certificate")
	if err := f.Lock(t.Context(), "name"); err == nil {
		t.Error("every broker has the lock")
	}
}

// A Consul that answers nothing holds up the first read alone, and not for long.
func TestFilesFrozenConsul(t *testing.T) {
	a := startAgent(t)
	f := filesOf(t, a, fileSecret)
	store(t, f, someKey, "key")
	if err := a.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 5 {
		expect(t, f, someKey, "key")
	}
	if took := time.Since(began); took > 2*readTime {
		t.Errorf("five reads took %v", took)
	}
}

// What others wrote into Consul is not believed, nor is a value of ours in another's place; the copy holds.
func TestFilesNotBelieved(t *testing.T) {
	a := startAgent(t)
	f, stranger := filesOf(t, a, fileSecret), filesOf(t, a, strings.Repeat("x", 32))
	store(t, f, someKey, "key")
	store(t, f, someCert, "certificate")
	if _, err := stranger.Load(t.Context(), someKey); err == nil || !strings.Contains(err.Error(), "give all brokers the same ACME_SHARED_KEY") {
		t.Error(err)
	}
	moved, _, err := a.KV().Get("broker/acme/"+someCert, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range [][]byte{nil, {9}, []byte("{}"), moved.Value, moved.Value[:len(moved.Value)-1], append([]byte{2}, moved.Value[1:]...)} {
		if _, err := a.KV().Put(&api.KVPair{Key: "broker/acme/" + someKey, Value: forged}, nil); err != nil {
			t.Fatal(err)
		}
		expect(t, f, someKey, "key")
		if _, err := filesOf(t, a, fileSecret).Load(t.Context(), someKey); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q is believed: %v", forged, err)
		}
	}
}

func TestFilesSecret(t *testing.T) {
	if err := (&Files{Secret: []byte("short")}).Check(); err == nil || !strings.Contains(err.Error(), "openssl rand") {
		t.Error(err)
	}
}

// One broker at a time issues, and the next goes on as soon as it is done, or has died.
func TestFilesLock(t *testing.T) {
	a := startAgent(t)
	one, two := filesOf(t, a, fileSecret), filesOf(t, a, fileSecret)
	if err := one.Lock(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(t.Context(), 2*time.Second) // after it has its session
	defer cancel()
	if err := two.Lock(impatient, "name"); err == nil {
		t.Fatal("both have it")
	}
	got := make(chan error)
	go func() { got <- two.Lock(t.Context(), "name") }()
	if err := two.Lock(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Unlock(t.Context(), "name"), <-got, two.Unlock(t.Context(), "name"), two.Unlock(t.Context(), "another")); err != nil {
		t.Fatal(err)
	}
	if one.Unlock(t.Context(), "name") == nil {
		t.Error("what is not held was given back")
	}
	sessions, _, err := a.Session().List(nil)
	if err != nil || len(sessions) != 0 {
		t.Errorf("%d sessions are left, %v", len(sessions), err)
	}
}

// What is sealed comes back under its own key alone, and no part of it does.
func TestSealed(t *testing.T) {
	f := &Files{Client: &Client{}, Secret: []byte(fileSecret)}
	rapid.Check(t, func(t *rapid.T) {
		key, value := rapid.String().Draw(t, "key"), rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		sealed, err := f.sealed(key, value)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := f.unseal(key, sealed); err != nil || string(got) != string(value) {
			t.Fatalf("%q %v", got, err)
		}
		if _, _, err := f.unseal(key+"x", sealed); err == nil {
			t.Fatal("under another key")
		}
		if _, _, err := f.unseal(key, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "part")]); err == nil {
			t.Fatal("a part of it")
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, _, err := f.unseal(key, sealed); err == nil {
			t.Fatal("changed")
		}
	})
}

func FuzzUnseal(t *testing.F) {
	f := &Files{Client: &Client{}, Secret: []byte(fileSecret)}
	good, err := f.sealed(someKey, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Add(good)
	t.Add([]byte{})
	t.Fuzz(func(t *testing.T, sealed []byte) {
		if value, _, err := f.unseal(someKey, sealed); err == nil && string(value) != "key" {
			t.Errorf("%q is believed", value)
		}
	})
}
