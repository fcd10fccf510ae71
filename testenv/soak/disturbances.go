package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"servicebroker/testenv/stage"
)

// realm is what a disturbance strikes; two that strike at a time are of different realms.
type realm string

const (
	instances  realm = "instances"
	brokers    realm = "brokers"
	everything realm = "everything"
)

// disturbance is a kind of them.
type disturbance struct {
	name        string
	realm       realm
	weight      int
	least, most time.Duration                                      // how long it lasts
	do          func(context.Context, *world, *drawn) *undertaking // what it comes to in this world
}

// undertaking is a disturbance of someone.
type undertaking struct {
	happening
	strike func(context.Context) error
	heal   func(context.Context) error
}

// possible are the disturbances that there can be here.
func (w *world) possible(only *regexp.Regexp) (all []*disturbance) {
	for _, d := range append(instanceDisturbances(), brokerDisturbances()...) {
		if !only.MatchString(d.name) || d.name == "clock" && w.clock == nil || d.name == "consul away" && w.consul == nil || d.name == "disk full" && !w.sites[0].disk ||
			d.name == "few descriptors" && os.Geteuid() != 0 { // the limits of a broker are root's to change
			continue
		}
		all = append(all, &d)
	}
	return all
}

// disturb has what was drawn take place.
func (w *world) disturb(ctx context.Context, d *drawn) {
	var both sync.WaitGroup
	for one := d; one != nil; one = one.beside {
		u := one.kind.do(ctx, w, one)
		both.Go(func() { w.undertake(ctx, one, u) })
	}
	both.Wait()
	_ = stage.Pause(ctx, d.pause)
}

// undertake strikes, lets it last and heals, even where the soak is interrupted.
func (w *world) undertake(ctx context.Context, d *drawn, u *undertaking) {
	u.text = d.kind.name + ": " + u.text
	h := w.chronicle.begin(&u.happening)
	failed := u.strike(ctx)
	w.chronicle.struck(h)
	_ = stage.Pause(ctx, d.hold)
	healing, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), patience, fmt.Errorf("not healed within %v", patience))
	defer cancel()
	if u.heal != nil {
		failed = errors.Join(failed, u.heal(healing))
	}
	w.chronicle.heal(h)
	w.record.disturbed(d.kind.name, h)
	if failed != nil && w.record.stalls.excuse(h.began, h.healed, failed.Error()) {
		w.record.say("  while the machine stood still: %v", failed)
	} else if failed != nil && ctx.Err() == nil {
		w.record.fault(time.Now(), "%s: %v", u.text, failed)
	}
}

// struckBy is an undertaking by a fault of an instance.
func struckBy(d *donor, what how, f stage.Fault) *undertaking {
	return &undertaking{happening: happening{text: d.Instance, how: what, on: d}, strike: f.Strike, heal: f.Heal}
}

// one of those of whom there are several.
func one[T any](all []T, target int) T { return all[target%len(all)] }

// plain are the instances that speak without TLS.
func (w *world) plain() []*donor { return w.donors[:3] }

func instanceDisturbances() []disturbance {
	const short, long = 2 * time.Second, 8 * time.Second
	on := func(what how, fault func(*stage.Database) stage.Fault) func(context.Context, *world, *drawn) *undertaking {
		return func(_ context.Context, w *world, d *drawn) *undertaking {
			struck := one(w.donors, d.target)
			return struckBy(struck, what, fault(struck.Database))
		}
	}
	return []disturbance{
		{"instance killed", instances, 4, short / 2, long, killInstance},
		{"instance frozen", instances, 4, short, long, on(instanceDied, stage.Freeze)},
		{"instance cut off", instances, 4, short, long, cutOff},
		{"instance shut down", instances, 2, short, long, shutDown},
		{"listener hangs", instances, 2, short, long, on(instanceDeaf, stage.ListenerHangs)},
		{"listener resets", instances, 2, short, long, on(instanceDeaf, stage.ListenerResets)},
		{"instance blocked", instances, 2, short, long, on(harmless, stage.Block)},
		{"instance restricted", instances, 1, short, long, on(harmless, stage.Restrict)},
		{"registration cut", instances, 2, short, long, on(harmless, stage.Unregister)},
		{"PDB moves", instances, 4, 0, 6 * time.Second, movePDB},
		{"load reported", instances, 2, 0, short, reportLoad},
	}
}

// killInstance kills one, and starts it again with the services that it had.
func killInstance(_ context.Context, w *world, d *drawn) *undertaking {
	struck := one(w.donors, d.target)
	u := struckBy(struck, instanceDied, stage.Kill(struck.Database))
	u.heal = struck.comeBack
	return u
}

func shutDown(_ context.Context, w *world, d *drawn) *undertaking {
	struck := one(w.donors, d.target)
	u := struckBy(struck, instanceDied, stage.Shutdown(struck.Database)) // it waits for its sessions, but not for long
	u.heal = struck.comeBack
	return u
}

// comeBack starts an instance again.
func (d *donor) comeBack(ctx context.Context) error {
	if err := d.Restart(ctx); err != nil {
		return err
	}
	var have struct {
		Services []string `json:"services"`
	}
	if err := d.State(&have); err != nil {
		return err
	}
	change := stage.ServicesSetting{}
	there := map[string]bool{}
	for _, s := range have.Services {
		if there[s] = true; !d.services[s] {
			change.Drop = append(change.Drop, s)
		}
	}
	for s := range d.services {
		if !there[s] {
			change.Add = append(change.Add, s)
		}
	}
	if len(change.Add)+len(change.Drop) == 0 {
		return nil
	}
	return d.Tell(ctx, "/services", change)
}

// cutOff has packets dropped, or held back where they cannot be.
func cutOff(_ context.Context, w *world, _ *drawn) *undertaking {
	struck := w.donors[0]
	if struck.network != nil {
		return struckBy(struck, instanceDied, stage.DropPackets(struck.Database))
	}
	return struckBy(struck, instanceDied, stage.ReportsStop(struck.links...))
}

// movePDB has a service leave its instance and appear at another one, after a while.
func movePDB(_ context.Context, w *world, d *drawn) *undertaking {
	all := w.plain()
	from := all[0]
	for _, one := range all {
		if one.services[moving] {
			from = one
		}
	}
	to := one(all, d.target)
	if to == from {
		to = one(all, d.target+1)
	}
	delete(from.services, moving)
	to.services[moving] = true
	return &undertaking{happening: happening{text: from.Instance + " to " + to.Instance, how: harmless},
		strike: func(ctx context.Context) error {
			return from.Tell(ctx, "/services", stage.ServicesSetting{Drop: []string{moving}})
		},
		heal: func(ctx context.Context) error {
			return to.Tell(ctx, "/services", stage.ServicesSetting{Add: []string{moving}})
		}}
}

func reportLoad(_ context.Context, w *world, d *drawn) *undertaking {
	struck, load := one(w.plain(), d.target), uint32(d.choice*1000)
	return &undertaking{happening: happening{text: fmt.Sprint(struck.Instance, " ", load)},
		strike: func(ctx context.Context) error {
			return struck.Tell(ctx, "/load", stage.LoadSetting{NodeLoad: load / 10, Load: load, Goodness: map[string]uint32{relayed: load}})
		},
		heal: func(ctx context.Context) error {
			return struck.Tell(ctx, "/load", stage.LoadSetting{Goodness: map[string]uint32{relayed: 0}})
		}}
}

// expect is nil if an error has a text.
func expect(err error, text string) error {
	switch {
	case err == nil:
		return errors.New("it was done, which it could not be")
	case !strings.Contains(err.Error(), text):
		return err
	}
	return nil
}
