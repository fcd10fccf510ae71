// Package deploy tests what is handed out: units, image, packages and chart. It builds each from source and uses it as far
// as one machine without systemd, a container engine and a cluster lets it.
package deploy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait. It is longer than what is waited for ever takes.
const patience = 3 * time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// output runs a program and returns what it printed.
func output(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	said, err := run(t.Context(), program, arguments...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, said)
	}
	return said
}

func run(ctx context.Context, program string, arguments ...string) (string, error) {
	return runIn(ctx, ".", program, arguments...)
}

func runIn(ctx context.Context, folder, program string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it took too long"))
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = folder
	said, err := command.CombinedOutput()
	return string(said), err
}

// tool returns the path of a program; without it the test is skipped.
func tool(t *testing.T, name, remedy string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %s", name, remedy)
	}
	return path
}

// asRoot skips the test for others than root.
func asRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("%s needs root: run the tests as root", what)
	}
}

// module makes sure that the dependencies of a module of its own can be had here.
func module(t *testing.T, folder string) {
	t.Helper()
	if said, err := run(t.Context(), "go", "-C", folder, "list", "-deps", "-test", "./..."); err != nil {
		lines := strings.Split(strings.TrimSpace(said), "\n")
		t.Skipf("the modules that %s needs cannot be had: %s", folder, lines[len(lines)-1])
	}
}

// built builds a program of this module, or of the one in a folder below this.
func built(t *testing.T, folder, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(folder)+"-program")
	output(t, "env", "CGO_ENABLED=0", "go", "-C", folder, "build", "-trimpath", "-o", program, pkg)
	return program
}

// place copies a file.
func place(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	text, err := os.ReadFile(from)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	must(t, os.WriteFile(to, text, mode))
}
