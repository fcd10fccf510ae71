package cluster

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

var crashes = flag.Int("crashes", 4, "how often a broker is killed while it writes its state")

// A broker is killed again and again at random moments, in all its generations, while instances and intents change as fast as
// they can and upgrades are under way. What it finds on disk can always be read, is what it really had and not long before, and
// every intent that it had acknowledged is there.
func TestCrashes(t *testing.T) {
	state := t.TempDir()
	b := startBrokerAt(t, stage.BrokerOptions{State: state})
	u, w := newUnrest(t, b, *crashes), &wanting{b: b}
	two := 0
	for i := range *crashes {
		u.begin(t)
		stop := w.begin()
		must(t, stage.Pause(t.Context(), rand.N(600*time.Millisecond)))
		if i%3 == 1 {
			newest, err := b.Lineage().Newest()
			must(t, err)
			must(t, syscall.Kill(newest, syscall.SIGUSR2))
			must(t, stage.Pause(t.Context(), rand.N(700*time.Millisecond)))
		}
		if stopAll(t, b) > 1 {
			two++
		}
		u.cut()
		b.Lineage().Kill()
		b.Kill()
		stop()
		lookAtState(t, state)
		must(t, b.Restart(within(t, patience)))
		u.judge(t)
		w.judge(t)
	}
	t.Logf("%d crashes, %d of them of two generations; %d changes of intents were acknowledged\n%s", *crashes, two, w.changes, u)
}

// stopAll stops all generations, and those that come of them meanwhile, so that it is known what they can have heard of. It
// returns how many there are.
func stopAll(t testing.TB, b *stage.Broker) (stopped int) {
	t.Helper()
	for {
		all, err := b.Lineage().Alive()
		must(t, err)
		if len(all) == stopped {
			return stopped
		}
		stopped = len(all)
		for _, id := range all {
			_ = syscall.Kill(id, syscall.SIGSTOP)
		}
	}
}

// leftAside are files of the state that were put aside, since they could not be used.
var leftAside = regexp.MustCompile(`\.(bad\d*|damaged|newer)$`)

// lookAtState looks whether anything is in the state folder that tells of trouble.
func lookAtState(t testing.TB, folder string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	must(t, err)
	for _, f := range files {
		if leftAside.MatchString(f.Name()) {
			t.Errorf("%s was put aside", f.Name())
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "intents.json"))
	if err != nil && !os.IsNotExist(err) || err == nil && !json.Valid(text) {
		t.Errorf("intents on disk: %v: %.200s", err, text)
	}
}

// wanting is an operator who changes one intent after the other.
type wanting struct {
	b       *stage.Broker
	changes int
	ids     []string        // of those that hold
	pending map[string]bool // reasons, or ids to be removed, of a change that was not acknowledged
	last    int
}

type intentMade struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// mostIntents is how many hold at a time, about.
const mostIntents = 20

// begin has intents change until the broker does not answer, or the function that it returns is called.
func (w *wanting) begin() (stop func()) {
	stopping := make(chan struct{})
	w.pending = map[string]bool{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-stopping:
				return
			default:
			}
			if !w.change() {
				return
			}
		}
	})
	return func() { close(stopping); running.Wait() }
}

// change makes one change, and tells whether it was acknowledged.
func (w *wanting) change() bool {
	if len(w.ids) > mostIntents || len(w.ids) > 0 && w.last%3 == 0 {
		id := w.ids[0]
		w.pending[id] = true
		w.last++
		if w.b.Change("DELETE", "/api/v1/intents/"+id, nil, nil) != nil {
			return false
		}
		delete(w.pending, id)
		w.ids = w.ids[1:]
	} else {
		w.last++
		service := fmt.Sprint("wanted", w.last)
		w.pending[service] = true
		var made intentMade
		if w.b.Change("POST", "/api/v1/intents", map[string]any{"kind": "drain", "target": map[string]string{"service": service}, "reason": service}, &made) != nil {
			return false
		}
		delete(w.pending, service)
		w.ids = append(w.ids, made.ID)
	}
	w.changes++
	return true
}

// judge compares what a broker, started again, has with what was acknowledged.
func (w *wanting) judge(t testing.TB) {
	t.Helper()
	var list struct {
		Intents []intentMade `json:"intents"`
	}
	must(t, w.b.GetJSON("/api/v1/intents", &list))
	var have []string
	for _, i := range list.Intents {
		have = append(have, i.ID)
		if !slices.Contains(w.ids, i.ID) && !w.pending[i.Reason] {
			t.Errorf("the intent %s (%s) holds and is not wanted; unanswered was %v", i.ID, i.Reason, w.pending)
		}
	}
	for _, id := range w.ids {
		if !slices.Contains(have, id) && !w.pending[id] {
			t.Errorf("the intent %s was acknowledged and is not there; unanswered was %v", id, w.pending)
		}
	}
	w.ids = have
}
