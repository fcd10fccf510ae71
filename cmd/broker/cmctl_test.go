package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"servicebroker/console"
	"servicebroker/intent"
)

// started is an operated broker that knows who it is.
func started(t *testing.T) (o *operated, api, plain string) {
	t.Helper()
	o, api, plain = runOperated(t)
	o.server.Identity = func() console.Identity {
		return console.Identity{
			Version: console.Version{Version: "1.2.3", Release: "19.0.0.0.0", Instance: "CMAN1"}, Machine: "cman1.example.com", PID: 1936,
			Socket: strings.TrimPrefix(api, "unix:"), Config: "/etc/cman.ora", Listening: []console.Endpoint{{Protocol: "tcp", Host: "0.0.0.0", Port: 1521}},
		}
	}
	return o, api, plain
}

const (
	cmctlBanner = `\nCMCTL for Linux: Version 19\.0\.0\.0\.0 - Production on \d\d-[A-Z]{3}-\d{4} \d\d:\d\d:\d\d\n\nService broker [0-9.]+ answers as this tool does\.\n\n`
	cmctlIntro  = `Current instance CMAN1 is already started\nConnecting to \(DESCRIPTION=\(address=\(protocol=tcp\)\(host=cman1\.example\.com\)\(port=1521\)\)\)\n`
	cmctlDone   = `The command completed successfully\.\n`
)

// printsLike runs a command line that is to end with code and print what fits the pattern, and nothing else.
func printsLike(t *testing.T, arguments []string, want int, pattern string) {
	t.Helper()
	out, errs, code := command(t, arguments...)
	if code != want || errs != "" || !regexp.MustCompile(`\A`+pattern+`\z`).MatchString(out) {
		t.Errorf("%q: exit %d, errors %q, printed\n%s\nwant exit %d and\n%s", arguments, code, errs, out, want, pattern)
	}
}

func TestCmctlOnce(t *testing.T) {
	_, api, _ := started(t)
	for line, want := range map[string]string{
		"show status":                 `Status of the Instance\n-{22}\nInstance name             cman1\n(.+\n){10}`,
		"SHOW STATUS -c cman1":        `Status of the Instance\n(.+\n)+`,
		"-c CMAN1 -p secret show sta": `Status of the Instance\n(.+\n)+`,
		"show service":                `Services Summary\.\.\.\nProxy service "cmgw" has 1 instance\(s\)\.\n(.+\n)+`,
		"show gateways":               `Gateway ID                         0\nGateway state                      READY\n(.+\n){4}`,
		"show connections":            `Number of connections: 3\n`,
		"show connections count":      `Number of connections: 3\n`,
		"show conn info for SALES":    `Number of connections: 3\n(\d from 192\.0\.2\.50:4000\d to sales1@db1 for sales in established using 0\n){3}`,
		"show connections detail to sales1 from 192.0.2.50:40002": `Number of connections: 1\n\nConnection ID                      2\n(.+\n)+`,
		"show idle connections":                                   `Number of connections: 0\n`,
		"show established connections":                            `Number of connections: 3\n`,
		"show rules":                                              `Number of filtering rules currently in effect: 1\n\(rule_list=\n  \(RULE=\(SRC=\*\)\)\n\)\n`,
		"show parameters":                                         `hold_timeout              \| 30\n`,
		"show defaults":                                           `hold_timeout              \| 30\n`,
		"show all":                                                `hold_timeout              \| 30\nNumber of filtering rules currently in effect: 1\n(.+\n)+`,
		"show events":                                             `Event Groups:\nregistered\n(.+\n)+`,
		"show version":                                            `CMAN for Linux: Version 19\.0\.0\.0\.0 - Production\n`,
		"show stats -reg":                                         `Number of active connections       3\n(.+\n){7}`,
		"show tunnels":                                            `Number of connections: 0\n`,
		"show adrbase":                                            `There is no diagnostic repository.*\n`,
		"reload":                                                  ``,
		"save_passwd":                                             `There is no password.*\n`,
		"set connection_statistics on":                            ``,
	} {
		printsLike(t, append([]string{"--api", api, "cmctl"}, strings.Fields(line)...), exitDone, cmctlBanner+cmctlIntro+want+cmctlDone)
	}
}

