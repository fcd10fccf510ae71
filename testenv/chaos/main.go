// Command chaos lets real drivers connect without pause through a broker that relays and one that redirects, while the
// instances behind them are killed, frozen, cut off, blocked, restarted and relocated, one fault after the other. It
// prints a table of what became of every connect and ends with 1 if any failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// options are the flags.
type options struct {
	bin, testenv string
	rate         float64
	duration     time.Duration
	gap          time.Duration
	only         *regexp.Regexp
	parameters   string
	modes        []string
	verbose      bool
}

func main() {
	runtime.LockOSThread() // children get a signal when the thread that started them ends
	o := options{only: regexp.MustCompile(""), modes: modes}
	flag.StringVar(&o.bin, "bin", "bin", "folder with the programs broker and testdb")
	flag.StringVar(&o.testenv, "testenv", "testenv", "folder with the drivers' scripts")
	flag.Float64Var(&o.rate, "rate", 50, "connects in a second, of each driver")
	flag.DurationVar(&o.duration, "duration", 6*time.Minute, "of all faults together, about")
	flag.DurationVar(&o.gap, "gap", 20*time.Second, "in which a relocated service is nowhere")
	flag.Func("only", "faults to try, a regular expression", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	flag.StringVar(&o.parameters, "parameters", "", "further ones of the brokers, as (NAME=value)(NAME=value)")
	flag.Func("modes", "relay, redirect or relay,redirect, which is the default: one after the other", func(text string) error {
		o.modes = strings.Split(text, ",")
		for _, m := range o.modes {
			if !slices.Contains(modes, m) {
				return fmt.Errorf("%q is no mode", m)
			}
		}
		return nil
	})
	flag.BoolVar(&o.verbose, "v", false, "tell of every connect that was not well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

// run tries every fault and returns how many connects failed.
func run(ctx context.Context, o options) (failed int, err error) {
	loopers, missing := drivers.FindDrivers(ctx, o.testenv)
	for _, m := range missing {
		fmt.Println("without", m)
	}
	s, err := set(ctx, o)
	if err != nil {
		return 0, err
	}
	defer s.strike()
	trials := s.trials(o)
	if len(trials) == 0 {
		return 0, errors.New("no fault has such a name: see those of testenv/stage/fault.go")
	}
	fmt.Printf("%d drivers, %.0f connects/s each, %d faults by %s\n", len(loopers), o.rate, len(trials), strings.Join(o.modes, " and by "))
	var rows []drivers.Row
	for _, mode := range o.modes {
		for _, tr := range trials {
			tr.Load.Drivers, tr.Load.Rate = loopers, o.rate
			began := time.Now()
			samples, struck, err := tr.Run(ctx, map[string]*stage.Tap{mode: s.taps[mode]})
			if err != nil {
				return failed, errors.Join(err, drivers.WriteTable(os.Stdout, rows))
			}
			row := drivers.Summarise(mode, struck, samples[mode])
			rows = append(rows, row)
			failed += row.Failed
			fmt.Printf("%s, %s: %v, %d connects, %d failed\n", mode, tr.Fault.Name, time.Since(began).Round(100*time.Millisecond), row.Connects, row.Failed)
			if o.verbose || row.Failed > 0 {
				tell(samples[mode], struck)
			}
		}
	}
	fmt.Println()
	err = drivers.WriteTable(os.Stdout, rows)
	fmt.Print("\nin flight: the client had its ACCEPT or REDIRECT when the fault struck. in window: it was redirected to the\n" +
		"instance after the fault, before the broker could know. Both are counted apart, and not in the times.\n")
	return failed, err
}

// tell shows the first few connects that failed.
func tell(samples []drivers.Sample, struck drivers.Struck) {
	const most = 5
	shown := 0
	for _, s := range samples {
		if s.Outcome != drivers.Failed {
			continue
		}
		if shown++; shown > most {
			return
		}
		fmt.Printf("  %s %d began %v after the fault, over after %v, at %s: %.200s\n", s.Driver, s.N,
			s.Started().Sub(struck.Done).Round(time.Millisecond), s.Ended().Sub(s.Started()).Round(time.Millisecond), s.Stage, s.Error)
		for _, seen := range s.Seen {
			fmt.Printf("    through %s: %v after %v, %v after the fault: %s\n", seen.Client, seen.Answer,
				seen.Answered.Sub(seen.Began).Round(time.Millisecond), seen.Answered.Sub(struck.Done).Round(time.Millisecond), seen.Text)
		}
	}
}

// The modes of the two brokers.
const (
	relaying    = "relay"
	redirecting = "redirect"
)

var modes = []string{relaying, redirecting}

// probeInterval is what brokers have by default.
const probeInterval = 5 * time.Second
