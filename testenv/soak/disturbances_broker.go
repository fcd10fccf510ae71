package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"servicebroker/testenv/stage"
)

func brokerDisturbances() []disturbance {
	const second = time.Second
	return []disturbance{
		{"broker killed", brokers, 4, 200 * time.Millisecond, 3 * second, killBroker},
		{"broker frozen", brokers, 2, 200 * time.Millisecond, 3 * second, freezeBroker},
		{"upgrade", brokers, 4, 0, second, upgrade},
		{"upgrade to what cannot run", brokers, 2, 0, second, upgradeToNothing},
		{"successor killed", brokers, 3, 0, 200 * time.Millisecond, killSuccessor},
		{"reload", brokers, 3, 0, second, reload},
		{"reload of a broken file", brokers, 2, 0, second, reloadBroken},
		{"drain", brokers, 2, second, 4 * second, drain},
		{"hold", brokers, 2, second, 4 * second, hold},
		{"disk full", brokers, 2, 2 * second, 8 * second, fillDisk},
		{"few descriptors", brokers, 2, second, 3 * second, fewDescriptors},
		{"flood of silent clients", everything, 2, 2 * second, 5 * second, flood(silent)},
		{"flood of refused clients", everything, 2, 2 * second, 5 * second, flood(stranger)},
		{"flood of halves", everything, 2, 2 * second, 5 * second, flood(halves)},
		{"registrations come and go", everything, 3, second, 4 * second, churnMore},
		{"clock", everything, 3, 2 * second, 8 * second, jumpClock},
		{"consul away", everything, 2, 2 * second, 10 * second, consulAway},
	}
}

// at is an undertaking at a broker.
func at(s *site, what how, text string, strike, heal func(context.Context) error) *undertaking {
	return &undertaking{happening: happening{text: strings.TrimSpace(s.name + " " + text), how: what, broker: s}, strike: strike, heal: heal}
}

// killBroker kills a broker in all its generations. They are stopped before, so that what was not answered is known.
func killBroker(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	return at(s, brokerDied, "", func(context.Context) error {
		_ = s.signal(syscall.SIGSTOP)
		s.tap.Refuse()
		s.secureTap.Refuse()
		s.Lineage().Kill()
		return nil
	}, func(ctx context.Context) error {
		err := s.Restart(ctx)
		if text, _ := s.Log.Read(); strings.Contains(string(text), "could not be read") || strings.Contains(string(text), "is damaged") {
			err = errors.Join(err, errors.New("what it had on disk could not be read"))
		}
		return errors.Join(err, s.tap.Reopen(), s.secureTap.Reopen())
	})
}

// signal sends a signal to all generations.
func (s *site) signal(what syscall.Signal) error {
	all, err := s.Lineage().Alive()
	for _, id := range all {
		err = errors.Join(err, syscall.Kill(id, what))
	}
	return err
}

func freezeBroker(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	return at(s, harmless, "", func(context.Context) error { return s.signal(syscall.SIGSTOP) }, func(context.Context) error { return s.signal(syscall.SIGCONT) })
}

// upgrade upgrades, by the command or by the signal, and waits until the generation before is gone.
func upgrade(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	before := 0
	return at(s, generationEnd, "", func(ctx context.Context) (err error) {
		if before, err = s.Lineage().Newest(); err != nil {
			return err
		}
		if d.choice < 0.5 {
			return s.command(ctx, "upgrade")
		}
		return syscall.Kill(before, syscall.SIGUSR2)
	}, func(ctx context.Context) error { return s.awaitAlone(ctx, func(id int) bool { return id != before }) })
}

// awaitAlone waits until one generation is alive, and that is a right one.
func (s *site) awaitAlone(ctx context.Context, right func(int) bool) error {
	return stage.Eventually(ctx, func() error {
		all, err := s.Lineage().Alive()
		if err == nil && (len(all) != 1 || !right(all[0])) {
			err = fmt.Errorf("generations %v are alive", all)
		}
		if err != nil {
			_ = stage.Pause(ctx, 50*time.Millisecond) // looking through all processes costs something
		}
		return err
	})
}

