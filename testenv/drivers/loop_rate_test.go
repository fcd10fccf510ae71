package drivers

import (
	"net"
	"testing"
	"time"
)

// A loop begins connects at its rate, tells of each, and ends when it is told to or has done its count.
func TestLoop(t *testing.T) {
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}})
	tap := startTap(t, d.address)
	for _, driver := range loopers(t) {
		t.Run(driver.Name(), func(t *testing.T) {
			before := len(tap.Sightings())
			began := time.Now()
			load := Load{Drivers: []Looper{driver}, Rate: 50, Service: "sales", Count: 20}.Start(t.Context(), tap)
			<-load.Ended()
			took := time.Since(began)
			connects, err := load.Stop()
			must(t, err)
			doors := map[string]bool{}
			for _, s := range Assess(connects, tap.Sightings()[before:], nil) {
				if s.Outcome != Succeeded || s.Answer != "sales1" || s.Driver != driver.Name() || len(s.Seen) != 1 || s.ConnectMS <= 0 || s.TookMS < s.ConnectMS {
					t.Errorf("%+v", s)
				}
				if s.Started().Before(began.Add(-time.Second)) || s.Ended().After(time.Now().Add(time.Second)) {
					t.Errorf("connect %d from %v to %v", s.N, s.Started(), s.Ended())
				}
				doors[s.Door.String()] = true
			}
			if len(connects) != 20 || len(doors) != 20 || took < 300*time.Millisecond {
				t.Errorf("%d connects by %d addresses within %v, want 20 at 50 in a second", len(connects), len(doors), took)
			}
		})
	}
}

// A loop whose connects are never answered begins no more than it may have at a time, and ends all the same.
func TestLoopOfTheUnanswered(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	tap := startTap(t, silent.Addr().String())
	for _, driver := range loopers(t) {
		t.Run(driver.Name(), func(t *testing.T) {
			before := len(tap.Sightings())
			const most = 3
			load := Load{Drivers: []Looper{driver}, Rate: 100, Service: "sales", Most: most, Grace: 100 * time.Millisecond}.Start(t.Context(), tap)
			eventually(t, patience, func() error {
				if len(tap.Sightings())-before < most {
					return errNotFound
				}
				return nil
			})
			connects, err := load.Stop()
			must(t, err)
			if len(connects) != most {
				t.Errorf("%d connects, want %d: %+v", len(connects), most, connects)
			}
			for _, c := range connects {
				if c.Error != Unfinished || c.Stage != AtConnect {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// Where every connect is refused a loop goes on.
func TestLoopOfTheRefused(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	tap := startTap(t, b.address)
	load := Load{Drivers: loopers(t), Rate: 50, Service: "nosuch"}.Start(t.Context(), tap)
	must(t, load.Await(bound(t), 30))
	connects, err := load.Stop()
	must(t, err)
	for _, c := range connects {
		if err := fails("ORA-12514", "NJS-518", "DPY-6001")(nil, Result{Error: c.Error}); err != nil || c.Stage != AtConnect {
			t.Errorf("%s %d, at %s: %v", c.Driver, c.N, c.Stage, err)
		}
	}
}
