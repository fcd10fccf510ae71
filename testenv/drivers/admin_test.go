package drivers

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"servicebroker/registration/nsgr"
)

// ask sends an administrative command to a broker and returns the whole answer as text.
func ask(t *testing.T, address, connectData string) (kind byte, text string) {
	t.Helper()
	c := dialRaw(t, address)
	writeAll(t, c, rawConnect([]byte(connectData)))
	first, err := readRaw(c, patience)
	if err != nil {
		t.Fatalf("%s: %v", connectData, err)
	}
	text = first.text()
	for first.kind == typeAccept {
		next, err := readRaw(c, patience)
		if err != nil {
			t.Fatalf("%s: after %q: %v", connectData, text, err)
		}
		if next.kind != typeData {
			t.Fatalf("%s: type %d after ACCEPT", connectData, next.kind)
		}
		text += next.text()
		if next.body[1]&0x40 != 0 { // end of file
			break
		}
	}
	if _, err := discardUntilClosed(c, patience); err != nil {
		t.Errorf("%s: %v", connectData, err)
	}
	return first.kind, text
}

// What tnsping, lsnrctl and scanners ask is answered to this host.
func TestAdministrativeCommands(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	c := register(t, b.address, registerConnect())
	writeAll(t, c, rawData(builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales", "reports"}, handlers: 2})))
	b.awaitService(t, "sales", "READY", 1)
	lsnrctl := "(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=)(HOST=client1)(USER=oracle))(COMMAND=%s)(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=318767104)))"
	for _, test := range []struct {
		name, connectData string
		kind              byte
		want              []string
	}{
		{"ping", "(CONNECT_DATA=(COMMAND=ping))", typeRefuse, []string{"(ERR=0)", "(ALIAS="}},
		{"PING", "(CONNECT_DATA=(COMMAND=PING))", typeRefuse, []string{"(ERR=0)"}},
		{"version", "(CONNECT_DATA=(COMMAND=version))", typeAccept, []string{"(VSNNUM=318767104)", "(ERR=0)", "TNSLSNR for ", "Version 19."}},
		{"status", "(CONNECT_DATA=(COMMAND=status))", typeAccept, []string{"(ERR=0)", "(SIDNUM=2)", "(ENDPOINT=", "(SERVICE_NAME=sales)", "(SERVICE_NAME=reports)", "(INSTANCE_NAME=sales1)", "(INSTANCE_STATUS=READY)"}},
		{"services", "(CONNECT_DATA=(COMMAND=services))", typeAccept, []string{"(ERR=0)", "(SERVICE_NAME=sales)", "(HANDLER_NAME=H000)", "(HANDLER_NAME=H001)", "(HANDLER_MAXLOAD=149)"}},
		{"status of lsnrctl", strings.Replace(lsnrctl, "%s", "status", 1), typeAccept, []string{"(SERVICE_NAME=sales)"}},
		{"stop", "(CONNECT_DATA=(COMMAND=stop))", typeRefuse, []string{"(ERR=12508)", "(ERROR_STACK=(ERROR=(CODE=12508)"}},
		{"reload", strings.Replace(lsnrctl, "%s", "reload", 1), typeRefuse, []string{"(ERR=12508)"}},
		{"nonsense", "(CONNECT_DATA=(COMMAND=nonsense))", typeRefuse, []string{"(ERR=12508)"}},
		{"old registration", "(CONNECT_DATA=(COMMAND=service_register))", typeRefuse, []string{"(ERROR_STACK=(ERROR="}},
	} {
		t.Run(test.name, func(t *testing.T) {
			kind, text := ask(t, b.address, test.connectData)
			if kind != test.kind {
				t.Errorf("answered with type %d, want %d", kind, test.kind)
			}
			for _, part := range test.want {
				if !strings.Contains(text, part) {
					t.Errorf("the answer lacks %s:\n%s", part, text)
				}
			}
		})
	}
	if !b.running() {
		t.Error("the broker has ended")
	}
}

// The version probe of nmap ends with an answer.
func TestNmapVersionProbe(t *testing.T) {
	nmap, err := exec.LookPath("nmap")
	if err != nil {
		t.Skip("nmap is not installed: run scripts/testdeps as root, or apt-get install nmap")
	}
	t.Parallel()
	b := startBroker(t, brokerOptions{listen: probedAddress(t)})
	_, port, _ := net.SplitHostPort(b.address)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// The + runs the script although the port is not the usual one.
	said, err := exec.CommandContext(ctx, nmap, "-n", "-Pn", "-sV", "-p", port, "--script", "+oracle-tns-version", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var line []byte
	for l := range bytes.Lines(said) {
		if bytes.HasPrefix(l, []byte(port+"/tcp")) {
			line = l
		}
	}
	if !bytes.Contains(line, []byte("oracle-tns")) || !bytes.Contains(line, []byte("Oracle TNS")) {
		t.Errorf("nmap does not see a listener:\n%s", said)
	}
}

// probedAddress is a loopback address on whose port nmap asks for a listener first.
// On another port it asks all else before, which takes half a minute.
func probedAddress(t *testing.T) string {
	t.Helper()
	for _, port := range []string{"1526", "1574", "1748", "1754", "14238", "20000"} {
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	return freeAddress(t)
}

// Health, page and what little else the console says before anything is registered.
func TestConsole(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	for path, want := range map[string]int{
		"/livez": http.StatusOK, "/readyz": http.StatusOK, "/": http.StatusOK, "/api/v1/services": http.StatusOK,
		"/api/v1/sessions": http.StatusOK, "/api/v1/version": http.StatusOK, "/api/v1/nothing": http.StatusNotFound,
	} {
		if status, body, err := b.get(path); err != nil || status != want {
			t.Errorf("GET %s: %d, %v; want %d\n%s", path, status, err, want, body)
		}
	}
	c := register(t, b.address, registerConnect())
	writeAll(t, c, rawData(builtRegistration(t, nsgr.Linux64(), shape{instance: "<b>sales1", services: []string{"sales&co"}, handlers: 1})))
	b.awaitService(t, "sales&co", "READY", 1)
	status, page, err := b.get("/")
	if err != nil || status != http.StatusOK {
		t.Fatalf("the page: %d, %v", status, err)
	}
	for _, want := range []string{"sales&amp;co", "&lt;b&gt;sales1"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	answer, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Post("http://"+b.console+"/api/v1/services", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 4 {
		t.Errorf("POST to the console over TCP: %s", answer.Status)
	}
}