// upgradeToNothing upgrades to a program that does not run.
func upgradeToNothing(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	own := s.options.Program
	wrong := one([]string{"#!/bin/sh\nexit 1\n", "no program at all\n", "#!/bin/sh\nkill -9 $$\n"}, int(d.choice*3))
	before := 0
	return at(s, harmless, fmt.Sprintf("%.12q", wrong), func(ctx context.Context) (err error) {
		if before, err = s.Lineage().Newest(); err == nil {
			err = os.Rename(own, own+".good")
		}
		if err == nil {
			err = os.WriteFile(own, []byte(wrong), 0o700)
		}
		if err != nil {
			return err
		}
		return expect(s.Change("POST", "/api/v1/upgrade", nil, nil), "")
	}, func(ctx context.Context) error {
		return errors.Join(os.Rename(own+".good", own), s.awaitAlone(ctx, func(id int) bool { return id == before }))
	})
}

// nothingMoves is how long nothing has moved for certain since an upgrade began.
const nothingMoves = 250 * time.Millisecond

// killSuccessor upgrades, and kills the successor before anything moves to it, or else lets it be.
func killSuccessor(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	before, killed := 0, false
	u := at(s, successorDied, "", nil, nil)
	u.strike = func(ctx context.Context) (err error) {
		if before, err = s.Lineage().Newest(); err != nil {
			return err
		}
		began := time.Now()
		if err := syscall.Kill(before, syscall.SIGUSR2); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, nothingMoves)
		defer cancel()
		successor := 0
		if stage.Eventually(soon, func() (err error) {
			if successor, err = s.Lineage().Newest(); err == nil && successor == before {
				err = errors.New("it is not there yet")
			}
			return err
		}) != nil {
			return nil
		}
		_ = stage.Pause(ctx, time.Duration(d.choice*float64(nothingMoves)))
		if time.Since(began) < nothingMoves {
			killed = syscall.Kill(successor, syscall.SIGKILL) == nil
		}
		return nil
	}
	u.heal = func(ctx context.Context) error {
		return s.awaitAlone(ctx, func(id int) bool { return (id == before) == killed })
	}
	return u
}

// reload changes the configuration, in what changes no answer.
func reload(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	options := s.options
	options.Parameters = append(options.Parameters[:len(options.Parameters):len(options.Parameters)], one([]string{"POLICY=random", "HOLD_TIMEOUT=40", "HEDGE=0", "LOG_LEVEL=support", "MAX_HELD=5000"}, int(d.choice*5)))
	return at(s, harmless, options.Parameters[len(options.Parameters)-1],
		func(ctx context.Context) error { return s.reloadBy(options) }, func(ctx context.Context) error { return s.reloadBy(s.options) })
}

func (s *site) reloadBy(o stage.BrokerOptions) error {
	if err := s.write(o.CMANOra(s.state)); err != nil {
		return err
	}
	return s.Change("POST", "/api/v1/reload", nil, nil)
}

func (s *site) write(file []byte) error {
	fresh := s.ConfigFile() + ".fresh"
	if err := os.WriteFile(fresh, file, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, s.ConfigFile())
}

func reloadBroken(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	good := s.options.CMANOra(s.state)
	broken := [][]byte{good[:len(good)/2], []byte(strings.Replace(string(good), "ACT=accept", "ACT=deny", 1)), nil}[int(d.choice*3)]
	return at(s, harmless, "", func(context.Context) error {
		if err := s.write(broken); err != nil {
			return err
		}
		return expect(s.Change("POST", "/api/v1/reload", nil, nil), "nothing was changed")
	}, func(context.Context) error { return s.reloadBy(s.options) })
}

