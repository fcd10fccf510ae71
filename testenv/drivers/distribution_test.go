package drivers

import (
	"fmt"
	"net"
	"testing"
)

// share lets clients connect and stay, and returns the part of them that came to the first of two instances.
func share(t *testing.T, b *broker, instances [2]*standin, connects int) float64 {
	t.Helper()
	var open []net.Conn
	for i := range connects {
		c := askFor(t, b, "sales", fmt.Sprint(i), "")
		if reply, err := readRaw(c, patience); err != nil || reply.kind != typeAccept {
			t.Fatalf("connect %d: type %d %q, %v", i, reply.kind, reply.text(), err)
		}
		open = append(open, c)
	}
	for _, c := range open {
		c.Close()
	}
	first, second := len(instances[0].seen()), len(instances[1].seen())
	if first+second != connects {
		t.Errorf("%d and %d clients came, of %d", first, second, connects)
	}
	return float64(first) / float64(first+second)
}

// Clients are shared out between instances as each policy promises: evenly, or by what each can take. goodness is what
// an Oracle listener does: by goodness, which is the same here, and not by capacity. Real instances report, and go on
// to: what is promised for that is tested where time can be made. Nothing is decided here by how long an instance takes, which on a
// busy machine would be another reason to go elsewhere.
func TestDistribution(t *testing.T) {
	const connects = 400
	for _, policy := range []string{"adaptive", "goodness", "sessions", "roundrobin", "random"} {
		for _, capacity := range [][2]uint32{{2000, 2000}, {1000, 3000}} {
			t.Run(fmt.Sprintf("%s %d:%d", policy, capacity[0]/1000, capacity[1]/1000), func(t *testing.T) {
				b := startBroker(t, brokerOptions{parameters: []string{"POLICY=" + policy, "SLOW_START=0", "HEDGE=0", "PROBE_INTERVAL=0", "ATTEMPT_TIMEOUT=20"}})
				var instances [2]*standin
				for i := range instances {
					instances[i] = startStandin(t, fmt.Sprintf("sales%d", i+1))
					instances[i].max = capacity[i]
					instances[i].register(t, b, "sales")
				}
				b.awaitService(t, "sales", "READY", 2)
				want := float64(capacity[0]) / float64(capacity[0]+capacity[1])
				off := 0.02
				switch policy {
				case "goodness":
					want = 0.5
				case "random":
					off = 0.1 // four standard deviations of 400 draws
				}
				got := share(t, b, instances, connects)
				t.Logf("%.1f %% of %d", 100*got, connects)
				if got < want-off || got > want+off {
					t.Errorf("%.1f %% of the clients came to the first instance, want %.1f %%", 100*got, 100*want)
				}
			})
		}
	}
}
