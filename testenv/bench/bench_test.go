package main

import (
	"context"
	"flag"
	"fmt"
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

// programs is a folder with the broker.
var programs string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	flag.Parse()
	os.Setenv(asProgram, "1") // for children
	var err error
	if programs, err = os.MkdirTemp("", "servicebroker-bench-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	build := exec.Command("go", "build", "-o", filepath.Join(programs, "broker"), "servicebroker/cmd/broker")
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the broker cannot be built: %v\n%s", err, said)
		return 1
	}
	return m.Run()
}

// The whole of it, in no time: a broker, a bare server and none, all loads. What comes out is no figure to tell of.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	o := options{bin: programs, only: []string{"connects", "bulk", "tls"}, peers: []string{"bare", "relay", "redirect", "decide", "relay-tls"}, rounds: 1, lasting: 10 * time.Millisecond, progress: io.Discard}
	if err := o.report(ctx, nil, &out); err != nil {
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

// A broker with others registered, a storm of theirs, and a fresh process for each measurement: as small as they can be.
func TestLandscapes(t *testing.T) {
	l := place(t)
	l.bin = programs
	small := landscape{"few", registrants{Name: "other", Instances: 3, Services: 2, Sharing: 3}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := l.startLandscape(ctx, &small)
	if err != nil {
		t.Fatal(err)
	}
	l.peers[storming] = &peer{name: storming, address: p.address, process: p.process, unregister: p.unregister, others: p.others}
	l.suit(l.peers[storming])
	if err := p.hasInstances(5); err == nil || !strings.Contains(err.Error(), "4 of 5") {
		t.Errorf("4 instances and a fifth: %v", err)
	}
	if f, err := besideStorm(ctx, l, l.peers[storming], 50*time.Millisecond); err != nil || f["rate"] <= 0 {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := decisionsOf(2)(ctx, l, p, 10*time.Millisecond); err != nil || f["p50"] <= 0 {
		t.Errorf("%v, %v", f, err)
	}
	if err := usedSessions(l.peers[storming], 3, func(all []session) error {
		_, err := wake(all)
		return err
	}); err != nil {
		t.Error(err)
	}
	l.keep(func(string) bool { return false })
	if p.process.cmd.ProcessState == nil || p.others.cmd.ProcessState == nil {
		t.Error("who is not needed any more runs on")
	}
}

func TestRegistrantsHaveAddresses(t *testing.T) {
	r := registrants{Port: 1521, Name: "db", Instances: 70000, Services: 1, Sharing: 1}
	for i, want := range map[int]string{0: "127.1.0.0:1521", 511: "127.1.1.255:1521", 65536: "127.2.0.0:1521"} {
		if got := r.address(i); got != want {
			t.Errorf("%d: %s instead of %s", i, got, want)
		}
	}
	r.Services, r.Sharing = 2, 20
	agent, err := r.agent(45, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second := agent.Describe(), agent.Describe()
	if first.Instance != "db_45" || first.Services[1].Name != "db2_1" || first.Load == second.Load {
		t.Errorf("%+v, then load %d", first, second.Load)
	}
}

func TestUsageOfAProcess(t *testing.T) {
	l := place(t)
	kb, files, err := l.backend.usage()
	if err != nil || kb < 500 || files < 4 {
		t.Errorf("%d KiB, %d descriptors, %v", kb, files, err)
	}
	before, _, err := l.backend.spent()
	if err != nil {
		t.Fatal(err)
	}
	c := connects{target: l.instance, packet: connectPacket(carried), want: tns.TypeAccept}
	for range 100 { // until the kernel's clock has ticked for it
		if _, err := c.run(1, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if user, system, err := l.backend.spent(); err != nil || user+system > before {
			break
		}
	}
	if user, system, err := l.backend.spent(); err != nil || user+system <= before {
		t.Errorf("%v and %v of processor time, %v", user, system, err)
	}
	l.backend.stop()
	if _, _, err := l.backend.spent(); err == nil {
		t.Error("a process that has ended spends time")
	}
	if _, _, err := l.backend.usage(); err == nil {
		t.Error("a process that has ended uses memory")
	}
	err = l.backend.until(t.Context(), func() error { return errClosed })
	if err == nil || !strings.Contains(err.Error(), "ended: ready") {
		t.Errorf("%v", err)
	}
}

// Who waits for clients waits, and takes no time from those who are measured.
func TestBackendIsIdle(t *testing.T) {
	l := place(t)
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	userBefore, systemBefore, err := l.backend.spent()
	if err != nil {
		t.Fatal(err)
	}
	if events, err := p.wait(100 * time.Millisecond); err != nil || len(events) > 0 {
		t.Errorf("%v, %v", events, err)
	}
	if user, system, err := l.backend.spent(); err != nil || user+system-userBefore-systemBefore > 50*time.Millisecond {
		t.Errorf("%v and %v of processor time for nothing, %v", user-userBefore, system-systemBefore, err)
	}
}

func TestStreamModule(t *testing.T) {
	for options, want := range map[string]bool{"--with-http --with-stream --x": true, "--with-stream=dynamic": false, "--with-stream_ssl_module": false, "a --with-stream": true} {
		if hasStream(options) != want {
			t.Errorf("%s: %v", options, !want)
		}
	}
}
