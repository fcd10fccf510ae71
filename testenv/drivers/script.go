package drivers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Script is a driver behind a program that reads a job from standard input and
// writes its results to standard output.
type Script struct {
	name    string
	command []string
}

// ErrNotInstalled is wrapped by the errors that say how to install a driver.
var ErrNotInstalled = errors.New("not installed")

// Node finds node-oracledb below testenv, the folder that holds node.
func Node(testenv string) (*Script, error) {
	program, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("node-oracledb: Node.js is %w: install nodejs and npm, then run scripts/testdeps", ErrNotInstalled)
	}
	folder := filepath.Join(testenv, "node")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "oracledb", "package.json")); err != nil {
		return nil, fmt.Errorf("node-oracledb is %w: run scripts/testdeps", ErrNotInstalled)
	}
	return &Script{name: "node-oracledb", command: []string{program, filepath.Join(folder, "driver.js")}}, nil
}

// Python finds a Python that has python-oracledb, which need not be the first one.
func Python(ctx context.Context, testenv string) (*Script, error) {
	folders := append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin")
	for _, folder := range folders {
		program := filepath.Join(folder, "python3")
		if exec.CommandContext(ctx, program, "-c", "import oracledb").Run() == nil {
			return &Script{name: "python-oracledb", command: []string{program, filepath.Join(testenv, "python", "driver.py")}}, nil
		}
	}
	return nil, fmt.Errorf("python-oracledb is %w for any python3: run scripts/testdeps as root, or apt-get install python3-oracledb", ErrNotInstalled)
}

// Name is the driver's name.
func (s *Script) Name() string { return s.name }

// job is what a script reads.
type job struct {
	Steps []Step `json:"steps"`
}

// maxResult bounds one result line: a LOB of some megabytes is one line.
const maxResult = 64 << 20

// Run does the steps in a process of their own, which is killed when ctx ends.
func (s *Script) Run(ctx context.Context, steps []Step, each func(int, Result)) ([]Result, error) {
	input, err := json.Marshal(job{Steps: steps})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
	cmd.Env = append(os.Environ(), "TZ=UTC") // dates without a zone mean the same to everyone
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &complaints
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	results, readErr := readResults(output, len(steps), each)
	if err := errors.Join(readErr, cmd.Wait(), context.Cause(ctx)); err != nil {
		return results, fmt.Errorf("%s, after %d of %d steps: %w\n%s", s.name, len(results), len(steps), err, &complaints)
	}
	if len(results) != len(steps) {
		return results, fmt.Errorf("%s: %d results of %d steps\n%s", s.name, len(results), len(steps), &complaints)
	}
	return results, nil
}

func readResults(output io.Reader, want int, each func(int, Result)) ([]Result, error) {
	results := make([]Result, 0, want)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, maxResult)
	for lines.Scan() {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return results, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		results = append(results, r)
		if each != nil {
			each(len(results)-1, r)
		}
	}
	return results, lines.Err()
}
