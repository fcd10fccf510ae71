package drivers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// databaseState is what a test database tells of itself.
type databaseState struct {
	Sessions []struct {
		Statement string `json:"statement"`
	} `json:"sessions"`
}

func (d *database) state() (state databaseState, err error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + d.control + "/state")
	if err != nil {
		return state, err
	}
	defer answer.Body.Close()
	return state, json.NewDecoder(answer.Body).Decode(&state)
}

func (d *database) awaitSessions(t *testing.T, want int) {
	t.Helper()
	eventually(t, patience, func() error {
		state, err := d.state()
		if n := len(state.Sessions); err == nil && n != want {
			err = fmt.Errorf("%s has %d sessions instead of %d", d.instance, n, want)
		}
		return err
	})
}

// awaitStatement waits until a session runs the statement.
func (d *database) awaitStatement(t *testing.T, sql string) {
	t.Helper()
	eventually(t, patience, func() error {
		state, err := d.state()
		if err == nil && (len(state.Sessions) != 1 || state.Sessions[0].Statement != sql) {
			err = fmt.Errorf("%s runs %+v", d.instance, state.Sessions)
		}
		return err
	})
}

// endingBroker is a broker to which databases come and go.
type endingBroker struct{ *broker }

// start starts a database of one service for the time of a subtest.
func (b endingBroker) start(t *testing.T, instance string) *database {
	t.Helper()
	d := startDatabase(t, databaseOptions{instance: instance, services: []string{instance}, brokers: []string{b.address}})
	b.awaitService(t, instance, "READY", 1)
	t.Cleanup(func() { // before another registers the same
		d.kill()
		b.awaitService(t, instance, "READY", 0)
	})
	return d
}

// busy connects and runs short statements for longer than a busy machine takes to end them.
func busy(target string) []Step {
	steps := []Step{open("c", target)}
	for range 200 {
		steps = append(steps, execute("c", "begin dbms_session.sleep(0.1); end;"))
	}
	return steps
}

// When one side of a relayed session dies, the other learns of it, and the broker
// keeps nothing.
func TestSessionEnds(t *testing.T) {
	b := endingBroker{startBroker(t, brokerOptions{})}
	eachDriver(t, func(t *testing.T, d Driver) {
		t.Run("database dies", func(t *testing.T) { testDatabaseDies(t, b, d) })
		t.Run("database ends session", func(t *testing.T) { testDatabaseEndsSession(t, b, d) })
	})
	for name, sql := range map[string]string{"idle": "", "busy": "begin dbms_session.sleep(60); end;"} {
		t.Run("client dies while "+name, func(t *testing.T) { testClientDies(t, b, sql) })
	}
}

func testDatabaseDies(t *testing.T, b endingBroker, d Driver) {
	database := b.start(t, "dying")
	results := work(t, d, busy(b.descriptor("(SERVICE_NAME=dying)")), func(i int, _ Result) {
		if i == 2 {
			database.kill()
		}
	})
	if results[1].Error != "" || results[len(results)-1].Error == "" {
		t.Errorf("first %q, last %q", results[1].Error, results[len(results)-1].Error)
	}
	b.awaitNoSessions(t)
}

func testDatabaseEndsSession(t *testing.T, b endingBroker, d Driver) {
	database := b.start(t, "ending")
	target := b.descriptor("(SERVICE_NAME=ending)")
	steps := busy(target)
	again := len(steps)
	results := work(t, d, append(steps, visit(target)...), func(i int, _ Result) {
		if i == 2 {
			database.tell(t, "/sessions/kill", map[string]bool{"all": true})
		}
	})
	if results[1].Error != "" || results[again-1].Error == "" {
		t.Errorf("first %q, last %q", results[1].Error, results[again-1].Error)
	}
	if at, err := visited(results[again:]); err != nil || at != "ending" {
		t.Errorf("a new session: at %q, %v", at, err)
	}
	b.awaitNoSessions(t)
}

// testClientDies cuts a client's connection, idle or while a statement runs.
func testClientDies(t *testing.T, b endingBroker, sql string) {
	database := b.start(t, "lasting")
	carried := startRecorder(t, b.broker) // so that the client's connection can be cut
	session, err := GoOra{}.connect(t.Context(), open("c", descriptorFor(carried.address, "(SERVICE_NAME=lasting)")))
	if err != nil {
		t.Fatal(err)
	}
	defer session.close()
	database.awaitSessions(t, 1)
	done := make(chan error, 1)
	if sql != "" {
		go func() {
			_, err := session.conn.ExecContext(t.Context(), sql)
			done <- err
		}()
		database.awaitStatement(t, sql)
	}
	carried.cut()
	database.awaitSessions(t, 0)
	b.awaitNoSessions(t)
	if sql != "" {
		if err := <-done; err == nil {
			t.Error("a statement whose connection was cut succeeded")
		}
	}
}

// Connects of all kinds, also those given up half way, leave no descriptor behind.
func TestNothingLeaks(t *testing.T) {
	b, databases := pair(t, "ATTEMPT_TIMEOUT=1", "INBOUND_CONNECT_TIMEOUT=2", "HOLD_TIMEOUT=0")
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
