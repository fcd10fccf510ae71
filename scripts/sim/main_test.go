package main

import (
	"strings"
	"testing"
)

// All parts of the report, in the order and form that a reader expects. That the figures are right is for the simulation's
// own tests.
func TestReport(t *testing.T) {
	var out strings.Builder
	r := report{out: &out, sessions: 400, seeds: 1}
	r.steady()
	r.disturbed()
	r.gates()
	text := out.String()
	at := 0
	for _, want := range []string{
		"Mean slowdown", "\n  A        one broker", "JSQ, perfect information", "    published                        1.001 (1.020)    1.000 (1.000)",
		"adaptive, redirect ", "adaptive, redirect, BROKERS=1", "adaptive, relay ", "Greatest load per core",
		"When something goes wrong", "  storm    10,000 connects", "Gates, with BROKERS set to the true count", "slowdown in E, redirect", "at most 1.200",
	} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing after %q in\n%s", want, text[max(at-80, 0):at], text)
		}
		at += i
	}
	for line := range strings.Lines(text) {
		if len(line) > nameWidth+6*cellWidth+2 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{1: "1.000", 9.9996: "10.000", 12.34: "12.3", 445.2: "445"} {
		if got := number(v); got != want {
			t.Errorf("%g as %q, want %q", v, got, want)
		}
	}
}
