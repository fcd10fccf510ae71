package broker

import (
	"testing"
	"time"

	"servicebroker/intent"
)

func drainOf(service string) intent.Intent {
	return intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: service}}
}

// withoutConsul has a broker share its intents with others, as soon as it can, which is never.
func withoutConsul(c *Config) { c.Consul.Address = "127.0.0.1:1" }

// What is set and taken back while a successor gets ready is known to that, as to all brokers.
func TestASuccessorKnowsSharedIntentsAsTheyAreWhenItServes(t *testing.T) {
	var old *running
	var taken intent.Intent
	old, next := succeedableOnce(t, withoutConsul, func(*Broker, *inProcess) {
		old.set(drainOf("sales"))
		if _, err := old.EndIntent(t.Context(), taken.ID); err != nil {
			t.Error(err)
		}
	})
	taken = old.set(drainOf("billing")).Intent
	second, _ := old.succeed(next)
	second.adopt(time.Now())
	if all := second.Intents(); len(all) != 1 || all[0].Target.Service != "sales" || all[0].Origin != second.Name() {
		t.Errorf("%+v", all)
	}
}

// The file of intents is the successor's: what other brokers want is not written there by the generation before.
func TestOtherBrokersIntentsAreTheSuccessorsAffair(t *testing.T) {
	r := start(t, withoutConsul)
	r.upgrade.heir.Store(&heir{process: &inProcess{}})
	drain := drainOf("sales")
	drain.Created = time.Now()
	if err := r.consul.intents.Put(drain.Key(), sharedValue(drain), time.Time{}); err != nil {
		t.Fatal(err)
	}
	r.adopt(time.Now())
	if all := r.Intents(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	r.upgrade.heir.Store(nil)
	r.adopt(time.Now())
	if all := r.Intents(); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}