// drain has new connects go elsewhere than to an instance.
func drain(_ context.Context, w *world, d *drawn) *undertaking {
	s, on := one(w.sites, d.target), w.plain()[1+int(d.choice*2)]
	target := map[string]string{"instance": on.Instance}
	return s.wanting(on.Instance, map[string]any{"kind": "drain", "target": target, "reason": "soak"})
}

// hold has connects for a service wait.
func hold(_ context.Context, w *world, d *drawn) *undertaking {
	s, service := one(w.sites, d.target), one([]string{relayed, redirected, secure}, int(d.choice*3))
	return s.wanting(service, map[string]any{"kind": "hold", "target": map[string]string{"service": service}, "reason": "soak"})
}

// wanting sets an intent and takes it back.
func (s *site) wanting(text string, intent map[string]any) *undertaking {
	var made struct {
		ID string `json:"id"`
	}
	return at(s, harmless, text, func(context.Context) error { return s.Change("POST", "/api/v1/intents", intent, &made) },
		func(context.Context) error {
			if made.ID == "" {
				return nil
			}
			return s.Change("DELETE", "/api/v1/intents/"+made.ID, nil, nil)
		})
}

// fillDisk leaves no room for state and logs.
func fillDisk(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	filler := filepath.Join(s.state, "filler")
	return at(s, harmless, "", func(context.Context) error {
		file, err := os.Create(filler)
		if err != nil {
			return err
		}
		defer file.Close()
		block := make([]byte, 1<<20)
		for size := len(block); size > 0; size /= 2 {
			for err = nil; err == nil; {
				_, err = file.Write(block[:size])
			}
			if !errors.Is(err, syscall.ENOSPC) {
				return err
			}
		}
		return nil
	}, func(context.Context) error { return os.Remove(filler) })
}

// spareDescriptors is how many more a broker may open while it has few.
const spareDescriptors = 6

// fewDescriptors lowers the limit of a broker's newest generation to about what it has, and raises it again.
func fewDescriptors(_ context.Context, w *world, d *drawn) *undertaking {
	s := one(w.sites, d.target)
	var limit unix.Rlimit
	id := 0
	return at(s, fewFiles, "", func(context.Context) (err error) {
		if id, err = s.Lineage().Newest(); err != nil {
			return err
		}
		open, err := stage.OpenFiles(id)
		if err != nil {
			return err
		}
		if err := unix.Prlimit(id, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
			return err
		}
		few := unix.Rlimit{Cur: uint64(open + spareDescriptors), Max: limit.Max}
		return unix.Prlimit(id, unix.RLIMIT_NOFILE, &few, nil)
	}, func(context.Context) error { return unix.Prlimit(id, unix.RLIMIT_NOFILE, &limit, nil) })
}

// jumpClock shows all brokers another time of day, and then the true one again.
func jumpClock(_ context.Context, w *world, d *drawn) *undertaking {
	ahead := one([]time.Duration{-24 * time.Hour, -time.Hour, -5 * time.Second, 5 * time.Second, time.Hour, 24 * time.Hour}, int(d.choice*6))
	return &undertaking{happening: happening{text: ahead.String()},
		strike: func(context.Context) error { w.clock.set(ahead); return nil }, heal: func(context.Context) error { w.clock.set(0); return nil }}
}

// consulAway kills Consul, which forgets everything, or stops it.
func consulAway(_ context.Context, w *world, d *drawn) *undertaking {
	if d.choice < 0.5 {
		return &undertaking{happening: happening{text: "killed"}, strike: func(context.Context) error { w.consul.Kill(); return nil }, heal: w.consul.Restart}
	}
	return &undertaking{happening: happening{text: "frozen"}, strike: func(context.Context) error { return w.consul.Signal(syscall.SIGSTOP) },
		heal: func(context.Context) error { return w.consul.Signal(syscall.SIGCONT) }}
}
