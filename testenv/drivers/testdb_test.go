package drivers

import (
	"cmp"
	"context"
	"testing"

	"servicebroker/testenv/stage"
)

// The account of every test database.
const (
	appUser     = stage.User
	appPassword = stage.Password
)

// database is a running test database.
type database struct {
	*process
	*stage.Database
	instance, address, control string
}

type databaseOptions struct {
	program   string // empty: the one built with the race detector
	instance  string
	services  []string
	brokers   []string // addresses of those it registers with
	network   *stage.Network
	arguments []string // further ones
}

// startDatabase starts a test database and returns once it listens.
func startDatabase(t *testing.T, o databaseOptions) *database {
	t.Helper()
	if err := programs.readSources(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	started, err := stage.StartDatabase(ctx, stage.DatabaseOptions{
		Program: cmp.Or(o.program, programs.testdb), Instance: o.instance, Services: o.services, Brokers: o.brokers,
		Network: o.network, Arguments: o.arguments})
	if err != nil {
		t.Fatal(err)
	}
	return &database{process: guard(t, started.Process), Database: started, instance: o.instance, address: started.Address, control: started.Control}
}

// freeAddress returns a loopback address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// tell sends a command to the database's control address.
func (d *database) tell(t *testing.T, path string, command any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := d.Tell(ctx, path, command); err != nil {
		t.Fatal(err)
	}
}

// settings of a test database by its control address.
type (
	statusSetting       = stage.StatusSetting
	listenerSetting     = stage.ListenerSetting
	loadSetting         = stage.LoadSetting
	servicesSetting     = stage.ServicesSetting
	registrationSetting = stage.RegistrationSetting
)
