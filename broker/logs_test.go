package broker

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/descriptor"
	"servicebroker/tns"
)

// end stops the broker and waits until it has.
func (r *running) end() {
	r.stop()
	r.abort()
	err := <-r.ended
	r.ended <- err // for the cleanup
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// TestLogFiles runs a broker through all that a listener logs.
func TestLogFiles(t *testing.T) {
	directory := t.TempDir()
	r := start(t, func(c *Config) { c.Name, c.LogDirectory, c.HoldTimeout = "cman1", directory, 0 })
	withdraw := r.register("sales1", "sales")
	conn, _ := r.ask(sales)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=\"no\n01-JAN-2026 00:00:00 * x * 0\")(SECURITY=(PASSWORD=tiger))))", tns.CodeUnknownService)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(COMMAND=nosuch)))", tns.CodeUnknownCommand)
	r.ask("(CONNECT_DATA=(COMMAND=ping))")
	r.ask("(DESCRIPTION=(CONNECT_DATA=(COMMAND=status)(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=318767104)))")
	r.wantCode("(DESCRIPTION=(ADDRESS=(HOST=x)))", tns.CodeNoConnectData)
	conn.NetConn().Close()
	withdraw()
	r.end()

	lines := readLines(t, filepath.Join(directory, "listener.log"))
	for _, want := range []string{
		`TIMESTAMP \* CONNECT DATA \[\* PROTOCOL INFO\] \* EVENT \[\* SID\] \* RETURN CODE`,
		`TNSLSNR for Linux: Version 19\.0\.0\.0\.0 - Production`, `Started with pid=\d+`,
		`Listening on: \(DESCRIPTION=\(ADDRESS=\(PROTOCOL=tcp\)\(HOST=127\.0\.0\.1\)\(PORT=\d+\)\)\)`,
		`TIME \* \(ADDRESS=\(PROTOCOL=tcp\)\(HOST=127\.0\.0\.1\)\(PORT=\d+\)\) \* service_register \* sales1 \* 0`,
		`TIME \* \(CONNECT_DATA=\(SERVICE_NAME=sales\)\) \* \(ADDRESS=.*\) \* establish \* sales \* 0`,
		`TIME \* \(CONNECT_DATA=\(SERVICE_NAME=no\\n01-JAN-2026 00:00:00 \\x2a x \\x2a 0\)\(SECURITY=\*\*\*\)\) \* \(ADDRESS=.*\) \* establish \* no\\n01-JAN-2026 00:00:00 \\x2a x \\x2a 0 \* 12514`,
		`TIME \* \(CONNECT_DATA=\(COMMAND=nosuch\)\) \* nosuch \* 12508`,
		`TIME \* ping \* 0`,
		`TIME \* \(CONNECT_DATA=\(COMMAND=status\)\(ARGUMENTS=64\)\(SERVICE=LISTENER\)\(VERSION=318767104\)\) \* status \* 0`,
		`TIME \* 12502`, `TNS-12502: TNS:.+`, `TNS-12514: TNS:listener does not currently know of service.*`,
		`TIME \* service_died \* sales1 \* 12537`,
		`No longer listening on: \(DESCRIPTION=.*\)`,
	} {
		is := regexp.MustCompile("^" + strings.Replace(want, "TIME ", stamp+" ", 1) + "$")
		if n := len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !is.MatchString(l) })); n != 1 {
			t.Errorf("%d lines are %s in:\n%s", n, is, strings.Join(lines, "\n"))
		}
	}
	for _, line := range readLines(t, filepath.Join(directory, "cman1.log")) {
		record, err := descriptor.Parse(line)
		if err != nil || record.Name != "LOG_RECORD" || record.Text("TIMESTAMP") == "" || record.Text("EVENT") == "" {
			t.Errorf("%v: %s", err, line)
		}
		if strings.Contains(line, "tiger") {
			t.Errorf("a secret: %s", line)
		}
	}
	for _, event := range []string{"broker started", "database registered", "connection established", "session over", "refused", "administrative command", "broker stopped"} {
		if text := strings.Join(readLines(t, filepath.Join(directory, "cman1.log")), "\n"); !strings.Contains(text, `(EVENT=`+event+`)`) {
			t.Errorf("no %s in:\n%s", event, text)
		}
	}
}

// TestAStalledLogDirectory: connects, reloads and the end wait for no disk.
func TestAStalledLogDirectory(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"listener.log", "CMAN.log"} {
		if err := syscall.Mkfifo(filepath.Join(directory, name), 0o600); err != nil {
			t.Skip("no FIFO can be made here: ", err)
		}
	}
	r := start(t, func(c *Config) { c.LogDirectory = directory })
	r.register("sales1", "sales")
	for range 50 {
		conn, reply := r.ask(sales)
		if _, ok := reply.(*tns.Accept); !ok {
			t.Fatalf("answer %T %v", reply, reply)
		}
		conn.NetConn().Close()
	}
	began := time.Now()
	r.end()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the end took %v", took)
	}
	for _, name := range []string{"listener.log", "CMAN.log"} { // the disk is back, so that what was left behind ends
		reader, err := os.Open(filepath.Join(directory, name))
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil || line == "\n" {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		_, _ = io.Copy(io.Discard, reader)
		reader.Close()
	}
}

