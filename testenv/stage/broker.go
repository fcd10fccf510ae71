package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Broker is a running broker.
type Broker struct {
	*Process
	Address string   // host:port for clients and databases
	Further []string // host:port of the further addresses
	Console string   // host:port of its API
	Socket  string   // path of its admin socket, over which changes are allowed
	program string
	folder  string
	state   string
	quiet   bool
	keep    string // file that its log is added to
	http    *http.Client
	admin   *http.Client
}

// BrokerOptions say how a broker differs from the usual one: one port of its own choice on loopback, everyone let in.
type BrokerOptions struct {
	Program    string
	Listen     string   // host:port; empty: 127.0.0.1, any port
	Console    string   // host:port; empty: 127.0.0.1, any port
	Parameters []string // further entries of PARAMETER_LIST
	Addresses  []string // further ADDRESS entries
	Quiet      bool     // without -v
	Rules      []string // RULE_LIST; empty: everyone may have everything
	State      string   // folder of its state; empty: one of its own that is removed with it
	KeepLog    string   // file that its log is added to; empty: it is kept in memory alone, all of it
}

// started is the line by which a broker tells where it is.
var started = regexp.MustCompile(`(?m)^.*msg="broker started".* addresses="?\[(\S+?:\d+)([^\n]*?)\]"? console=(\S+)`)

// StartBroker starts a broker by a cman.ora of its own and returns once it answers. Stop ends it.
func StartBroker(ctx context.Context, o BrokerOptions) (_ *Broker, err error) {
	b := &Broker{program: o.Program, keep: o.KeepLog, quiet: o.Quiet}
	if b.folder, err = os.MkdirTemp("", "broker-"); err != nil { // short, for the admin socket's sake
		return nil, err
	}
	defer func() {
		if err != nil {
			b.Stop()
		}
	}()
	b.state = cmp.Or(o.State, b.folder)
	if err := os.WriteFile(b.ConfigFile(), o.CMANOra(b.state), 0o600); err != nil {
		return nil, err
	}
	b.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	b.admin = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", b.Socket)
	}}}
	return b, b.start(ctx)
}

func (b *Broker) start(ctx context.Context) (err error) {
	arguments := []string{"serve", "-c", b.ConfigFile()}
	if !b.quiet {
		arguments = append(arguments, "-v")
	}
	if b.Process, err = StartKept("broker", b.keep, b.program, arguments...); err != nil {
		return err
	}
	said, err := b.AwaitLine(ctx, started)
	if err != nil {
		return err
	}
	b.Address, b.Further, b.Console, b.Socket = said[1], strings.Fields(said[2]), said[3], filepath.Join(b.state, "admin.sock")
	return Eventually(ctx, func() error {
		_, _, err := b.Get("/livez")
		return err
	})
}

// Restart starts the broker again, with what it left on disk. It is at the addresses it had if those were given. Its log
// begins anew.
func (b *Broker) Restart(ctx context.Context) error {
	b.killAll()
	b.http.CloseIdleConnections()
	b.admin.CloseIdleConnections()
	return b.start(ctx)
}

func (b *Broker) killAll() {
	b.Lineage().Kill()
	if b.Process != nil {
		b.Kill() // waits for the end of its log
	}
}

// Lineage is the broker's process and those that took over from it.
func (b *Broker) Lineage() Lineage { return Lineage(b.ConfigFile()) }

// At is its address as seen from a host on which it listens.
func (b *Broker) At(host string) string {
	_, port, _ := net.SplitHostPort(b.Address)
	return net.JoinHostPort(host, port)
}

// AwaitInstances waits until a service is offered by so many instances with status READY.
func (b *Broker) AwaitInstances(ctx context.Context, service string, want int) error {
	return Eventually(ctx, func() error {
		var list struct {
			Services []struct {
				Instances []struct {
					Status string `json:"status"`
				} `json:"instances"`
			} `json:"services"`
		}
		err := b.GetJSON("/api/v1/services/"+service, &list)
		have := 0
		for _, s := range list.Services {
			for _, i := range s.Instances {
				if i.Status == "READY" {
					have++
				}
			}
		}
		if err == nil && have != want {
			err = fmt.Errorf("%s has %d instances that are READY instead of %d", service, have, want)
		}
		return err
	})
}

// ConfigFile is the path of its cman.ora.
func (b *Broker) ConfigFile() string { return filepath.Join(b.folder, "cman.ora") }

// Stop ends the broker and removes what it left behind.
func (b *Broker) Stop() {
	b.killAll()
	if b.http != nil {
		b.http.CloseIdleConnections()
		b.admin.CloseIdleConnections()
	}
	_ = os.RemoveAll(b.folder)
}

// CMANOra is the configuration file, with its state in a folder.
func (o BrokerOptions) CMANOra(state string) []byte {
	host, port := "127.0.0.1", "0"
	if o.Listen != "" {
		host, port, _ = strings.Cut(o.Listen, ":")
	}
	if o.Console == "" {
		o.Console = "127.0.0.1:0"
	}
	rules := o.Rules
	if rules == nil {
		rules = []string{"RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)"}
	}
	parameters := append([]string{"CONSOLE_ADDRESS=" + o.Console, "STATE_DIRECTORY=" + state, "SHUTDOWN_GRACE=0"}, o.Parameters...)
	return fmt.Appendf(nil, `
# written by a test
CMAN1 = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%s))%s
  (RULE_LIST=
    (%s))
  (PARAMETER_LIST=
    (%s)))
`, host, port, strings.Join(append([]string{""}, o.Addresses...), "\n  "), strings.Join(rules, ")\n    ("), strings.Join(parameters, ")\n    ("))
}

// Get asks the console and returns status and body.
func (b *Broker) Get(path string) (int, []byte, error) {
	answer, err := b.http.Get("http://" + b.Console + path)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// GetJSON asks the console for a value.
func (b *Broker) GetJSON(path string, into any) error {
	status, body, err := b.Get(path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", path, status, body)
	}
	return json.Unmarshal(body, into)
}

// Change sends a request over the admin socket and reads the answer into a value, unless that is nil.
func (b *Broker) Change(method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, "http://broker"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := b.admin.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: %d: %s", method, path, answer.StatusCode, said)
	case into == nil:
		return nil
	}
	return json.Unmarshal(said, into)
}

// Command runs a command of the broker's program against its admin socket and returns what it printed and its exit code.
func (b *Broker) Command(ctx context.Context, arguments ...string) (output string, code int, err error) {
	cmd := exec.CommandContext(ctx, b.program, append([]string{"--api", "unix:" + b.Socket}, arguments...)...)
	cmd.Env = QuickExit()
	said, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(said), exit.ExitCode(), nil
	}
	return string(said), 0, err
}

// Eventually polls until check returns nil; the error when ctx ends before that has check's last one.
func Eventually(ctx context.Context, check func() error) error {
	ticks := time.NewTicker(2 * time.Millisecond)
	defer ticks.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
