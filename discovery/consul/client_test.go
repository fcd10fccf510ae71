package consul

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// emptyConsul has nothing, and tells by which token it was asked.
func emptyConsul(token *string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*token = r.Header.Get("X-Consul-Token")
		w.Header().Set("X-Consul-Index", "1")
		if strings.HasSuffix(r.URL.Path, "/services") {
			fmt.Fprint(w, "{}")
			return
		}
		fmt.Fprint(w, "[]")
	})
}

func TestConsulIsReachedOverTLSAndUnixSockets(t *testing.T) {
	folder := t.TempDir()
	tokenFile := filepath.Join(folder, "token")
	if err := os.WriteFile(tokenFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var token string
	secure := httptest.NewUnstartedServer(emptyConsul(&token))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := filepath.Join(folder, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "consul.sock")
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local := httptest.NewUnstartedServer(emptyConsul(&token))
	local.Listener.Close()
	local.Listener = l
	local.Start()
	t.Cleanup(local.Close)

	for _, c := range []*Client{
		{Address: secure.URL, CA: ca, TokenFile: tokenFile},
		{Address: secure.URL, CA: ca, ServerName: "example.com", TokenFile: tokenFile},
		{Address: "unix://" + path, TokenFile: tokenFile},
		{Address: "unix:" + path, TokenFile: tokenFile},
	} {
		token = ""
		if err := (&Catalogue{Client: c}).Sync(t.Context(), Publication{}); err != nil || token != "secret" {
			t.Errorf("%s: token %q, %v", c.Address, token, err)
		}
		c.Close()
	}
	for _, c := range []*Client{{Address: secure.URL}, {Address: secure.URL, CA: ca, ServerName: "wrong.example"}, {Address: secure.URL, CA: tokenFile}} {
		if err := (&Catalogue{Client: c}).Sync(t.Context(), Publication{}); err == nil {
			t.Errorf("%+v is trusted", c.ServerName)
		}
		c.Close()
	}
}

func TestATokenStaysWhileItsFileIsBeingReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	a := &authorized{file: path}
	for _, step := range []struct{ content, want string }{{"one", "one"}, {"", "one"}, {"-", "one"}, {"two-two", "two-two"}} {
		var err error
		if step.content == "-" {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, []byte(step.content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.current(); err != nil || got != step.want {
			t.Errorf("%q: %q, %v", step.content, got, err)
		}
	}
}
