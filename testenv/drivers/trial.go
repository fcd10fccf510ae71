package drivers

import (
	"context"
	"fmt"
	"time"

	"servicebroker/testenv/stage"
)

// Trial is a fault that strikes while drivers connect.
type Trial struct {
	Fault  stage.Fault
	Hits   *stage.Database // where the fault strikes
	Load   Load
	Lead   int           // connects through each broker before it strikes
	Hold   time.Duration // until it is made good
	Tail   time.Duration // of load afterwards
	Window time.Duration // within which brokers that redirect must have noticed
	Ready  func(context.Context) error
}

// Run strikes, heals, waits until all is ready again, and judges every connect through each of the taps.
func (tr Trial) Run(ctx context.Context, taps map[string]*stage.Tap) (map[string][]Sample, Struck, error) {
	struck := Struck{Fault: tr.Fault, Address: tr.Hits.Address, Window: tr.Window}
	loads, before := map[string]*Running{}, map[string]int{}
	for mode, tap := range taps {
		before[mode] = len(tap.Sightings())
		loads[mode] = tr.Load.Start(ctx, tap)
	}
	err := tr.happen(ctx, loads, &struck)
	for _, load := range loads { // all before any is waited for: none goes on alone
		load.End()
	}
	samples := map[string][]Sample{}
	for mode, load := range loads {
		connects, loadErr := load.Stop()
		if err == nil {
			err = loadErr
		}
		samples[mode] = Assess(connects, taps[mode].Sightings()[before[mode]:], &struck)
	}
	if err != nil {
		return nil, struck, fmt.Errorf("%s: %w", tr.Fault.Name, err)
	}
	return samples, struck, nil
}

func (tr Trial) happen(ctx context.Context, loads map[string]*Running, struck *Struck) error {
	for _, load := range loads {
		if err := load.Await(ctx, tr.Lead); err != nil {
			return err
		}
	}
	struck.Began = time.Now()
	err := tr.Fault.Strike(ctx)
	struck.Done = time.Now()
	for _, next := range []func(context.Context) error{
		func(ctx context.Context) error { return stage.Pause(ctx, tr.Hold) },
		tr.Fault.Heal,
		tr.Ready,
		func(context.Context) error { struck.Healed = time.Now(); return nil },
		func(ctx context.Context) error { return stage.Pause(ctx, tr.Tail) },
	} {
		if err == nil {
			err = next(ctx)
		}
	}
	return err
}
