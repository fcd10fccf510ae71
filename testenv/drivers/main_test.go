package drivers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"servicebroker/testenv/stage"
)

// programs are the binaries under test, built once for all tests.
var programs struct {
	broker, testdb string
	readSources    func() error           // within a test, once
	plain          func() (string, error) // the broker without the race detector
}

// networks gives every test that needs one a network of its own.
var networks stage.Networks

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	folder, err := os.MkdirTemp("", "servicebroker-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	programs.broker, programs.testdb = filepath.Join(folder, "broker"), filepath.Join(folder, "testdb")
	build := exec.Command("go", "build", "-race", "-o", folder, "./cmd/broker", "./testenv/testdb")
	build.Dir = moduleRoot
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "broker and testdb cannot be built: %v\n%s", err, said)
		return 1
	}
	programs.plain = sync.OnceValues(func() (string, error) { return buildPlain(folder) })
	programs.readSources = sync.OnceValue(readSources)
	return m.Run()
}

// plainBroker builds the broker without the race detector, for measurements.
func plainBroker(t *testing.T) string {
	t.Helper()
	program, err := programs.plain()
	must(t, err)
	return program
}

func buildPlain(folder string) (string, error) {
	program := filepath.Join(folder, "broker-plain")
	build := exec.Command("go", "build", "-o", program, "./cmd/broker")
	build.Dir = moduleRoot
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the broker cannot be built: %w: %s", err, said)
	}
	return program, nil
}

// readSources looks at every source folder of the module. A cached result of go test
// counts only while all that a test has looked at is unchanged, and these tests are
// about programs that this package does not import.
func readSources() error {
	return filepath.WalkDir(moduleRoot, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		return err
	})
}

// moduleRoot and testenvFolder are relative to this package's folder, where its
// tests run.
const (
	moduleRoot    = "../.."
	testenvFolder = ".."
)

// eachDriver runs a subtest for each of the three drivers; one that is not
// installed skips with the reason.
func eachDriver(t *testing.T, test func(*testing.T, Driver)) {
	t.Helper()
	find := []struct {
		name string
		find func(context.Context) (Driver, error)
	}{
		{"node-oracledb", func(context.Context) (Driver, error) { return asDriver(Node(testenvFolder)) }},
		{"python-oracledb", func(ctx context.Context) (Driver, error) { return asDriver(Python(ctx, testenvFolder)) }},
		{"go-ora", func(context.Context) (Driver, error) { return GoOra{}, nil }},
	}
	for _, f := range find {
		t.Run(f.name, func(t *testing.T) {
			driver, err := f.find(t.Context())
			if errors.Is(err, ErrNotInstalled) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, driver)
		})
	}
}

// asDriver keeps a nil *Script from becoming a Driver that is not nil.
func asDriver(s *Script, err error) (Driver, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
