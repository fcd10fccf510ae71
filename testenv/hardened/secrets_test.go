package hardened

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"servicebroker/console"
	"servicebroker/testenv/stage"
)

// secrets are one of every kind, by what it is for.
type secrets map[string]string

// private writes a file that others may not read.
func (i *instance) private(name, text string) string {
	i.t.Helper()
	must(i.t, os.WriteFile(i.path(name), []byte(text), 0o600))
	return i.path(name)
}

// withSecrets configures every kind of credential, and returns them.
func (i *instance) withSecrets() (secrets, *tls.Config) {
	i.t.Helper()
	token := console.NewToken()
	all := secrets{
		"password of an operator": "rest-secret-4711", "token": token, "peers": "peer-secret-4712", "Consul": "consul-secret-4713", "TSIG": "dHNpZy1zZWNyZXQtNDcxNC0wMDAwMDAwMA==",
		"Connection Manager's password": "cman-secret-4715", "database's user": stage.Password, "guess": "guess-secret-4716", "password in place of its hash": "plain-secret-4717",
		"wallet": "wallet-secret-4718", "shared certificates": "shared-secret-4719-0000000000",
	}
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ACL not found", http.StatusForbidden) }))
	i.t.Cleanup(consul.Close)
	certificate, trusting := i.certify()
	key, err := os.ReadFile(i.path("key.pem"))
	must(i.t, err)
	all["private key"] = strings.Split(string(key), "\n")[1]
	hash := console.HashPassword(all["password of an operator"])
	all["hash of a password"] = hash
	i.private("credentials", console.Credential{Name: "op", Role: console.Operator, Password: hash}.String()+"\n"+
		console.Credential{Name: "ci", Role: console.Viewer, Token: console.HashToken(token)}.String()+"\n")
	i.private("peer", "viewer:"+all["peers"]+"\n")
	i.private("consul", all["Consul"]+"\n")
	i.wallet("wallet.p12", all["wallet"])
	i.private("wallet", all["wallet"]+"\n")
	i.private("shared", all["shared certificates"]+"\n")
	i.private("tsig", "key \"broker.example\" {\n\talgorithm hmac-sha256;\n\tsecret \""+all["TSIG"]+"\";\n};\n")
	for _, folder := range []string{"logs", "traces"} {
		must(i.t, os.Mkdir(i.path(folder), 0o700))
	}
	nobody := nobodyAt(i)
	i.configure([]string{"tcp 15521", "tcps 15522"}, certificate, "(LOG_DIRECTORY="+i.path("logs")+")(TRACE_DIRECTORY="+i.path("traces")+")(LOG_LEVEL=support)",
		"(REST_ADDRESS="+i.host+":15525)(REST_CREDENTIALS="+i.path("credentials")+")(PEERS=https://"+nobody+")(PEER_CREDENTIALS="+i.path("peer")+")(PEER_CA="+i.path("cert.pem")+")",
		"(CONSUL_ADDRESS="+consul.URL+")(CONSUL_TOKEN_FILE="+i.path("consul")+")(PASSWORD_CMAN="+all["Connection Manager's password"]+")",
		"(DNS_ZONE=db.example.com)(DNS_UPDATE=(PRIMARY="+nobody+")(KEY="+i.path("tsig")+"))",
		"(UPSTREAM_TLS=(CA="+i.path("cert.pem")+")(WALLET="+i.path("wallet.p12")+")(WALLET_PASSWORD_FILE="+i.path("wallet")+"))")
	return all, trusting
}

// nobodyAt is an address at which nobody listens.
func nobodyAt(i *instance) string { return net.JoinHostPort(i.host, "9") }

// in looks for secrets in a text.
func (s secrets) in(t *testing.T, where, text string) {
	t.Helper()
	for what, secret := range s {
		if strings.Contains(text, secret) {
			at := strings.Index(text, secret)
			t.Errorf("%s has the secret of %s: …%s", where, what, text[max(0, at-200):at])
		}
	}
}

// A run with a credential of every kind leaves none of them in what it writes, answers or shows of its process.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	i := newInstance(t)
	all, trusting := i.withSecrets()
	i.start(`msg="broker started"`)
	i.database("15521")
	i.does("trace", "--client", "*", "--data")
	i.serves("15521", nil)
	rest := func(name, password string) int {
		request, err := http.NewRequest("GET", "https://"+i.host+":15525/api/v1/version", nil)
		must(t, err)
		request.SetBasicAuth(name, password)
		if name == "" {
			request.Header.Set("Authorization", "Bearer "+password)
		}
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting.Clone()}}
		answer, err := client.Do(request)
		must(t, err)
		must(t, answer.Body.Close())
		return answer.StatusCode
	}
	for _, c := range []struct {
		name, password string
		want           int
	}{{"op", all["password of an operator"], 200}, {"", all["token"], 200}, {"op", all["guess"], 401}, {all["guess"], "x", 401}, {"", all["guess"], 401}} {
		if got := rest(c.name, c.password); got != c.want {
			t.Errorf("%q with %q: %d", c.name, c.password, got)
		}
	}
	all.judge(i)
	i.does("upgrade")
	i.mistakes(all)
	i.issues(all, nobodyAt(i))
	all.judge(i)
	for _, told := range []string{"wrong credentials", "ACL not found", "correct the first line of " + i.path("wallet"), "is it a PKCS#12 file?", "the secret has 12 bytes, too few", "broker.example.com"} {
		if !strings.Contains(i.said(), told) {
			t.Errorf("what was to be logged is not there: %s", told)
		}
	}
}

