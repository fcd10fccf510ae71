package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The account of every test database.
const (
	User     = "app"
	Password = "Tiger#1"
)

// Database is a running test database.
type Database struct {
	*Process
	Instance string
	Address  string // host:port of its local listener
	Control  string // host:port of its control API
	options  DatabaseOptions
}

// DatabaseOptions say what a test database is.
type DatabaseOptions struct {
	Program   string
	Instance  string
	Services  []string
	Brokers   []string      // addresses of those it registers with
	Network   *Network      // where it lives; nil: on loopback
	Listen    string        // host:port; empty: any port
	Retry     time.Duration // between attempts to reach a broker; 0: 100 ms
	Arguments []string      // further ones
	KeepLog   string        // file that its log is added to; empty: it is kept in memory alone, all of it
}

var ready = regexp.MustCompile(`(?m)^ready (\S+)$`)

// StartDatabase starts a test database and returns once it listens.
func StartDatabase(ctx context.Context, o DatabaseOptions) (*Database, error) {
	d := &Database{Instance: o.Instance, options: o}
	return d, d.start(ctx)
}

func (d *Database) start(ctx context.Context) (err error) {
	o := d.options
	host := "127.0.0.1"
	if o.Network != nil {
		host = o.Network.There
	}
	if d.Control, err = o.Network.freeAddress(host); err != nil {
		return err
	}
	if o.Listen == "" { // it is kept over restarts: not one that systems hand out by themselves
		if o.Listen, err = o.Network.freeAddress(host); err != nil {
			return err
		}
	}
	arguments := []string{
		"--listen", o.Listen, "--instance", o.Instance, "--control", d.Control,
		"--user", User + "/" + Password, "--retry", cmp.Or(o.Retry, 100*time.Millisecond).String(),
	}
	for _, s := range o.Services {
		arguments = append(arguments, "--service", s)
	}
	if len(o.Brokers) > 0 {
		arguments = append(arguments, "--remote-listener", strings.Join(o.Brokers, ","))
	}
	program, arguments := o.Network.command(o.Program, append(arguments, o.Arguments...))
	if d.Process, err = StartKept("testdb "+o.Instance, o.KeepLog, program, arguments...); err != nil {
		return err
	}
	said, err := d.AwaitLine(ctx, ready)
	if err != nil {
		d.Kill()
		return err
	}
	d.Address = said[1]
	return nil
}

// Restart starts the database again after its end, at the address it had.
func (d *Database) Restart(ctx context.Context) error {
	d.Kill()
	d.options.Listen = d.Address
	return d.start(ctx)
}

// handedOut counts the addresses of FreeAddress, from another port on in each process: none gets one twice, as long as there are others.
var (
	handedOut atomic.Uint32
	firstPort = rand.Uint32N(mostPorts)
)

const mostPorts = 12_000 // to choose from

// FreeAddress returns an address of this host on which nobody listens, neither for TCP nor for UDP.
func FreeAddress() (string, error) { return (*Network)(nil).freeAddress("127.0.0.1") }

func (n *Network) freeAddress(host string) (address string, err error) {
	err = n.Inside(func() error {
		var last error
		for range 100 { // below the ports that systems hand out by themselves: it stays free until it is used
			at := net.JoinHostPort(host, strconv.Itoa(20_000+int((firstPort+handedOut.Add(1))%mostPorts)))
			if last = unused(at); last == nil {
				address = at
				break
			}
		}
		return last
	})
	return address, err
}

// unused tells why an address cannot be listened on.
func unused(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// Settings of a test database by its control address.
type (
	// StatusSetting is for /status: ready, blocked or restricted.
	StatusSetting struct {
		Status string `json:"status"`
	}
	// ListenerSetting is for /listener: accept, refuse, hang, reset or redirect.
	ListenerSetting struct {
		Mode string `json:"mode"`
		Code int    `json:"code,omitempty"`
		To   string `json:"to,omitempty"`
	}
	// LoadSetting is for /load.
	LoadSetting struct {
		NodeLoad uint32            `json:"node_load"`
		Load     uint32            `json:"load"`
		Goodness map[string]uint32 `json:"goodness,omitempty"`
	}
	// ServicesSetting is for /services.
	ServicesSetting struct {
		Add  []string `json:"add,omitempty"`
		Drop []string `json:"drop,omitempty"`
	}
	// RegistrationSetting is for /registration.
	RegistrationSetting struct {
		Connected bool `json:"connected"`
	}
)

// Tell sends a command to the control address and waits until that is there.
func (d *Database) Tell(ctx context.Context, path string, command any) error {
	body, err := json.Marshal(command)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return Eventually(ctx, func() error {
		answer, err := client.Post("http://"+d.Control+path, "application/json", bytes.NewReader(body))
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

// State reads what the database tells of itself.
func (d *Database) State(into any) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + d.Control + "/state")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}
