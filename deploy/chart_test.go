package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The chart is good to Helm and Kubernetes, and the files it makes are good to the broker.
func TestChart(t *testing.T) {
	module(t, "helm/check")
	files := t.TempDir()
	if said, err := runIn(t.Context(), "helm/check", "env", "CHART_FILES="+files, "go", "test", "-count=1", "./..."); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	broker := built(t, "..", "./cmd/broker")
	made, err := filepath.Glob(files + "/*/pod.ora")
	must(t, err)
	if len(made) < 5 {
		t.Fatalf("only %d files were made", len(made))
	}
	for _, file := range made {
		folder := filepath.Dir(file)
		text, err := os.ReadFile(file)
		must(t, err)
		local := regexp.MustCompile(`/etc/servicebroker(-volume|/config)/`).ReplaceAllString(string(text), folder+"/")
		if strings.Contains(local, folder+"/my.ora") {
			place(t, "packages/cman.ora", folder+"/my.ora", 0o644)
		}
		if _, err := os.Stat(folder + "/cman.ora"); err != nil {
			place(t, "packages/cman.ora", folder+"/cman.ora", 0o644)
		}
		for secret, name := range map[string]string{"/etc/servicebroker/rest/credentials": "credentials", "/etc/servicebroker/consul/token": "token", "/etc/servicebroker/peers/credentials": "peer", "/etc/servicebroker/peers/ca.crt": "tls/tls.crt", "/etc/servicebroker/tls/": "tls/"} {
			local = strings.ReplaceAll(local, secret, folder+"/"+name)
		}
		if strings.Contains(local, "tls.crt") {
			secrets(t, folder, broker)
		}
		must(t, os.WriteFile(file, []byte(local), 0o644))
		if said, err := run(t.Context(), broker, "check", file); err != nil {
			t.Errorf("%s: %v\n%s\n%s", filepath.Base(folder), err, said, local)
		}
	}
}

// secrets are what Secrets would hold: certificate, key, credentials and token.
func secrets(t *testing.T, folder, broker string) {
	t.Helper()
	must(t, os.MkdirAll(folder+"/tls", 0o755))
	tool(t, "openssl", "run scripts/testdeps as root, or apt-get install openssl")
	output(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=broker", "-addext", "subjectAltName=DNS:broker", "-keyout", folder+"/tls/tls.key", "-out", folder+"/tls/tls.crt")
	output(t, broker, "credentials", "add", "prometheus", "--token", "--file", folder+"/credentials")
	must(t, os.WriteFile(folder+"/token", []byte("0b3c6f0e\n"), 0o600))
	must(t, os.WriteFile(folder+"/peer", []byte("peer:a password\n"), 0o440))
}
