package drivers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The account of every test database.
const (
	appUser     = "app"
	appPassword = "Tiger#1"
)

// database is a running test database.
type database struct {
	*process
	instance, address, control string
}

type databaseOptions struct {
	instance  string
	services  []string
	brokers   []string // addresses of those it registers with
	arguments []string // further ones
}

var ready = regexp.MustCompile(`(?m)^ready (\S+)$`)

// startDatabase starts a test database and returns once it listens.
func startDatabase(t *testing.T, o databaseOptions) *database {
	t.Helper()
	d := &database{instance: o.instance, control: freeAddress(t)}
	arguments := []string{
		"--listen", "127.0.0.1:0", "--instance", o.instance, "--control", d.control,
		"--user", appUser + "/" + appPassword, "--retry", "100ms",
	}
	for _, s := range o.services {
		arguments = append(arguments, "--service", s)
	}
	if len(o.brokers) > 0 {
		arguments = append(arguments, "--remote-listener", strings.Join(o.brokers, ","))
	}
	d.process = startProcess(t, "testdb "+o.instance, programs.testdb, append(arguments, o.arguments...)...)
	d.address = d.waitLog(t, ready)[1]
	return d
}

// freeAddress returns a loopback address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tell sends a command to the database's control address.
func (d *database) tell(t *testing.T, path string, command any) {
	t.Helper()
	body, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, patience, func() error { // until the control address is there
		answer, err := client.Post("http://"+d.control+path, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if said, _ := io.ReadAll(answer.Body); answer.StatusCode/100 != 2 {
			return fmt.Errorf("POST %s: %s: %s", path, answer.Status, said)
		}
		return nil
	})
}

// settings of a test database by its control address.
type (
	statusSetting struct {
		Status string `json:"status"`
	}
	listenerSetting struct {
		Mode string `json:"mode"`
		Code int    `json:"code,omitempty"`
		To   string `json:"to,omitempty"`
	}
	loadSetting struct {
		NodeLoad uint32            `json:"node_load"`
		Load     uint32            `json:"load"`
		Goodness map[string]uint32 `json:"goodness,omitempty"`
	}
	servicesSetting struct {
		Add  []string `json:"add,omitempty"`
		Drop []string `json:"drop,omitempty"`
	}
	registrationSetting struct {
		Connected bool `json:"connected"`
	}
)
