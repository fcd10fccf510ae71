package drivers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// broker is a running broker.
type broker struct {
	*process
	address, console string
	http             *http.Client
}

// brokerOptions say how a broker differs from the usual one: one port of its own
// choice on loopback, everyone let in, relaying.
type brokerOptions struct {
	listen     string   // host:port; empty: 127.0.0.1, any port
	console    string   // host:port; empty: 127.0.0.1, any port
	parameters []string // further entries of PARAMETER_LIST
	rules      []string // RULE_LIST; empty: everyone may have everything
}

// started is the line by which a broker tells where it is.
var started = regexp.MustCompile(`(?m)^.*msg="broker started".* addresses=\[(\S+?:\d+)[^\n]*?\] console=(\S+)`)

// startBroker starts a broker by a cman.ora of its own and returns once it answers.
func startBroker(t *testing.T, o brokerOptions) *broker {
	t.Helper()
	folder, err := os.MkdirTemp("", "broker-") // short, for the admin socket's sake
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	config := filepath.Join(folder, "cman.ora")
	if err := os.WriteFile(config, o.cmanOra(folder), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &broker{process: startProcess(t, "broker", programs.broker, "serve", "-v", "-c", config)}
	said := b.waitLog(t, started)
	b.address, b.console = said[1], said[2]
	b.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	t.Cleanup(b.http.CloseIdleConnections)
	eventually(t, patience, func() error {
		_, _, err := b.get("/livez")
		return err
	})
	return b
}

func (o brokerOptions) cmanOra(state string) []byte {
	host, port := "127.0.0.1", "0"
	if o.listen != "" {
		host, port, _ = strings.Cut(o.listen, ":")
	}
	if o.console == "" {
		o.console = "127.0.0.1:0"
	}
	rules := o.rules
	if rules == nil {
		rules = []string{"RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)"}
	}
	parameters := append([]string{"CONSOLE_ADDRESS=" + o.console, "STATE_DIRECTORY=" + state}, o.parameters...)
	return fmt.Appendf(nil, `
# written by a test
CMAN1 = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%s))
  (RULE_LIST=
    (%s))
  (PARAMETER_LIST=
    (%s)))
`, host, port, strings.Join(rules, ")\n    ("), strings.Join(parameters, ")\n    ("))
}

// get asks the console and returns status and body.
func (b *broker) get(path string) (int, []byte, error) {
	answer, err := b.http.Get("http://" + b.console + path)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

func (b *broker) getJSON(path string, into any) error {
	status, body, err := b.get(path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", path, status, body)
	}
	return json.Unmarshal(body, into)
}

// The shapes of the API that tests look at, as the interface promises them.
type (
	serviceList struct {
		Version  uint64        `json:"version"`
		Services []serviceView `json:"services"`
	}
	serviceView struct {
		Name      string         `json:"name"`
		Instances []instanceView `json:"instances"`
	}
	instanceView struct {
		Name       string        `json:"name"`
		Key        string        `json:"key"`
		Host       string        `json:"host"`
		HostRaw    string        `json:"host_raw"`
		Status     string        `json:"status"`
		NodeLoad   uint32        `json:"node_load"`
		NodeMax    uint32        `json:"node_max"`
		Load       uint32        `json:"load"`
		Max        uint32        `json:"max"`
		Goodness   uint32        `json:"goodness"`
		Delta      uint32        `json:"delta"`
		LoadSource string        `json:"load_source"`
		Handlers   []handlerView `json:"handlers"`
	}
	handlerView struct {
		Name    string `json:"name"`
		Kind    string `json:"kind"`
		State   string `json:"state"`
		Load    uint32 `json:"load"`
		Max     uint32 `json:"max"`
		Address string `json:"address"`
		Info    string `json:"info"`
	}
	sessionList struct {
		Sessions []sessionView `json:"sessions"`
	}
	sessionView struct {
		ID         string `json:"id"`
		Client     string `json:"client"`
		Service    string `json:"service"`
		Instance   string `json:"instance"`
		FromClient uint64 `json:"bytes_from_client"`
		ToClient   uint64 `json:"bytes_to_client"`
	}
)

// services returns the table as the API shows it.
func (b *broker) services() (serviceList, error) {
	var list serviceList
	err := b.getJSON("/api/v1/services", &list)
	return list, err
}

// instancesOf returns who offers a service; name as registered.
func (b *broker) instancesOf(service string) ([]instanceView, error) {
	list, err := b.services()
	if err != nil {
		return nil, err
	}
	for _, s := range list.Services {
		if s.Name == service {
			return s.Instances, nil
		}
	}
	return nil, nil
}

// awaitService waits until a service is offered by so many instances that have the
// status, and returns how long that took.
func (b *broker) awaitService(t *testing.T, service, status string, want int) time.Duration {
	t.Helper()
	return eventually(t, patience, func() error {
		instances, err := b.instancesOf(service)
		have := 0
		for _, i := range instances {
			if i.Status == status {
				have++
			}
		}
		if err == nil && have != want {
			err = fmt.Errorf("%s has %d instances with status %s instead of %d", service, have, status, want)
		}
		return err
	})
}

// goneWithin is how soon a registration must have left the table once its
// connection is closed.
const goneWithin = 100 * time.Millisecond

// measureGone waits until a service has only so many instances left and fails if
// that took too long.
func (b *broker) measureGone(t *testing.T, service string, left int) {
	t.Helper()
	took := eventually(t, patience, func() error {
		instances, err := b.instancesOf(service)
		if err == nil && len(instances) != left {
			err = errors.New(service + " is still there")
		}
		return err
	})
	t.Logf("%s: gone from the API after %v", service, took)
	if took > goneWithin {
		t.Errorf("%s was still in the table %v after its connection closed, at most %v is allowed", service, took, goneWithin)
	}
}

// descriptor names the broker and what to connect to there.
func (b *broker) descriptor(connectData string) string { return descriptorFor(b.address, connectData) }

// descriptorFor makes a connect descriptor of one address.
func descriptorFor(address, connectData string) string {
	return "(DESCRIPTION=" + addressText(address) + "(CONNECT_DATA=" + connectData + "))"
}

func addressText(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=" + port + "))"
}
