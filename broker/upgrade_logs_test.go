package broker

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"servicebroker/console"
)

// A trace goes on in the successor, with the sessions that moved, and the older process says nothing of an end in the files of both.
func TestLogsAndTracesGoOnInASuccessor(t *testing.T) {
	directory := t.TempDir()
	old, next := succeedable(t, func(c *Config) { c.Name, c.LogDirectory = "cman1", directory })
	old.register("s1", "sales")
	conn, _ := old.ask(sales)
	trace, err := old.startTrace(console.TraceRequest{Client: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	const packet = "\x00\x00\x00\x0e\x06\x00\x00\x00\x00\x00text"
	old.echo(conn, packet)
	if _, err := old.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	successor := <-next
	if err := <-old.ended; err != nil {
		t.Fatal(err)
	}
	old.ended <- nil
	successor.echo(conn, packet)
	successor.wantCode("(DESCRIPTION=(CONNECT_DATA=(COMMAND=nosuch)))", 12508)
	views := successor.traceViews()
	if len(views) != 1 || views[0].File != trace.File || views[0].Ended != "" || !views[0].Until.Equal(trace.Until) {
		t.Errorf("%+v", views)
	}
	successor.end()
	text, err := os.ReadFile(trace.File)
	if err != nil {
		t.Fatal(err)
	}
	for want, times := range map[string]int{
		` session 1 127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+ DATA, 14 bytes`: 4, // each packet to the instance and back
		`# over at .*: process \d+ goes on; `:                           1, `# goes on in process \d+`: 1, `# over at .*: the broker ended; `: 1, `> broker CONNECT`: 1,
	} {
		if n := len(regexp.MustCompile(want).FindAllString(string(text), -1)); n < times {
			t.Errorf("%d of %s, want %d, in\n%s", n, want, times, text)
		}
	}
	lines := readLines(t, filepath.Join(directory, "listener.log"))
	for want, times := range map[string]int{"TIMESTAMP * CONNECT DATA": 1, "Started with pid=": 2, "Listening on: ": 2, "No longer listening on: ": 1, "* service_register * s1 * 0": 1, "* nosuch * 12508": 1} {
		if n := len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, want) })); n != times {
			t.Errorf("%d lines with %q, want %d, in\n%s", n, want, times, strings.Join(lines, "\n"))
		}
	}
}

// A successor that is not let serve leaves no word in the files of the one that goes on.
func TestLogsOfAnUpgradeThatFails(t *testing.T) {
	directory := t.TempDir()
	old, next := succeedable(t, func(c *Config) { c.Name, c.LogDirectory = "cman1", directory })
	if _, err := old.startTrace(console.TraceRequest{Client: "*"}); err != nil {
		t.Fatal(err)
	}
	old.leaving.Store(true) // which commit looks at
	if _, err := old.beSucceeded(); err == nil || !strings.Contains(err.Error(), "told to end meanwhile") {
		t.Fatalf("%v", err)
	}
	successor := <-next
	if err := <-successor.ended; err == nil {
		t.Error("the successor serves")
	}
	successor.ended <- nil
	old.end()
	text := strings.Join(readLines(t, filepath.Join(directory, "listener.log")), "\n")
	if strings.Count(text, "Started with") != 1 || strings.Count(text, "Listening on") != 1 {
		t.Errorf("%s", text)
	}
}
