package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func text(all map[string]Shared) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if !all[id].Removed {
			parts = append(parts, id+"="+string(all[id].Value))
		}
	}
	return strings.Join(parts, " ")
}

func (s *Intents) is(want string) func() string {
	return func() string {
		if got := text(s.All()); got != want {
			return got + " " + s.Failure()
		}
		return ""
	}
}

func (a *agent) intents(t testing.TB, origin string) *Intents {
	t.Helper()
	s := &Intents{Client: a.client(t), Origin: origin, Path: filepath.Join(t.TempDir(), "intents.json")}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPut(t testing.TB, s *Intents, id, value string) {
	t.Helper()
	if err := s.Put(id, json.RawMessage(value), time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSetAtOneBrokerHoldsAtAll(t *testing.T) {
	a := startAgent(t)
	one, two := a.intents(t, "one"), a.intents(t, "two")
	told := make(chan string, 100)
	two.Changed = func() { told <- text(two.All()) }
	running(t, one.Run)
	running(t, two.Run)
	mustPut(t, one, "drain-s1", `{"a":1}`)
	eventually(t, 10*time.Second, "the other to hear", two.is(`drain-s1={"a":1}`)) // a query that waits goes on for longer than that
	mustPut(t, two, "drain-s1", `{"a":2}`)
	mustPut(t, two, "hold-hr", `2`)
	eventually(t, 10*time.Second, "the first to hear", one.is(`drain-s1={"a":2} hold-hr=2`))
	if err := one.Remove("drain-s1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "its end", two.is(`hold-hr=2`))
	eventually(t, 10*time.Second, "all to be written", func() string {
		if one.Pending()+two.Pending() > 0 {
			return "pending"
		}
		return ""
	})
	if last := ""; len(told) < 3 {
		t.Errorf("told %d times, last %s", len(told), last)
	}
}

func TestIntentsOutliveConsulAndItsLossOfMemory(t *testing.T) {
	a := startAgent(t)
	s := a.intents(t, "one")
	running(t, s.Run)
	mustPut(t, s, "drain-s1", `1`)
	mustPut(t, s, "gone", `1`)
	if err := s.Remove("gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "all to be written", func() string {
		if s.Pending() > 0 {
			return "pending"
		}
		return ""
	})
	a.kill()
	mustPut(t, s, "hold-hr", `2`) // set while Consul is away
	if amiss := s.is(`drain-s1=1 hold-hr=2`)(); amiss != "" {
		t.Error(amiss)
	}
	restarted := &Intents{Client: a.client(t), Origin: "one", Path: s.Path}
	if err := restarted.Open(); err != nil {
		t.Fatal(err)
	}
	if amiss := restarted.is(`drain-s1=1 hold-hr=2`)(); amiss != "" || restarted.Pending() == 0 {
		t.Error(amiss, restarted.Pending())
	}
	a.start(t) // with nothing in it
	other := a.intents(t, "two")
	running(t, other.Run)
	eventually(t, 60*time.Second, "a new broker to hear it all", other.is(`drain-s1=1 hold-hr=2`))
	if amiss := s.is(`drain-s1=1 hold-hr=2`)(); amiss != "" {
		t.Error(amiss)
	}
}

func TestOfConflictingIntentsTheLaterHoldsEverywhere(t *testing.T) {
	a := startAgent(t)
	var all []*Intents
	for i := range 3 {
		s := a.intents(t, "broker"+strconv.Itoa(i))
		all = append(all, s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	stop := make([]func(), len(all))
	start := func(i int) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			all[i].Run(ctx)
		}()
		stop[i] = func() {
			cancel()
			<-done
			stop[i] = nil
		}
	}
	defer func() {
		for _, f := range stop {
			if f != nil {
				f()
			}
		}
	}()
	for n := range 150 { // brokers are cut off and come back while all change the same few
		i := random.IntN(len(all))
		switch random.IntN(6) {
		case 0:
			if stop[i] != nil {
				stop[i]()
			} else {
				start(i)
			}
		case 1:
			if err := all[i].Remove(fmt.Sprint("x", random.IntN(4))); err != nil {
				t.Fatal(err)
			}
		default:
			mustPut(t, all[i], fmt.Sprint("x", random.IntN(4)), strconv.Itoa(n))
		}
	}
	for i := range all {
		if stop[i] == nil {
			start(i)
		}
	}
	eventually(t, 30*time.Second, "all to agree", func() string {
		var differ []string
		for _, s := range all {
			differ = append(differ, fmt.Sprint(text(s.All()), " pending ", s.Pending()))
		}
		slices.Sort(differ)
		if len(slices.Compact(differ)) > 1 || all[0].Pending() > 0 {
			return strings.Join(differ, "; ")
		}
		return ""
	})
}

func TestWhatWasRemovedIsForgottenInTheEnd(t *testing.T) {
	a := startAgent(t)
	s := a.intents(t, "one")
	s.Bury = time.Nanosecond
	running(t, s.Run)
	mustPut(t, s, "x", `1`)
	if err := s.Remove("x"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "nothing to be left", func() string {
		keys, _, err := a.KV().Keys("broker/", "", nil)
		content, _ := os.ReadFile(s.Path)
		if err != nil || len(keys) > 0 || string(content) != "{}" {
			return fmt.Sprint(keys, err, string(content))
		}
		return ""
	})
}

// Times that can be read and never written, of one value or of all, in Consul or in the copy, keep no other from being kept.
func TestTimesThatCannotBeKeptKeepNothingElseFromIt(t *testing.T) {
	for _, fields := range []string{
		`"updated":"2026-01-01T00:00:00+24:00"`, `"updated":"9999-12-31T23:59:59-01:00"`, `"updated":"9999-12-31T23:59:59.999999999Z"`,
		`"updated":"2026-01-01T00:00:00Z","ends":"9999-12-31T23:59:59-01:00"`,
	} {
		odd := []byte(`{"format":1,"value":1,"origin":"b2",` + fields + `}`)
		path := filepath.Join(t.TempDir(), "shared.json")
		if err := os.WriteFile(path, []byte(`{"copied":`+string(odd)+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &Intents{Client: &Client{}, Path: path, Origin: "b1"}
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		s.merge(api.KVPairs{{Key: s.folder() + "odd", Value: odd, ModifyIndex: 5},
			{Key: s.folder() + "good", Value: []byte(`{"format":1,"value":2,"updated":"2026-01-01T00:00:00Z"}`), ModifyIndex: 6}})
		for _, id := range []string{"odd", "copied", "mine"} {
			if err := s.Put(id, json.RawMessage("3"), time.Time{}); err != nil {
				t.Errorf("%s: %s: %v", fields, id, err)
			}
		}
		again := &Intents{Path: path}
		if err := again.Open(); err != nil || len(again.All()) != 4 || string(again.All()["good"].Value) != "2" {
			t.Errorf("%s: kept are %v, %v; failure %q", fields, again.All(), err, s.Failure())
		}
	}
	s := &Intents{Client: &Client{}}
	if err := s.Put("a", json.RawMessage("1"), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil || !strings.Contains(err.Error(), "the end of a is in the year 10000") {
		t.Error(err)
	}
}

func TestACopyThatCannotBeUsedIsExplained(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "intents.json")
	if err := os.WriteFile(path, []byte("[1"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Intents{Client: &Client{}, Path: path}
	if err := s.Open(); err == nil || !strings.Contains(err.Error(), "remove "+path) {
		t.Errorf("error: %v", err)
	}
}

// What was set last holds, also where it cannot be kept: what was set before must not come back.
func TestWhatCannotBeKeptHolds(t *testing.T) {
	told := 0
	s := &Intents{Client: &Client{}, Path: filepath.Join(t.TempDir(), "intents.json"), Changed: func() { told++ }}
	mustPut(t, s, "drain-s1", "1")
	if err := s.Remove("drain-s1"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "hold-hr", "1")
	told = 0
	if err := os.MkdirAll(filepath.Join(s.Path+".new", "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("drain-s1", json.RawMessage("2"), time.Time{}); !errors.Is(err, ErrNoCopy) {
		t.Error(err)
	}
	if err := s.Remove("hold-hr"); !errors.Is(err, ErrNoCopy) {
		t.Error(err)
	}
	if why := s.is("drain-s1=2")(); why != "" || told != 2 {
		t.Errorf("%s; told %d times", why, told)
	}
	if err := os.RemoveAll(s.Path + ".new"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "weight-s2", "5")
	again := &Intents{Client: &Client{}, Path: s.Path}
	if err := again.Open(); err != nil {
		t.Fatal(err)
	}
	if why := again.is("drain-s1=2 weight-s2=5")(); why != "" {
		t.Errorf("in the copy, once it can be written: %s", why)
	}
}

// Two processes with one copy: what either has set last holds in the one that reads it again, written to Consul or not.
func TestWhatAnotherProcessHasWrittenIntoTheCopyIsReread(t *testing.T) {
	path, told := filepath.Join(t.TempDir(), "intents.json"), 0
	open := func() *Intents {
		s := &Intents{Client: &Client{}, Origin: "me", Path: path}
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open()
	mustPut(t, first, "drain-s1", "1")
	mustPut(t, first, "hold-hr", "1")
	second := open()
	second.Changed = func() { told++ }
	mustPut(t, first, "drain-s1", "2")
	if err := first.Remove("hold-hr"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, first, "weight-s2", "5")
	if err := second.Reread(); err != nil || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
	if why := second.is("drain-s1=2 weight-s2=5")(); why != "" {
		t.Error(why)
	}
	mustPut(t, second, "drain-s1", "3")
	mustPut(t, first, "crm", "1") // which writes what is older over it
	if err := second.Reread(); err != nil {
		t.Error(err)
	}
	if why := second.is("crm=1 drain-s1=3 weight-s2=5")(); why != "" {
		t.Error(why)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.Reread(); err == nil {
		t.Error("half a copy was read")
	}
	if why := second.is("crm=1 drain-s1=3 weight-s2=5")(); why != "" {
		t.Errorf("after half a copy: %s", why)
	}
}
