package drivers

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair starts a relaying broker with two instances of one service.
func pair(t *testing.T, parameters ...string) (*broker, [2]*database) {
	t.Helper()
	b := startBroker(t, brokerOptions{parameters: parameters})
	var databases [2]*database
	for i := range databases {
		databases[i] = startDatabase(t, databaseOptions{
			instance: fmt.Sprintf("sales%d", i+1), services: []string{"sales"}, brokers: []string{b.address}})
	}
	b.awaitService(t, "sales", "READY", 2)
	return b, databases
}

// connectLoop is so many visits one after the other.
func connectLoop(target string, times int) []Step {
	var steps []Step
	for range times {
		steps = append(steps, visit(target)...)
	}
	return steps
}

// A client that comes once an instance has died is not sent there, and does not wait for it: who does waits until his
// attempt is over, or for as long as services are waited for.
func TestInstanceKilled(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		const before, after, mostWait = 10, 20, 10 * time.Second
		b, databases := pair(t, "ATTEMPT_TIMEOUT=20")
		talk := converse(t, d)
		reached := map[string]int{}
		for i := range before + after {
			if i == before {
				databases[0].kill()
			}
			results := talk.all(visit(b.descriptor("(SERVICE_NAME=sales)")))
			at, err := visited(results)
			if err != nil {
				t.Errorf("visit %d: %v", i, err)
				continue
			}
			reached[at]++
			if i >= before && at != "sales2" {
				t.Errorf("visit %d says it is at %s", i, at)
			}
			if took := results[0].TookMS; took > float64(mostWait.Milliseconds()) {
				t.Errorf("connect %d took %.0f ms", i, took)
			}
		}
		if reached["sales1"] == 0 {
			t.Errorf("sales1 was never reached before it died: %v", reached)
		}
		b.awaitService(t, "sales", "READY", 1)
	})
}

// The same with many clients at a time: whoever comes after the instance died gets in.
func TestInstanceKilledInACrowd(t *testing.T) {
	const clients, before, after = 12, 60, 120
	b, databases := pair(t)
	target := b.descriptor("(SERVICE_NAME=sales)")
	var mu sync.Mutex
	done, late := 0, 0
	var killed time.Time // zero: not yet
	enough := make(chan struct{})
	visitOnce := func() (goOn bool) {
		began := time.Now()
		results, err := GoOra{}.Run(t.Context(), visit(target), nil)
		if err == nil {
			_, err = visited(results)
		}
		mu.Lock()
		defer mu.Unlock()
		if done++; done == before {
			close(enough)
		}
		if came := !killed.IsZero() && began.After(killed); came || done < before {
			if err != nil {
				t.Errorf("visit %d: %v", done, err)
			}
			if came {
				late++
			}
		}
		return late < after
	}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for visitOnce() {
			}
		})
	}
	<-enough
	databases[0].kill()
	mu.Lock()
	killed = time.Now()
	mu.Unlock()
	group.Wait()
}

// Where clients are redirected, those who come once the broker has noticed are sent to
// the instance that lives.
func TestInstanceKilledRedirecting(t *testing.T) {
	b, databases := pair(t, "ROUTE=redirect", "PROBE_INTERVAL=60")
	databases[0].kill()
	b.measureGone(t, "sales", 1)
	eachDriver(t, func(t *testing.T, d Driver) {
		const connects = 8
		results := work(t, d, connectLoop(b.descriptor("(SERVICE_NAME=sales)"), connects), nil)
		for i := range connects {
			if at, err := visited(results[3*i : 3*i+3]); err != nil || at != "sales2" {
				t.Errorf("connect %d: at %q, %v", i, at, err)
			}
		}
	})
}

// attemptTimeout is what the brokers with silent hosts give one attempt; loaded
// machines and drivers take their time besides.
const (
	attemptTimeout = time.Second
	attemptMargin  = 8 * time.Second
)

// A host that takes connections and says nothing costs a connect its time for one
// attempt at most.
func TestSilentInstance(t *testing.T) {
	for _, test := range []struct {
		name    string
		silence func(*testing.T, *database)
		resume  func(*testing.T, *database)
	}{
		{"listener hangs",
			func(t *testing.T, d *database) { d.tell(t, "/listener", listenerSetting{Mode: "hang"}) },
			func(t *testing.T, d *database) { d.tell(t, "/listener", listenerSetting{Mode: "accept"}) }},
		{"process stopped",
			func(t *testing.T, d *database) { d.signal(t, syscall.SIGSTOP) },
			func(t *testing.T, d *database) { d.signal(t, syscall.SIGCONT) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, databases := pair(t, "ATTEMPT_TIMEOUT=1")
			test.silence(t, databases[0])
			const connects = 6
			eachDriver(t, func(t *testing.T, d Driver) {
				results := work(t, d, connectLoop(b.descriptor("(SERVICE_NAME=sales)"), connects), nil)
				for i := range connects {
					at, err := visited(results[3*i : 3*i+3])
					if err != nil || at != "sales2" {
						t.Errorf("connect %d: at %q, %v", i, at, err)
					}
					if took := time.Duration(results[3*i].TookMS * float64(time.Millisecond)); took > attemptTimeout+attemptMargin {
						t.Errorf("connect %d took %v with ATTEMPT_TIMEOUT=1", i, took)
					}
				}
			})
			test.resume(t, databases[0])
			eventually(t, patience, func() error { // the instance takes part again
				results, err := GoOra{}.Run(t.Context(), visit(b.descriptor("(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)")), nil)
				if err == nil {
					_, err = visited(results)
				}
				return err
			})
		})
	}
}

