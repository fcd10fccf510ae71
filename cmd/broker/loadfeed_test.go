package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/console"
	"servicebroker/servicetable"
)

func TestLoadIsFed(t *testing.T) {
	o, api, _ := runOperated(t)
	l := listener(t)
	o.table.Apply(servicetable.Registration{ID: "1", Instance: "sales1", Host: "db1", Services: []servicetable.Service{{Name: "sales.example.com"}}})
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := make(lines, 100), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--api", api, "register", "--load-only", "--instance", "SALES1", "--service", "sales", "--address", l.Addr().String(), "--interval", "20ms", "--max", "50"},
			&terminal{out: out, err: out})
	}()
	for range 2 {
		select {
		case <-o.loaded:
		case <-time.After(10 * time.Second):
			t.Fatal("no load is reported")
		}
	}
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
	if line := out.next(t); !strings.Contains(line, "load is being reported") || !strings.Contains(line, "instance=sales1@db1") || len(out) > 0 {
		t.Errorf("%q and %d lines more", line, len(out))
	}
	got := o.loads[0]
	figures, named := got.Services["sales.example.com"]
	if got.Instance != "sales1@db1" || got.Load == nil || got.NodeLoad == nil || *got.NodeMax == 0 || *got.Max != 50 || !named || figures.Goodness == nil || *figures.Delta != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLoadFeedCommandLines(t *testing.T) {
	_, api, plain := runOperated(t)
	l := listener(t)
	feed := []string{"register", "--load-only", "--instance", "i", "--address", l.Addr().String()}
	fails(t, append([]string{"--api", api}, append(feed, "--broker", "b:1")...), exitUsage, "--api")
	fails(t, append([]string{"--api", api}, append(feed, "--interval", "0s")...), exitUsage, "--interval")
	fails(t, append([]string{"--api", plain}, feed...), exitNo, "nothing can be changed over it")
	fails(t, append([]string{"--api", "nonsense"}, feed...), exitNo, "nonsense")
	fails(t, []string{"register", "--instance", "i", "--address", "db:1", "--service", "s"}, exitUsage, "--broker is missing")
	fails(t, []string{"register", "--instance", "i", "--address", "db:1", "--broker", "b:1"}, exitUsage, "--service is missing")
}

// What may pass is tried again, and told once.
func TestLoadFeedGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		tries := 0
		feed := loadFeed{log: slog.New(slog.NewTextHandler(&log, nil)), healthy: func(context.Context) error {
			if tries++; tries == 5 {
				cancel()
			}
			return errors.New("the local listener does not answer")
		}}
		if err := feed.run(ctx, time.Hour); err != nil || tries != 5 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%v after %d tries: %s", err, tries, log.String())
		}
	})
	for err, final := range map[error]bool{
		&console.APIError{Status: 404}: false, &console.APIError{Status: 503}: false, &console.APIError{Status: 403}: true, &console.APIError{Status: 400}: true,
		console.ErrUnreachable: false, errors.New("no address of a broker"): true,
	} {
		if isFinal(err) != final {
			t.Errorf("%v: final %v", err, !final)
		}
	}
}

func TestLoadReportLeavesOutWhatIsNotKnown(t *testing.T) {
	c := registerCommand{Instance: "sales1"}
	if r := c.loadReport(1); r.Max != nil || r.Services != nil || r.Load == nil {
		t.Errorf("%+v", r)
	}
}
