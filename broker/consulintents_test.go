package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/console"
	"servicebroker/discovery/consul"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// sharing brokers, each with the service sales at the instance sales1.
func sharingBrokers(t *testing.T, c *stage.Consul, names ...string) []*running {
	var all []*running
	for _, name := range names {
		r := start(t, func(config *Config) {
			config.Consul.Address, config.Name, config.HoldTimeout = c.Address, name, 0
		})
		r.register("sales1", "sales")
		all = append(all, r)
	}
	within(t, 20*time.Second, "all to follow Consul", func() error {
		alive, err := all[0].consulBrokers(t.Context())
		if err == nil && len(alive) != len(names) {
			err = fmt.Errorf("%v are alive", alive)
		}
		return err
	})
	return all
}

// wants are the intents of a broker, without what differs from one to another.
func wants(r *running) string {
	var all []string
	for _, v := range r.Intents() {
		all = append(all, fmt.Sprint(v.Key(), " ", v.Value, " ", v.Reason, " ", v.Deadline.IsZero(), " ", v.Origin, " ", v.Shared))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func wanting(r *running, want string) func() error {
	return func() error {
		if got := wants(r); got != want {
			return fmt.Errorf("intents are %q, want %q", got, want)
		}
		return nil
	}
}

func TestAnIntentSetAtOneBrokerActsAtAll(t *testing.T) {
	c := startConsul(t)
	all := sharingBrokers(t, c, "one", "two", "three")
	drain := all[0].set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "SALES"}, Reason: "patching", Source: "ops"})
	if drain.Shared != console.SharedYes || drain.Origin != all[0].Name() {
		t.Errorf("the drain is %+v", drain)
	}
	want := "drain/service=sales 0 patching true " + all[0].Name() + " yes"
	for _, r := range all {
		took := within(t, 10*time.Second, "the drain", wanting(r, want))
		t.Logf("%s drains after %v", r.config.Name, took)
		r.wantCode(sales, tns.CodeBlocked)
	}
	within(t, 10*time.Second, "it to be gone from Consul's DNS", offering(c, "sales", "sales:sales1@dbhost critical"))
	at := all[2].Intents()[0]
	if ended, err := all[2].EndIntent(t.Context(), at.ID); err != nil || ended.Origin != all[0].Name() {
		t.Fatalf("%v: taken back, and set at %q", err, ended.Origin)
	}
	for _, r := range all {
		within(t, 10*time.Second, "the end of the drain", wanting(r, ""))
		r.await(func(s *servicetable.Snapshot) bool {
			_, err := s.Match(servicetable.Query{Service: "sales"})
			return err == nil
		})
	}
	if events := all[1].get("/api/v1/events"); !strings.Contains(events, "taken back at "+all[2].Name()) || !strings.Contains(events, "set at "+all[0].Name()) {
		t.Errorf("events: %s", events)
	}
}

func TestConflictingIntentsComeToTheSameEverywhere(t *testing.T) {
	c := startConsul(t)
	all := sharingBrokers(t, c, "one", "two", "three")
	errs := make(chan error, len(all))
	for n, r := range all { // all at the same time
		go func() {
			var err error
			for k := range 5 {
				_, failed := r.SetIntent(t.Context(), intent.Intent{Kind: intent.Weight, Value: uint32(10*n + k), Target: intent.Target{Instance: "sales1"}})
				err = errors.Join(err, failed)
			}
			errs <- err
		}()
	}
	for range all {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	within(t, 10*time.Second, "all to agree", func() error {
		for _, r := range all {
			if got, want := wants(r), wants(all[0]); got != want || strings.Count(got, "weight") != 1 || !strings.HasSuffix(got, " yes") {
				return fmt.Errorf("%q and %q", got, want)
			}
		}
		return nil
	})
}

// Who set a weight learns there that another broker's operator set another one; who never did is told of no loss.
func TestTheReplacementOfAnIntentIsTold(t *testing.T) {
	c := startConsul(t)
	all := sharingBrokers(t, c, "one", "two", "three")
	first := all[0].set(intent.Intent{Kind: intent.Weight, Value: 25, Target: intent.Target{Instance: "sales1"}})
	if status := all[0].get("/api/v1/status"); !strings.Contains(status, `"consul":{"address":"`+c.Address+`"}`) {
		t.Error(status)
	}
	within(t, 10*time.Second, "the first", wanting(all[1], wants(all[0])))
	all[1].set(intent.Intent{Kind: intent.Weight, Value: 50, Target: intent.Target{Instance: "sales1"}})
	for _, r := range all {
		within(t, 10*time.Second, "the second", wanting(r, "weight/instance=sales1 50  true "+all[1].Name()+" yes"))
		var details []string
		within(t, 10*time.Second, "events", func() error {
			details = nil
			for _, e := range r.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.IntentSet}}) {
				details = append(details, e.Detail)
			}
			if len(details) != 2 {
				return fmt.Errorf("events are %q", details)
			}
			return nil
		})
		is := slices.ContainsFunc(details, func(d string) bool {
			return strings.HasPrefix(d, first.String()+", set here, is replaced by ") && strings.HasSuffix(d, ", set at "+all[1].Name()) && strings.Contains(d, "50")
		})
		if is != (r == all[0]) {
			t.Errorf("%s has %q", r.config.Name, details)
		}
	}
}

