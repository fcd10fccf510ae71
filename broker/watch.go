package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"servicebroker/console"
	"servicebroker/journal"
)

// configFiles is what is known of the files by which the broker runs, and of the last time
// they were read.
type configFiles struct {
	mu     sync.Mutex
	read   contents // as they were then; nothing is read again for the same
	report *console.ReloadReport

	again   chan struct{} // has room for one: they were read, so that others may have to be watched
	watcher func() (*fsnotify.Watcher, error)
}

// noteRead keeps what was read, whether it was good or not.
func (f *configFiles) noteRead(read contents) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = read
}

func (f *configFiles) lastRead() contents {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read
}

// lastReload tells of the last reload, nil before the first.
func (f *configFiles) lastReload() *console.ReloadReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.report
}

// noteReload keeps what came of a reload. It may be by other files from here on.
func (f *configFiles) noteReload(r console.ReloadReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.report != nil {
		r.Good, r.Bad = f.report.Good, f.report.Bad
	}
	if r.OK {
		r.Good++
	} else {
		r.Bad++
	}
	f.report = &r
	nudge(f.again)
}

// nudge has whoever reads c, which has room for one, look again.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is known already
	}
}

// Who has the configuration read again.
const (
	ByOperator = "operator" // over the API or with a command
	BySignal   = "signal"
	ByFile     = "file" // a file has changed
)

// Reload reads the configuration again and puts it in force as far as that is possible
// while the broker runs. A file with errors changes nothing.
func (b *Broker) Reload(ctx context.Context) (console.ReloadResult, error) {
	return b.ReloadBy(ctx, ByOperator)
}

// ReloadBy is Reload that remembers who wanted it.
func (b *Broker) ReloadBy(_ context.Context, by string) (console.ReloadResult, error) {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	if h := b.upgrade.heir.Load(); h != nil {
		return console.ReloadResult{}, movedOn(h)
	}
	b.notifyReloading()
	result, err := b.reload()
	b.notify("READY=1")
	if errors.Is(err, errNoFile) {
		return result, err
	}
	report := console.ReloadReport{At: time.Now(), By: by, OK: err == nil, Changed: result.Changed, NeedsRestart: result.NeedsRestart}
	event := journal.Event{Kind: journal.ConfigLoaded, Cause: "by " + by, Detail: strings.Join(result.Changed, ", ")}
	if err != nil {
		report.Error = err.Error()
		event.Kind, event.Detail = journal.ConfigRejected, "nothing was changed: "+report.Error
	}
	b.files.noteReload(report)
	b.journal.Add(event)
	if by != ByOperator { // who is told it all
		for _, m := range result.Messages {
			if m.Severity == string(SeverityWarning) {
				b.log.Warn(m.Text, "at", fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column))
			}
		}
	}
	return result, err
}

// settleTime is how long files have to stay the same before they are read, since some are
// written bit by bit; settleTries bounds the wait for those that never do.
const (
	settleTime  = 200 * time.Millisecond
	settleTries = 25
)

// watchConfig reads the configuration again when one of its files changes, until ctx ends.
// The system tells of most changes; those on network volumes are found by looking.
func (b *Broker) watchConfig(ctx context.Context) {
	w := newFileWatch(b.log, b.files.watcher)
	defer w.Close()
	look := true // something may have changed since the broker was made
	for ctx.Err() == nil {
		c := b.settings().config
		var files []string
		if c.ConfigWatch {
			files = slices.Collect(maps.Keys(b.files.lastRead()))
		}
		if w.follow(files) || look {
			b.readIfChanged(ctx, len(files) > 0)
		}
		look = b.awaitChange(ctx, w, c)
	}
}

// awaitChange waits until something may have happened to the files, or until others may
// have to be watched, for which it returns false.
func (b *Broker) awaitChange(ctx context.Context, w *fileWatch, c *Config) bool {
	var poll <-chan time.Time
	if c.ConfigWatch && c.ConfigPoll > 0 {
		t := time.NewTimer(c.ConfigPoll)
		defer t.Stop()
		poll = t.C
	}
	events, failures := w.events()
	for {
		select {
		case e := <-events:
			if w.concerns(e) {
				return true
			}
		case <-failures: // events were lost
			return true
		case <-poll:
			return true
		case <-b.files.again:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// readIfChanged reads the configuration again if what is in its files is not what was last
// read, good or bad.
func (b *Broker) readIfChanged(ctx context.Context, watching bool) {
	if !watching {
		return
	}
	read := b.files.lastRead()
	now := read.now()
	if now.same(read) {
		return
	}
	settle := time.NewTicker(settleTime)
	defer settle.Stop()
	for range settleTries {
		select {
		case <-settle.C:
		case <-ctx.Done():
			return
		}
		before := now
		if now = read.now(); now.same(before) {
			break
		}
	}
	if now.same(b.files.lastRead()) { // it was for a moment, or somebody was faster
		return
	}
	if _, err := b.ReloadBy(ctx, ByFile); err != nil {
		b.log.Error("configuration not reloaded, nothing was changed", "cause", err.Error())
	}
}
