package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/console"
)

// ownFolder gives a test a cman.ora of its own, on a free port, and the real program to start.
func ownFolder(t *testing.T, parameters string) (folder string) {
	t.Helper()
	_, port, err := net.SplitHostPort(unusedAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	text := fmt.Sprintf("CMAN9 = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=%s))(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))(RULE=(SRC=*)(DST=*)(SRV=cmon)(ACT=accept)))(PARAMETER_LIST=(CONSOLE_ADDRESS=off)(SHUTDOWN_GRACE=0)(STATE_DIRECTORY=%s)%s))\n",
		port, folder, parameters)
	if err := os.WriteFile(filepath.Join(folder, "cman.ora"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TNS_ADMIN", folder)
	t.Setenv("BROKER_API", "")
	t.Setenv("BROKER_TEST_PROGRAM", "yes")
	return folder
}

// endWithTest ends the broker that was started, and waits for it.
func endWithTest(t *testing.T, folder string) {
	t.Helper()
	client := console.Client{API: "unix:" + filepath.Join(folder, "admin.sock")}
	status, err := client.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process, err := os.FindProcess(status.PID)
		if err == nil {
			err = process.Signal(syscall.SIGTERM)
		}
		if err == nil {
			_, err = process.Wait()
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func TestStartup(t *testing.T) {
	folder := ownFolder(t, "")
	at := `\(DESCRIPTION=\(address=\(protocol=tcp\)\(host=127\.0\.0\.1\)\(port=\d+\)\)\)\n`
	printsLike(t, []string{"cmctl", "startup", "-c", "cman9"}, exitDone, cmctlBanner+
		`Current instance CMAN9 is not yet started\nConnecting to `+at+`Starting Oracle Connection Manager instance CMAN9\. Please wait\.\.\.\n`+
		`CMAN for Linux: Version 19\.0\.0\.0\.0 - Production\nStatus of the Instance\n-{22}\nInstance name             cman9\n(.+\n){7}Instance Config file      `+folder+`/cman\.ora\n(.+\n){2}`+cmctlDone)
	endWithTest(t, folder)
	printsLike(t, []string{"cmctl", "startup"}, exitDone, cmctlBanner+`Current instance CMAN9 is already started\nConnecting to `+at+cmctlDone)
	if got := talk(t, []string{"cmctl"}, "administer", "startup"); !strings.Contains(got, "CMCTL:CMAN9> Current instance CMAN9 is already started\nThe command completed successfully.\n") {
		t.Error(got)
	}
	says(t, []string{"lsnrctl", "status"}, "Alias                     CMAN9\n", folder+"/cman.ora")
	printsLike(t, []string{"lsnrctl", "start"}, exitNo, listenerBanner+`TNS-01106: Listener using listener name CMAN9 has already been started\n`)
	log, err := os.ReadFile(filepath.Join(folder, "broker.log"))
	if err != nil || !strings.Contains(string(log), "broker started") {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestListenerStart(t *testing.T) {
	folder := ownFolder(t, "")
	printsLike(t, []string{"lsnrctl", "start", "LISTENER"}, exitDone, listenerBanner+`Starting CMAN9: please wait\.\.\.\n\nTNSLSNR for Linux: Version 19\.0\.0\.0\.0 - Production\n`+
		`System parameter file is `+folder+`/cman\.ora\nLog messages written to `+folder+`/broker\.log\nListening on: \(DESCRIPTION=.*\n\nConnecting to (.+\n)+STATUS of the LISTENER\n(.+\n)+The command completed successfully\n`)
	endWithTest(t, folder)
}

// A broker that ends at once says why.
func TestStartupInVain(t *testing.T) {
	folder := ownFolder(t, "")
	lock, err := os.Create(filepath.Join(folder, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	out, _, code := command(t, "cmctl", "startup")
	if code != exitNo || !regexp.MustCompile(`TNS-04012: Unable to start Oracle Connection Manager instance\.\n it ended at once; \S+/broker\.log says:\n(?s: .*)another broker runs on the state folder`).MatchString(out) {
		t.Errorf("exit %d, %s", code, out)
	}
	out, _, code = command(t, "lsnrctl", "start")
	if code != exitNo || !strings.Contains(out, "TNS-12560: TNS:protocol adapter error\n it ended at once") || !strings.Contains(out, "Listener failed to start.") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// Who stops waiting leaves the process to itself.
func TestStartIsLeftAlone(t *testing.T) {
	folder := ownFolder(t, "")
	a, err := administer(t.Context(), new(cli), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.start(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Fatal(err)
	}
	limit := time.After(20 * time.Second)
	ticks := time.NewTicker(startPoll)
	defer ticks.Stop()
	for {
		if _, away, _ := a.started(t.Context()); away == nil {
			break
		}
		select {
		case <-ticks.C:
		case <-limit:
			t.Fatal("it never answers")
		}
	}
	endWithTest(t, folder)
}

// What was started by one command is ended by another, and can be started again at once.
func TestStartupAndShutdown(t *testing.T) {
	folder := ownFolder(t, "")
	for _, how := range []string{"shutdown", "shutdown abort", "shutdown normal timeout 5"} {
		says(t, []string{"cmctl", "startup"}, "Starting Oracle Connection Manager instance CMAN9.", "The command completed successfully.")
		client := console.Client{API: "unix:" + filepath.Join(folder, "admin.sock")}
		status, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		says(t, append([]string{"cmctl"}, strings.Fields(how)...), "The command completed successfully.")
		var ended syscall.WaitStatus
		if _, err := syscall.Wait4(status.PID, &ended, 0, nil); err != nil || ended.ExitStatus() != 0 {
			t.Errorf("%s: %v, exit %d", how, err, ended.ExitStatus())
		}
		fails(t, []string{"cmctl", "show", "status"}, exitNo, "")
	}
}