func TestIntentsSetWhileConsulIsAwayAreSharedLater(t *testing.T) {
	c := startConsul(t)
	all := sharingBrokers(t, c, "one", "two")
	all[0].set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "hr"}})
	within(t, 10*time.Second, "the hold", wanting(all[1], "hold/service=hr 0  true "+all[0].Name()+" yes"))
	c.Kill()
	within(t, 10*time.Second, "Consul to be missed", func() error {
		if all[1].consul.intents.Failure() == "" {
			return errors.New("it is not")
		}
		return nil
	})
	for tries := 1; ; tries++ { // who waits for Consul takes so long each time, a busy machine does not
		began := time.Now()
		v := all[1].set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}})
		took := time.Since(began)
		if v.Shared != console.SharedNotYet || took > sharedWithin && tries == 5 {
			t.Fatalf("after %v it is %+v", took, v)
		}
		if took <= sharedWithin {
			break
		}
	}
	all[1].wantCode(sales, tns.CodeBlocked)
	if notes := all[1].get("/api/v1/mirrors"); !strings.Contains(notes, "1 intents are not known to other brokers yet") {
		t.Error(notes)
	}
	if _, err := all[0].EndIntent(t.Context(), all[0].Intents()[0].ID); err != nil { // meanwhile, elsewhere
		t.Fatal(err)
	}
	if err := c.Restart(t.Context()); err != nil { // with nothing in it
		t.Fatal(err)
	}
	for _, r := range all {
		took := within(t, 60*time.Second, "both to agree", wanting(r, "drain/service=sales 0  true "+all[1].Name()+" yes"))
		t.Logf("%s agrees %v after Consul is back", r.config.Name, took)
	}
	all[0].wantCode(sales, tns.CodeBlocked)
}

func TestABrokerThatStartsWithoutConsulGoesByItsCopy(t *testing.T) {
	c := startConsul(t)
	all := sharingBrokers(t, c, "one", "two")
	all[0].set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}, Deadline: time.Now().Add(time.Hour)})
	within(t, 10*time.Second, "the drain", wanting(all[1], "drain/service=sales 0  false "+all[0].Name()+" yes"))
	state := all[1].config.StateDirectory
	all[1].stop()
	<-all[1].ended
	all[1].ended <- nil
	c.Kill()
	again := start(t, func(config *Config) {
		config.Consul.Address, config.Name, config.StateDirectory, config.HoldTimeout = c.Address, "two", state, 0
	})
	again.register("sales1", "sales")
	again.wantCode(sales, tns.CodeBlocked)
	if err := wanting(again, "drain/service=sales 0  false "+all[0].Name()+" yes")(); err != nil {
		t.Error(err)
	}
}

func TestIntentsFromBeforeThereWasAConsulAreShared(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	alone := start(t, func(config *Config) { config.StateDirectory = state })
	alone.set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "hr"}})
	if v := alone.Intents()[0]; v.Shared != "" || v.Origin != "" {
		t.Errorf("without Consul: %+v", v)
	}
	alone.stop()
	<-alone.ended
	alone.ended <- nil
	c := startConsul(t)
	first := start(t, func(config *Config) {
		config.Consul.Address, config.StateDirectory, config.Name = c.Address, state, "one"
	})
	second := start(t, func(config *Config) { config.Consul.Address, config.Name = c.Address, "two" })
	for _, r := range []*running{first, second} {
		within(t, 10*time.Second, "the hold", wanting(r, "hold/service=hr 0  true "+first.Name()+" yes"))
	}
}

