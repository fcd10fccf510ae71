package drivers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// openSessions asks a test database how many sessions it has.
func (d *database) openSessions() (int, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + d.control + "/state")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var state struct {
		Sessions []json.RawMessage `json:"sessions"`
	}
	err = json.NewDecoder(answer.Body).Decode(&state)
	return len(state.Sessions), err
}

func (d *database) awaitSessions(t *testing.T, want int) {
	t.Helper()
	eventually(t, patience, func() error {
		n, err := d.openSessions()
		if err == nil && n != want {
			err = fmt.Errorf("%s has %d sessions instead of %d", d.instance, n, want)
		}
		return err
	})
}

// When one side of a relayed session dies, the other learns of it, and the broker
// keeps nothing.
func TestSessionEnds(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	start := func(t *testing.T, instance string) *database {
		d := startDatabase(t, databaseOptions{instance: instance, services: []string{instance}, brokers: []string{b.address}})
		b.awaitService(t, instance, "READY", 1)
		t.Cleanup(func() { // before another registers the same
			d.kill()
			b.awaitService(t, instance, "READY", 0)
		})
		return d
	}
	eachDriver(t, func(t *testing.T, d Driver) {
		t.Run("database dies", func(t *testing.T) {
			database := start(t, "dying")
			steps := []Step{open("c", b.descriptor("(SERVICE_NAME=dying)")), query("c", whereAmI)}
			for range 50 {
				steps = append(steps, Step{Do: Interrupt, On: "c", SQL: "begin dbms_session.sleep(0.1); end;", By: ByTimeout, AfterMS: 20_000})
			}
			results := work(t, d, steps, func(i int, _ Result) {
				if i == 2 {
					database.kill()
				}
			})
			if results[1].Error != "" || results[len(results)-1].Error == "" {
				t.Errorf("first %q, last %q", results[1].Error, results[len(results)-1].Error)
			}
			b.awaitNoSessions(t)
		})
		t.Run("database ends session", func(t *testing.T) {
			database := start(t, "killing")
			steps := []Step{open("c", b.descriptor("(SERVICE_NAME=killing)"))}
			for range 50 {
				steps = append(steps, Step{Do: Interrupt, On: "c", SQL: "begin dbms_session.sleep(0.1); end;", By: ByTimeout, AfterMS: 20_000})
			}
			steps = append(steps, visit(b.descriptor("(SERVICE_NAME=killing)"))...)
			results := work(t, d, steps, func(i int, _ Result) {
				if i == 2 {
					database.tell(t, "/sessions/kill", map[string]bool{"all": true})
				}
			})
			if last := results[len(results)-4]; last.Error == "" {
				t.Error("the session goes on")
			}
			if at, err := visited(results[len(results)-3:]); err != nil || at != "killing" {
				t.Errorf("a new session: at %q, %v", at, err)
			}
			b.awaitNoSessions(t)
		})
	})
	t.Run("client dies", func(t *testing.T) {
		database := start(t, "lasting")
		for _, sql := range []string{whereAmI, "begin dbms_session.sleep(60); end;"} {
			carried := startRecorder(t, b) // so that the client's connection can be cut
			session, err := GoOra{}.connect(t.Context(), open("c", descriptorFor(carried.address, "(SERVICE_NAME=lasting)")))
			if err != nil {
				t.Fatal(err)
			}
			database.awaitSessions(t, 1)
			done := make(chan error, 1)
			go func() {
				_, err := session.conn.ExecContext(t.Context(), sql)
				done <- err
			}()
			if sql == whereAmI {
				<-done
			}
			carried.cut()
			database.awaitSessions(t, 0)
			b.awaitNoSessions(t)
			if sql != whereAmI {
				if err := <-done; err == nil {
					t.Error("a statement whose connection was cut succeeded")
				}
			}
			_ = session.close()
		}
	})
}

// Connects of all kinds, also those given up half way, leave no descriptor behind.
func TestNothingLeaks(t *testing.T) {
	b, databases := pair(t, "ATTEMPT_TIMEOUT=1", "INBOUND_CONNECT_TIMEOUT=2")
	target := b.descriptor("(SERVICE_NAME=sales)")
	work(t, GoOra{}, visit(target), nil)
	b.awaitNoSessions(t)
	before := b.openFiles(t)
	steps := connectLoop(target, 20)
	for range 20 {
		steps = append(steps, open("x", b.descriptor("(SERVICE_NAME=nosuch)")), open("x", b.descriptor("(SERVICE_NAME=sales)(INSTANCE_NAME=sales9)")))
	}
	work(t, GoOra{}, steps, nil)
	for _, d := range databases {
		d.tell(t, "/listener", listenerSetting{Mode: "hang"})
	}
	for i := range 60 { // given up while the broker dials, before, and in the middle of a packet
		c := dialRaw(t, b.address)
		connect := rawConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"))
		writeAll(t, c, connect[:len(connect)*(i%4)/3])
		c.Close()
	}
	eventually(t, patience, func() error {
		if now := b.openFiles(t); now > before+4 { // the console's connections come and go
			return fmt.Errorf("%d descriptors instead of %d", now, before)
		}
		return nil
	})
}
