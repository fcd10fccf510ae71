package consul

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"servicebroker/discovery"
)

func holder(members ...*Member) func() string {
	return func() string {
		n := 0
		for _, m := range members {
			if _, held := m.Lease(); held {
				n++
			}
		}
		if n != 1 {
			var failures []string
			for _, m := range members {
				failures = append(failures, m.Failure())
			}
			return fmt.Sprintf("%d hold the lock; %q", n, failures)
		}
		return ""
	}
}

func TestABrokerIsKnownWithItsHealthUntilItLeaves(t *testing.T) {
	a := startAgent(t)
	m, stop := a.member(t, "cman1")
	eventually(t, 10*time.Second, "the lock", holder(m))
	found, _, err := a.Health().Service("broker", "", true, nil)
	if err != nil || len(found) != 1 || found[0].Service.Port != 1521 || found[0].Service.Meta["name"] != "cman1" {
		t.Fatalf("found %v: %v", found, err)
	}
	brokers, err := m.Brokers(t.Context())
	if err != nil || len(brokers) != 1 || brokers[0].Name != "cman1" || string(brokers[0].Value) != "http://cman1" || !brokers[0].Self {
		t.Errorf("brokers are %v: %v", brokers, err)
	}
	stop()
	if found, _, err := a.Health().Service("broker", "", false, nil); err != nil || len(found) != 0 {
		t.Errorf("left behind: %v, %v", found, err)
	}
	if keys, _, err := a.KV().Keys("broker/brokers/", "", nil); err != nil || len(keys) != 0 {
		t.Errorf("left behind: %v, %v", keys, err)
	}
}

func TestABrokerThatIsNotReadyIsNotFoundButKeepsTheLock(t *testing.T) {
	a := startAgent(t)
	m := &Member{Client: a.client(t), Name: "cman1", Healthy: func() (bool, string) { return false, "no service is registered" }}
	b := &beat{Member: m}
	if err := b.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, held := m.Lease(); !held {
		t.Error("it has not got the lock")
	}
	eventually(t, 5*time.Second, "the state of health", func() string {
		checks, _, err := a.Health().Checks("broker", nil)
		for _, c := range checks {
			if c.CheckID == "broker-cman1:ready" && c.Status == critical && c.Output == "no service is registered" {
				return ""
			}
		}
		return fmt.Sprint(checks, err)
	})
	b.leave(t.Context())
}

func TestOneWritesAndAnotherTakesOverSoon(t *testing.T) {
	a := startAgent(t)
	first, stop := a.memberFor(t, "cman1", time.Minute) // so that nobody is taken for dead before the test has failed
	eventually(t, 10*time.Second, "the lock", holder(first))
	second, stopSecond := a.memberFor(t, "cman2", time.Minute)
	eventually(t, 10*time.Second, "the second broker to be known", func() string {
		brokers, err := first.Brokers(t.Context())
		if err != nil || len(brokers) != 2 {
			return fmt.Sprint(brokers, err)
		}
		return ""
	})
	if amiss := holder(first, second)(); amiss != "" {
		t.Error(amiss)
	}
	before, _ := first.Lease()
	stop()
	eventually(t, 10*time.Second, "the second broker to write", holder(second))
	if after, _ := second.Lease(); after.Fence <= before.Fence {
		t.Errorf("fence %d after %d", after.Fence, before.Fence)
	}
	stopSecond()
}

func TestABrokerThatDiesIsReplacedAndItsEntriesAreTakenOver(t *testing.T) {
	a := startAgent(t)
	dead := &Member{Client: a.client(t), Name: "cman1", TTL: 3 * time.Second}
	b := &beat{Member: dead} // which gives one sign of life, and never another
	if err := b.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := a.writing(t, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	old.Member = dead
	old.mustSync(t)
	heir, _ := a.member(t, "cman2")
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.Member = heir
	took := eventually(t, 20*time.Second, "the entries to be taken over", func() string {
		if err := w.sync(t); err != nil {
			return err.Error()
		}
		return ""
	})
	t.Logf("taken over %v after the last sign of life, of which %v are the TTL", took, dead.ttl())
	a.want(t, "oracle-10-1-0-1 10.1.0.1 sales:s1@10.1.0.1 sales 10.1.0.1:1521 passing")
	if _, held := dead.Lease(); held {
		t.Error("the dead one thinks that it may write")
	}
	dead.until = time.Now().Add(time.Hour) // as if its clock stood still
	old.known, old.fullAt = false, time.Time{}
	if err := old.sync(t); !errors.Is(err, discovery.ErrStandby) {
		t.Errorf("a writer that came back too late: %v", err)
	}
	a.want(t, "oracle-10-1-0-1 10.1.0.1 sales:s1@10.1.0.1 sales 10.1.0.1:1521 passing")
}

func TestABrokerComesBackWithItsAgent(t *testing.T) {
	a := startAgent(t)
	m, _ := a.member(t, "cman1")
	eventually(t, 10*time.Second, "the lock", holder(m))
	a.kill()
	eventually(t, 10*time.Second, "the lock to be given up", func() string {
		if _, held := m.Lease(); held || m.Failure() == "" {
			return "held, or no failure is told"
		}
		return ""
	})
	a.start(t)
	eventually(t, 20*time.Second, "the lock", holder(m))
	if m.Failure() != "" {
		t.Errorf("failure: %s", m.Failure())
	}
}

func TestATokenFileThatIsMissingIsExplained(t *testing.T) {
	c := &Client{Address: "127.0.0.1:1", TokenFile: filepath.Join(t.TempDir(), "none")}
	w := &Catalogue{Client: c}
	if err := w.Sync(t.Context(), Publication{}); err == nil || !strings.Contains(err.Error(), "holds no token") {
		t.Errorf("error: %v", err)
	}
}

func TestABrokerIsEnteredAgainWhereSomebodyRemovedIt(t *testing.T) {
	a := startAgent(t)
	m, _ := a.member(t, "cman1")
	eventually(t, 10*time.Second, "the lock", holder(m))
	if _, err := a.KV().DeleteTree("broker/", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "it to be entered again, and to have the lock", func() string {
		all, err := m.Brokers(t.Context())
		if pair, _, fault := a.KV().Get("broker/writer", nil); err != nil || fault != nil || len(all) != 1 || pair == nil || pair.Session == "" {
			return fmt.Sprint(all, pair, err, fault)
		}
		return holder(m)()
	})
}