func TestAnIntentThatCannotBeCarriedOutIsToldOnceAndHarmsNothing(t *testing.T) {
	c := startConsul(t)
	r := sharingBrokers(t, c, "one")[0]
	for key, value := range map[string]string{
		"bewitch/service=sales": `{"format":1,"value":{"kind":"bewitch","target":{"service":"sales"}},"updated":"2026-01-01T00:00:00Z","origin":"x"}`,
		"drain/service=other":   `{"format":1,"value":{"kind":"drain","target":{"service":"sales"}},"updated":"2026-01-01T00:00:00Z","origin":"x"}`,
		"drain/service=newer":   `{"format":2,"value":{"kind":"drain","target":{"service":"newer"}},"updated":"2026-01-01T00:00:00Z","origin":"x"}`,
		"drain/service=text":    `{"format":1,"value":"text","updated":"2026-01-01T00:00:00Z","origin":"x"}`,
		"drain/service=junk":    `junk`,
		"drain/service=good":    `{"format":1,"value":{"kind":"drain","target":{"service":"good"},"later":1},"updated":"2026-01-01T00:00:00Z","origin":"x","later":1}`,
	} {
		if _, err := c.API.KV().Put(&api.KVPair{Key: "broker/intents/" + key, Value: []byte(value)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 10*time.Second, "the good one", wanting(r, "drain/service=good 0  true x yes"))
	if conn, reply := r.ask(sales); !isAccept(reply) {
		t.Errorf("answer %T", reply)
	} else {
		conn.NetConn().Close()
	}
}

// maintain sets or ends maintenance mode of an external node, as operators do.
func maintainNode(t *testing.T, c *stage.Consul, node, reason string) {
	t.Helper()
	var err error
	if reason == "" {
		_, err = c.API.Catalog().Deregister(&api.CatalogDeregistration{Node: node, CheckID: "_node_maintenance"}, nil)
	} else {
		_, err = c.API.Raw().Write("/v1/catalog/register", map[string]any{"Node": node, "SkipNodeUpdate": true, "Check": map[string]string{
			"Node": node, "CheckID": "_node_maintenance", "Name": "maintenance", "Status": "critical", "Notes": reason}}, nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMaintenanceModeInConsulDrainsHere(t *testing.T) {
	c := startConsul(t)
	r := sharingBrokers(t, c, "one")[0]
	within(t, 10*time.Second, "the service", offering(c, "sales", "sales:sales1@dbhost passing"))
	maintainNode(t, c, "oracle-dbhost", "new disks")
	took := within(t, 10*time.Second, "the mark", func() error {
		if text := r.get("/api/v1/services/sales"); !strings.Contains(text, `"cause":"consul: new disks"`) {
			return errors.New(text)
		}
		return nil
	})
	t.Logf("maintenance mode acts after %v", took)
	r.wantCode(sales, tns.CodeBlocked)
	state := r.config.StateDirectory
	c.Kill()
	r.stop()
	<-r.ended
	r.ended <- nil
	again := start(t, func(config *Config) {
		config.Consul.Address, config.Name, config.StateDirectory, config.HoldTimeout = c.Address, "one", state, 0
	})
	again.register("sales1", "sales")
	again.wantCode(sales, tns.CodeBlocked) // by what was known
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, 40*time.Second, "the service to be published again", offering(c, "sales", "sales:sales1@dbhost critical"))
	again.wantCode(sales, tns.CodeBlocked) // an empty Consul ends nothing
}

func TestMaintenanceModeThatEndsLetsConnectsIn(t *testing.T) {
	c := startConsul(t)
	r := sharingBrokers(t, c, "one")[0]
	within(t, 10*time.Second, "the service", offering(c, "sales", "sales:sales1@dbhost passing"))
	maintainNode(t, c, "oracle-dbhost", "new disks")
	r.await(func(s *servicetable.Snapshot) bool {
		_, err := s.Match(servicetable.Query{Service: "sales"})
		return err != nil
	})
	maintainNode(t, c, "oracle-dbhost", "")
	r.await(func(s *servicetable.Snapshot) bool {
		_, err := s.Match(servicetable.Query{Service: "sales"})
		return err == nil
	})
}

func TestWhatWasInMaintenanceIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.json")
	for content, bad := range map[string]bool{`{"format":1,"maintenance":[{"Node":"db1","Reason":"x"}]}`: false, `{"format":2}`: true, `{`: true, ``: true} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		m := consulMaintenance{path: path}
		if err := m.read(); (err != nil) != bad || bad == (len(m.all()) > 0) {
			t.Errorf("%q: %v, %v", content, m.all(), err)
		}
	}
	odd := `{"format":1,"maintenance":[{"Node":"db1","Since":"2026-01-01T00:00:00+24:00"},{"Node":"db2","Since":"9999-12-31T23:59:59-01:00"}]}`
	if err := os.WriteFile(path, []byte(odd), 0o600); err != nil {
		t.Fatal(err)
	}
	m := consulMaintenance{path: path}
	if err := m.read(); err != nil || len(m.all()) != 2 {
		t.Errorf("%v, %v", m.all(), err)
	}
	if err := m.set([]consul.Maintenance{{Node: "db1"}, {Node: "db2"}, {Node: "db3"}}, time.Now()); err != nil {
		t.Errorf("after times that cannot be written: %v", err)
	}
	none := consulMaintenance{path: path + ".none"}
	if err := none.read(); err != nil {
		t.Error(err)
	}
}
