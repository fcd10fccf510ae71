// Command bench measures the broker beside others that stand between clients and servers, and beside none, in one run and by
// turns: connects, round trips, bulk. It prints tables with the ratios that count, and can write them into a document.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	runtime.LockOSThread() // children get a signal when the thread that started them ends
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run plays the role that is named first, and without one measures.
func run(ctx context.Context, arguments []string, out io.Writer) error {
	role := ""
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		role, arguments = arguments[0], arguments[1:]
	}
	flags := flag.NewFlagSet("bench "+role, flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where the role listens")
	to := flags.String("to", "127.0.0.1:1521", "where the bare server redirects clients to, and the plain relay connects")
	var r registrants
	flags.StringVar(&r.Broker, "broker", "", "whom registrants register with")
	flags.IntVar(&r.Port, "port", 1521, "at which registrants take sessions")
	flags.StringVar(&r.Name, "name", "db", "of registrants and their services")
	flags.IntVar(&r.Instances, "instances", 1, "how many registrants")
	flags.IntVar(&r.Services, "services", 1, "of each registrant")
	flags.IntVar(&r.Sharing, "sharing", 1, "registrants with the same services")
	o := options{progress: os.Stderr}
	flags.StringVar(&o.bin, "bin", "bin", "folder with the program broker")
	list(flags, &o.only, "only", "what to measure: connects, roundtrips, bulk, tls, growth, storm, dns, micro, flood, idle, with comma; all where nothing is said, none to show earlier results")
	list(flags, &o.peers, "peers", "whom to measure: "+strings.Join(peerNames, ", ")+", with comma; all where nothing is said")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everybody is measured")
	flags.StringVar(&o.write, "write", "", "document to write the results into, between the lines that say so")
	flags.StringVar(&o.results, "results", "", "file of results to which those of this run are added; all of them are shown")
	flags.DurationVar(&o.lasting, "time", 2*time.Second, "how long each time")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if err := raiseDescriptors(); err != nil {
		return err
	}
	switch role {
	case "backend":
		return serveBackend(ctx, *listen)
	case "bare":
		packet, err := redirectPacket(*to, moved)
		if err != nil {
			return err
		}
		return serveBare(ctx, *listen, packet)
	case "plain":
		return servePlain(ctx, *listen, *to)
	case "registrants":
		return r.run(ctx)
	case "":
		return o.report(ctx, arguments, out)
	}
	return fmt.Errorf("%s is no role: backend, bare, plain, registrants, or none to measure", role)
}

func list(flags *flag.FlagSet, into *[]string, name, usage string) {
	flags.Func(name, usage, func(text string) error {
		*into = strings.Split(text, ",")
		return nil
	})
}

// raiseDescriptors allows this process and its children as many as the system lets them have.
func raiseDescriptors() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	return nil
}

// report measures and prints.
func (o *options) report(ctx context.Context, arguments []string, out io.Writer) (err error) {
	chosen := o.chosen()
	if len(chosen) == 0 && o.results == "" {
		return errors.New("nothing to measure: see -help")
	}
	l, err := set(ctx, o.bin, runtime.NumCPU())
	if l != nil {
		defer l.strike()
	}
	if err != nil {
		return err
	}
	found, err := o.measureAll(ctx, l)
	if o.results != "" { // also where the last measure failed: what came before it took its time
		all, wrong := found.with(o.results)
		if err = errors.Join(err, wrong); wrong == nil {
			found, chosen = all, measures()
		}
	}
	var tables bytes.Buffer
	writeComparisons(&tables, found)
	writeTables(&tables, found, chosen)
	for _, m := range l.missing {
		fmt.Fprintln(&tables, "\nLeft out:", m)
	}
	if _, wrong := out.Write(tables.Bytes()); err != nil || wrong != nil {
		return errors.Join(err, wrong)
	}
	if o.write == "" {
		return nil
	}
	var measured bytes.Buffer
	writeTable(&measured, o.machine(ctx, measuring(arguments)))
	measured.Write(tables.Bytes())
	return writeInto(o.write, measured.Bytes())
}
