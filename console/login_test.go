package console

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// people are the credentials of the tests: name, role, scope. The password is the name with " has a password".
func people() []Credential {
	return []Credential{
		{Name: "viewer", Role: Viewer}, {Name: "operator", Role: Operator},
		{Name: "hrviewer", Role: Viewer, Services: []string{"hr*"}}, {Name: "hroperator", Role: Operator, Services: []string{"hr*"}},
	}
}

// loginsOf writes a file of credentials, hashed with little work.
func loginsOf(t *testing.T, all ...Credential) *Logins {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	writeCredentials(t, file, all...)
	l := &Logins{File: file}
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	return l
}

func writeCredentials(t *testing.T, file string, all ...Credential) {
	t.Helper()
	var text strings.Builder
	for _, c := range all {
		if c.Token == "" {
			c.Password = cheapHash(c.Name + " has a password")
		}
		fmt.Fprintln(&text, c)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func cheapHash(password string) string {
	a := argon{memory: 8, time: 1, threads: 1, salt: []byte("saltsalt")}
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.derive(password, 32)))
}

// asking is a request with a name and password, or with a token where the name is "".
func asking(name, secret string) *http.Request {
	r := httptest.NewRequest("GET", "https://broker1:1525/api/v1/services", nil)
	if name == "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	} else {
		r.SetBasicAuth(name, secret)
	}
	return r
}

// askingAs is asking with any name, also none.
func askingAs(name, password string) *http.Request {
	r := asking("x", password)
	r.SetBasicAuth(name, password)
	return r
}

func TestLogins(t *testing.T) {
	token := NewToken()
	l := loginsOf(t, append(people(), Credential{Name: "ci", Role: Viewer, Token: HashToken(token)})...)
	host := netip.MustParseAddr("192.0.2.1")
	for range 3 { // remembered or not
		c, err := l.Check(asking("operator", "operator has a password"), host)
		if err != nil || c.Name != "operator" || c.Role != Operator {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err = l.Check(asking("", token), host); err != nil || c.Name != "ci" {
			t.Errorf("%+v, %v", c, err)
		}
	}
	nobody := httptest.NewRequest("GET", "/", nil)
	if _, err := l.Check(nobody, host); !errors.Is(err, errNoLogin) {
		t.Errorf("nobody: %v", err)
	}
	twice := asking("operator", "operator has a password")
	twice.Header.Add("Authorization", "Bearer x")
	odd := asking("operator", "x")
	odd.Header.Set("Authorization", "Basic !!!")
	for name, r := range map[string]*http.Request{
		"wrong password": asking("operator", "viewer has a password"), "unknown": asking("nobody", "operator has a password"), "no password": asking("operator", ""),
		"a token's name": asking("ci", token), "wrong token": asking("", token+"x"), "no token": asking("", ""), "two": twice, "nonsense": odd,
		"too long": asking("operator", strings.Repeat("x", 2000)), "other case": asking("Operator", "operator has a password"),
	} {
		var other Logins
		other.File = l.File
		if err := other.Load(); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Check(r, host); !errors.Is(err, errWrongLogin) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := new(Logins).Check(asking("operator", "operator has a password"), host); err == nil {
		t.Error("somebody is let in without a file")
	}
}

// Whoever is wrong again and again waits, longer and longer, and makes no work meanwhile; others do not, nor does he whose
// password was right a while ago, nor a token.
func TestWrongCredentialsSlowDown(t *testing.T) {
	token := NewToken()
	var log bytes.Buffer
	now := noon()
	l := loginsOf(t, append(people(), Credential{Name: "ci", Role: Viewer, Token: HashToken(token)})...)
	l.Now, l.Log = func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil))
	bad, good := netip.MustParseAddr("192.0.2.66"), netip.MustParseAddr("192.0.2.1")
	right := func(host netip.Addr, name string) error {
		_, err := l.Check(asking(name, name+" has a password"), host)
		return err
	}
	if err := right(bad, "viewer"); err != nil {
		t.Fatal(err)
	}
	waits := 0
	for i := range 1000 {
		_, err := l.Check(asking("operator", fmt.Sprint("guess ", i)), bad)
		if _, is := errors.AsType[tooManyFailures](err); is {
			waits++
		}
	}
	if waits != 1000-freeFailures {
		t.Errorf("%d of 1000 were not even tried", waits)
	}
	var wait tooManyFailures
	if err := right(bad, "operator"); !errors.As(err, &wait) || wait.wait != time.Second {
		t.Errorf("the right password among wrong ones: %v", err)
	}
	if err := right(bad, "viewer"); err != nil {
		t.Errorf("whose password was right before: %v", err)
	}
	if _, err := l.Check(asking("", token), bad); err != nil {
		t.Errorf("a token: %v", err)
	}
	if err := right(good, "operator"); err != nil {
		t.Errorf("somebody elsewhere: %v", err)
	}
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
		now = now.Add(time.Minute)
		_, _ = l.Check(asking("operator", "wrong"), bad)
		if err := right(bad, "hroperator"); !errors.As(err, &wait) || wait.wait != want*time.Second {
			t.Errorf("%v; want to wait %v s", err, want)
		}
	}
	now = now.Add(time.Minute)
	if err := right(bad, "hroperator"); err != nil {
		t.Errorf("the right one, in time: %v", err)
	}
	_, _ = l.Check(asking("operator", "wrong"), bad)
	if err := right(bad, "hrviewer"); err != nil {
		t.Errorf("all is forgotten: %v", err)
	}
	if text := log.String(); strings.Count(text, "wrong credentials") > 15 || strings.Contains(text, "guess") || !strings.Contains(text, "192.0.2.66") {
		t.Error(text)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	var f failures
	at := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxFailing {
		f.add(at, noon())
		at = at.Next()
	}
	if len(f.byHost) > maxFailing {
		t.Errorf("%d are remembered", len(f.byHost))
	}
	one, neighbour, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:1::1")
	for range freeFailures {
		f.add(one, noon())
	}
	if f.wait(neighbour, noon()) == 0 || f.wait(other, noon()) != 0 || f.wait(one, noon().Add(time.Hour)) != 0 {
		t.Error("of IPv6, a network counts as one")
	}
}

