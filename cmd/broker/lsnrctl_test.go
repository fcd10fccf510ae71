package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"servicebroker/console"
)

const (
	listenerBanner = `\nLSNRCTL for Linux: Version 19\.0\.0\.0\.0 - Production on \d\d-[A-Z]{3}-\d{4} \d\d:\d\d:\d\d\n\nService broker [0-9.]+ answers as this tool does\.\n\n`
	listenerIntro  = `Connecting to \(DESCRIPTION=\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=cman1\.example\.com\)\(PORT=1521\)\)\)\n`
	listenerDone   = `The command completed successfully\n`
)

func TestLsnrctlOnce(t *testing.T) {
	o, api, _ := started(t)
	tracing(t, o.server)
	for line, want := range map[string]string{
		"trace support":        `packets of all clients go to \S+/1\.trc until \d\d:\d\d:\d\d\n`,
		"set trc_level 0":      `[01] packet traces ended\n`,
		"status":               `STATUS of the LISTENER\n-{24}\nAlias                     CMAN1\n(.+\n){8}Listening Endpoints Summary\.\.\.\n  \(DESCRIPTION=\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=0\.0\.0\.0\)\(PORT=1521\)\)\)\nThe listener supports no services\n`,
		"STATUS LISTENER":      `STATUS of the LISTENER\n(.+\n)+`,
		"stat CMAN1":           `STATUS of the LISTENER\n(.+\n)+`,
		"services":             `The listener supports no services\n`,
		"version":              `TNSLSNR for Linux: Version 19\.0\.0\.0\.0 - Production\n`,
		"reload":               ``,
		"save_config":          `No changes to save for CMAN1\.\n`,
		"show trc_level":       `CMAN1 parameter "trc_level" set to (off|support)\n`,
		"show log_status":      `CMAN1 parameter "log_status" set to ON\n`,
		"show snmp_visible":    `CMAN1 parameter "snmp_visible" set to OFF\n`,
		"show log_file":        `CMAN1 parameter "log_file" set to listener\.log\n`,
		"show log_directory":   `CMAN1 parameter "log_directory" set to \n`,
		"show startup_wait":    `CMAN1 parameter "startup_waittime" set to 0\n`,
		"show inbound_connect": `CMAN1 parameter "inbound_connect_timeout" set to \n`,
		"show rules":           `\(RULE=\(SRC=\*\)\)\n`,
	} {
		printsLike(t, append([]string{"--api", api, "lsnrctl"}, strings.Fields(line)...), exitDone, listenerBanner+listenerIntro+want+listenerDone)
	}
}

func TestLsnrctlFailures(t *testing.T) {
	_, api, plain := started(t)
	for line, want := range map[string]string{
		"set log_status off":   `TNS-12508: TNS:listener could not resolve the COMMAND given\n log_status off: .*always on.*\n`,
		"trace LOUD":           `TNS-12508: .*\n say a level: .*\n`,
		"set colour red":       `NL-00853: undefined command "set colour"\.  Try "help"\n`,
		"show colour":          `NL-00853: undefined command "show colour"\.  Try "help"\n`,
		"set displaymode loud": `"loud" is no display mode: use raw, compact, normal or verbose\n`,
		"set displaymode":      `say which: raw, compact, normal or verbose\n`,
		"spawn x":              `NL-00853: undefined command "spawn"\.  Try "help"\n`,
		"status other":         `TNS-04011: .*\n .*CMAN1 answers.*\n`,
		"stop":                 listenerIntro + `TNS-12508: .*\n .*does not offer.*\n`,
	} {
		printsLike(t, append([]string{"--api", api, "lsnrctl"}, strings.Fields(line)...), exitNo, listenerBanner+want)
	}
	printsLike(t, []string{"--api", plain, "lsnrctl", "reload"}, exitNo, listenerBanner+listenerIntro+`TNS-01190: The user is not authorized to execute the requested listener command\n .*admin socket.*\n`)
	printsLike(t, []string{"--api", "http://127.0.0.1:1", "lsnrctl", "status"}, exitNo, listenerBanner+
		`Connecting to .*\nTNS-12541: TNS:no listener\n TNS-12560: TNS:protocol adapter error\n  TNS-00511: No listener\n   Linux Error: 111: Connection refused\n .*\n`)
}

func TestLsnrctlConversation(t *testing.T) {
	o, api, _ := started(t)
	_ = o
	got := talk(t, []string{"--api", api, "lsnrctl"}, "show displaymode", "set displaymode compact", "set rawmode on", "show rawmode", "set rawmode off", "show current_listener", "set current_listener cman1",
		"set password x", "help status", "set", "show", "quit")
	want := `Welcome to LSNRCTL, type "help" for information\.\n\nLSNRCTL> Service display mode is NORMAL\nLSNRCTL> Service display mode is COMPACT\nLSNRCTL> Service display mode is RAW\nLSNRCTL> Raw mode is ON\n` +
		`LSNRCTL> Service display mode is NORMAL\nLSNRCTL> Current Listener is CMAN1\nLSNRCTL> Current Listener is cman1\nLSNRCTL> There is no password.*\n` + listenerDone +
		`LSNRCTL> status \[INSTANCE\]: .*\nLSNRCTL> The following(.*\n)+LSNRCTL> The following(.*\n)+.*\nLSNRCTL> `
	if !regexp.MustCompile(`\A` + listenerBanner + want + `\z`).MatchString(got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLsnrctlStops(t *testing.T) {
	o, api, _ := started(t)
	asked := make(chan console.ShutdownRequest, 1)
	o.server.Shutdown = func(r console.ShutdownRequest) { asked <- r; o.listener.Close() }
	printsLike(t, []string{"--api", api, "lsnrctl", "stop"}, exitDone, listenerBanner+listenerIntro+listenerDone)
	if r := <-asked; r.Abort || r.Timeout != nil {
		t.Errorf("%+v", r)
	}
}

func TestNobodyThere(t *testing.T) {
	got := nobodyThere(fmt.Errorf("dial: %w", syscall.ENOENT)).Error()
	if want := "TNS-12541: TNS:no listener\n TNS-12560: TNS:protocol adapter error\n  TNS-00511: No listener\n   Linux Error: 2: No such file or directory\n dial: no such file or directory"; got != want {
		t.Errorf("%q", got)
	}
	if got := nobodyThere(errors.New("it took too long")).Error(); got != "TNS-12541: TNS:no listener\n it took too long" {
		t.Errorf("%q", got)
	}
}