func TestRepeats(t *testing.T) {
	var r repeats
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for i, c := range []struct {
		what  string
		after time.Duration
		note  string
		write bool
	}{
		{"ping", 0, "", true}, {"ping", time.Second, "", false}, {"service_update * a", time.Second, "", true}, {"ping", 59 * time.Second, "", false},
		{"ping", time.Minute, "2 lines left out: ping", true}, {"ping", 61 * time.Second, "", false}, {"service_update * a", 5 * time.Minute, "", true},
	} {
		if note, write := r.pass(c.what, at.Add(c.after), time.Minute); note != c.note || write != c.write {
			t.Errorf("%d: %q, %v", i, note, write)
		}
	}
	for i := range 3 * maxRepeats {
		r.pass(strconv.Itoa(i), at, time.Minute)
	}
	if len(r.seen) > maxRepeats {
		t.Errorf("%d are remembered", len(r.seen))
	}
	if _, write := r.pass("ping", at, 0); !write {
		t.Error("without LOG_REPEATS a line is left out")
	}
}

// TestRepeatsAreLeftOut in a file, and how many is said.
func TestRepeatsAreLeftOut(t *testing.T) {
	directory := t.TempDir()
	r := start(t, func(c *Config) { c.LogDirectory, c.LogRepeats = directory, time.Hour })
	for range 5 {
		r.ask("(CONNECT_DATA=(COMMAND=ping))")
	}
	r.end()
	if text := strings.Join(readLines(t, filepath.Join(directory, "listener.log")), "\n"); strings.Count(text, "* ping * 0") != 1 {
		t.Errorf("%s", text)
	}
}

// TestReloadOfLogs: another folder, level and groups hold from the reload on.
func TestReloadOfLogs(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	file := write(t, strings.Replace(reloaded, "%", "(LOG_DIRECTORY="+first+")", 1))
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress, c.HoldTimeout = state, "127.0.0.1:0", 0
	})
	r.wantCode(sales, tns.CodeUnknownService)
	r.rewrite(file, "(LOG_DIRECTORY="+second+")(LOG_LEVEL=support)(EVENT_GROUP=(cmd_proc))(HOLD_TIMEOUT=0)")
	result, err := r.Reload(t.Context())
	if err != nil || !slices.Contains(result.Changed, "LOG_DIRECTORY") || !slices.Contains(result.Changed, "EVENT_GROUP") {
		t.Fatalf("%+v, %v", result, err)
	}
	if id := r.identity(); id.LogLevel != "support" || id.LogDir != second {
		t.Errorf("%+v", id)
	}
	if !r.log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("LOG_LEVEL=support logs no more than before")
	}
	r.ask("(CONNECT_DATA=(COMMAND=ping))")
	r.wantCode("(CONNECT_DATA=(SERVICE_NAME=other))", tns.CodeUnknownService)
	r.end()
	if text := strings.Join(readLines(t, filepath.Join(first, "listener.log")), "\n"); strings.Count(text, "establish") != 1 {
		t.Errorf("in the first folder:\n%s", text)
	}
	if text := strings.Join(readLines(t, filepath.Join(second, "listener.log")), "\n"); strings.Count(text, "establish") != 1 || strings.Count(text, "Listening on: ") != 1 {
		t.Errorf("in the second folder:\n%s", text)
	}
	records := strings.Join(readLines(t, filepath.Join(second, "T.log")), "\n")
	if !strings.Contains(records, "(EVENT=administrative command)") || !strings.Contains(records, "(EVENT=refused)") || strings.Contains(records, "broker stopped") {
		t.Errorf("records of cmd_proc and warnings:\n%s", records)
	}
}

func TestLogParameters(t *testing.T) {
	c, messages := readText(t, "(LOG_LEVEL=ADMIN)(LOG_FILE_SIZE=2)(LOG_FILE_NUM=3)(EVENT_GROUP=(Init_And_Term,process_mgmt))")
	if err := messages.Err(); err != nil || c.LogLevel != "admin" || c.LogFileSize != 2<<20 || c.LogFileNum != 3 || !slices.Equal(c.EventGroups, []string{"init_and_term", "proc_mgmt"}) {
		t.Errorf("%+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"(LOG_LEVEL=debug)": "off, user, admin", "(EVENT_GROUP=conn_hdl)": "conn_hdlg", "(LOG_FILE_SIZE=big)": "is not a number of bytes", "(LOG_FILE_NUM=0)": "LOG_FILE_NUM",
	} {
		if _, messages := readText(t, text); messages.Err() == nil || !strings.Contains(messages.Err().Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, messages.Err(), want)
		}
	}
	for value, want := range map[string]string{"0": "off", "1": "user", "4": "user", "6": "admin", "16": "support", " Support ": "support", "-1": "", "on": ""} {
		if got := logLevelWord(value); got != want {
			t.Errorf("LOG_LEVEL=%s: %q, want %q", value, got, want)
		}
	}
	if c, _ := readText(t, "(EVENT_GROUP=none)"); c.EventGroups == nil || len(c.EventGroups) > 0 {
		t.Errorf("none: %q", c.EventGroups)
	}
	for name, want := range map[string]string{"cman1": "cman1.log", "LISTENER": "listener_instance.log", "a/b": "a_b.log"} {
		if got := instanceLogName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// readText reads a file with these parameters.
func readText(t *testing.T, parameters string) (*Config, Messages) {
	t.Helper()
	return ReadConfig(write(t, strings.Replace(reloaded, "%", parameters, 1)), "")
}
