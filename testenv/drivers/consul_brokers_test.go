package drivers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/testenv/stage"
)

// traces are what would differ in Consul had a broker or its entries been away for a moment: when things were made, and by whom they are held.
func traces(c *stage.Consul, services ...string) (all []string, err error) {
	for _, s := range services {
		found, _, err := c.API.Health().Service(s, "", false, nil)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			all = append(all, fmt.Sprintf("%s made at %d, %s", e.Service.ID, e.Service.CreateIndex, e.Checks.AggregatedStatus()))
			for _, check := range e.Checks {
				all = append(all, fmt.Sprintf("%s made at %d", check.CheckID, check.CreateIndex))
			}
		}
	}
	pairs, _, err := c.API.KV().List("broker/", nil)
	for _, p := range pairs {
		all = append(all, fmt.Sprintf("%s made at %d, held by %s, taken %d times", p.Key, p.CreateIndex, p.Session, p.LockIndex))
	}
	return all, err
}

// statuses notes each state of a service that Consul tells of, by queries that wait for the next.
func statuses(ctx context.Context, c *stage.Consul, service string) (seen []string) {
	var index uint64
	for {
		q := (&api.QueryOptions{WaitIndex: index, WaitTime: time.Minute}).WithContext(ctx)
		found, meta, err := c.API.Health().Service(service, "", false, q)
		if ctx.Err() != nil {
			return seen
		}
		if err != nil {
			return append(seen, err.Error())
		}
		index = meta.LastIndex
		var now []string
		for _, e := range found {
			now = append(now, e.Service.ID+" "+e.Checks.AggregatedStatus())
		}
		slices.Sort(now)
		if text := strings.Join(now, ", "); len(seen) == 0 || seen[len(seen)-1] != text {
			seen = append(seen, text)
		}
	}
}

func TestAnUpgradeIsNotSeenInConsul(t *testing.T) {
	c := startConsul(t)
	b := startBroker(t, brokerOptions{parameters: []string{"CONSUL_ADDRESS=" + c.Address}})
	t.Cleanup(func() { b.Lineage().Kill() })
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	eventually(t, patience, finding(t, c, "sales", d.Address))
	peer := startBroker(t, brokerOptions{parameters: []string{"CONSUL_ADDRESS=" + c.Address}}) // which would like to write
	eventually(t, patience, finding(t, c, "broker", b.address, peer.address))
	eventually(t, patience, func() error {
		if keys, _, err := c.API.KV().Keys("broker/brokers/", "", nil); err != nil || len(keys) != 2 {
			return fmt.Errorf("entered are %q, %w", keys, err)
		}
		return nil
	})
	before, err := traces(c, "broker", "sales")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan []string, 2)
	for _, s := range []string{"broker", "sales"} {
		go func() { seen <- statuses(ctx, c, s) }()
	}
	told := keepConnecting(t, b.address+"/sales")
	told("before")
	for generation := range 3 {
		b.command(t, 0, "upgrade")
		told(fmt.Sprint("upgrade ", generation+1))
		b.awaitMirror(t) // the new one keeps the entries
		eventually(t, patience, func() error {
			if all, err := b.Lineage().Alive(); err != nil || len(all) != 1 {
				return fmt.Errorf("%v are alive, %w", all, err)
			}
			return nil
		})
	}
	after, err := traces(c, "broker", "sales")
	must(t, err)
	if !slices.Equal(before, after) {
		t.Errorf("before:\n%s\nafterwards:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	cancel()
	for range 2 {
		if all := <-seen; len(all) != 1 {
			t.Errorf("Consul told of %q", all)
		}
	}
}

func TestOneOfTwoBrokersThatWereKilledComesBack(t *testing.T) {
	c := startConsul(t)
	must(t, c.API.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "web-1", Name: "web", Address: "127.0.0.1", Port: 80}))
	parameters := []string{"CONSUL_ADDRESS=" + c.Address, "PROBE_INTERVAL=200ms"}
	address, err := stage.FreeAddress()
	must(t, err)
	b := startBroker(t, brokerOptions{parameters: parameters, listen: address})
	t.Cleanup(func() { b.Broker.Kill() }) // the second one
	both := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	peer := startBroker(t, brokerOptions{parameters: parameters})
	gone := startDatabase(t, databaseOptions{instance: "hr1", services: []string{"hr"}, brokers: []string{b.address}})
	eventually(t, patience, finding(t, c, "hr", gone.Address))
	eventually(t, patience, finding(t, c, "sales", both.Address))
	_, err = c.API.Catalog().Register(&api.CatalogRegistration{Node: "oracle-127-0-0-1", Address: "127.0.0.1", SkipNodeUpdate: true,
		Service: &api.AgentService{ID: "exporter", Service: "exporter", Address: "127.0.0.1", Port: 9100}}, nil) // at a host of brokers' entries
	must(t, err)
	b.Broker.Kill()
	peer.Broker.Kill()
	gone.Database.Kill() // while nobody looks
	findNow(t, c, "sales", both.Address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, b.Restart(ctx))
	soonIn(t, "what went meanwhile is taken out", 20*time.Second, func() error {
		if pair, _, err := c.API.KV().Get("broker/writer", nil); err != nil || pair == nil || pair.Session == "" {
			return fmt.Errorf("nobody writes: %v, %w", pair, err)
		}
		return finding(t, c, "hr")()
	})
	eventually(t, patience, finding(t, c, "sales", both.Address)) // as soon as it has registered again
	findNow(t, c, "web", "127.0.0.1:80")
	findNow(t, c, "exporter", "127.0.0.1:9100")
}