// An instance that refuses, resets or sends clients elsewhere is passed over, or followed.
func TestRefusingInstance(t *testing.T) {
	b, databases := pair(t)
	for name, setting := range map[string]listenerSetting{
		"refuses": {Mode: "refuse", Code: 12516}, "resets": {Mode: "reset"},
		"redirects": {Mode: "redirect", To: databases[1].address},
	} {
		t.Run(name, func(t *testing.T) {
			databases[0].tell(t, "/listener", setting)
			results := work(t, GoOra{}, connectLoop(b.descriptor("(SERVICE_NAME=sales)"), 8), nil)
			for i := range 8 {
				if at, err := visited(results[3*i : 3*i+3]); err != nil || at != "sales2" {
					t.Errorf("connect %d: at %q, %v", i, at, err)
				}
			}
		})
	}
	databases[0].tell(t, "/listener", listenerSetting{Mode: "accept"})
}

// Where nobody answers, a client learns that nobody does.
func TestNobodyAnswers(t *testing.T) {
	b, databases := pair(t, "ATTEMPT_TIMEOUT=1", "HOLD_TIMEOUT=1")
	for _, d := range databases {
		d.tell(t, "/listener", listenerSetting{Mode: "hang"})
	}
	results := work(t, GoOra{}, []Step{open("c", b.descriptor("(SERVICE_NAME=sales)"))}, nil)
	if err := fails("ORA-12535", "ORA-12541")(nil, results[0]); err != nil {
		t.Error(err)
	}
}

// What a database says of itself while it runs shows at once.
func TestDatabaseChanges(t *testing.T) {
	b, databases := pair(t, "PROBE_INTERVAL=60")
	d := databases[0]
	find := func() (*instanceView, error) {
		instances, err := b.instancesOf("sales")
		for i := range instances {
			if instances[i].Name == d.instance {
				return &instances[i], err
			}
		}
		return nil, err
	}
	d.tell(t, "/load", loadSetting{NodeLoad: 77, Load: 5, Goodness: map[string]uint32{"sales": 3}})
	eventually(t, patience, func() error {
		i, err := find()
		if err == nil && (i == nil || i.NodeLoad != 77 || i.Load != 5 || i.Goodness != 3) {
			err = fmt.Errorf("shown as %+v", i)
		}
		return err
	})
	d.tell(t, "/status", statusSetting{Status: "blocked"})
	b.awaitService(t, "sales", "BLOCKED", 1)
	d.tell(t, "/status", statusSetting{Status: "ready"})
	b.awaitService(t, "sales", "READY", 2)
	d.tell(t, "/services", servicesSetting{Add: []string{"pdb1"}})
	b.awaitService(t, "pdb1", "READY", 1)
	d.tell(t, "/services", servicesSetting{Drop: []string{"pdb1"}})
	b.awaitService(t, "pdb1", "READY", 0)
	d.tell(t, "/registration", registrationSetting{Connected: false})
	b.awaitService(t, "sales", "READY", 1)
	d.tell(t, "/registration", registrationSetting{Connected: true})
	b.awaitService(t, "sales", "READY", 2)
	d.kill()
	b.measureGone(t, "sales", 1)
}

// A database registers with two brokers; either serves its clients alone, and one
// that comes back learns of it anew.
func TestTwoBrokers(t *testing.T) {
	consoles := [2]string{freeAddress(t), freeAddress(t)}
	listens := [2]string{freeAddress(t), freeAddress(t)}
	var brokers [2]*broker
	start := func(i int) {
		brokers[i] = startBroker(t, brokerOptions{listen: listens[i], console: consoles[i]})
	}
	start(0)
	start(1)
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: listens[:]})
	arrives := func(target string) {
		t.Helper()
		if at, err := visited(work(t, GoOra{}, visit(target), nil)); err != nil || at != "sales1" {
			t.Errorf("at %q, %v", at, err)
		}
	}
	for _, b := range brokers {
		b.awaitService(t, "sales", "READY", 1)
		arrives(b.descriptor("(SERVICE_NAME=sales)"))
	}
	brokers[0].kill()
	arrives("(DESCRIPTION=(ADDRESS_LIST=" + addressText(listens[0]) + addressText(listens[1]) + ")(CONNECT_DATA=(SERVICE_NAME=sales)))")
	brokers[1].awaitService(t, "sales", "READY", 1)
	start(0)
	brokers[0].awaitService(t, "sales", "READY", 1)
	arrives(brokers[0].descriptor("(SERVICE_NAME=sales)"))
}