func TestCmctlFailures(t *testing.T) {
	o, api, plain := started(t)
	for line, want := range map[string]string{
		"show connections detail for nothing": `TNS-04049: Specified connections do not exist\n`,
		"close connections gt 1:00":           `TNS-04049: Specified connections do not exist\n`,
		"close connections in limbo":          `TNS-12508: TNS:listener could not resolve the COMMAND given\n "limbo" is no state.*\n`,
		"close everything":                    `TNS-12508: .*\n .*close connections.*\n`,
		"suspend gateway 7":                   `TNS-04072: Unable to suspend atleast one of the gateways\.\n .*gateway 0.*\n`,
		"resume gateways":                     `TNS-12508: .*\n the gateway is not suspended\n`,
		"resume everything":                   `TNS-12508: .*\n .*resume gateways 0.*\n`,
		"set idle_timeout 10":                 `TNS-12508: .*\n .*\(IDLE_TIMEOUT=10\) into PARAMETER_LIST of cman\.ora and reload\n`,
		"set connection_statistics off":       `TNS-12508: .*\n .*always on.*\n`,
		"set color red":                       `NL-00853: undefined command "set color"\.  Try "help"\n`,
		"show colors":                         `NL-00853: undefined command "colors"\.  Try "help"\n`,
		"shutdown now":                        `TNS-12508: .*\n "now" is not known.*\n`,
		"shutdown normal timeout soon":        `TNS-12508: .*\n .*no number of seconds\n`,
		"shutdown abort timeout 3":            `TNS-12508: .*\n .*leave timeout out\n`,
		"shutdown timeout":                    `TNS-12508: .*\n .*seconds have to follow\n`,
		"shutdown gateways 0":                 `TNS-12508: .*\n .*suspend it.*\n`,
		"shutdown":                            `TNS-12508: .*\n .*does not offer.*\n`, // this one cannot
	} {
		printsLike(t, append([]string{"--api", api, "cmctl"}, strings.Fields(line)...), exitNo, cmctlBanner+cmctlIntro+want)
	}
	if len(o.closed) > 0 || len(o.store.All()) > 0 {
		t.Errorf("closed %v, in force %v", o.closed, o.store.All())
	}
	o.broken = errors.New("cman.ora:3:4: error: no such word")
	printsLike(t, []string{"--api", api, "cmctl", "reload"}, exitNo, cmctlBanner+cmctlIntro+`TNS-04142: CMAN\.ORA file has an invalid format\.\n nothing was changed: cman\.ora:3:4.*\n`)
	printsLike(t, []string{"--api", plain, "cmctl", "reload"}, exitNo, cmctlBanner+cmctlIntro+`TNS-12546: TNS:permission denied\n .*admin socket.*\n`)
	printsLike(t, []string{"--api", api, "cmctl", "show", "status", "-c", "other"}, exitNo, cmctlBanner+`TNS-04011: Oracle Connection Manager instance not yet started\.\n .*CMAN1 answers.*\n`)
	printsLike(t, []string{"--api", api, "cmctl", "frob"}, exitNo, cmctlBanner+`NL-00853: undefined command "frob"\.  Try "help"\n`)
	fails(t, []string{"cmctl", "show", "status", "-c"}, exitNo, "-c is the last word")
}

