// Command soak lets real drivers connect and work through two brokers for minutes or hours, while databases and brokers
// are killed, frozen, cut off, upgraded, flooded, starved of disk and descriptors and shown other times of day, in an
// order drawn from a seed. Between times all is let rest, and looked at: whether sessions were crossed, the table is what
// databases have registered, counts are right, and nothing has leaked. It prints a table for people and ends with 1 if
// anything was wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"servicebroker/testenv/drivers"
)

// options are the flags.
type options struct {
	bin, testenv string
	duration     time.Duration
	act          time.Duration
	seed         uint64
	rate         float64
	members      int
	only         *regexp.Regexp
	logs         string
	clocks       bool
	consul       bool
}

func main() {
	runtime.LockOSThread() // children get a signal when the thread that started them ends
	o := options{only: regexp.MustCompile("")}
	flag.StringVar(&o.bin, "bin", "bin", "folder with the programs broker and testdb")
	flag.StringVar(&o.testenv, "testenv", "testenv", "folder with the drivers' scripts")
	flag.DurationVar(&o.duration, "for", 5*time.Minute, "how long, about")
	flag.DurationVar(&o.act, "act", 45*time.Second, "of disturbances, after which all is let rest and looked at")
	flag.Uint64Var(&o.seed, "seed", 0, "from which disturbances are drawn; 0: another one each time")
	flag.Float64Var(&o.rate, "rate", 1.5, "connects in a second of each driver to each of four services")
	flag.IntVar(&o.members, "sessions", 6, "long sessions of each driver, with transactions")
	flag.StringVar(&o.logs, "logs", "", "folder for the logs; empty: a new one, which is removed if all was well")
	flag.BoolVar(&o.clocks, "clocks", true, "let clocks jump too: for that the broker is built with a package time of its own")
	flag.BoolVar(&o.consul, "consul", true, "let the brokers have a Consul, if there is one")
	flag.Func("only", "disturbances to draw from, a regular expression", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	faults, err := run(ctx, os.Stdout, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	if err != nil || faults > 0 {
		os.Exit(1)
	}
}

// run soaks, and returns how much was wrong.
func run(ctx context.Context, out io.Writer, o options) (faults int, err error) {
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	keep := o.logs != ""
	if !keep {
		if o.logs, err = os.MkdirTemp("", "soak-logs-"); err != nil {
			return 0, err
		}
	} else if err := os.MkdirAll(o.logs, 0o700); err != nil {
		return 0, err
	}
	defer func() {
		if err == nil && faults == 0 && !keep {
			_ = os.RemoveAll(o.logs)
		} else {
			fmt.Fprintln(out, "logs are in", o.logs)
		}
	}()
	report, err := os.OpenFile(filepath.Join(o.logs, "soak.txt"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer report.Close()
	r := newRecord(io.MultiWriter(out, report))
	r.say("seed %d: -seed %d draws the same disturbances again", o.seed, o.seed)
	w, err := set(ctx, o, r)
	if err != nil {
		return 0, err
	}
	defer w.strike()
	err = w.soak(ctx, o)
	w.strike() // logs are whole
	for _, s := range w.sites {
		r.footprint = append(r.footprint, s.slopes())
	}
	r.troubleIn(o.logs)
	return r.conclude(), err
}

// soak alternates acts and rests until the time is over.
func (w *world) soak(ctx context.Context, o options) error {
	draw := newSchedule(o.seed, w.possible(o.only))
	if len(draw.kinds) == 0 {
		return errors.New("no disturbance has such a name: see possible in testenv/soak/disturbances.go")
	}
	pool := w.startPool(ctx, o.members)
	defer pool.end()
	if err := w.rest(ctx, pool); err != nil {
		return err
	}
	end := time.Now().Add(o.duration)
	for act := 1; time.Now().Before(end) && ctx.Err() == nil; act++ {
		o.rate = w.bearable(o.rate)
		w.record.say("act %d, %.2f connects/s of each driver to each service", act, o.rate)
		if err := w.act(ctx, o, draw, pool); err != nil {
			return err
		}
		if err := w.rest(ctx, pool); err != nil {
			return err
		}
	}
	return nil // an interrupted soak is judged by what there was
}

// slow is from what time of a connect without a broker on less is asked of a machine.
const slow = 400 * time.Millisecond

// bearable is a rate that this machine can bear, with what else it has to do now.
func (w *world) bearable(rate float64) float64 {
	switch now := w.record.stalls.slowness(); {
	case now > slow:
		return max(rate/2, w.rate/8)
	case now < slow/4:
		return min(rate*2, w.rate)
	}
	return rate
}

// act disturbs while drivers connect.
func (w *world) act(ctx context.Context, o options, draw *schedule, pool *pool) error {
	loops, err := w.startLoops(ctx, o)
	if err != nil {
		return err
	}
	pool.resume()
	until := time.Now().Add(o.act)
	for time.Now().Before(until) && ctx.Err() == nil {
		w.disturb(ctx, draw.next())
	}
	pool.pause()
	w.judge(ctx, loops.end())
	return nil
}

// findDrivers finds those that are installed, and says which are not.
func findDrivers(ctx context.Context, o options, r *record) []drivers.Looper {
	all, missing := drivers.FindDrivers(ctx, o.testenv)
	for _, m := range missing {
		r.say("without %v", m)
	}
	return all
}
