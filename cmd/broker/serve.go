package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"servicebroker/broker"
	"servicebroker/logfile"
	"servicebroker/resources"
)

type serveCommand struct {
	Config   string `short:"c" placeholder:"FILE" help:"cman.ora to run by. Default: $TNS_ADMIN/cman.ora if it exists, else built-in defaults."`
	Instance string `arg:"" optional:"" help:"Which instance of the file. Default: CMAN_<hostname>, else the only one."`
	Log      string `enum:"text,json" default:"text" help:"Form of the log on standard output: text or json."`
	Init     bool   `help:"Stay for as long as any generation lives, pass signals on to the one that serves, and exit with its code: for supervisors that follow one process. Process 1 of a container does so by itself."`
	Verbose  bool   `short:"v" help:"Log everything, whatever LOG_LEVEL says."`
}

// Run serves until the first SIGINT or SIGTERM, then until sessions are over or
// a second one comes.
func (c *serveCommand) Run(ctx context.Context, t *terminal) error {
	if c.needsKeeper() {
		if code, err := keep(); err != nil || code != exitDone {
			return &exitError{max(code, exitNo), errors.Join(err, saidError{})}
		}
		return nil
	}
	_ = coreDumps(false) // before anything is read that must not be in one; what the configuration says comes later
	log, flush := c.logger(t)
	defer flush()
	process, err := c.process(ctx, log)
	if err != nil {
		return &exitError{exitNo, err}
	}
	b, err := c.broker(process, log)
	if err != nil {
		if process.Before != nil {
			process.Before.Refuse(err)
		}
		return &exitError{exitNo, err}
	}
	first, second, stop := twoSignals(ctx, func() {
		log.Info("stopping; signal again to end open sessions now")
	})
	defer stop()
	defer onSignal(first, syscall.SIGHUP, func(ctx context.Context) {
		if _, err := b.ReloadBy(ctx, broker.BySignal); err != nil {
			log.Error("configuration not reloaded, nothing was changed", "cause", err.Error())
		}
	})()
	defer onSignal(first, syscall.SIGUSR2, func(ctx context.Context) {
		_, _ = b.Upgrade(ctx) // which logs how it goes
	})()
	defer watchdog(b, log)()
	defer paceCollector(context.WithoutCancel(ctx))()
	return b.Run(first, second)
}

// broker makes the broker by its configuration.
func (c *serveCommand) broker(process broker.Process, log *slog.Logger) (*broker.Broker, error) {
	config, err := c.read(log)
	if err != nil {
		return nil, err
	}
	config.Verbose = c.Verbose
	if limit, from := resources.LimitMemory(config.MemoryLimit, resources.FindContainer("/")); limit > 0 {
		log.Info("memory is limited", "bytes", limit, "by", from)
	}
	return broker.NewIn(process, config, log)
}

// logger writes to standard output, which may be a pipe that nobody reads or a file on a disk
// that stalls: no connect waits for it. flush writes what is left, as far as somebody takes it.
func (c *serveCommand) logger(t *terminal) (log *slog.Logger, flush func()) {
	out := &logfile.File{Out: t.out, Lost: c.lost}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.Run(ctx)
	}()
	return slog.New(c.handler(out)), func() {
		cancel()
		<-done
	}
}

func (c *serveCommand) handler(out io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: slog.LevelDebug} // the broker lets through what LOG_LEVEL says
	if c.Log == "json" {
		return slog.NewJSONHandler(out, options)
	}
	return slog.NewTextHandler(out, options)
}

// lost is the line that stands for n others.
func (c *serveCommand) lost(n uint64, now time.Time) string {
	var line strings.Builder
	record := slog.NewRecord(now, slog.LevelWarn, "log lines lost: standard output did not take them in time", 0)
	record.Add("lines", n)
	_ = c.handler(&line).Handle(context.Background(), record)
	return strings.TrimSuffix(line.String(), "\n")
}

// read finds and reads the configuration and logs what there is to say about it.
func (c *serveCommand) read(log *slog.Logger) (*broker.Config, error) {
	file := c.Config
	if file == "" {
		admin := os.Getenv("TNS_ADMIN")
		if _, err := os.Stat(filepath.Join(admin, "cman.ora")); admin == "" || err != nil {
			if c.Instance != "" {
				return nil, fmt.Errorf("instance %q: there is no cman.ora to find it in: name the file with -c", c.Instance)
			}
			log.Info("running by built-in defaults: no file given, and no $TNS_ADMIN/cman.ora")
			return broker.DefaultConfig(), nil
		}
		file = filepath.Join(admin, "cman.ora")
	}
	config, messages := broker.ReadConfig(file, c.Instance)
	if err := messages.Err(); err != nil {
		return nil, fmt.Errorf("the configuration cannot be used:\n%w", err)
	}
	for _, m := range messages {
		level := slog.LevelInfo
		if m.Severity == broker.SeverityWarning {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, m.Text, "at", fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column))
	}
	return config, nil
}

// twoSignals returns a context that ends with the first SIGINT or SIGTERM and one
// that ends with the second; told is called between the two.
func twoSignals(ctx context.Context, told func()) (first, second context.Context, stop func()) {
	first, endFirst := context.WithCancel(ctx)
	second, endSecond := context.WithCancel(context.WithoutCancel(ctx))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for _, end := range []func(){func() { told(); endFirst() }, endSecond} {
			select {
			case <-signals:
				end()
			case <-done:
				return
			}
		}
	}()
	return first, second, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		endFirst()
		endSecond()
	}
}
