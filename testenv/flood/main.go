// Command flood loads a broker beyond its limits, and measures what others get beside
// that: one role a process, so that none of them waits for another's memory.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

// run plays one role: bare, load, attack or measure.
func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("name a role: bare, load, attack or measure")
	}
	flags := flag.NewFlagSet("flood "+arguments[0], flag.ContinueOnError)
	var l loader
	var m measurer
	var targets string
	var a attacker
	flags.StringVar(&a.Kind, "kind", "hold", fmt.Sprint("of attack: one of ", kinds()))
	flags.IntVar(&a.Hold, "hold", 2000, "connections that an attack keeps open, where its kind keeps them")
	flags.BoolVar(&m.Raw, "raw", false, "print each measured time, too")
	listen := flags.String("listen", "127.0.0.1:0", "where bare listens")
	flags.StringVar(&targets, "target", "", "addresses, host:port, with comma")
	flags.StringVar(&l.From, "from", "127.0.0.2", "source address of the flood")
	flags.StringVar(&l.Service, "service", "flooded", "service that is asked for")
	flags.Float64Var(&l.Rate, "rate", 5000, "connects offered a second")
	flags.IntVar(&l.Slow, "slow", 500, "clients that send a byte a second")
	flags.IntVar(&l.Idle, "idle", 5000, "connections that say nothing")
	flags.DurationVar(&l.For, "for", 10*time.Second, "how long")
	flags.Float64Var(&m.Rate, "each", 50, "measured connects a second to each target")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a.Target, a.From, a.Rate, a.For = targets, l.From, l.Rate, l.For
	l.Target, m.Targets, m.Service, m.For = targets, strings.Split(targets, ","), l.Service, l.For
	var result any
	var err error
	switch arguments[0] {
	case "bare":
		return serveBare(ctx, *listen)
	case "load":
		result, err = l.run(ctx)
	case "attack":
		result, err = a.run(ctx)
	case "measure":
		result, err = m.run(ctx)
	default:
		return fmt.Errorf("%s is no role: bare, load, attack or measure", arguments[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
