package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"servicebroker/console"
)

// typed runs a command line with something on standard input.
func typed(t *testing.T, input string, arguments ...string) (out, errors string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = run(context.Background(), arguments, &terminal{in: strings.NewReader(input), out: &o, err: &e})
	return o.String(), e.String(), code
}

func TestCredentialsAreMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	add := func(input string, arguments ...string) (string, string) {
		t.Helper()
		out, said, code := typed(t, input, append([]string{"credentials", "add"}, arguments...)...)
		if code != 0 {
			t.Fatalf("%v: %d %s", arguments, code, said)
		}
		return out, said
	}
	line, _ := add("a long password\n", "alice", "--role", "operator")
	if all, err := console.ParseCredentials([]byte(line)); err != nil || len(all) != 1 || all[0].Name != "alice" || all[0].Role != console.Operator {
		t.Errorf("%s: %v", line, err)
	}
	add("a long password\n", "alice", "--role", "operator", "--file", file)
	add("another password", "tina", "--services", "a_*,hr", "--file", file)
	token, said := add("", "ci", "--token", "--file", file)
	if !strings.HasPrefix(token, "broker_") || strings.Contains(said, "broker_") {
		t.Errorf("%q, %q", token, said)
	}
	add("a new password\n", "alice", "--role", "viewer", "--file", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	out, _, code := typed(t, "", "credentials", "list", "--file", file)
	if want := "alice\tviewer\tpassword\tall services, and the broker itself\ntina\tviewer\tpassword\ta_*,hr\nci\tviewer\ttoken\tall services, and the broker itself\n"; out != want || code != 0 {
		t.Errorf("%s, %d", out, code)
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "password") || strings.Contains(string(text), strings.TrimSpace(token)) {
		t.Errorf("%s, %v", text, err)
	}
	if _, said, code = typed(t, "", "credentials", "remove", "tina", "--file", file); code != 0 {
		t.Error(said)
	}
	if out, _, _ = typed(t, "", "credentials", "list", "--file", file); strings.Contains(out, "tina") || !strings.Contains(out, "alice") {
		t.Error(out)
	}
}

func TestCredentialsThatAreNotMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string][]string{
		"fewer than 8 characters": {"short\n", "add", "alice"}, "there is no password": {"", "add", "alice"}, "use letters, digits": {"a long password\n", "add", "al ice"},
		"must be one of": {"a long password\n", "add", "alice", "--role", "root"}, "no list of services": {"a long password\n", "add", "alice", "--services", "a b"},
		"line 1": {"a long password\n", "add", "alice", "--file", file}, "no such file": {"", "list", "--file", file + "x"}, "is not in": {"", "remove", "bob", "--file", file + "x"},
	} {
		if _, said, code := typed(t, c[0], append([]string{"credentials"}, c[1:]...)...); code == 0 || !strings.Contains(said, want) {
			t.Errorf("%v: %d %s; want %q", c[1:], code, said, want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "nonsense\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(file + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file from which somebody was to be removed: %v", err)
	}
}