// A scraper that asks what does not run learns that from standard output.
func TestCmctlWithoutABroker(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TNS_ADMIN", folder)
	t.Setenv("XDG_STATE_HOME", folder)
	t.Setenv("STATE_DIRECTORY", "")
	t.Setenv("BROKER_API", "")
	file := filepath.Join(folder, "cman.ora")
	text := "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1.example.com)(PORT=1521))(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))))\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const away = `Current instance CMAN1 is not yet started\nConnecting to \(DESCRIPTION=\(address=\(protocol=tcp\)\(host=cman1\.example\.com\)\(port=1521\)\)\)\nTNS-04011: Oracle Connection Manager instance not yet started\.\n`
	printsLike(t, []string{"cmctl", "show", "connections", "-c", "cman1"}, exitNo, cmctlBanner+away+`( .*\n)+`)
	printsLike(t, []string{"cmctl", "reload"}, exitNo, cmctlBanner+away+`( .*\n)+`)
	printsLike(t, []string{"cmctl", "show", "status", "-c", "CMAN7"}, exitNo, cmctlBanner+`Current instance CMAN7 is not yet started\n.*\nTNS-04011: .*\n .*\n .*no instance "CMAN7".*\n`)
	printsLike(t, []string{"cmctl", "startup", "-c", "CMAN7"}, exitNo, cmctlBanner+`Current instance CMAN7 is not yet started\n.*\nStarting Oracle Connection Manager instance CMAN7\. Please wait\.\.\.\nTNS-04012: Unable to start Oracle Connection Manager instance\.\n .*no instance "CMAN7".*\n`)
	if err := os.WriteFile(file, []byte(text+strings.ReplaceAll(text, "CMAN1", "CMAN2")), 0o600); err != nil {
		t.Fatal(err)
	}
	printsLike(t, []string{"cmctl", "show", "status"}, exitNo, cmctlBanner+`.*the file has several instances.*\n`)
	t.Setenv("TNS_ADMIN", "")
	printsLike(t, []string{"cmctl", "startup", "-c", "CMAN7"}, exitNo, cmctlBanner+`(.+\n){3}TNS-04012: .*\n .*set TNS_ADMIN.*\n`)
	printsLike(t, []string{"--api", "http://127.0.0.1:1", "cmctl", "startup"}, exitNo, cmctlBanner+`(.+\n){3}TNS-04012: .*\n .*run broker serve there\n`)
}

// talk holds a conversation: lines in, what is printed out.
func talk(t *testing.T, arguments []string, lines ...string) string {
	t.Helper()
	var out, errs strings.Builder
	in := strings.NewReader(strings.Join(lines, "\n") + "\n")
	if code := run(t.Context(), arguments, &terminal{in: in, out: &out, err: &errs}); code != exitDone || errs.Len() > 0 {
		t.Errorf("exit %d, %q", code, errs.String())
	}
	return out.String()
}

