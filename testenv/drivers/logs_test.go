package drivers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// connectLine is a connect as readers of listener.log look for it.
var connectLine = regexp.MustCompile(`^(\d\d-[A-Z]{3}-\d{4} \d\d:\d\d:\d\d) \* (\(CONNECT_DATA=.*\)) \* \(ADDRESS=\(PROTOCOL=(\w+)\)\(HOST=([^)]+)\)\(PORT=(\d+)\)\) \* establish \* (\S+) \* (\d+)$`)

// Every connect of a real driver is one line of listener.log, whether it is relayed,
// redirected or refused.
func TestListenerLog(t *testing.T) {
	folder := t.TempDir()
	for _, mode := range []string{relaying, redirecting} {
		if err := os.Mkdir(filepath.Join(folder, mode), 0o700); err != nil {
			t.Fatal(err)
		}
		b := startBroker(t, brokerOptions{parameters: []string{"ROUTE=" + mode, "HOLD_TIMEOUT=0", "LOG_DIRECTORY=" + filepath.Join(folder, mode)}})
		startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
		b.awaitService(t, "sales", "READY", 1)
		t.Run(mode, func(t *testing.T) {
			eachDriver(t, func(t *testing.T, d Driver) {
				before := len(b.connectsLogged(t, filepath.Join(folder, mode), 0))
				work(t, d, append(visit(b.descriptor("(SERVICE_NAME=sales)")), open("x", b.descriptor("(SERVICE_NAME=nobody)"))), nil)
				logged := b.connectsLogged(t, filepath.Join(folder, mode), before+2)[before:]
				if len(logged) != 2 || logged[0] != "127.0.0.1 sales 0" || logged[1] != "127.0.0.1 nobody 12514" {
					t.Errorf("logged %q", logged)
				}
			})
		})
	}
}

// connectsLogged are the connects in listener.log, once there are so many.
func (b *broker) connectsLogged(t *testing.T, folder string, atLeast int) (all []string) {
	t.Helper()
	eventually(t, patience, func() error {
		text, err := os.ReadFile(filepath.Join(folder, "listener.log"))
		if err != nil {
			return err
		}
		all = nil
		for _, line := range strings.Split(string(text), "\n") {
			if m := connectLine.FindStringSubmatch(line); m != nil {
				all = append(all, m[4]+" "+m[6]+" "+m[7])
			} else if strings.Contains(line, "establish") {
				t.Errorf("a connect that readers would not see: %s", line)
			}
		}
		if len(all) < atLeast {
			return fmt.Errorf("%d connects are logged, not %d", len(all), atLeast)
		}
		return nil
	})
	return all
}

// A trace of a real driver has its SQL if that is wanted, and its passwords never.
func TestPacketTraceOfDrivers(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	const password = "correct-horse-battery"
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}, arguments: []string{"--user", "owner/" + password}})
	b.awaitService(t, "sales", "READY", 1)
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, data := range []bool{false, true} {
			arguments := []string{"--output", "json", "trace", "--client", "127.0.0.1"}
			if data {
				arguments = append(arguments, "--data")
			}
			var trace struct{ ID, File string }
			if err := json.Unmarshal([]byte(b.command(t, 0, arguments...)), &trace); err != nil {
				t.Fatal(err)
			}
			target := b.descriptor("(SERVICE_NAME=sales)")
			results := work(t, d, []Step{
				{Do: Connect, On: "c", User: "owner", Password: password, Target: target},
				{Do: Query, On: "c", SQL: "select 'visible text' from dual"},
				{Do: Execute, On: "c", SQL: "alter user owner identified by \"changed-" + password + "\""},
				{Do: Close, On: "c"},
			}, nil)
			if results[0].Error != "" || results[1].Error != "" {
				t.Fatalf("%+v", results)
			}
			b.command(t, 0, "trace", "--stop", trace.ID)
			text := ""
			eventually(t, patience, func() error { // its end is written soon
				raw, err := os.ReadFile(trace.File)
				if text = asShown(string(raw)); err == nil && !strings.Contains(string(raw), "# over at") {
					err = fmt.Errorf("not at its end")
				}
				return err
			})
			if shown := strings.Contains(text, "visible text"); shown != data {
				t.Errorf("with data %v the SQL is shown: %v", data, shown)
			}
			for _, secret := range []string{"correct", "horse", "battery", "changed", "AUTH_SESSKEY", "AUTH_PASSWORD", "AUTH_PBKDF2"} {
				if strings.Contains(text, secret) {
					t.Errorf("with data %v it shows %s:\n%s", data, secret, text)
				}
			}
		}
	})
}

// asShown is what the dumps of a trace have as ASCII.
func asShown(trace string) string {
	var all strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^  [0-9a-f]{4}  .{48} \|(.*)\|$`).FindAllStringSubmatch(trace, -1) {
		all.WriteString(m[1])
	}
	return all.String()
}
