package broker

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"servicebroker/descriptor"
	"servicebroker/logfile"
)

// recording is a broker that only logs, into a folder; read ends that and returns what was logged
// as descriptors.
func recording(t *testing.T, change func(*Config)) (b *Broker, read func() []*descriptor.Node) {
	t.Helper()
	directory := t.TempDir()
	c := testConfig(t, func(c *Config) {
		c.Name, c.LogDirectory = "cman1", directory
		if change != nil {
			change(c)
		}
	})
	b = &Broker{config: *c}
	b.setLevel(c.LogLevel)
	b.logTo(slog.New(slog.DiscardHandler))
	b.current.Store(newSettings(c, nil, nil))
	b.configureLogs(c)
	b.beginLogs()
	return b, func() []*descriptor.Node {
		b.endLogs()
		var all []*descriptor.Node
		for _, line := range readLines(t, filepath.Join(directory, "cman1.log")) {
			record, err := descriptor.Parse(line)
			if err != nil || record.Name != "LOG_RECORD" {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, record)
		}
		return all
	}
}

func TestRecords(t *testing.T) {
	b, read := recording(t, nil)
	log := b.log.With("component", "relay", "n", 1).WithGroup("g").With("x", "y")
	log.Info("session over", "took", time.Second, slog.Group("inner", "a", "b(c)"), "empty", "", "err", errors.New("it = \"broken\""))
	log.Debug("not at this level")
	b.setLevel("support")
	log.Debug("at this one")
	b.setLevel("off")
	log.Warn("nor this")
	log.Error("an error")
	records := read()
	var events []string
	for _, r := range records {
		events = append(events, r.Text("EVENT"))
	}
	if got := strings.Join(events, "|"); got != "session over|at this one|an error" {
		t.Fatalf("events %s", got)
	}
	for name, want := range map[string]string{
		"N": "1", "G_X": "y", "G_TOOK": "1s", "G_INNER_A": "b(c)", "G_EMPTY": "", "G_ERR": `it = "broken"`, "COMPONENT": "", "SEVERITY": "",
	} {
		if got := records[0].Text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := records[2].Text("SEVERITY"); got != "ERROR" {
		t.Errorf("severity %q", got)
	}
}

// TestAnyTextIsOneRecord: whatever is logged, it is a line that reads back as what it was.
func TestAnyTextIsOneRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.SampledFrom([]rune("ab()=\"'\\#, \n\r\t\x00\u2028é"))).Draw(t, "value")
		line := logRecord(time.Now(), "event", recordField{"VALUE", value}, recordField{"NEXT", "n"})
		record, err := descriptor.Parse(line)
		if err != nil || strings.ContainsAny(line, "\n\r") {
			t.Fatalf("%q: %v", line, err)
		}
		if got, want := record.Text("VALUE"), descriptor.Escape(value); strings.TrimSpace(got) != strings.TrimSpace(want) || record.Text("NEXT") != "n" {
			t.Fatalf("%q is read as %q, want %q", line, got, want)
		}
	})
	if line := logRecord(time.Now(), "e", recordField{"LONG", strings.Repeat("é", maxRecordField)}); len(line) > maxRecordField+100 {
		t.Errorf("%d bytes", len(line))
	}
}

func TestEventGroups(t *testing.T) {
	b, read := recording(t, func(c *Config) { c.EventGroups = []string{groupLoad, groupRelay} })
	for _, component := range []string{"relay", "registration", "prober", "console", ""} {
		log := b.log
		if component != "" {
			log = log.With("component", component)
		}
		log.Info("of " + component)
		log.Warn("warning of " + component)
	}
	b.log.With("component", "relay").Info("session over")
	b.record(groupConnections, "connection established")
	b.record(groupRelay, "wanted")
	var events []string
	for _, r := range read() {
		events = append(events, r.Text("EVENT"))
	}
	if got := strings.Join(events, "|"); got != "warning of relay|of registration|warning of registration|warning of prober|warning of console|warning of |session over|wanted" {
		t.Errorf("events %s", got)
	}
	for event, want := range map[string]string{
		"broker started": groupInitAndTerm, "configuration reloaded": groupCommands, "refused": groupConnections, "service moved": groupLoad,
		"sessions ended: their instance is gone and does not answer": groupTimer,
	} {
		if got := eventGroup("", event); got != want {
			t.Errorf("%s: %s, want %s", event, got, want)
		}
	}
}

// TestLevelledIsAHandler as slog wants one.
func TestLevelledIsAHandler(t *testing.T) {
	var level slog.LevelVar
	var out strings.Builder
	h := &levelled{slog.NewTextHandler(&out, nil), &level}
	log := slog.New(h).With("a", 1).WithGroup("g")
	log.Info("shown", "b", 2)
	level.Set(slog.LevelError)
	log.Info("hidden")
	level.Set(slog.LevelDebug)
	log.Debug("hidden by the one within")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "a=1 g.b=2") {
		t.Errorf("%s", got)
	}
	if h.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("more is let through than the handler within takes")
	}
}

// TestLogFilesAreConfigured: another folder, and none, and one that is missing, which is told.
func TestLogFilesAreConfigured(t *testing.T) {
	b, read := recording(t, func(c *Config) { c.LogFileSize, c.LogFileNum = 4096, 1 })
	files := b.logs.files.Load()
	before := files.directory
	c := b.config
	c.LogDirectory = filepath.Join(before, "none")
	b.configureLogs(&c)
	if now := b.logs.files.Load(); now == files || now.directory != c.LogDirectory {
		t.Error("the folder is still the old one")
	}
	if err := logfile.Check(c.LogDirectory, time.Minute); err == nil {
		t.Error("the folder is there")
	}
	c.LogDirectory = ""
	b.configureLogs(&c)
	if b.logs.files.Load() != nil {
		t.Error("there are still files")
	}
	b.logs.files.Store(files) // where read looks
	found := false
	for _, r := range read() {
		found = found || strings.Contains(r.Text("CAUSE"), "no such folder")
	}
	if !found {
		t.Error("nobody was told that the folder is missing")
	}
}
