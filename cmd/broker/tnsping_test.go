package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"servicebroker/descriptor"
	"servicebroker/tns"
)

const tnspingBanner = `\nTNS Ping Utility for Linux: Version 19\.0\.0\.0\.0 - Production on \d\d-[A-Z]{3}-\d{4} \d\d:\d\d:\d\d\n\nService broker [0-9.]+ answers as this tool does\.\n\n`

// aliases writes a tnsnames.ora that names a listener's port.
func aliases(t *testing.T, port string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	t.Setenv("TNS_ADMIN", folder)
	text := strings.ReplaceAll(`# Aliases
XYDB, XYDB2 =
  (DESCRIPTION =
    (ADDRESS = (PROTOCOL = TCP)(HOST = 127.0.0.1)(PORT = @))
    (CONNECT_DATA =
      (SERVER = DEDICATED)
      (SERVICE_NAME = xydb)
    )
  )
sales.example.com = (DESCRIPTION=(ADDRESS_LIST=(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=@)))(CONNECT_DATA=(SERVICE_NAME=sales)))
hops = (DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=@)))
noted = (DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=@)) # here
  (CONNECT_DATA=(SERVICE_NAME=sales)))
away = (DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=no-such-host.invalid)(PORT=1521)))
empty = (DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))
`, "@", port)
	if err := os.WriteFile(filepath.Join(folder, "tnsnames.ora"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTnsping(t *testing.T) {
	l := listener(t)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	folder := aliases(t, port)
	const used, by = `Used parameter files:\n\n\nUsed TNSNAMES adapter to resolve the alias\nAttempting to contact `, `OK \(\d+ msec\)\n`
	for line, want := range map[string]string{
		"xydb":                        used + `\(DESCRIPTION = \(ADDRESS = \(PROTOCOL = TCP\)\(HOST = 127\.0\.0\.1\)\(PORT = ` + port + `\)\) \(CONNECT_DATA = \(SERVER = DEDICATED\) \(SERVICE_NAME = xydb\)\)\)\n` + by,
		"XYDB2 3":                     used + `\(DESCRIPTION = .*\n(` + by + `){3}`,
		"sales":                       `Used parameter files:\n` + folder + `/sqlnet\.ora\n\n\nUsed TNSNAMES adapter to resolve the alias\nAttempting to contact \(DESCRIPTION=\(ADDRESS_LIST=.*\n` + by,
		"noted":                       used + `\(DESCRIPTION=\(ADDRESS=.*\(SERVICE_NAME=sales\)\)\)\n` + by,
		"127.0.0.1:" + port:           `Used parameter files:\n\nUsed HOSTNAME adapter to resolve the alias\nAttempting to contact \(DESCRIPTION=\(CONNECT_DATA=\(SERVICE_NAME=\)\)\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=127\.0\.0\.1\)\(PORT=` + port + `\)\)\)\n` + by,
		"//localhost:" + port + "/hr": `Used parameter files:\n\nUsed HOSTNAME adapter to resolve the alias\nAttempting to contact \(DESCRIPTION=\(CONNECT_DATA=\(SERVICE_NAME=hr\)\)\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=(127\.0\.0\.1|::1)\)\(PORT=` + port + `\)\)\)\n(OK|TNS-12541).*\n`,
		"(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=" + port + "))": `Attempting to contact \(ADDRESS=.*\n` + by,
	} {
		if line == "//localhost:"+port+"/hr" { // where localhost is, is the host's business
			out, _, _ := command(t, append([]string{"tnsping"}, strings.Fields(line)...)...)
			if !strings.Contains(out, "(SERVICE_NAME=hr)") {
				t.Errorf("%s: %s", line, out)
			}
			continue
		}
		domain := filepath.Join(folder, "sqlnet.ora")
		os.Remove(domain)
		if line == "sales" {
			if err := os.WriteFile(domain, []byte("NAMES.DEFAULT_DOMAIN = example.com\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		printsLike(t, append([]string{"tnsping"}, strings.Fields(line)...), exitDone, tnspingBanner+want)
	}
	says(t, []string{"--compat", "ping", "xydb"}, "OK (", "Used TNSNAMES adapter")
}

func TestTnspingFailures(t *testing.T) {
	folder := aliases(t, "1")
	for line, want := range map[string]string{
		"xydb 2":               `(.*\n)+(TNS-12541: TNS:no listener\n){2}`,
		"hops":                 `(.*\n)+TNS-12541: TNS:no listener\n`,
		"away":                 `(.*\n)+TNS-12545: Connect failed because target host or object does not exist\n`,
		"empty":                `(.*\n)+TNS-12533: TNS:illegal ADDRESS parameters\n there is no ADDRESS\n`,
		"sales":                `(.*\n)+TNS-03505: Failed to resolve name\n sales is neither an alias.*\n`,
		"no-such-host.invalid": `(.*\n)+TNS-03505: Failed to resolve name\n .*\n`,
		"(ADDRESS":             `TNS-03505: Failed to resolve name\n .*\n`,
		"//":                   `(.*\n)+TNS-03505: Failed to resolve name\n .*\n`,
		"(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=x))": `TNS-03505: Failed to resolve name\n .*\n`,
		"xydb never": `"never" is no number of pings.*\n`,
		"":           `TNS-03502: Insufficient arguments\.  Usage:  tnsping <address> \[<count>\]\n`,
	} {
		printsLike(t, append([]string{"tnsping"}, strings.Fields(line)...), exitNo, tnspingBanner+want)
	}
	if err := os.WriteFile(filepath.Join(folder, "tnsnames.ora"), []byte("a = (b"), 0o600); err != nil {
		t.Fatal(err)
	}
	printsLike(t, []string{"tnsping", "a"}, exitNo, tnspingBanner+`TNS-03505: Failed to resolve name\n .*tnsnames\.ora.*\n`)
}

// Every way in which a ping fails has a number.
func TestPingFailures(t *testing.T) {
	for want, err := range map[string]error{
		"TNS-01189: TNS:": &tns.RefusedError{Refuse: tns.NewRefuse(tns.CodeAdminRefused, 0)}, "TNS-12545: ": &net.DNSError{}, "TNS-12541: ": syscall.ECONNREFUSED, "TNS-12535: ": context.DeadlineExceeded,
		"TNS-12543: ": syscall.ENETUNREACH, "TNS-12537: ": io.ErrUnexpectedEOF, "TNS-12547: ": syscall.ECONNRESET, "TNS-12560: TNS:protocol adapter error\n odd": errors.New("odd"),
	} {
		if got := pingFailure(err).Error(); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// A listener that closes without a word, and one that speaks TLS to nobody.
func TestPingOfTheRude(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	defer func() { l.Close(); <-ended }()
	at := l.Addr().(*net.TCPAddr)
	for _, protocol := range []string{"tcp", "tcps"} {
		err := pingOnce(t.Context(), descriptor.Address{Protocol: protocol, Host: "127.0.0.1", Port: at.Port})
		if failure, is := errors.AsType[*netError](err); !is || failure.code != 12537 && failure.code != 12547 {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}

func TestCalledByName(t *testing.T) {
	for name, want := range map[string]string{"broker": "a b", "/usr/bin/cmctl": "cmctl a b", "./lsnrctl": "lsnrctl a b", "tnsping": "tnsping a b", "mycmctl": "a b"} {
		if got := strings.Join(called([]string{name, "a", "b"}), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := called(nil); got != nil {
		t.Errorf("%q", got)
	}
}
