package simulation

import (
	"os"
	"os/exec"
	"testing"
)

// withoutDetector runs the test in a program of its own where this one has the race detector. A world has one
// goroutine: there is nothing to find in it, and it takes ten times as long.
func withoutDetector(t *testing.T) bool {
	t.Helper()
	if !raceDetector {
		return false
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^"+t.Name()+"$", ".").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}

// With BROKERS set to the true count. SIMULATION=full runs as long as `make sim` does.
func TestGates(t *testing.T) {
	if withoutDetector(t) {
		return
	}
	sessions := 60_000
	if os.Getenv("SIMULATION") == "full" {
		sessions = 100_000
	}
	policies := Select(Policies(), Redirecting, Relaying, InTurn, InOurTurn)
	cells := Cells(policies, append(Steady(), Disturbed()...))
	RunAll(cells, sessions, 3)
	gates := Gates(cells)
	if len(gates) < 2*11 {
		t.Fatalf("only %d gates", len(gates))
	}
	for _, g := range gates {
		t.Log(g)
		if !g.Holds() {
			t.Error(g)
		}
	}
}

// Gates must be able to fail: what an Oracle listener does would not pass.
func TestGatesCanFail(t *testing.T) {
	listener := Select(Policies(), "goodness")[0]
	listener.Name = Redirecting
	policies := append(Select(Policies(), InTurn, InOurTurn), listener)
	scenarios := Steady()[1:3]
	cells := Cells(policies, scenarios)
	RunAll(cells, 10_000, 1)
	failed := 0
	for _, g := range Gates(cells) {
		if !g.Holds() {
			failed++
		}
	}
	if failed < 4 {
		t.Errorf("%d gates fail for a policy that herds", failed)
	}
}
