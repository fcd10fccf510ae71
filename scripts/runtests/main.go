// Command runtests runs go test with the race detector in shuffled order and
// ends with what failed and what was skipped, and why.
//
//	go run ./scripts/runtests [-no-skips] [packages and go test flags]
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

func main() {
	arguments := os.Args[1:]
	noSkips := len(arguments) > 0 && arguments[0] == "-no-skips"
	if noSkips {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 {
		arguments = []string{"./..."}
	}
	os.Exit(run(arguments, noSkips))
}

func run(arguments []string, noSkips bool) int {
	cmd := exec.Command("go", append([]string{"test", "-json", "-race", "-shuffle=on", "-timeout=15m"}, arguments...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "runtests: go test cannot be started:", err)
		return 1
	}
	results := read(stdout, os.Stdout)
	failed := cmd.Wait() != nil
	results.summarise(os.Stdout)
	if noSkips && len(results.skips) > 0 {
		fmt.Println("FAIL: nothing may be skipped in this run")
		failed = true
	}
	if failed {
		return 1
	}
	return 0
}

// failure is a test that failed, or a package that no test of failed by itself.
type failure struct {
	name string   // "package test"
	said []string // its last messages, which are easily lost among logs
}

// results is what a run came to.
type results struct {
	passed  int
	failed  []failure
	skips   []string // "package test: reason"
	output  map[string][]string
	running map[string]string // package by key of tests that have begun
}

// read consumes events; packages' results and the output of failed tests go to w.
func read(r io.Reader, w io.Writer) *results {
	res := &results{output: map[string][]string{}, running: map[string]string{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(w, lines.Text()) // a build failure, or a crash of go test itself
			continue
		}
		res.take(e, w)
	}
	return res
}

func (res *results) take(e event, w io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		res.output[key] = append(res.output[key], e.Output)
		return
	case "run":
		res.running[key] = e.Package
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	output := res.output[key]
	delete(res.output, key)
	delete(res.running, key)
	switch {
	case e.Action == "fail" && e.Test == "":
		res.packageFailed(e.Package, w)
		fmt.Fprint(w, strings.Join(output, ""))
	case e.Action == "fail":
		fmt.Fprint(w, strings.Join(output, ""))
		res.failed = append(res.failed, failure{key, said(output)})
	case e.Test == "":
		if e.Action == "pass" {
			fmt.Fprintf(w, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
		}
	case e.Action == "pass":
		res.passed++
	default:
		res.skips = append(res.skips, key+": "+reason(output))
	}
}

// packageFailed tells of tests that their package ended in the middle of: its process was killed, or broke.
func (res *results) packageFailed(name string, w io.Writer) {
	var unfinished []string
	for key, in := range res.running {
		if in == name {
			unfinished = append(unfinished, key)
		}
	}
	slices.Sort(unfinished)
	for _, key := range unfinished {
		fmt.Fprint(w, strings.Join(res.output[key], ""))
		res.failed = append(res.failed, failure{key + ": ended in the middle of it", said(res.output[key])})
		delete(res.output, key)
		delete(res.running, key)
	}
	if !slices.ContainsFunc(res.failed, func(f failure) bool { return strings.HasPrefix(f.name, name+" ") }) {
		res.failed = append(res.failed, failure{name: name + " as a whole"})
	}
}

// message is a line that a test has written by t.Log, t.Error and the like.
var message = regexp.MustCompile(`^\s+\w+\.go:\d+: `)

// said picks a test's last messages out of its output, cut to what a person reads.
func said(output []string) []string {
	const last, longest = 10, 300
	var all []string
	for _, line := range output {
		if !message.MatchString(line) {
			continue
		}
		line = strings.TrimSpace(line)
		if len(line) > longest {
			line = strings.ToValidUTF8(line[:longest], "") + "…"
		}
		all = append(all, line)
	}
	return all[max(0, len(all)-last):]
}

// reason picks what t.Skip was told out of a skipped test's output.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, text, ok := strings.Cut(line, ".go:"); ok {
			_, line, _ = strings.Cut(text, ": ")
		}
		return line
	}
	return "no reason given"
}

func (res *results) summarise(w io.Writer) {
	slices.Sort(res.skips)
	if len(res.skips) > 0 {
		fmt.Fprintln(w, "\nSkipped:")
		for _, s := range res.skips {
			fmt.Fprintln(w, "  "+s)
		}
	}
	if len(res.failed) > 0 {
		fmt.Fprintln(w, "\nFailed:")
		for _, f := range res.failed {
			fmt.Fprintln(w, "  "+f.name)
			for _, text := range f.said {
				fmt.Fprintln(w, "      "+text)
			}
		}
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", res.passed, len(res.failed), len(res.skips))
}