// mistakes are those of operators that make the broker speak of secrets.
func (i *instance) mistakes(all secrets) {
	i.t.Helper()
	good, err := os.ReadFile(i.path("cman.ora"))
	must(i.t, err)
	secret := all["Connection Manager's password"]
	for _, wrong := range []string{
		strings.Replace(string(good), secret+")", secret, 1), strings.Replace(string(good), "("+"PASSWORD_CMAN", "(PASWORD_CMAN", 1), strings.Replace(string(good), "(PASSWORD_CMAN=", "(PASSWORD_CMAN=(X=", 1),
	} {
		i.write("cman.ora", wrong)
		for _, command := range [][]string{{"reload"}, {"check", i.path("cman.ora")}} {
			said, _ := i.admin(command...)
			all.in(i.t, command[0], said)
		}
	}
	i.write("cman.ora", string(good))
	if i.wrongFile(all, "credentials", "op operator basic "+all["password in place of its hash"]+"\n") {
		i.t.Error("a password that is not hashed is taken")
	}
	i.wrongFile(all, "tsig", "key \"broker.example\" {\n\talgorithm hmac-md5;\n\tsecret \""+all["TSIG"]+"\";\n};\n")
	i.wrongFile(all, "peer", all["peers"]+"\n")
	i.wrongFile(all, "wallet", all["shared certificates"])
	i.wrongFile(all, "wallet.p12", all["wallet"])
	i.wrongFile(all, "consul", all["wallet"]+"\n"+all["Consul"])
}

// wrongFile has another secret, or what is none, in the place of one. It tells whether a reload takes that.
func (i *instance) wrongFile(all secrets, name, content string) (taken bool) {
	i.t.Helper()
	good, err := os.ReadFile(i.path(name))
	must(i.t, err)
	i.private(name, content)
	for _, command := range [][]string{{"reload"}, {"check", i.path("cman.ora")}, {"upgrade"}} {
		said, ok := i.admin(command...)
		all.in(i.t, command[0]+" with another "+name, said)
		taken = taken || ok && command[0] == "reload"
	}
	i.private(name, string(good))
	return taken
}

// issues has certificates issued, and shared under a secret, in place of those in files; that nobody issues any is told.
func (i *instance) issues(all secrets, directory string) {
	i.t.Helper()
	text, err := os.ReadFile(i.path("cman.ora"))
	must(i.t, err)
	own, _, _ := strings.Cut(string(text)[strings.Index(string(text), "(TLS_CERTIFICATE="):], "(LOG_DIRECTORY")
	i.write("cman.ora", strings.Replace(string(text), own, "(ACME_DIRECTORY=https://"+directory+"/directory)(ACME_NAMES=broker.example.com)(ACME_SHARED_KEY="+i.path("shared")+")", 1))
	for _, command := range []string{"reload", "upgrade"} {
		all.in(i.t, command, i.does(command))
	}
	i.wrongFile(all, "shared", all["guess"][:12])
	i.wrongFile(all, "shared", strings.Repeat(all["wallet"], 2))
}

// judge looks through everything that the broker has written, answers, and shows of its process.
func (s secrets) judge(i *instance) {
	t := i.t
	t.Helper()
	s.in(t, "the log", i.said())
	for _, folder := range []string{"logs", "traces", "state"} {
		must(t, filepath.WalkDir(i.path(folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			s.in(t, path, string(text))
			return err
		}))
	}
	pid := i.newest()
	for _, of := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, of))
		must(t, err)
		s.in(t, of, string(text))
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", i.path("state/admin.sock"))
	}}}
	get := func(path string) string {
		answer, err := client.Get("http://broker" + path)
		must(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		must(t, err)
		return string(text)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	must(t, json.Unmarshal([]byte(get("/api/v1/openapi.json")), &document))
	asked := 0
	for path, methods := range document.Paths {
		if methods["get"] != nil && !strings.Contains(path, "{") {
			asked++
			s.in(t, path, get(path))
		}
	}
	if asked < 20 {
		t.Errorf("%d paths were asked", asked)
	}
	for _, path := range []string{"/", "/refs", "/show/parameters", "/show/all", "/show/services", "/api/v1/explain?descriptor=sales", "/api/v1/explanations"} {
		s.in(t, path, get(path))
	}
}
