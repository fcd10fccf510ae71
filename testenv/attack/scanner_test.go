package attack

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"servicebroker/broker"
	"servicebroker/descriptor"
	"servicebroker/tns"
)

// scans are what scanners send, byte for byte where that matters: as published for those of nmap, and made from the public
// descriptions of ODAT's modules (tnscmd, tnspoison, sidguesser, snguesser) and of the tools before it.
func scans(t *testing.T) (all []probe) {
	t.Helper()
	raw := func(text string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		must(t, err)
		return b
	}
	// The old header with which such tools begin: version 310, data at offset 58.
	header := func(text string) []byte {
		b := raw("0000 0000 0100 0000 0136 012c 0000 0800 7fff 7f08 0000 0001 0000 003a 0000 0800 4141")
		b = append(b, make([]byte, 58-len(b))...)
		b = append(b, text...)
		b[0], b[1], b[24], b[25] = byte(len(b)>>8), byte(len(b)), byte(len(text)>>8), byte(len(text))
		return b
	}
	const refused, unknown = tns.CodeAdminRefused, tns.CodeUnknownService
	all = append(all,
		probe{name: "service detection: TNS", send: raw("005a0000010000000136012c000008007fff7f08000000010020003a0000000000000000000000000000000034e600000001000000000000000028434f4e4e4543545f444154413d28434f4d4d414e443d76657273696f6e2929"), want: refused, class: "command"},
		probe{name: "oracle-tns-version", send: header("(CONNECT_DATA=(COMMAND=VERSION))"), want: refused, class: "command"},
		probe{name: "tnscmd ping", send: header("(CONNECT_DATA=(COMMAND=ping))"), want: tns.CodeNone},
	)
	for _, word := range []string{"version", "status", "services", "debug", "reload", "save_config", "stop", "service_curload", "trc_level", "log_status", "dbsnmp_status", "showtrc", "rotate"} {
		all = append(all, probe{name: "tnscmd " + word, send: header("(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=)(HOST=linux)(USER=oracle))(COMMAND=" + word + ")(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=1)))"), want: refused, class: "command"})
	}
	for _, log := range []string{"/home/oracle/.rhosts", `C:\x.bat`, "/etc/cron.d/x"} {
		all = append(all, probe{name: "log file " + log, send: header("(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=)(HOST=)(USER=))(COMMAND=log_file)(ARGUMENTS=4)(SERVICE=LISTENER)(VERSION=1)(VALUE=" + log + ")))"), want: refused, class: "command"})
	}
	for _, poison := range []string{"(CONNECT_DATA=(COMMAND=service_register_NSGR))", "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=)(COMMAND=service_register_NSGR)))"} {
		all = append(all, probe{name: "tnspoison " + poison, send: header(poison), want: tns.CodeRegistrationRejected, class: "registration"})
	}
	for _, name := range []string{"ORCL", "XE", "PROD", "TEST"} {
		all = append(all,
			probe{name: "sidguesser " + name, send: header("(DESCRIPTION=(CONNECT_DATA=(SID=" + name + ")(CID=(PROGRAM=)(HOST=__jdbc__)(USER=)))(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.1)(PORT=1521)))"), want: tns.CodeUnknownSID},
			probe{name: "snguesser " + name, send: header("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + name + ")(CID=(PROGRAM=)(HOST=__jdbc__)(USER=)))(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.1)(PORT=1521)))"), want: unknown})
	}
	for i := range all {
		all[i].at = proxied
	}
	return all
}

// A scanner elsewhere is told the codes of refusals, the version that VSNNUM claims in them, and to a ping the name of the
// configuration's instance; nothing else.
func TestScanners(t *testing.T) {
	for _, vsnnum := range []uint32{318767104, 0} {
		t.Run(fmt.Sprint("VSNNUM=", vsnnum), func(t *testing.T) {
			w := start(t, func(c *broker.Config) { c.VSNNUM, c.Name = vsnnum, "alias" })
			for _, p := range scans(t) {
				w.all(t, []probe{p})
				said, err := p.run(w)
				must(t, err)
				for _, secret := range []string{hostName(t), "sales", "dbhost", "TNSLSNR", "Version", "Production", "Linux", "servicebroker", broker.Version, "go1", "127.0.0.1", "HOST="} {
					if bytes.Contains(bytes.ToLower(said), bytes.ToLower([]byte(secret))) {
						t.Errorf("%s: the answer tells %s: %q", p.name, secret, said)
					}
				}
				if claimed := fmt.Sprintf("(VSNNUM=%d)", vsnnum); !bytes.Contains(said, []byte(claimed)) && !bytes.Contains(said, []byte("(VSNNUM=0)")) {
					t.Errorf("%s: the answer has no %s: %q", p.name, claimed, said)
				}
			}
			w.unharmed()
		})
	}
}

