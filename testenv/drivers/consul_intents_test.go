package drivers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// sharer is a broker whose way to Consul can be held up.
type sharer struct {
	*broker
	way *stage.Tap
}

// startSharers starts brokers that share intents, all with one database, and returns once they know each other.
func startSharers(t *testing.T, c *stage.Consul, n int) (all []sharer) {
	t.Helper()
	var addresses []string
	for range n {
		way, err := stage.StartTap(c.Address)
		must(t, err)
		t.Cleanup(way.Close)
		b := startBroker(t, brokerOptions{parameters: []string{"CONSUL_ADDRESS=" + way.Address, "HOLD_TIMEOUT=0", "PEERS=off"}})
		all, addresses = append(all, sharer{b, way}), append(addresses, b.address)
	}
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: addresses})
	for _, s := range all {
		s.awaitService(t, "sales", "READY", 1)
	}
	eventually(t, patience, func() error {
		if keys, _, err := c.API.KV().Keys("broker/brokers/", "", nil); err != nil || len(keys) != n {
			return fmt.Errorf("entered are %q, %w", keys, err)
		}
		return nil
	})
	return all
}

// wanted is what a broker says that operators want, without what is its own affair.
func (s sharer) wanted() (text string, err error) {
	var list struct {
		Intents []struct {
			Kind   string `json:"kind"`
			Value  int    `json:"value"`
			Reason string `json:"reason"`
			Origin string `json:"origin"`
			Shared string `json:"shared"`
		} `json:"intents"`
	}
	if err := s.getJSON("/api/v1/intents", &list); err != nil {
		return "", err
	}
	var all []string
	for _, i := range list.Intents {
		all = append(all, fmt.Sprint(i.Kind, " ", i.Value, " ", i.Reason, " of ", i.Origin, ", shared: ", i.Shared))
	}
	slices.Sort(all)
	return strings.Join(all, "; "), nil
}

// agreed waits until all want the same, and that is shared, and returns it and how long that took.
func agreed(t *testing.T, all []sharer, right func(string) bool) (text string, took time.Duration) {
	t.Helper()
	took = eventually(t, patience, func() error {
		for i, s := range all {
			now, err := s.wanted()
			if err != nil || i > 0 && now != text || !right(now) || strings.Contains(now, "not yet") {
				return fmt.Errorf("one wants %q, another %q, %w", now, text, err)
			}
			text = now
		}
		return nil
	})
	return text, took
}

func TestAnIntentActsAtAllBrokers(t *testing.T) {
	all := startSharers(t, startConsul(t), 3)
	at := func(s sharer, refused bool) func() error {
		return func() error {
			if err := connects(t, s.address+"/sales"); (err != nil) != refused {
				return fmt.Errorf("a connect at %s: %w", s.address, errors.Join(err, errors.New("not as it should be")))
			}
			return nil
		}
	}
	for round := range 3 {
		setter, ender := all[round%3], all[(round+1)%3]
		began := time.Now()
		setter.command(t, 0, "drain", "--service", "sales")
		command := time.Since(began)
		for _, s := range all {
			soonIn(t, "once the command that drains has returned, after "+command.Round(time.Millisecond).String()+", a connect is refused", beforeItLooks, at(s, true))
		}
		ender.command(t, 0, "resume", "--service", "sales")
		for _, s := range all {
			soonIn(t, "once another's command has ended that, a connect succeeds", beforeItLooks, at(s, false))
		}
	}
}

func TestConflictingIntentsOfBrokersThatWereCutOffComeToTheSame(t *testing.T) {
	all := startSharers(t, startConsul(t), 3)
	for round, fault := range []struct{ strike, heal func(*stage.Tap) }{
		{func(*stage.Tap) {}, func(*stage.Tap) {}},
		{(*stage.Tap).Freeze, (*stage.Tap).Thaw},
		{func(w *stage.Tap) { w.Refuse(); w.Cut() }, func(w *stage.Tap) { must(t, w.Reopen()) }},
	} {
		alone := all[round]
		fault.strike(alone.way)
		var operators sync.WaitGroup
		failed := make(chan error, 100)
		for i, s := range all {
			operators.Go(func() {
				for k := range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					said, code, err := s.Command(ctx, "weight", strconv.Itoa(100*round%90+10*i+k), "--instance", "sales1", "--reason", "r"+strconv.Itoa(round))
					if err != nil || code != 0 {
						failed <- fmt.Errorf("%s: %d, %w", said, code, err)
					}
					cancel()
				}
			})
		}
		operators.Wait()
		select {
		case err := <-failed:
			t.Fatal(err)
		default:
		}
		if text, err := alone.wanted(); round > 0 && (err != nil || !strings.Contains(text, "not yet")) {
			t.Errorf("the one that is cut off wants %q, %v", text, err)
		}
		fault.heal(alone.way)
		text, took := agreed(t, all, func(text string) bool {
			return strings.Count(text, "weight") == 1 && strings.Contains(text, "r"+strconv.Itoa(round))
		})
		t.Logf("round %d: all have %q %v after the fault", round, text, took.Round(time.Millisecond))
	}
}