// Trying a password is work: only so many do it at a time, and the rest are told to come again.
func TestLoginsDoNotTakeAllProcessors(t *testing.T) {
	l := loginsOf(t, people()...)
	l.turn(asking("a", "b"))
	for len(l.work) < cap(l.work) {
		l.work <- struct{}{}
	}
	for range maxWaiting {
		l.waiting <- struct{}{}
	}
	if _, err := l.Check(asking("operator", "operator has a password"), netip.Addr{}); !errors.Is(err, errBusyLogin) {
		t.Errorf("%v", err)
	}
}

func TestManyLogInAtOnce(t *testing.T) {
	l := loginsOf(t, people()...)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			name := people()[i%4].Name
			if c, err := l.Check(asking(name, name+" has a password"), netip.MustParseAddr("192.0.2.1")); err != nil || c.Name != name {
				t.Errorf("%s: %+v, %v", name, c, err)
			}
			_, _ = l.Check(asking(name, "wrong"), netip.MustParseAddr("192.0.2.2"))
		})
	}
	all.Wait()
}

// A file that changes counts from then on; one that cannot be used changes nothing, one that is gone lets nobody in.
func TestChangedCredentialsCount(t *testing.T) {
	now := noon()
	l := loginsOf(t, people()...)
	l.Now = func() time.Time { return now }
	in := func(name string) bool {
		now = now.Add(2 * lookInterval)
		_, err := l.Check(asking(name, name+" has a password"), netip.MustParseAddr("192.0.2.1"))
		return err == nil
	}
	change := func(what string, f func() error, operator, added bool) {
		t.Helper()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if in("operator") != operator || in("added") != added {
			t.Errorf("%s: operator %v, added %v", what, in("operator"), in("added"))
		}
	}
	change("at first", func() error { return nil }, true, false)
	change("another one", func() error {
		writeCredentials(t, l.File, append(people(), Credential{Name: "added", Role: Viewer})...)
		return nil
	}, true, true)
	change("one fewer", func() error { writeCredentials(t, l.File, Credential{Name: "added", Role: Viewer}); return nil }, false, true)
	change("broken", func() error { return os.WriteFile(l.File, []byte("operator operator\n"), 0o600) }, false, true)
	change("gone", func() error { return os.Remove(l.File) }, false, false)
	change("back", func() error { writeCredentials(t, l.File, people()...); return nil }, true, false)
	change("open to all", func() error { return os.Chmod(l.File, 0o666) }, true, false)
	if err := l.Load(); err == nil {
		t.Error("a file that is open to all is loaded")
	}
	same(t, "names", l.Names(), nil, []string{"hroperator", "hrviewer", "operator", "viewer"})
}
