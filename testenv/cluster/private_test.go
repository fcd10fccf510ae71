package cluster

import (
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// A database with private sessions has room for many with open transactions, and each keeps what is its own.
func TestPrivateSessions(t *testing.T) {
	d := startDatabase(t, stage.DatabaseOptions{Instance: "sales1", Services: []string{"sales"}, Arguments: []string{"--private"}})
	before, err := d.ResidentKB()
	must(t, err)
	began := time.Now()
	c := &crew{services: []string{"sales"}, target: func(service string) string { return descriptor(d.Address, service) }}
	hands, err := c.muster(t.Context(), *sessions, realDrivers(t))
	must(t, err)
	after, err := d.ResidentKB()
	must(t, err)
	t.Logf("%d sessions in %v; %d kB of memory for each of them", *sessions, time.Since(began).Round(time.Millisecond), (after-before) / *sessions)
	if open := openTransactions(t, d); open != *sessions {
		t.Errorf("%d transactions are open", open)
	}
	if (after-before) / *sessions > 2048 {
		t.Errorf("memory %d kB → %d kB", before, after)
	}
	for _, lost := range c.leave(t.Context(), hands) {
		t.Error(lost)
	}
}
