package cluster

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// How long the rigs run. The defaults are for every run of the tests; the Makefile has longer ones.
var (
	sessions = flag.Int("sessions", 60, "sessions with an open transaction meanwhile")
	kills    = flag.Int("kills", 2, "how often one of three brokers is killed under load")
	every    = flag.Duration("every", 3*time.Second, "between two kills")
	knownBy  = flag.String("known", "", "by what brokers know of each other while they are killed: nothing, peers or consul; empty: nothing where they relay, peers where they redirect")
	real     = flag.Float64("real", 60, "connects in a second of real drivers while brokers are killed")
)

// patience is how long anything may take that is not itself measured.
const patience = 20 * time.Second

// bin has the programs under test, without the race detector: what is measured is what people get.
var bin string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "cluster-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", bin, "./cmd/broker", "./testenv/testdb")
	build.Dir = "../.."
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "broker and testdb cannot be built: %v\n%s", err, said)
		return 1
	}
	return m.Run()
}

func program(name string) string { return filepath.Join(bin, name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context for what has to be done within a time.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %v", d))
	t.Cleanup(cancel)
	return ctx
}

// startBroker starts a broker at an address of its own that it keeps.
func startBroker(t testing.TB, parameters ...string) *stage.Broker {
	t.Helper()
	return startBrokerAt(t, stage.BrokerOptions{Parameters: parameters})
}

// startBrokerAt starts one with further addresses.
func startBrokerAt(t testing.TB, o stage.BrokerOptions) *stage.Broker {
	t.Helper()
	o.Program, o.Listen, o.Console = program("broker"), free(t), cmp.Or(o.Console, free(t))
	b, err := stage.StartBroker(within(t, patience), o)
	must(t, err)
	t.Cleanup(func() {
		if text := b.Trouble(); text != "" || t.Failed() {
			t.Errorf("%s; the end of the broker's log:\n%s", text, tailOf(b))
		}
		b.Stop()
	})
	return b
}

func free(t testing.TB) string {
	t.Helper()
	address, err := stage.FreeAddress()
	must(t, err)
	return address
}

// tailOf is the end of a log, without the lines of the connects that were well.
func tailOf(b *stage.Broker) string {
	const most = 1500
	text, _ := b.Log.Read()
	lines := slices.DeleteFunc(splitLines(text), func(line string) bool { return level(line) == "DEBUG" || level(line) == "INFO" })
	end := ""
	for _, line := range slices.Backward(lines) {
		if len(end) > most {
			break
		}
		end = line + "\n" + end
	}
	return end
}

// startDatabase starts a database that registers with brokers, and returns once all of them have it.
func startDatabase(t testing.TB, o stage.DatabaseOptions, brokers ...*stage.Broker) *stage.Database {
	t.Helper()
	o.Program = program("testdb")
	for _, b := range brokers {
		o.Brokers = append(o.Brokers, b.Address)
	}
	o.Arguments = append(o.Arguments, "--max", "5000", "--verifier", "11g") // whose passwords cost less time
	d, err := stage.StartDatabase(within(t, patience), o)
	must(t, err)
	t.Cleanup(func() {
		if text := d.Trouble(); text != "" {
			t.Errorf("testdb %s: %s", d.Instance, text)
		}
		d.Kill()
	})
	return d
}

// realDrivers are those that are installed here.
func realDrivers(t testing.TB) []drivers.Looper {
	t.Helper()
	all, missing := drivers.FindDrivers(t.Context(), "..")
	for _, m := range missing {
		t.Log("without", m)
	}
	return all
}

// conversationWith begins a conversation with a driver.
func conversationWith(ctx context.Context, d drivers.Looper) (drivers.Conversation, error) {
	switch d := d.(type) {
	case drivers.GoOra:
		return d.Converse(), nil
	case *drivers.Script:
		return d.Converse(ctx)
	}
	return nil, errors.New(d.Name() + " cannot converse")
}

// times are durations to be summed up.
type times []time.Duration

// percentile is the smallest value that so many per cent of all do not exceed.
func (all times) percentile(percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}

func (all times) String() string {
	ms := func(percent int) float64 { return float64(all.percentile(percent)) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f / %.1f / %.1f ms", ms(50), ms(99), ms(100))
}

func splitLines(text []byte) []string { return strings.Split(strings.TrimSpace(string(text)), "\n") }

var levelOf = regexp.MustCompile(`\blevel=(\w+)`)

// level is that of a line of a log.
func level(line string) string {
	if found := levelOf.FindStringSubmatch(line); found != nil {
		return found[1]
	}
	return ""
}

var refOnTheWire = regexp.MustCompile(`\(REF=([0-9A-Z]{8})\)`)

// explain is what a broker has to say about a failure whose text may have a REF.
func explain(t testing.TB, b *stage.Broker, failure string) string {
	if ref := refOnTheWire.FindStringSubmatch(failure); ref != nil {
		said, _, err := b.Command(within(t, patience), "explain", "--ref", ref[1])
		return fmt.Sprintf("%s\n  explained: %s %v", failure, said, err)
	}
	return failure
}

func addressText(address string) string {
	host, port, _ := net.SplitHostPort(address)
	return "(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=" + port + "))"
}

// descriptor asks for a service at an address.
func descriptor(address, service string) string {
	return "(DESCRIPTION=" + addressText(address) + "(CONNECT_DATA=(SERVICE_NAME=" + service + ")))"
}