// secured starts a broker's API with TLS and credentials, and returns its address and the file of its certificate.
func secured(t *testing.T, all ...console.Credential) (api, ca string) {
	t.Helper()
	o, _, _ := runOperated(t)
	file := filepath.Join(t.TempDir(), "credentials")
	text := ""
	for _, c := range all {
		text += c.String() + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	logins := &console.Logins{File: file}
	if err := logins.Load(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(o.server.RESTHandler(logins))
	server.TLS = &tls.Config{NextProtos: []string{"h2"}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, ca
}

// All commands work over https, with credentials from where people keep them.
func TestCommandsOverHTTPS(t *testing.T) {
	token := console.NewToken()
	api, ca := secured(t, console.Credential{Name: "alice", Role: console.Operator, Password: console.HashPassword("a: long password")},
		console.Credential{Name: "ci", Role: console.Viewer, Token: console.HashToken(token)})
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	alice, ci, wrong := write("alice", "alice:a: long password\n"), write("ci", token+"\n"), write("wrong", "alice:another password\n")
	password, empty := write("password", "a: long password\r\n"), write("empty", "\n")
	for _, c := range []struct {
		environment map[string]string
		arguments   []string
		code        int
		want        string
	}{
		{nil, []string{"--credentials", alice, "status"}, 0, ""}, {nil, []string{"--credentials", alice, "drain", "--service", "sales"}, 0, "drain of service sales"},
		{nil, []string{"--credentials", ci, "sessions"}, 0, "sales1@db1"}, {nil, []string{"--credentials", ci, "events"}, 0, ""}, {nil, []string{"--credentials", ci, "rules"}, 0, "(RULE=(SRC=*))"},
		{map[string]string{"BROKER_API_CREDENTIALS": ci}, []string{"services"}, 0, ""},
		{map[string]string{"BROKER_API_TOKEN_FILE": ci}, []string{"parameters"}, 0, "HOLD_TIMEOUT"},
		{map[string]string{"BROKER_API_USER": "alice", "BROKER_API_PASSWORD_FILE": password}, []string{"reload"}, 0, "HOLD_TIMEOUT"},
		{map[string]string{"BROKER_API_CREDENTIALS": alice}, []string{"cmctl", "show", "services"}, 0, "The command completed successfully."},
		{map[string]string{"BROKER_API_CREDENTIALS": alice}, []string{"cmctl", "close", "connections", "for", "sales"}, 0, "The command completed successfully."},
		{map[string]string{"BROKER_API_CREDENTIALS": alice}, []string{"lsnrctl", "status"}, 0, "The command completed successfully"},
		{map[string]string{"BROKER_API_CREDENTIALS": ci}, []string{"cmctl", "reload"}, 1, "TNS-12546"}, {map[string]string{"BROKER_API_CREDENTIALS": ci}, []string{"lsnrctl", "reload"}, 1, "TNS-01190"},
		{nil, []string{"cmctl", "show", "services"}, 1, "TNS-12546"}, {nil, []string{"lsnrctl", "status"}, 1, "TNS-01190"},
		{nil, []string{"--credentials", ci, "drain", "--service", "sales"}, 1, "for looking only"}, {nil, []string{"--credentials", ci, "close", "1"}, 1, "for looking only"},
		{nil, []string{"status"}, 3, "broker --credentials FILE"}, {nil, []string{"--credentials", wrong, "status"}, 3, "not known here"},
		{nil, []string{"--credentials", empty, "status"}, 1, "is empty: write NAME:PASSWORD"}, {nil, []string{"--credentials", empty + "x", "status"}, 1, "no such file"},
		{map[string]string{"BROKER_API_USER": "alice"}, []string{"status"}, 1, "BROKER_API_PASSWORD_FILE"},
	} {
		for _, name := range []string{"BROKER_API", "BROKER_API_CA", "BROKER_API_CREDENTIALS", "BROKER_API_USER", "BROKER_API_PASSWORD_FILE", "BROKER_API_TOKEN_FILE"} {
			t.Setenv(name, c.environment[name])
		}
		t.Setenv("BROKER_API", api)
		t.Setenv("BROKER_API_CA", ca)
		out, said, code := command(t, c.arguments...)
		if code != c.code || !strings.Contains(out+said, c.want) {
			t.Errorf("%v %v: %d %s%s; want %d %q", c.environment, c.arguments, code, out, said, c.code, c.want)
		}
	}
	t.Setenv("BROKER_API_CA", "")
	if _, said, code := command(t, "--credentials", alice, "status"); code != 3 || !strings.Contains(said, "--ca") {
		t.Errorf("an authority that is not known: %d %s", code, said)
	}
	if _, said, code := command(t, "--ca", alice, "--credentials", alice, "status"); code != 1 || !strings.Contains(said, "has no certificate") {
		t.Errorf("no authority: %d %s", code, said)
	}
}

// A password is never sent without TLS, whatever is asked for.
func TestCredentialsAreSentOverTLSAlone(t *testing.T) {
	_, _, plain := runOperated(t)
	file := filepath.Join(t.TempDir(), "none")
	if _, said, code := command(t, "--api", plain, "--credentials", file, "status"); code != 0 {
		t.Errorf("the file is read: %d %s", code, said)
	}
}