// hostName is this host's, unless it is so short that anything may have it in it.
func hostName(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	must(t, err)
	if len(name) < 6 {
		return "no such text"
	}
	return name
}

// Who guesses names finds none, however many he tries, once he has tried too many; others do not notice. It is told once.
func TestGuessedNames(t *testing.T) {
	const limit = 30
	w := start(t, func(c *broker.Config) { c.Limits.Guesses = limit })
	ask := func(at int, name string, want tns.Code) {
		t.Helper()
		p := probe{name: name, at: at, send: connect("(CONNECT_DATA=(SERVICE_NAME=" + name + "))"), want: want}
		said, err := p.run(w)
		if err == nil {
			err = p.judge(said)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	withdraw := w.register(offer{instance: "hr1", services: []string{"hr"}, at: []string{w.database}})
	ask(proxied, "sales", wantAccept)
	for i := range limit + 1 {
		ask(proxied, fmt.Sprint("guess", i), tns.CodeUnknownService)
	}
	for range 3 {
		ask(proxied, "hr", tns.CodeUnknownService)    // though it is there
		ask(proxied, "HR", tns.CodeUnknownService)    // in any form
		ask(proxied, "guess", tns.CodeUnknownService) // and this one is not
		ask(proxied, "Sales", wantAccept)             // which it was served before
	}
	ask(plain, "hr", wantAccept) // for others
	defer w.register(offer{instance: "new1", services: []string{"new"}, at: []string{w.database}})()
	ask(proxied, "new", wantAccept) // which nobody could have guessed then
	m := w.metrics()
	if m["guessing_clients"] != 1 || m["guess_episodes_total"] != 1 || m["guesses_withheld_total"] != 9 {
		t.Errorf("counted: %v clients, %v times, %v withheld", m["guessing_clients"], m["guess_episodes_total"], m["guesses_withheld_total"])
	}
	if n := strings.Count(w.log.String(), "a client guesses names of services"); n != 1 || !strings.Contains(w.log.String(), "client="+stranger) {
		t.Errorf("it is told %d times", n)
	}
	withdraw()
}

// What nmap finds out by its own scripts, from this host, which may ask for status and version: it ends, nothing breaks, and
// its guesses find nothing either. From elsewhere it would be told less; see TestScanners.
func TestNmap(t *testing.T) {
	nmap, err := exec.LookPath("nmap")
	if err != nil {
		t.Skip("nmap is not installed: run scripts/testdeps as root, or apt-get install nmap")
	}
	w := start(t, func(c *broker.Config) {
		c.Addresses[plain] = descriptor.Address{Protocol: "tcp", Host: "127.0.0.1", Port: probedPort(t)}
		c.InboundTimeout = silenceShort // it listens for a while before it speaks
	})
	defer w.register(offer{instance: "XE", services: []string{"XE"}, at: []string{w.database}})()
	w.remember()
	_, port, _ := net.SplitHostPort(w.Addresses()[plain])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	names := filepath.Join(t.TempDir(), "names")
	var list strings.Builder
	for i := range 300 {
		fmt.Fprintf(&list, "GUESS%d\n", i)
	}
	must(t, os.WriteFile(names, []byte(list.String()+"XE\n"), 0o600)) // the right one last, when it has guessed too often
	before := w.metrics()
	said, err := exec.CommandContext(ctx, nmap, "-n", "-Pn", "-sV", "--version-light", "-p", port, "--script", "+oracle-tns-version,+oracle-sid-brute,+oracle-enum-users,+oracle-brute,+oracle-brute-stealth",
		"--script-args", "oraclesids="+names+",oracle-enum-users.sid=nosuch,oracle-brute.sid=nosuch,oracle-brute-stealth.sid=nosuch,brute.firstonly=true,brute.guesses=5,unpwdb.userlimit=3,unpwdb.passlimit=3", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Logf("%s", said)
	if bytes.Contains(said, []byte("XE")) || bytes.Contains(said, []byte("sales")) {
		t.Errorf("a name was found:\n%s", said)
	}
	if now := w.metrics(); now["guess_episodes_total"] != before["guess_episodes_total"]+1 {
		t.Errorf("guesses were noticed %v times, before %v", now["guess_episodes_total"], before["guess_episodes_total"])
	}
	w.unharmed()
}

// probedPort is one on which nmap looks for a listener first.
func probedPort(t *testing.T) int {
	t.Helper()
	for _, port := range []int{1526, 1574, 1748, 1754, 14238, 20000} {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Skip("all ports on which nmap looks for a listener are taken")
	return 0
}
