package main

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/tns"
)

// asProgram makes the test binary behave as the program itself.
const asProgram = "TESTDB_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// testdb is the program with arguments, not started yet.
func testdb(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// It says where it listens, on a line of its own, and ends cleanly by a signal.
func TestReadyAndSignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := testdb(t, "--listen", "127.0.0.1:0", "--instance", "sales1", "--service", "sales", "--service", "hr", "--user", "a/b", "--user", "c/d",
			"--load", "3", "--max", "20", "--retry", "1s", "--register-delay", "1h", "--private", "--control", "127.0.0.1:0", "--register=false",
			"--remote-listener", "127.0.0.1:1,127.0.0.1:2")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		found := regexp.MustCompile(`^ready (127\.0\.0\.1:\d+)$`).FindStringSubmatch(lines.Text())
		if found == nil {
			t.Fatalf("it says %q", lines.Text())
		}
		c, err := net.Dial("tcp", found[1])
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := tns.Ping(ctx, c); err != nil {
			t.Error(err)
		}
		cancel()
		c.Close()
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if lines.Scan() {
			t.Errorf("it also says %q", lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", signal, err)
		}
	}
}

func TestRefusesArguments(t *testing.T) {
	usual := []string{"--instance", "i", "--service", "s"}
	for _, c := range []struct {
		arguments []string
		says      string
	}{
		{nil, "--instance"},
		{[]string{"--instance", "i"}, "--service"},
		{append(usual, "--user", "scott"), "NAME/PASSWORD"},
		{append(usual, "--user", "scott/"), "NAME/PASSWORD"},
		{append(usual, "--load", "-1"), "-1"},
		{append(usual, "--load", "NaN"), "NaN"},
		{append(usual, "--verifier", "10g"), "--verifier"},
		{append(usual, "--remote-listener", "broker"), "HOST:PORT"},
		{append(usual, "--listen", "nowhere"), "--listen"},
	} {
		said, err := testdb(t, c.arguments...).CombinedOutput()
		if err == nil || !strings.Contains(string(said), c.says) {
			t.Errorf("%v: %v: %s", c.arguments, err, said)
		}
	}
}
