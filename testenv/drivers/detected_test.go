package drivers

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// markView is what the broker holds about an instance.
type markView struct {
	Mark  string `json:"mark"`
	Cause string `json:"cause"`
}

// marksOf returns the marks of an instance of a service and of its handlers.
func (b *broker) marksOf(service, instance string) (marks []markView, err error) {
	var list struct {
		Services []struct {
			Name      string `json:"name"`
			Instances []struct {
				Name     string     `json:"name"`
				Marks    []markView `json:"marks"`
				Handlers []struct {
					Marks []markView `json:"marks"`
				} `json:"handlers"`
			} `json:"instances"`
		} `json:"services"`
	}
	if err := b.getJSON("/api/v1/services", &list); err != nil {
		return nil, err
	}
	for _, s := range list.Services {
		for _, i := range s.Instances {
			if s.Name == service && i.Name == instance {
				marks = append(marks, i.Marks...)
				for _, h := range i.Handlers {
					marks = append(marks, h.Marks...)
				}
			}
		}
	}
	return marks, nil
}

func (b *broker) ejected(service, instance string) error {
	marks, err := b.marksOf(service, instance)
	if err == nil && !slices.ContainsFunc(marks, func(m markView) bool { return m.Mark == "ejected" }) {
		err = fmt.Errorf("%s is in rotation, its marks are %v", instance, marks)
	}
	return err
}

// An instance whose host resets connects is out of rotation at once after the first dial that failed, although its
// registration is still there, and nobody's connect fails. A broker that redirects does not dial: its probes notice.
func TestDeadInstanceIsOutOfRotation(t *testing.T) {
	for mode, test := range map[string]struct {
		interval string
		within   time.Duration
	}{
		relaying:    {"60", 20 * time.Second}, // probes come too seldom to notice
		redirecting: {"5", 10 * time.Second},  // two intervals
	} {
		t.Run(mode, func(t *testing.T) {
			b := startBroker(t, brokerOptions{parameters: []string{"ROUTE=" + mode, "PROBE_INTERVAL=" + test.interval}})
			dead, alive := startStandin(t, "sales1"), startStandin(t, "sales2")
			dead.register(t, b, "sales")
			alive.register(t, b, "sales")
			b.awaitService(t, "sales", "READY", 2)
			dead.awaitProbe(t) // whom the broker never reached it does not judge when it redirects
			dead.die()
			began := time.Now()
			c := askFor(t, b, "sales", "0", "(INSTANCE_NAME=sales1)")
			eventually(t, patience, func() error { return b.ejected("sales", "sales1") })
			took := time.Since(began)
			c.Close()
			t.Logf("out of rotation after %v", took)
			if took > test.within {
				t.Errorf("out of rotation after %v, at most %v is allowed", took, test.within)
			}
			for i := range 20 {
				reply, err := readRaw(askFor(t, b, "sales", fmt.Sprint(i), ""), patience)
				if err != nil || reply.kind == typeRefuse {
					t.Errorf("connect %d: type %d %q, %v", i, reply.kind, reply.text(), err)
				}
				if mode == redirecting && strings.Contains(reply.text(), portOf(dead.address)) {
					t.Errorf("connect %d was redirected to the dead instance", i)
				}
			}
		})
	}
}

// An instance that falls silent is out of rotation within two probe intervals, comes back once it speaks, and no client
// of a broker that relays waits for it: one would have to until its attempt or the silence ends, both of which take
// longer than a busy machine adds to the hedge.
func TestSilentInstanceIsOutOfRotation(t *testing.T) {
	const interval, silence, longestHedge = 5 * time.Second, 18 * time.Second, 9 * time.Second
	s := startScene(t, "PROBE_INTERVAL=5", "ATTEMPT_TIMEOUT=20")
	b, d := s.brokers[relaying], s.databases[0]
	load := Load{Drivers: []Looper{GoOra{}}, Rate: fastRate, Service: "sales"}.Start(t.Context(), s.taps[relaying])
	must(t, load.Await(bound(t), fastRate))
	d.signal(t, syscall.SIGSTOP)
	began := time.Now()
	eventually(t, patience, func() error { return b.ejected("sales", "sales1") })
	if took := time.Since(began); took > 2*interval {
		t.Errorf("out of rotation after %v, at most two intervals of %v are allowed", took, interval)
	} else {
		t.Logf("out of rotation after %v", took)
	}
	must(t, stage.Pause(t.Context(), time.Until(began.Add(silence))))
	d.signal(t, syscall.SIGCONT)
	back := eventually(t, patience, func() error {
		if b.ejected("sales", "sales1") == nil {
			return fmt.Errorf("sales1 is still out of rotation")
		}
		return nil
	})
	t.Logf("back after %v", back)
	connects, err := load.Stop()
	must(t, err)
	longest := time.Duration(0)
	for _, c := range connects {
		if c.Started().Before(began) {
			continue // it may have been let in just before
		}
		if c.Error != "" {
			t.Errorf("connect %d: %s", c.N, c.Error)
		}
		longest = max(longest, c.ConnectTime())
	}
	t.Logf("%d connects, the longest took %v", len(connects), longest)
	if longest > longestHedge {
		t.Errorf("a client waited %v for an instance that was silent for %v", longest, silence)
	}
}
