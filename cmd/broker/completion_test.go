package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script is the completion of a shell in a file; the test is skipped where the shell is not there.
func script(t *testing.T, shell string) (program, file string) {
	t.Helper()
	program, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not here: its completion was not run", shell)
	}
	out, errs, code := command(t, "completion", shell)
	if code != exitDone {
		t.Fatalf("exit %d, %s", code, errs)
	}
	file = filepath.Join(t.TempDir(), "_broker")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(program, "-n", file).CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("%s -n: %v, %s", shell, err, said)
	}
	return program, file
}

// offered are what can follow some beginnings of command lines.
func offered() map[string]string {
	return map[string]string{"broker dr": "drain", "broker drain --serv": "--service", "broker quarantine app": "approve", "broker completion f": "fish", "broker cmctl sus": "suspend", "broker --api x setup cl": "client", "broker lsnrctl stat": "status"}
}

func TestBashCompletion(t *testing.T) {
	program, file := script(t, "bash")
	for line, want := range offered() {
		words := strings.Fields(line)
		run := `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _broker; printf '%s\n' "${COMPREPLY[@]}"`
		out, err := exec.Command(program, append([]string{"-c", run, file}, words...)...).CombinedOutput()
		if err != nil || !slices.Contains(strings.Fields(string(out)), want) {
			t.Errorf("%s: %v, %q, want %s", line, err, out, want)
		}
	}
}

func TestFishCompletion(t *testing.T) {
	program, file := script(t, "fish")
	for line, want := range offered() {
		out, err := exec.Command(program, "-c", `source $argv[1]; complete -C $argv[2]`, file, line).CombinedOutput()
		if err != nil || !strings.Contains("\n"+string(out), "\n"+want+"\t") {
			t.Errorf("%s: %v, %q, want %s", line, err, out, want)
		}
	}
}

// zsh completes at a terminal alone, so that its function is run with that of zsh replaced.
func TestZshCompletion(t *testing.T) {
	program, file := script(t, "zsh")
	for line, want := range offered() {
		run := `_describe() { print -l -- "${(@P)3}"; }; source "$1"; shift; words=("$@"); CURRENT=$#; _broker`
		out, err := exec.Command(program, append([]string{"-f", "-c", run, "zsh", file}, strings.Fields(line)...)...).CombinedOutput()
		if err != nil || !strings.Contains("\n"+string(out), "\n"+want+":") && !strings.Contains("\n"+string(out), "\n"+want+"\n") {
			t.Errorf("%s: %v, %q, want %s", line, err, out, want)
		}
	}
}

func TestCompletionKnowsItsShells(t *testing.T) {
	fails(t, []string{"completion", "csh"}, exitUsage, "csh")
	fails(t, []string{"completion"}, exitUsage, "shell")
}
