package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What stands for lines that standard output did not take is a line like all others.
func TestLostLines(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	if line := (&serveCommand{Log: "text"}).lost(7, at); strings.Contains(line, "\n") || !strings.Contains(line, "level=WARN") || !strings.Contains(line, "lines=7") {
		t.Error(line)
	}
	var record struct {
		Level string `json:"level"`
		Lines int    `json:"lines"`
	}
	if line := (&serveCommand{Log: "json"}).lost(7, at); json.Unmarshal([]byte(line), &record) != nil || record.Level != "WARN" || record.Lines != 7 {
		t.Error(line)
	}
}

// The log is whole once it is flushed, in its order.
func TestLogIsFlushed(t *testing.T) {
	var out strings.Builder
	log, flush := (&serveCommand{Log: "text"}).logger(&terminal{out: &out})
	for i := range 1000 {
		log.Info("line", "n", i)
	}
	flush()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 1000 || !strings.HasSuffix(lines[0], "n=0") || !strings.HasSuffix(lines[999], "n=999") {
		t.Errorf("%d lines, the first %s", len(lines), lines[0])
	}
}