func TestCmctlConversation(t *testing.T) {
	o, api, _ := started(t)
	got := talk(t, []string{"--api", api, "cmctl"}, "", "# a remark", "help", "help close", "help frob", "administer CMAN1", "show version;", "suspend gateways 0", "suspend gateway", "show gateways",
		"resume gateway", "close connections from 192.0.2.50:40002", "frob", "set", "show", "exit", "show status")
	want := `Welcome to CMCTL, type "help" for information\.\n\nCMCTL> CMCTL> CMCTL> The following operations are available\n\nadminister      close           exit            help            \n(.+\n)+` +
		`\nhelp COMMAND tells more\.\nCMCTL> close connections \[in STATE\].*\nCMCTL> NL-00853: undefined command "frob".*\n` +
		`CMCTL> Current instance CMAN1 is already started\nConnections refer to \(DESCRIPTION=\(address=.*\)\)\)\.\n` + cmctlDone +
		`CMCTL:CMAN1> CMAN for Linux: Version 19\.0\.0\.0\.0 - Production\n` + cmctlDone + `CMCTL:CMAN1> ` + cmctlDone + `CMCTL:CMAN1> TNS-04072: .*\n it is suspended already\n` +
		`CMCTL:CMAN1> Gateway ID                         0\nGateway state                      SUSPENDED\n(.+\n){4}` + cmctlDone + `CMCTL:CMAN1> ` + cmctlDone +
		`CMCTL:CMAN1> ` + cmctlDone + `CMCTL:CMAN1> NL-00853: .*\nCMCTL:CMAN1> The following(.*\n)+CMCTL:CMAN1> The following(.*\n)+.*\nCMCTL:CMAN1> `
	if !regexp.MustCompile(`\A` + cmctlBanner + want + `\z`).MatchString(got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(o.closed) != 1 || o.closed[0] != 2 || len(o.store.All()) != 0 {
		t.Errorf("closed %v, in force %v", o.closed, o.store.All())
	}
	if got := talk(t, []string{"--api", api, "cmctl", "-c", "cman1"}, "show version"); !strings.Contains(got, "CMCTL:CMAN1> CMAN for Linux") || !strings.HasSuffix(got, "CMCTL:CMAN1> \n") {
		t.Errorf("with -c: %s", got)
	}
}

// While the gateway is suspended, that is a drain like any other.
func TestSuspendedGateway(t *testing.T) {
	o, api, _ := started(t)
	says(t, []string{"--api", api, "cmctl", "suspend", "gateway", "0"}, "completed")
	all := o.store.All()
	if len(all) != 1 || all[0].Kind != intent.Drain || all[0].Target != console.SuspendTarget() || !strings.Contains(all[0].Source, "cmctl suspend") {
		t.Fatalf("%v", all)
	}
	says(t, []string{"--api", api, "cmctl", "show", "services"}, "state:blocked")
	says(t, []string{"--api", api, "resume", "--service", "*"}, "the gateway is suspended")
}

func TestShutdownFromCmctl(t *testing.T) {
	for line, want := range map[string]console.ShutdownRequest{
		"shutdown": {}, "shutdown normal": {}, "shutdown NORMAL TIMEOUT 2.5 NOTIFY": {Timeout: pointer(2.5)}, "shutdown abort": {Abort: true},
	} {
		o, api, _ := started(t)
		asked := make(chan console.ShutdownRequest, 1)
		listener := o.listener
		o.server.Shutdown = func(r console.ShutdownRequest) { asked <- r; listener.Close() } // nobody gets in any more
		printsLike(t, append([]string{"--api", api, "cmctl"}, strings.Fields(line)...), exitDone, cmctlBanner+cmctlIntro+cmctlDone)
		got := <-asked
		limit, set := got.Limit()
		if wantLimit, wantSet := want.Limit(); got.Abort != want.Abort || limit != wantLimit || set != wantSet {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func pointer(f float64) *float64 { return &f }

// Waiting for a broker that does not end has an end.
func TestShutdownThatDoesNotEnd(t *testing.T) {
	o, api, _ := started(t)
	o.server.Shutdown = func(console.ShutdownRequest) {}
	ctx, cancel := context.WithCancel(t.Context())
	a := administered{client: &console.Client{API: api}}
	o.server.Stats = func() console.Stats { return console.Stats{} }
	cancel()
	if err := a.stop(ctx, console.ShutdownRequest{}); err == nil {
		t.Error("no error")
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	o.server.Shutdown = func(console.ShutdownRequest) { cancel() }
	if err := a.stop(ctx, console.ShutdownRequest{Timeout: pointer(100)}); err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestShutdownCommand(t *testing.T) {
	o, api, plain := started(t)
	asked := make(chan console.ShutdownRequest, 3)
	o.server.Shutdown = func(r console.ShutdownRequest) { asked <- r }
	says(t, []string{"--api", api, "shutdown", "--timeout", "2min"}, "Open sessions: 3")
	if r := <-asked; r.Timeout == nil || *r.Timeout != 120 || r.Abort {
		t.Errorf("%+v", r)
	}
	says(t, []string{"--api", api, "--output", "json", "shutdown", "--abort"}, `"sessions": 3`)
	if r := <-asked; r.Timeout != nil || !r.Abort {
		t.Errorf("%+v", r)
	}
	o.server.Generations = func() []console.Generation {
		return []console.Generation{{Number: 6, State: console.GenerationDraining, Sessions: 2}, {Number: 7, State: console.GenerationServing, Sessions: 3}}
	}
	says(t, []string{"--api", api, "shutdown"}, "Open sessions: 3", "An older generation ends as well. Open sessions in it: 2")
	says(t, []string{"--api", api, "shutdown", "--generation", "6"}, "Generation 6 ends once its sessions have, alone. Open sessions: 2")
	says(t, []string{"--api", api, "shutdown", "--generation", "6", "--abort"}, "Generation 6 ends now, alone. Open sessions that are cut: 2")
	for _, want := range []console.ShutdownRequest{{}, {Generation: 6}, {Generation: 6, Abort: true}} {
		if r := <-asked; r != want {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
	fails(t, []string{"--api", api, "shutdown", "--generation", "7"}, exitNo, "leave generation out")
	fails(t, []string{"--api", api, "shutdown", "--abort", "--timeout", "1"}, exitUsage, "leave --timeout out")
	fails(t, []string{"--api", plain, "shutdown"}, exitNo, "admin socket")
	fails(t, []string{"--api", "http://127.0.0.1:1", "shutdown"}, exitUnreachable, "cannot reach")
}

// A socket that another user's broker has is not the same as none.
func TestPermissionDenied(t *testing.T) {
	err := numbered(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}, notStarted)
	if err == nil || !strings.HasPrefix(err.Error(), "TNS-12546: TNS:permission denied\n ") {
		t.Error(err)
	}
}
