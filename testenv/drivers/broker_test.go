package drivers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// broker is a running broker.
type broker struct {
	*process
	*stage.Broker
	address, console string
}

// brokerOptions say how a broker differs from the usual one: one port of its own
// choice on loopback, everyone let in, relaying.
type brokerOptions struct {
	program    string   // empty: the one built with the race detector
	listen     string   // host:port; empty: 127.0.0.1, any port
	console    string   // host:port; empty: 127.0.0.1, any port
	parameters []string // further entries of PARAMETER_LIST
	addresses  []string // further ADDRESS entries
	rules      []string // RULE_LIST; empty: everyone may have everything
}

// withoutProbes are the options of a broker that learns of databases by their registrations alone.
var withoutProbes = brokerOptions{parameters: []string{"PROBE_INTERVAL=0"}}

// startBroker starts a broker by a cman.ora of its own and returns once it answers.
func startBroker(t *testing.T, o brokerOptions) *broker {
	t.Helper()
	if err := programs.readSources(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	started, err := stage.StartBroker(ctx, o.stage())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Stop)
	return &broker{process: guard(t, started.Process), Broker: started, address: started.Address, console: started.Console}
}

func (o brokerOptions) stage() stage.BrokerOptions {
	return stage.BrokerOptions{
		Program: cmp.Or(o.program, programs.broker), Listen: o.listen, Console: o.console, Parameters: o.parameters, Addresses: o.addresses, Rules: o.rules}
}

func (b *broker) get(path string) (int, []byte, error) { return b.Get(path) }

func (b *broker) getJSON(path string, into any) error { return b.GetJSON(path, into) }

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

// goneWithin is how soon a registration must have left the table once its connection is closed: the brokers in question
// do not probe in that time, so that nothing else tells them. The log has what it took.
const goneWithin = 10 * time.Second

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
