package main

import (
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"servicebroker/tns"
)

// asProgram has the test's own binary be the program, so that its roles can be processes.
const asProgram = "SERVICEBROKER_BENCH_ROLE"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Setenv(asProgram, "1") // for children
	os.Exit(m.Run())
}

// The whole of it, in no time: a broker, a bare server and none, all loads. What comes out is no figure to tell of.
func TestRun(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "broker"), "servicebroker/cmd/broker")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	o := options{bin: bin, only: []string{"connects", "bulk", "tls"}, peers: []string{"bare", "relay", "redirect", "decide", "relay-tls"}, rounds: 1, lasting: 10 * time.Millisecond, progress: io.Discard}
	if err := o.report(ctx, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{`(?m)^\| relay .*\| +[1-9]`, `(?m)^\| decide .*\| +[1-9]`, `rate, decide / bare +\| [0-9.]+ `, "Bulk, 4 streams", "Bulk over TLS 1.3, 4 streams"} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("nothing like %s in\n%s", want, out.String())
		}
	}
}

// A backend in this process answers connects, sends packets back, and sends without end.
func TestLoadsAgainstABackend(t *testing.T) {
	l := place(t)
	c := connects{target: l.instance, packet: connectPacket(carried), want: tns.TypeAccept}
	found, err := c.run(3, 30*time.Millisecond)
	if err != nil || found.failed > 0 || len(found.took) == 0 {
		t.Errorf("%d connects in %v, %d failed: %v, %v", len(found.took), found.over, found.failed, found.why, err)
	}
	c.want = tns.TypeRedirect
	if found, err := c.run(1, 30*time.Millisecond); err != nil || found.failed == 0 || !strings.Contains(found.why.Error(), "packet of type 2") {
		t.Errorf("an ACCEPT where a REDIRECT is due: %+v, %v", found, err)
	}
	if found, err = roundTrips(l.instance, c.packet, 3, 30*time.Millisecond); err != nil || len(found.took) == 0 {
		t.Errorf("%d round trips, %v", len(found.took), err)
	}
	if rate, err := bulk(l.instance, c.packet, 2, 30*time.Millisecond); err != nil || rate <= 0 {
		t.Errorf("%v MB/s, %v", rate, err)
	}
}

// place is a lab with nothing but a backend.
func place(t *testing.T) *lab {
	t.Helper()
	l, err := set(t.Context(), "", 1)
	t.Cleanup(l.strike)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNobodyThere(t *testing.T) {
	c := connects{target: "127.0.0.1:1", packet: connectPacket(carried), want: tns.TypeAccept}
	if _, err := c.run(1, time.Second); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("connects: %v", err)
	}
	if _, err := roundTrips(c.target, c.packet, 1, time.Second); err == nil || !strings.Contains(err.Error(), "session 1 of 1") {
		t.Errorf("round trips: %v", err)
	}
	if _, err := bulk(c.target, c.packet, 1, time.Second); err == nil {
		t.Error("bulk from nobody")
	}
	for _, address := range []string{"", "localhost:1521", "[::1]:1521"} {
		if _, err := sockaddr(address); err == nil {
			t.Errorf("%q is an address", address)
		}
	}
}

func TestUnknownPeer(t *testing.T) {
	l := place(t)
	if err := l.add(t.Context(), []string{"stranger"}); err == nil || !strings.Contains(err.Error(), "no such peer: direct") {
		t.Errorf("%v", err)
	}
	for _, arguments := range [][]string{{"dance"}, {"-only", "nothing"}, {"-rounds", "x"}, {"bare", "-to", "nowhere"}} {
		if err := run(t.Context(), arguments, io.Discard); err == nil {
			t.Errorf("%v is taken", arguments)
		}
	}
}

func TestUsageOfAProcess(t *testing.T) {
	l := place(t)
	kb, files, err := l.backend.usage()
	if err != nil || kb < 500 || files < 4 {
		t.Errorf("%d KiB, %d descriptors, %v", kb, files, err)
	}
	l.backend.stop()
	if _, _, err := l.backend.usage(); err == nil {
		t.Error("a process that has ended uses memory")
	}
	err = l.backend.until(t.Context(), func() error { return errClosed })
	if err == nil || !strings.Contains(err.Error(), "ended: ready") {
		t.Errorf("%v", err)
	}
}

func TestStreamModule(t *testing.T) {
	for options, want := range map[string]bool{"--with-http --with-stream --x": true, "--with-stream=dynamic": false, "--with-stream_ssl_module": false, "a --with-stream": true} {
		if hasStream(options) != want {
			t.Errorf("%s: %v", options, !want)
		}
	}
}
