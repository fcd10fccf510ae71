package limits

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsGoRoundAmongSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := Turns{Most: 2}
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		work := func(name string, a netip.Addr) {
			all.Go(func() {
				if err := turns.Enter(t.Context(), a); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				<-time.After(time.Second)
				turns.Leave()
			})
			synctest.Wait()
		}
		for i := range 8 {
			work(fmt.Sprint("flood", i), one)
		}
		work("a", two)
		work("b", two)
		if now, peak := turns.Waiting(); now != 8 || peak != 8 {
			t.Errorf("%d wait, at most %d", now, peak)
		}
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("ten of a second each, two at a time, took %v", took)
		}
		place := map[string]int{}
		for i, name := range order {
			place[name] = i
		}
		if place["a"] > 4 || place["b"] > 6 {
			t.Errorf("order %v", order)
		}
		if now, _ := turns.Waiting(); now != 0 || len(turns.lines) != 0 || turns.working != 0 {
			t.Errorf("%d wait, %d lines, %d work", now, len(turns.lines), turns.working)
		}
	})
}

func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := Turns{Most: 1}
		if err := turns.Enter(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := turns.Enter(ctx, two); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		turns.Leave()
		if err := turns.Enter(t.Context(), two); err != nil || turns.working != 1 || len(turns.lines) != 0 {
			t.Errorf("%v, %d work, %d lines", err, turns.working, len(turns.lines))
		}
		var free Turns
		for range 1000 {
			if err := free.Enter(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
	})
}
